"""Naive forecasts against a slow loop that reads like their definition."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mean_absolute_error

from src.config import TargetConfig
from src.data.table import Dataset
from src.evaluation.baselines import best_baseline, naive_forecasts, score_baselines

MAE = TargetConfig("regression", "mae")
RMSE = TargetConfig("regression", "rmse")
AUC = TargetConfig("binary", "auc")


def make_dataset(
    y: Sequence[float], days: Sequence[int] | None, accounts: Sequence[str] | None, config: TargetConfig = MAE
) -> Dataset:
    return Dataset(
        target="profit",
        config=config,
        features=pd.DataFrame({"x": np.zeros(len(y))}),
        y=np.array(y, np.float64),
        dates=None if days is None else np.datetime64("2024-01-01") + np.array(days, np.int64),
        accounts=None if accounts is None else np.array(accounts, object),
        categorical=(),
        source="",
        digest="",
        warnings=(),
    )


@st.composite
def tables(draw: st.DrawFn, with_accounts: bool = True) -> Dataset:
    """Tables sorted by date, each account at most once a day, with gaps."""
    n_days, names = draw(st.integers(2, 12)), ["a", "b", "c"] if with_accounts else ["", "", ""]
    present = draw(st.lists(st.booleans(), min_size=3 * n_days, max_size=3 * n_days).filter(any))
    cells = [(i // 3, names[i % 3]) for i, there in enumerate(present) if there]
    y = draw(st.lists(st.floats(-1e3, 1e3), min_size=len(cells), max_size=len(cells)))
    accounts = [name for _, name in cells] if with_accounts else None
    return make_dataset(y, [day for day, _ in cells], accounts)


def slow_forecasts(dataset: Dataset, constant: float, row: int, recent: int = 20) -> dict[str, float]:
    """The definition, one row at a time: daily values of the row's owner on strictly earlier dates."""
    assert dataset.dates is not None
    days: dict[object, list[float]] = {}
    for other in range(dataset.y.size):
        mine = dataset.accounts is None or dataset.accounts[other] == dataset.accounts[row]
        if mine and dataset.dates[other] < dataset.dates[row]:
            days.setdefault(dataset.dates[other], []).append(float(dataset.y[other]))
    past = [sum(days[day]) / len(days[day]) for day in sorted(days, key=str)]
    owner = "past" if dataset.accounts is None else "account"
    if not past:
        return {f"{owner}_mean": constant, "previous_day": constant, "mean_20_days": constant}
    last = past[-recent:]
    return {f"{owner}_mean": sum(past) / len(past), "previous_day": past[-1], "mean_20_days": sum(last) / len(last)}


def everything(dataset: Dataset) -> npt.NDArray[np.int64]:
    return np.arange(dataset.y.size)


@given(st.booleans().flatmap(lambda with_accounts: tables(with_accounts)), st.data())
def test_agrees_with_a_slow_loop(dataset: Dataset, data: st.DataObject) -> None:
    rows = np.array(data.draw(st.permutations(range(dataset.y.size))), np.int64)
    train = rows[: 1 + rows.size // 2]
    forecasts = naive_forecasts(dataset, train, rows)
    constant = float(np.median(dataset.y[train]))
    for i, row in enumerate(rows):
        expected = slow_forecasts(dataset, constant, int(row)) | {"median": constant}
        assert {name: values[i] for name, values in forecasts.items()} == pytest.approx(expected, abs=1e-9)


def test_twenty_days_are_twenty_and_not_more() -> None:
    rng = np.random.default_rng(3)
    y = rng.normal(size=120)
    dataset = make_dataset(y.tolist(), np.repeat(np.arange(60), 2).tolist(), ["a", "b"] * 60)
    forecasts = naive_forecasts(dataset, everything(dataset)[:80], everything(dataset))
    constant = float(np.median(y[:80]))
    for row in range(120):
        expected = slow_forecasts(dataset, constant, row)
        assert forecasts["mean_20_days"][row] == pytest.approx(expected["mean_20_days"])
        assert forecasts["account_mean"][row] == pytest.approx(expected["account_mean"])


@given(tables(), st.data())
def test_no_value_on_or_after_a_day_touches_that_day(dataset: Dataset, data: st.DataObject) -> None:
    assert dataset.dates is not None
    day = data.draw(st.sampled_from(dataset.dates.tolist()))
    past, today = np.flatnonzero(dataset.dates < day), np.flatnonzero(dataset.dates == day)
    train = past if past.size else np.array([0])
    changed = dataset.y.copy()
    late = np.flatnonzero(dataset.dates >= day)
    changed[np.setdiff1d(late, train)] += data.draw(st.sampled_from([1.0, -1e9, 1e15]))
    after = make_dataset(changed.tolist(), (dataset.dates - dataset.dates[0]).astype(int).tolist(), None)
    after = Dataset(**{**vars(after), "accounts": dataset.accounts, "dates": dataset.dates})
    before, now = naive_forecasts(dataset, train, today), naive_forecasts(after, train, today)
    for name in before:
        np.testing.assert_array_equal(before[name], now[name])


def test_values_of_the_purge_gap_and_of_earlier_judged_days_count() -> None:
    dataset = make_dataset([1, 2, 30, 4], [0, 1, 2, 3], ["a"] * 4)
    forecasts = naive_forecasts(dataset, np.array([0, 1]), np.array([3]))
    assert forecasts["previous_day"].tolist() == [30]
    assert forecasts["account_mean"].tolist() == [11]
    assert forecasts["median"].tolist() == [1.5]


@pytest.mark.parametrize(
    ("config", "names"),
    [
        (MAE, ["median", "account_mean", "previous_day", "mean_20_days"]),
        (RMSE, ["mean", "account_mean", "previous_day", "mean_20_days"]),
        (AUC, ["base_rate", "account_rate", "previous_day", "mean_20_days"]),
    ],
)
def test_names_say_what_the_forecast_is(config: TargetConfig, names: list[str]) -> None:
    dataset = make_dataset([0, 1, 1, 1], [0, 0, 1, 1], ["a", "b"] * 2, config)
    forecasts = naive_forecasts(dataset, np.array([0, 1, 2]), np.array([3]))
    assert list(forecasts) == names
    expected = {"mae": 1.0, "rmse": 2 / 3, "auc": 2 / 3}[config.metric]
    assert forecasts[names[0]].tolist() == pytest.approx([expected])


def test_without_dates_the_account_keeps_its_training_mean() -> None:
    dataset = make_dataset([1, 3, 10, 20, 99], None, ["a", "a", "b", "b", "new"])
    forecasts = naive_forecasts(dataset, np.array([0, 1, 2]), np.array([3, 4]))
    assert forecasts.keys() == {"median", "account_mean"}
    assert forecasts["account_mean"].tolist() == [10, 3]


def test_without_dates_and_accounts_only_the_constant_is_left() -> None:
    forecasts = naive_forecasts(make_dataset([1, 2, 6], None, None, RMSE), np.array([0, 1, 2]), np.array([1]))
    assert {name: values.tolist() for name, values in forecasts.items()} == {"mean": [3]}


def test_scores_are_of_the_given_rows() -> None:
    rng = np.random.default_rng(5)
    dataset = make_dataset(rng.normal(size=60).tolist(), np.repeat(np.arange(20), 3).tolist(), ["a", "b", "c"] * 20)
    train, rows = np.arange(40), np.arange(45, 60)
    forecasts = naive_forecasts(dataset, train, rows)
    scores = score_baselines(dataset, train, rows)
    expected = {name: mean_absolute_error(dataset.y[rows], values) for name, values in forecasts.items()}
    assert scores == pytest.approx(expected)


def test_best_baseline_has_the_best_score() -> None:
    assert best_baseline("mae", {"a": 2.0, "b": 1.0, "c": 1.0}) == ("b", 1.0)
    assert best_baseline("auc", {"a": 0.5, "b": 0.6}) == ("b", 0.6)
    with pytest.raises(ValueError, match="no baselines are given"):
        best_baseline("mae", {})


def test_no_training_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="training row"):
        naive_forecasts(make_dataset([1, 2], None, None), np.array([], np.int64), np.array([0]))
