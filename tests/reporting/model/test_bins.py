"""Bins of similar prediction and their money, against pandas and by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t as student_t

from src.reporting.model.bins import bin_by_rank, bin_means, measure_profit
from tests.reporting.held_out import held_out, random_rows

PREDICTIONS = st.lists(st.floats(-5, 5).map(lambda value: round(value, 1)), min_size=1, max_size=120)


@given(PREDICTIONS)
def test_bins_follow_the_predictions_and_equal_ones_share_a_bin(predictions: list[float]) -> None:
    codes = bin_by_rank(np.array(predictions))
    assert set(codes) == set(range(codes.max() + 1)), "no holes"
    assert codes.max() < 10
    bin_of = dict(zip(predictions, codes, strict=True))
    assert [bin_of[value] for value in predictions] == codes.tolist()
    assert [bin_of[value] for value in sorted(bin_of)] == sorted(bin_of.values())


@given(st.permutations(range(60)))
def test_the_order_of_rows_decides_nothing(order: list[int]) -> None:
    values = np.random.default_rng(0).integers(0, 20, 60).astype(float)
    assert bin_by_rank(values[order]).tolist() == bin_by_rank(values)[order].tolist()


def test_bins_are_those_of_pandas_where_nothing_is_equal() -> None:
    values = np.random.default_rng(0).normal(size=1000)
    assert bin_by_rank(values).tolist() == pd.qcut(values, 10, labels=False).tolist()


@pytest.mark.parametrize(("n_rows", "n_bins"), [(1, 1), (9, 1), (10, 2), (49, 9), (1000, 10)])
def test_few_rows_make_fewer_bins(n_rows: int, n_bins: int) -> None:
    assert len(np.unique(bin_by_rank(np.arange(n_rows, dtype=np.float64)))) == n_bins
    assert bin_by_rank(np.zeros(n_rows)).tolist() == [0] * n_rows, "a constant has one bin"


def test_means_and_counts_are_those_of_pandas() -> None:
    tested = random_rows()
    found = bin_means(tested, tested.y)
    frame = pd.DataFrame({"y": tested.y, "p": tested.prediction, "day": tested.dates})
    expected = frame.groupby(pd.qcut(frame["p"], 10, labels=False)).agg(
        rows=("y", "size"), days=("day", "nunique"), p=("p", "mean"), y=("y", "mean")
    )
    assert [item.rows for item in found] == expected["rows"].tolist()
    assert [item.days for item in found] == expected["days"].tolist()
    np.testing.assert_allclose([item.prediction for item in found], expected["p"])
    np.testing.assert_allclose([item.realised for item in found], expected["y"])
    for item in found:
        assert item.low is not None and item.high is not None
        assert item.low < item.realised < item.high


def test_an_interval_is_as_wide_as_the_spread_between_days_says() -> None:
    """Rows of a day move together: one factor a day, so that the number of days counts and not that of rows."""
    rng, widths = np.random.default_rng(1), []
    for _ in range(100):
        y = np.repeat(rng.normal(0, 10, 400), 25)
        (only,) = bin_means(held_out(y.tolist(), [1.0] * y.size, days=np.repeat(np.arange(400), 25)), y)
        assert only.low is not None and only.high is not None
        widths.append(only.high - only.low)
    expected = 2 * student_t.ppf(0.975, 4) * 10 / np.sqrt(400)
    assert np.sqrt(np.mean(np.square(widths))) == pytest.approx(expected, rel=0.15), "25 rows would make it a fifth"


def test_too_few_days_have_no_interval() -> None:
    tested = random_rows(n_days=11)
    assert {(item.low, item.high) for item in bin_means(tested, tested.y)} == {(None, None)}
    undated = bin_means(replace(random_rows(n_days=11), dates=None), tested.y)
    assert {item.days for item in undated} == {None}


def test_undated_rows_count_as_independent() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(0, 10, 400)
    (only,) = bin_means(held_out(y.tolist(), [1.0] * 400), y)
    assert only.low is not None and only.high is not None
    assert only.high - only.low == pytest.approx(2 * 1.96 * 10 / 20, rel=0.15)


def test_taking_the_highest_bins_earns_what_pandas_adds_up() -> None:
    tested = random_rows()
    money = measure_profit(tested)
    assert money is not None and tested.net_profit is not None
    frame = pd.DataFrame({"earned": tested.net_profit, "p": tested.prediction, "day": tested.dates})
    of_bin = pd.qcut(frame["p"], 10, labels=False)
    assert (money.rows, money.days) == (480, 60)
    assert money.per_row == pytest.approx(frame["earned"].mean())
    everything = frame["earned"].sum() / 60
    for k, choice in enumerate(money.choices, 1):
        taken = frame[of_bin >= 10 - k]
        assert (choice.bins, choice.rows) == (k, len(taken))
        assert choice.per_row == pytest.approx(taken["earned"].mean())
        assert choice.per_day == pytest.approx(taken["earned"].sum() / 60)
        assert choice.gain == pytest.approx(choice.per_day - everything, abs=1e-9)
        assert choice.low is not None and choice.high is not None
        assert choice.low < choice.per_day < choice.high
    assert (money.choices[-1].gain, money.choices[-1].gain_low) == (0, None)


def test_what_earns_nothing_costs_exactly_nothing_to_leave_out() -> None:
    tested = random_rows()
    assert tested.net_profit is not None
    idle = np.where(tested.prediction > np.median(tested.prediction), tested.net_profit * np.pi, 0)
    money = measure_profit(replace(tested, net_profit=idle))
    assert money is not None
    half = money.choices[4]
    assert (half.gain, half.gain_low, half.gain_high) == (0, 0, 0)


def test_days_without_a_taken_row_count_as_days() -> None:
    days = list(range(20)) * 2
    y = [10.0] * 20 + [0.0] * 20
    money = measure_profit(held_out(y, [1.0 if d < 5 else 0.0 for d in days], days=days, net_profit=y))
    assert money is not None
    top = money.choices[0]
    assert (top.rows, top.per_row, top.per_day) == (10, 5, 2.5)


def test_rows_whose_profit_is_unknown_are_left_out() -> None:
    tested = random_rows()
    assert tested.net_profit is not None
    holes = tested.net_profit.copy()
    holes[::3] = np.nan
    found = measure_profit(replace(tested, net_profit=holes))
    assert found == measure_profit(tested.take(~np.isnan(holes)))
    assert measure_profit(replace(tested, net_profit=np.full(len(holes), np.nan))) is None
    assert measure_profit(replace(tested, net_profit=None)) is None


def test_without_dates_there_is_no_profit_a_day() -> None:
    money = measure_profit(replace(random_rows(), dates=None))
    assert money is not None
    assert (money.days, money.choices, len(money.bins)) == (None, (), 10)


def test_one_day_is_enough_for_numbers() -> None:
    money = measure_profit(held_out([1.0, 2.0, 3.0], [1.0, 2.0, 3.0], days=[0, 0, 0], net_profit=[1.0, 2.0, 3.0]))
    assert money is not None
    (only,) = money.choices
    assert (only.per_day, only.low) == (6, None)
