"""Agreement and money against pandas, scipy and cases whose answers are plain to see."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr

from src.reporting.comparison.agreement import MEAN_RANK, _in_top, agreement, earned_profit, without_predictions
from src.reporting.comparison.numbers import ComparedStudy
from src.reporting.model.bins import measure_profit
from src.reporting.study.numbers import Snapshot
from tests.reporting.held_out import held_out

EMPTY = Snapshot("s", "minimize", ())


def item(label: str, predictions: pd.DataFrame | None, target: str = "") -> ComparedStudy:
    return ComparedStudy(label, EMPTY, {"target": target or label}, predictions)


def table(seed: int, n_days: int = 30, n_accounts: int = 8) -> pd.DataFrame:
    """Realised values and predictions that have something to do with them."""
    rng = np.random.default_rng(seed)
    days = pd.date_range("2024-01-01", periods=n_days).repeat(n_accounts)
    accounts = [f"a{i}" for i in range(n_accounts)] * n_days
    y = np.random.default_rng(0).normal(size=len(days))
    return pd.DataFrame({"account": accounts, "date": days, "y": y, "prediction": y + rng.normal(size=len(days))})


def test_correlations_are_scipys() -> None:
    a, b = table(1), table(2)
    (pair,) = agreement([item("a", a), item("b", b)])
    assert (pair.labels, pair.n_rows, pair.n_days) == (("a", "b"), 240, 30)
    assert pair.correlation == pytest.approx(spearmanr(a["prediction"], b["prediction"]).statistic)
    by_day = [
        spearmanr(a.loc[rows, "prediction"], b.loc[rows, "prediction"]).statistic
        for rows in a.groupby("date").groups.values()
    ]
    assert pair.within_day == pytest.approx(np.mean(by_day))


def test_days_and_top_tenths_are_counted() -> None:
    a, b = table(1), table(2)
    (pair,) = agreement([item("a", a), item("b", b)])
    means = [entry.groupby("date")["prediction"].mean() for entry in (a, b)]
    high = [mean > mean.median() for mean in means]
    assert pair.same_days == pytest.approx((high[0] == high[1]).mean())
    tops = [set(entry["prediction"].nlargest(24).index) for entry in (a, b)]
    assert pair.top_shared == pytest.approx(len(tops[0] & tops[1]) / 24)


def test_rows_are_paired_by_account_and_day_in_whatever_order() -> None:
    a, b = table(1), table(2)
    mixed = b.sample(frac=1, random_state=0)
    assert agreement([item("a", a), item("b", b)]) == agreement([item("a", a), item("b", mixed)])
    (pair,) = agreement([item("a", a), item("b", b[b["account"] != "a3"].iloc[14:])])
    assert (pair.n_rows, pair.n_days) == (28 * 7, 28)


def test_a_model_agrees_with_itself_and_not_with_its_opposite() -> None:
    a = table(1)
    (same,) = agreement([item("a", a), item("b", a.assign(prediction=np.exp(a["prediction"])))])
    assert same.correlation == pytest.approx(1.0)
    assert same.within_day == pytest.approx(1.0)
    assert same.top_shared == 1.0
    (other,) = agreement([item("a", a), item("b", a.assign(prediction=-a["prediction"]))])
    assert other.correlation == pytest.approx(-1.0)
    assert other.same_days == 0.0
    assert other.top_shared == 0.0


def test_a_constant_prediction_shares_what_chance_would() -> None:
    a = table(1)
    (pair,) = agreement([item("a", a), item("b", a.assign(prediction=0.5))])
    assert (pair.correlation, pair.within_day, pair.same_days) == (None, None, None)
    assert pair.top_shared == pytest.approx(0.1)


@pytest.mark.parametrize(
    "unusable",
    [
        None,
        table(1).assign(account=None),
        table(1).assign(date=lambda entry: pd.Series(pd.NaT, entry.index)),
        table(1).assign(account="one"),
    ],
)
def test_predictions_that_cannot_be_paired_are_named(unusable: pd.DataFrame | None) -> None:
    items = [item("a", table(1)), item("b", unusable), item("c", table(2))]
    assert without_predictions(items) == ["b"]
    assert [pair.labels for pair in agreement(items)] == [("a", "c")]


def test_models_of_different_days_have_nothing_in_common() -> None:
    later = table(2).assign(date=lambda entry: entry["date"] + pd.Timedelta(days=400))
    items = [item("net_profit", table(1)), item("b", later)]
    assert agreement(items) == []
    assert earned_profit(items) is None


def test_money_is_the_mean_profit_of_the_rows_ranked_highest() -> None:
    profits, other = table(1), table(2)
    found = earned_profit([item("other", other), item("net_profit", profits)])
    assert found is not None
    assert (found.n_rows, found.n_days) == (240, 30)
    assert found.mean_of_all == pytest.approx(profits["y"].mean())
    earned = {label: mean for label, mean, _ in found.rows}
    best = profits["prediction"].nlargest(24).index
    assert earned["net_profit"] == pytest.approx(profits.loc[best, "y"].mean())
    together = profits["prediction"].rank() + other["prediction"].rank()
    assert earned[MEAN_RANK] == pytest.approx(profits.loc[together.nlargest(24).index, "y"].mean(), abs=0.2)
    assert list(earned) == ["other", "net_profit", MEAN_RANK]
    for _, mean, interval in found.rows:
        assert interval is not None
        assert interval[0] < mean < interval[1]


def test_without_net_profit_there_is_no_money() -> None:
    assert earned_profit([item("num_trades", table(1)), item("is_profitable", table(2))]) is None


def test_few_days_have_no_interval() -> None:
    found = earned_profit([item("net_profit", table(1, n_days=9))])
    assert found is not None
    assert [interval for _, _, interval in found.rows] == [None]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=200))
def test_the_top_tenth_is_a_tenth_whatever_ties(values: Sequence[int]) -> None:
    weights = _in_top(pd.Series(values, dtype=float))
    assert weights.sum() == pytest.approx(max(1, round(len(values) / 10)))
    assert weights.min() >= 0
    assert weights.max() <= 1
    order = np.argsort(values)
    assert (np.diff(weights[order]) >= -1e-12).all()


def test_the_interval_is_that_of_the_models_own_report() -> None:
    rows = table(1, n_accounts=10)
    found = earned_profit([ComparedStudy("net_profit", EMPTY, {"target": "net_profit", "seed": 7}, rows)])
    alone = measure_profit(
        held_out(
            rows["y"].tolist(), rows["prediction"].tolist(), net_profit=rows["y"].tolist(),
            days=(rows["date"] - rows["date"].min()).dt.days.tolist(), accounts=rows["account"].tolist(),
        )
    )  # fmt: skip
    assert found is not None
    assert alone is not None
    assert found.rows[0][2] == pytest.approx((alone.bins[-1].low, alone.bins[-1].high))
