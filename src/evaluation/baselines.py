"""Naive baselines: forecasts without a model.

A model is useful only if it beats these on the same rows. The forecast of a date uses values of strictly earlier dates
only, in whatever part of the split they are: a realised value is known the next morning.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pandas as pd

from src.config import Metric
from src.evaluation.scoring import Floats, is_better, score

if TYPE_CHECKING:
    from src.data.table import Dataset

RowIndices = npt.NDArray[np.int64]
Forecasts = dict[str, Floats]
RECENT_DAYS = 20


def naive_forecasts(dataset: "Dataset", train_rows: RowIndices, rows: RowIndices) -> Forecasts:
    """All naive forecasts of the given rows that the table allows.

    `median` (for MAE), `mean` (RMSE) or `base_rate` (binary) is the best constant of the training rows. With accounts:
    `account_mean` or `account_rate`, the account's mean over all its earlier dates; `previous_day`, its last earlier
    value; `mean_20_days`, the mean of its last 20 earlier values or fewer. Without accounts, the same from the daily
    means of the whole table (`past_mean` or `past_rate`). Without dates, only the constant and, with accounts, the
    account's mean over the training rows. Rows without history get the constant.

    Args:
        dataset: the whole table.
        train_rows: row indices for the constant, shape (n_train,).
        rows: row indices to forecast, shape (n_rows,).

    Returns:
        Forecasts by name, each of shape (n_rows,), in the target's unit.

    Raises:
        ValueError: no training rows.
    """
    if train_rows.size == 0:
        raise ValueError("naive forecasts need at least one training row, got none")
    name, constant = _constant(dataset, train_rows)
    forecasts = {name: np.full(rows.size, constant)}
    if dataset.dates is not None:
        forecasts |= _from_the_past(dataset, rows)
    elif dataset.accounts is not None:
        forecasts[_mean_name(dataset)] = _account_means(dataset.accounts, dataset.y, train_rows, rows)
    return {key: np.where(np.isnan(values), constant, values) for key, values in forecasts.items()}


def score_baselines(dataset: "Dataset", train_rows: RowIndices, rows: RowIndices) -> dict[str, float]:
    """Scores of all naive forecasts on the given rows, by the target's metric.

    Raises:
        ValueError: no rows, or rows of one class under AUC.
    """
    y = dataset.y[rows]
    metric = dataset.config.metric
    return {name: score(metric, y, values) for name, values in naive_forecasts(dataset, train_rows, rows).items()}


def best_baseline(metric: Metric, scores: dict[str, float]) -> tuple[str, float]:
    """Name and score of the best baseline; the first one if several are equal.

    Raises:
        ValueError: no scores.
    """
    if not scores:
        raise ValueError("no baselines are given: score at least one")
    names = list(scores)
    best = names[0]
    for name in names[1:]:
        if is_better(metric, scores[name], scores[best]):
            best = name
    return best, scores[best]


def _constant(dataset: "Dataset", train_rows: RowIndices) -> tuple[str, float]:
    y = dataset.y[train_rows]
    if dataset.config.metric == "mae":
        return "median", float(np.median(y))
    name = "base_rate" if dataset.config.task == "binary" else "mean"
    return name, float(np.mean(y))


def _mean_name(dataset: "Dataset") -> str:
    owner = "past" if dataset.accounts is None else "account"
    return f"{owner}_{'rate' if dataset.config.task == 'binary' else 'mean'}"


def _account_means(accounts: npt.NDArray[np.object_], y: Floats, train_rows: RowIndices, rows: RowIndices) -> Floats:
    """The mean of a row's account over the training rows; NaN for an account without training rows."""
    known = pd.Series(y[train_rows]).groupby(accounts[train_rows]).mean()
    return np.asarray(known.reindex(accounts[rows]), np.float64)


def _from_the_past(dataset: "Dataset", rows: RowIndices) -> Forecasts:
    history = _history(dataset)
    forecasts = {
        _mean_name(dataset): _mean_so_far(history),
        "previous_day": _lag(history, 1),
        f"mean_{RECENT_DAYS}_days": _mean_of_last(history, RECENT_DAYS),
    }
    of_rows = history.entry_of_row[rows]
    return {name: values[of_rows] for name, values in forecasts.items()}


@dataclass(frozen=True)
class _History:
    """One entry per account and date, ordered by account, then date.

    Attributes:
        account: code of the account, shape (n_entries,).
        age: number of earlier entries of the account, shape (n_entries,).
        value: the target's mean over the entry's rows, shape (n_entries,).
        entry_of_row: index of the entry of each table row, shape (n_table_rows,).
    """

    account: RowIndices
    age: RowIndices
    value: Floats
    entry_of_row: RowIndices


def _history(dataset: "Dataset") -> _History:
    codes = np.zeros(dataset.y.size, np.int64)
    if dataset.accounts is not None:
        codes = pd.factorize(dataset.accounts)[0].astype(np.int64)
    days = np.asarray(dataset.dates).astype("datetime64[D]").astype(np.int64)
    # lexsort instead of `groupby(["account", "date"])`, which takes ten times as long on a million rows.
    order = np.lexsort((days, codes))
    code, day = codes[order], days[order]
    starts_entry = np.r_[True, (code[1:] != code[:-1]) | (day[1:] != day[:-1])]
    first = np.flatnonzero(starts_entry)
    value = np.add.reduceat(dataset.y[order], first) / np.diff(np.r_[first, order.size])
    entry_of_row = np.empty(order.size, np.int64)
    entry_of_row[order] = np.cumsum(starts_entry) - 1
    account = code[first]
    starts_account = np.flatnonzero(np.r_[True, account[1:] != account[:-1]])
    n_entries = np.diff(np.r_[starts_account, account.size])
    age = np.arange(account.size) - np.repeat(starts_account, n_entries)
    return _History(account, age, value, entry_of_row)


def _lag(history: _History, k: int) -> Floats:
    """The account's value k entries ago; NaN if it has none."""
    lagged = np.full(history.value.size, np.nan)
    lagged[k:] = history.value[:-k]
    lagged[history.age < k] = np.nan
    return lagged


def _mean_so_far(history: _History) -> Floats:
    # Summed per account: in one cumulative sum over all accounts, an account's rounding would depend on future values
    # of the accounts before it.
    total = pd.Series(history.value).groupby(history.account).cumsum().to_numpy(np.float64, copy=True)
    return _ratio(np.r_[0.0, total[:-1]], history.age)


def _mean_of_last(history: _History, n: int) -> Floats:
    # Summed anew for each entry: a rolling sum that adds and subtracts keeps rounding errors of all earlier values.
    total = np.zeros(history.value.size)
    for k in range(1, n + 1):
        total += np.nan_to_num(_lag(history, k))
    count = np.minimum(history.age, n)
    return _ratio(total, count)


def _ratio(total: Floats, count: RowIndices) -> Floats:
    """The mean of `count` values with sum `total`; NaN for a count of 0."""
    mean = np.full(total.size, np.nan)
    np.divide(total, count, out=mean, where=count > 0)
    return mean
