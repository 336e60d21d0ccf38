"""Features from what all accounts, or the row's peers, did on the table's last dates."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .catalogue import Feature
from .own_past import OwnPast
from .panel import Floats, Integers, Panel
from .windows import Rows

CHUNK_CELLS = 1 << 16
"""Groups are taken together up to so many dates."""


@dataclass(frozen=True, eq=False)
class Chunk:
    """Some groups, each with all dates of the table from its first row to its last.

    Attributes:
        rows: the groups' rows in the panel, by group, then account: sums over accounts have one order.
        cells: the row's group and date, as a position in `dates`, (n_rows,).
        dates: the groups' dates, one group after the other.
    """

    rows: Integers
    cells: Integers
    dates: Rows


def chunks(panel: Panel, group: str | None) -> Iterator[Chunk]:
    """The peer groups of a column, without rows whose group is missing; for None, one group of all rows."""
    codes = np.zeros(len(panel), dtype=np.int64) if group is None else panel.groups[group]
    rows = np.argsort(codes, kind="stable")
    rows = rows[np.searchsorted(codes[rows], 0) :]
    starts = np.flatnonzero(np.diff(codes[rows], prepend=-1))
    if not len(starts):
        return
    first = np.minimum.reduceat(panel.date_codes[rows], starts)
    n_dates = np.maximum.reduceat(panel.date_codes[rows], starts) - first + 1
    ends, low = np.cumsum(n_dates), 0
    while low < len(starts):
        before = ends[low] - n_dates[low]
        high = max(low + 1, int(np.searchsorted(ends, before + CHUNK_CELLS, side="right")))
        part = slice(starts[low], starts[high] if high < len(starts) else len(rows))
        numbers = np.repeat(np.arange(low, high), np.diff(np.append(starts[low:high], part.stop)))
        offsets = ends - n_dates - before - first
        positions = np.arange(ends[high - 1] - before) - np.repeat(
            (ends - n_dates - before)[low:high], n_dates[low:high]
        )
        yield Chunk(rows[part], panel.date_codes[rows[part]] + offsets[numbers], Rows(positions))
        low = high


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
            found = chunk.dates.earlier(of_date, feature.window, np.nan)
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
