"""Splits into training, validation and test rows: by whole dates, in order, with a purge gap between them.

    dates     ───────────────────────────────────────────────────────────────▶
    hold-out  search                                     ║ purge ║    test
    search    train               ║ purge ║  validation  ║
    --use-cv  block 0 ║ purge ║ block 1                           (fold 1)
              block 0   block 1 ║ purge ║ block 2                 (fold 2, and so on)

A table without dates is shuffled with the seed instead. All functions return ascending row positions.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from src.config import SplitSettings
from src.errors import DataError

RowIndices = NDArray[np.int64]
Dates = NDArray[np.datetime64]
_NO_LIMIT = 10**9


@dataclass(frozen=True, eq=False)
class Fold:
    """Training and validation rows of one fold.

    Attributes:
        train: (n_train,) row positions, ascending.
        valid: (n_valid,) row positions, ascending; with dates, all later than the training rows.
    """

    train: RowIndices
    valid: RowIndices


def split_holdout(dates: Dates | None, n_rows: int, split: SplitSettings) -> tuple[RowIndices, RowIndices]:
    """Splits a table into search rows and test rows; the search never reads the test rows.

    Of n distinct dates the last `round(n * test_fraction)`, at least one, are test dates; the `purge_days` dates before
    them belong to neither part. Without dates the rows are shuffled, and the fraction applies to rows.

    Args:
        dates: (n_rows,) date of each row, in any order; None for a table without dates.
        n_rows: rows of the table.
        split: fractions, purge, folds, seed.

    Returns:
        Search rows and test rows; with `test_fraction` 0 all rows, and no rows.

    Raises:
        DataError: there are too few dates (or rows) for this split and for the folds of the search.
    """
    rows = np.arange(n_rows, dtype=np.int64)
    if split.test_fraction == 0:
        _require(_count(dates, n_rows), dates, split, _search_fits(dates, split))
        return rows, rows[:0]
    fits_search = _search_fits(dates, split)
    purge = 0 if dates is None else split.purge_days

    def n_search(n: int) -> int:
        return n - _part(n, split.test_fraction) - purge

    n = _count(dates, n_rows)
    _require(n, dates, split, lambda count: fits_search(n_search(count)))
    ranks = _ranks(dates, rows, np.random.default_rng(split.seed))
    return rows[ranks < n_search(n)], rows[ranks >= n - _part(n, split.test_fraction)]


def search_folds(dates: Dates | None, rows: RowIndices, split: SplitSettings) -> list[Fold]:
    """Splits the search rows into training and validation rows.

    By default there is one fold: the last `round(n * valid_fraction)` of the n dates, at least one, are validation
    dates. With `use_cv` the dates are cut into `n_folds + 1` nearly equal blocks; fold k trains on the blocks before
    block k and validates on block k. The `purge_days` dates before a validation window are not trained on. Without
    dates the rows are shuffled, and `use_cv` is K-fold cross-validation.

    Args:
        dates: (n_table_rows,) date of each row of the table; None for a table without dates.
        rows: positions of the search rows in the table.
        split: fractions, purge, folds, seed.

    Returns:
        One fold, or `n_folds` folds in order.

    Raises:
        DataError: there are too few dates (or rows).
    """
    rows = np.sort(rows)
    known = None if dates is None else dates[rows]
    n = _count(known, len(rows))
    _require(n, known, split, _search_fits(known, split))
    # Not the hold-out's random stream, which would repeat the same order.
    ranks = _ranks(known, rows, np.random.default_rng([split.seed, 1]))
    if known is None and split.use_cv:
        part = ranks * split.n_folds // n
        return [Fold(rows[part != k], rows[part == k]) for k in range(split.n_folds)]
    purge = 0 if known is None else split.purge_days
    windows = _blocks(n, split.n_folds + 1)[1:] if split.use_cv else [(n - _part(n, split.valid_fraction), n)]
    return [Fold(rows[ranks < start - purge], rows[(ranks >= start) & (ranks < stop)]) for start, stop in windows]


def _count(dates: Dates | None, n_rows: int) -> int:
    """The number of units to split: distinct dates, or rows."""
    return n_rows if dates is None else len(np.unique(dates))


def _ranks(dates: Dates | None, rows: RowIndices, generator: np.random.Generator) -> RowIndices:
    """The rank of each row's date among the dates, or of each row in a shuffled order."""
    if dates is None:
        return generator.permutation(len(rows))
    return np.unique(dates, return_inverse=True)[1]


def _part(n: int, fraction: float) -> int:
    return max(1, round(n * fraction))


def _blocks(n: int, n_blocks: int) -> list[tuple[int, int]]:
    """Cuts range(n) into blocks [start, stop) whose lengths differ by at most one, the longer ones first."""
    short, n_long = divmod(n, n_blocks)
    starts = [k * short + min(k, n_long) for k in range(n_blocks + 1)]
    return list(pairwise(starts))


def _search_fits(dates: Dates | None, split: SplitSettings) -> Callable[[int], bool]:
    """A function: whether n dates (or rows) are enough for training and validation rows in every fold."""
    purge = 0 if dates is None else split.purge_days

    def fits(n: int) -> bool:
        if not split.use_cv:
            return n - _part(n, split.valid_fraction) - purge >= 1
        if dates is None:
            return n >= split.n_folds
        return n > split.n_folds and _blocks(n, split.n_folds + 1)[0][1] > purge

    return fits


def _require(n: int, dates: Dates | None, split: SplitSettings, fits: Callable[[int], bool]) -> None:
    if fits(n):
        return
    unit = "rows" if dates is None else "dates"
    # `fits` is monotone: with more dates, no training part becomes smaller.
    least = bisect_left(range(_NO_LIMIT), True, key=fits)
    needed = f"at least {least} are needed" if least < _NO_LIMIT else "no number is enough"
    options = ["--test-fraction"] if split.test_fraction else []
    options += ["--n-folds"] if split.use_cv else ["--valid-fraction"]
    options += ["--purge-days"] if dates is not None and split.purge_days else []
    raise DataError(f"{n} {unit} are too few for this split, {needed}: add {unit}, or lower {', '.join(options)}")
