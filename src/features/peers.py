"""Features from what all accounts, or the row's peers, did on the table's last dates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .catalogue import LONGEST_WINDOW, Feature
from .own_past import OwnPast
from .panel import Floats, Integers, Panel
from .windows import Rows

CHUNK_CELLS = 1 << 16
"""Groups are taken together up to so many dates."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some groups, with the dates of the table from each group's first row to its last.

    Dates in a gap longer than any window are left out: the dates after it are a sequence of their own.

    Attributes:
        rows: the groups' rows in the panel, by group, then account: sums over accounts have one order.
        cells: the row's group and date, as a position in `dates`, (n_rows,).
        dates: sequences of dates.
    """

    rows: Integers
    cells: Integers
    dates: Rows


def chunks(panel: Panel, group: str | None) -> Iterator[Chunk]:
    """The peer groups of a column, without rows whose group is missing; for None, one group of all rows."""
    codes = np.zeros(len(panel), dtype=np.int64) if group is None else panel.groups[group]
    rows = np.argsort(codes, kind="stable")
    rows = rows[np.searchsorted(codes[rows], 0) :]
    if not len(rows):
        return
    n_dates = len(panel.distinct_dates)
    distinct, of_row = np.unique(codes[rows] * n_dates + panel.date_codes[rows], return_inverse=True)
    steps, groups = np.diff(distinct, prepend=distinct[0]), distinct // n_dates
    is_new_group = np.diff(groups, prepend=-1) != 0
    is_new = is_new_group | (steps > LONGEST_WINDOW)
    places = np.cumsum(np.where(is_new, 1, steps)) - 1
    positions = _count_from(places[is_new], places[-1] + 1)
    cell_bounds = np.append(places[is_new_group], len(positions))
    row_bounds = np.append(np.flatnonzero(np.diff(codes[rows], prepend=-1)), len(rows))
    for low, high in _ranges(cell_bounds):
        part, first = slice(row_bounds[low], row_bounds[high]), cell_bounds[low]
        yield Chunk(rows[part], places[of_row[part]] - first, Rows(positions[first : cell_bounds[high]]))


def _count_from(starts: Integers, length: int) -> Integers:
    """0, 1, 2, … again from each start on, (length,)."""
    return np.arange(length) - np.repeat(starts, np.diff(np.append(starts, length)))


def _ranges(cell_bounds: Integers) -> Iterator[tuple[int, int]]:
    """Ranges of groups with at most `CHUNK_CELLS` cells, or of one group."""
    low = 0
    while low < len(cell_bounds) - 1:
        high = int(np.searchsorted(cell_bounds, cell_bounds[low] + CHUNK_CELLS, side="right")) - 1
        yield low, max(low + 1, high)
        low = max(low + 1, high)


def write_peer_features(
    chunk: Chunk, values: Floats, features: Sequence[tuple[int, Feature]], result: NDArray[np.floating]
) -> None:
    """Computes features of one column for the rows of a chunk.

    Args:
        chunk: the peers.
        values: of the column, of all rows of the panel.
        features: with their places in the result.
        result: (panel's rows, n_features), changed in place.
    """
    daily = _Daily(chunk, values[chunk.rows])
    means = OwnPast(chunk.dates, daily.mean)
    for place, feature in features:
        if feature.statistic == "mean":
            found = means.mean(feature)
        else:
            of_date = daily.std if feature.statistic == "std" else daily.share_positive
            found = chunk.dates.earlier(of_date, 1, np.nan)
        result[chunk.rows, place] = found[chunk.cells]


class _Daily:
    """Statistics over the accounts of each group and date, (n_cells,); NaN without values.

    `bincount` adds its weights one after the other, in the order of the rows.
    """

    def __init__(self, chunk: Chunk, values: Floats) -> None:
        missing, n_cells = np.isnan(values), len(chunk.dates.positions)

        def total(of_rows: Floats) -> Floats:
            return np.bincount(chunk.cells, weights=of_rows, minlength=n_cells).astype(np.float64, copy=False)

        count = total((~missing).astype(np.float64))
        self.mean = total(np.where(missing, 0.0, values)) / count
        gaps = np.where(missing, 0.0, values - self.mean[chunk.cells])
        self.std = np.where(count > 1, np.sqrt(total(gaps * gaps) / np.maximum(count - 1, 1.0)), np.nan)
        self.share_positive = total((values > 0).astype(np.float64)) / count
