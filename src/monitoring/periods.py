"""The reference period, the new period after it, and blocks of dates that stand for both.

    dates       0 ───────────── reference ────────────── n_reference ─── new ───▶
    new         ════════════════════ side ═══════════════│─ gap ─│═══ window ═══│
    resample       │════ block ═══│─ gap ─│════ side ════│
    resample    ════ side ════│─ gap ─│════ block ═══│

The newest dates of the new period, the window, are judged. A resample takes a block as long as the window and compares
it with the longer of its two sides, as far away as the window is from the reference. Like the window it has neighbours
on one side alone, so that values that change slowly look as different as they do at the end.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from src.evaluation.scoring import Floats

MAX_BLOCKS = 400
"""Most resampled blocks; more overlap so much that they add nothing."""
BLOCKS_WANTED = 20
"""Blocks without overlap, from which an alarm rate of 5 % can be read."""
Kind = Literal["number", "category", "past", "account", "prediction"]
Positions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Column:
    """One monitored column.

    Attributes:
        name: of the column.
        kind: `past` is a number that is known only when its day is over, so that missing values mean nothing.
        values: (n_rows,) numbers, or codes of categories and accounts from 0 on; NaN where missing.
    """

    name: str
    kind: Kind
    values: Floats


@dataclass(frozen=True, eq=False)
class Periods:
    """The rows of both periods, sorted by date.

    Attributes:
        columns: what is monitored.
        dates: (n_dates,) distinct dates, ascending: those of the reference, then the new ones.
        row_day: (n_rows,) position of each row's date, non-decreasing.
        n_reference: number of reference dates.
        n_between: number of dates after the reference and before the new dates, of which there are no rows here.
    """

    columns: tuple[Column, ...]
    dates: NDArray[np.datetime64]
    row_day: Positions
    n_reference: int
    n_between: int = 0

    @property
    def n_new(self) -> int:
        """Number of new dates."""
        return len(self.dates) - self.n_reference


@dataclass(frozen=True, eq=False)
class Blocks:
    """Blocks of dates and what they are compared with, as half-open ranges of date positions; the window is last.

    Attributes:
        block: (n_blocks, 2) first date and the one after the last.
        side: (n_blocks, 2) the same of the other rows.
        n_independent: reference dates per date of a block: number of blocks that do not overlap.
    """

    block: Positions
    side: Positions
    n_independent: float


def make_blocks(periods: Periods, window: int) -> Blocks:
    """The resampled blocks of the reference period, then the window.

    Args:
        periods: both periods.
        window: number of the newest dates that are judged, at most all new ones.
    """
    n_reference, n_dates = periods.n_reference, len(periods.dates)
    gap = min(periods.n_between + periods.n_new - window, n_reference // 4)  # a longer one would leave too short sides
    n_starts = max(0, n_reference - window + 1)
    starts = np.unique(np.linspace(0, n_starts - 1, min(n_starts, MAX_BLOCKS)).round().astype(np.int64))
    ends = starts + window
    before = starts >= n_reference - ends
    left = np.stack([0 * starts, np.maximum(starts - gap, 0)], 1)
    right = np.stack([np.minimum(ends + gap, n_reference), 0 * ends + n_reference], 1)
    side = np.where(before[:, None], left, right)
    block = np.vstack([np.stack([starts, ends], 1), [[n_dates - window, n_dates]]])
    return Blocks(block, np.vstack([side, [[0, n_reference]]]), n_reference / window)


def default_window(n_reference: int, n_new: int) -> int:
    """All new dates, but at most a 20th of the reference dates, so that enough blocks stand for them."""
    return min(n_new, max(1, n_reference // BLOCKS_WANTED))


def sums_of(ranges: Positions, row_day: Positions, n_dates: int, weights: Floats | None = None) -> Floats:
    """(n_ranges,) number of rows, or sum of their weights, in ranges of dates."""
    by_date = np.bincount(row_day, weights, minlength=n_dates)
    total = np.concatenate([[0], np.cumsum(by_date)])
    sums: Floats = (total[ranges[:, 1]] - total[ranges[:, 0]]).astype(np.float64)
    return sums


def histograms(ranges: Positions, codes: Positions, row_day: Positions, n_dates: int) -> Floats:
    """(n_ranges, n_bins) number of rows in each bin, in ranges of dates."""
    n_bins = int(codes.max()) + 1
    by_date = np.bincount(row_day * n_bins + codes, minlength=n_dates * n_bins).reshape(n_dates, n_bins)
    total = np.zeros((n_dates + 1, n_bins))
    np.cumsum(by_date, axis=0, out=total[1:])
    counts: Floats = total[ranges[:, 1]] - total[ranges[:, 0]]
    return counts


def share_in_blocks(blocks: Blocks, row_day: Positions, applies: Callable[[slice, slice], NDArray[np.bool_]]) -> Floats:
    """(n_blocks,) share of the rows of each block that differ from all rows of its side.

    Args:
        blocks: the ranges of dates.
        row_day: (n_rows,) position of each row's date.
        applies: from the rows of the block and of the side to a mask of the block's rows.
    """
    block, side = np.searchsorted(row_day, blocks.block), np.searchsorted(row_day, blocks.side)
    shares = [applies(slice(*b), slice(*s)).sum() / max(1, b[1] - b[0]) for b, s in zip(block, side, strict=True)]
    return np.array(shares, dtype=np.float64)
