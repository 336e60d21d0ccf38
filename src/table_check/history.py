"""The rows of a table by account and date, with what the target's own past explains."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.table import Dataset

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]
Scale = Literal["values", "ranks"]

LAGS = 7
"""Earlier rows of the account in the regression on the past: a week of trading days, or of calendar days."""
MOST_ROWS = 20_000
"""Rows of whole accounts on which the probes run; more rows change the results little."""


@dataclass(frozen=True)
class History:
    """Rows sorted by account, then date.

    Attributes:
        order: (n_rows,) positions of the rows in the dataset.
        y: (n_rows,) the target.
        position: (n_rows,) number of earlier rows of the account.
        dates: (n_rows,) datetime64[D], or None.
    """

    order: Indices
    y: Floats
    position: Indices
    dates: NDArray[np.datetime64] | None

    def lag(self, values: NDArray[np.float64], rows: int) -> Floats:
        """Values of `rows` rows earlier in the same account, NaN where there is none; shape as `values`."""
        if rows == 0:
            return values
        shifted = np.full(len(values), np.nan)
        shifted[rows:] = values[:-rows]
        shifted[self.position < rows] = np.nan
        return shifted

    @cached_property
    def ranked_y(self) -> Floats:
        """The target's normal scores: ranks mapped to a standard normal distribution; a 0/1 target stays as it is."""
        return self.y if len(np.unique(self.y)) <= 2 else normal_scores(self.y)

    def past(self, scale: Scale) -> Floats:
        """Regressors (n_rows, p) from earlier rows of the account: lags, mean so far, weekday; NaN without history."""
        y = self.y if scale == "values" else self.ranked_y
        columns = [np.ones(len(y))]
        if self.dates is None:
            return np.column_stack(columns)
        columns += [self.lag(y, k) for k in range(1, self.n_lags + 1)]
        columns += [self._mean_so_far(y), *_weekdays(self.dates)]
        return np.asarray(np.column_stack(columns))

    @cached_property
    def n_lags(self) -> int:
        """`LAGS`, or fewer if accounts have few rows."""
        lengths = np.diff(np.append(np.flatnonzero(self.position == 0), len(self.position)))
        return int(np.clip(np.median(lengths) // 5, 1, LAGS))

    def _mean_so_far(self, y: Floats) -> Floats:
        total = np.cumsum(y) - y
        start = np.arange(len(y)) - self.position
        with np.errstate(invalid="ignore"):  # 0/0 in an account's first row, which has no past
            mean: Floats = (total - total[start]) / self.position
        return mean


def change_since_last(data: Dataset) -> Floats:
    """(n_rows,) the target less that of the account's row before, in the dataset's order; NaN where there is none."""
    if data.dates is None:
        return np.full(len(data.y), np.nan)
    y = pd.Series(data.y)
    change = y.diff() if data.accounts is None else y.groupby(data.accounts).diff()
    return np.asarray(change, dtype=np.float64)


def make_history(data: Dataset, seed: int, most_rows: int = MOST_ROWS) -> History:
    """Sorts the rows; from a large table takes whole accounts at random, or the last rows of a large account.

    A table without accounts counts as one account; one without dates keeps its order, and has no past.
    """
    if data.dates is None:
        order = np.arange(len(data.y))
        if len(order) > most_rows:
            order = np.sort(np.random.default_rng(seed).choice(order, most_rows, replace=False))
        return History(order, data.y[order], np.zeros(len(order), dtype=np.int64), None)
    codes = np.zeros(len(data.y), dtype=np.int64) if data.accounts is None else pd.factorize(data.accounts)[0]
    order = np.argsort(codes, kind="stable")  # the dataset is sorted by date
    sizes = np.bincount(codes)
    position = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    if len(order) > most_rows:
        kept = _some_accounts(sizes, most_rows, seed)[codes[order]]
        order, position = order[kept], position[kept]
        if len(order) > most_rows:  # one account alone is larger
            order, position = order[-most_rows:], position[-most_rows:] - position[-most_rows]
    return History(order, data.y[order], position, data.dates[order])


def _some_accounts(sizes: Indices, most_rows: int, seed: int) -> NDArray[np.bool_]:
    drawn = np.random.default_rng(seed).permutation(len(sizes))
    fits = np.cumsum(sizes[drawn]) <= most_rows
    fits[0] = True
    kept = np.zeros(len(sizes), dtype=np.bool_)
    kept[drawn[fits]] = True
    return kept


def scaled(values: Floats) -> Floats:
    """Values divided by the largest size, so that squares neither overflow nor vanish."""
    sizes = np.abs(values[~np.isnan(values)])
    largest = float(sizes.max()) if len(sizes) else 0.0
    return values / largest if largest > 0 else values


def normal_scores(values: Floats) -> Floats:
    """Ranks as quantiles of a standard normal distribution; equal values share their mean rank, NaN stays NaN."""
    from scipy.special import ndtri

    ranks = pd.Series(values).rank().to_numpy()
    return np.asarray(ndtri((ranks - 0.5) / max(1, int(np.count_nonzero(~np.isnan(ranks))))))


def _weekdays(dates: NDArray[np.datetime64]) -> list[Floats]:
    """One 0/1 column per weekday, except the most frequent one."""
    days = (dates.astype("datetime64[D]").astype(np.int64) + 3) % 7
    counts = np.bincount(days, minlength=7)
    return [(days == day).astype(np.float64) for day in range(7) if counts[day] and day != np.argmax(counts)]
