"""All the numbers of a model's page together, on tables of every shape."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import mean_absolute_error

from src.config import SplitSettings, TableConfig
from src.final.final_model import score_hold_out
from src.reporting.model.measure import measure_model
from tests.reporting.trained import NO_KEYS, train, trained
from tests.small_table import small_table


def test_numbers_agree_with_the_metadata_and_the_data() -> None:
    one = trained()
    numbers, predictions = measure_model(one.model, one.data, one.rows, 7)
    judged = score_hold_out(one.model, one.data, one.rows)
    assert numbers.best_baseline == judged["best_baseline"]
    assert predictions is not None and numbers.money is not None and numbers.accounts is not None
    assert mean_absolute_error(predictions["y"], predictions["prediction"]) == pytest.approx(judged["test_score"])
    weights = [group.rows for group in numbers.accounts.scores]
    scores = [group.score or 0.0 for group in numbers.accounts.scores]
    assert np.average(scores, weights=weights) == pytest.approx(judged["test_score"]), "MAE by account adds up"
    test = small_table().sort_values(["date", "account_id"]).iloc[one.rows.test]
    assert numbers.money.per_row == pytest.approx(test["net_profit"].mean())
    assert numbers.money.bins[-1].realised > numbers.money.bins[0].realised, "the small table can be predicted"
    assert (numbers.target, numbers.task, numbers.metric, numbers.explained_part) == (
        "net_profit", "regression", "mae", "test",
    )  # fmt: skip


def test_predictions_carry_the_keys_that_other_models_have_too() -> None:
    one = trained()
    _, predictions = measure_model(one.model, one.data, one.rows, 7)
    assert predictions is not None
    assert predictions.columns.tolist() == ["account", "date", "y", "prediction"]
    test = small_table().sort_values(["date", "account_id"]).iloc[one.rows.test]
    assert predictions["account"].tolist() == test["account_id"].tolist()
    assert predictions["date"].tolist() == test["date"].tolist()
    assert predictions["y"].tolist() == test["net_profit"].tolist()
    other = measure_model(trained("is_profitable").model, trained("is_profitable").data, one.rows, 7)[1]
    assert other is not None
    pd.testing.assert_frame_equal(other[["account", "date"]], predictions[["account", "date"]])


def test_money_is_that_of_the_rows_whatever_is_predicted() -> None:
    """The same rows earn the same, in other bins."""
    found = [measure_model(one.model, one.data, one.rows, 7)[0] for one in map(trained, ("net_profit", "num_trades"))]
    moneys = [numbers.money for numbers in found]
    assert moneys[0] is not None and moneys[1] is not None
    assert moneys[0].per_row == moneys[1].per_row
    assert moneys[0].bins != moneys[1].bins


def test_net_profit_reaches_the_report_and_not_the_model() -> None:
    """Every other number is the same when what was earned is another."""
    one = trained("num_trades")
    assert one.data.net_profit is not None
    richer = replace(one.data, net_profit=one.data.net_profit + 1000)
    numbers, predictions = measure_model(one.model, one.data, one.rows, 7)
    others, same = measure_model(one.model, richer, one.rows, 7)
    assert numbers.money is not None and others.money is not None
    assert others.money.per_row == pytest.approx(numbers.money.per_row + 1000)
    assert replace(others, money=None) == replace(numbers, money=None)
    pd.testing.assert_frame_equal(same, predictions)  # type: ignore[arg-type]


def test_a_binary_target_has_curves_and_a_regression_has_none() -> None:
    one = trained("is_profitable")
    numbers, _ = measure_model(one.model, one.data, one.rows, 7)
    assert numbers.curves is not None
    assert numbers.curves.roc.area == score_hold_out(one.model, one.data, one.rows)["test_score"]
    assert measure_model(trained().model, trained().data, trained().rows, 7)[0].curves is None


def test_without_a_hold_out_nothing_is_said_of_a_test() -> None:
    one = train(split=SplitSettings(test_fraction=0))
    numbers, predictions = measure_model(one.model, one.data, one.rows, 7)
    assert predictions is None
    judged = (numbers.best_baseline, numbers.months, numbers.accounts, numbers.deciles, numbers.curves, numbers.money)
    assert judged == (None, None, None, (), None, None)
    assert (numbers.explained_part, numbers.has_net_profit) == ("search", True)
    assert numbers.features and numbers.parts and numbers.spans


def test_without_keys_there_are_neither_months_nor_accounts() -> None:
    one = train(table=NO_KEYS)
    numbers, predictions = measure_model(one.model, one.data, one.rows, 7)
    assert predictions is not None
    assert predictions[["account", "date"]].isna().all(axis=None)
    assert (numbers.months, numbers.accounts, numbers.spans, numbers.accounts_total) == (None, None, (), None)
    assert numbers.money is not None and numbers.money.choices == ()


def test_a_table_without_net_profit_has_no_money() -> None:
    frame = small_table().drop(columns="net_profit")
    one = train("num_trades", frame)
    numbers, _ = measure_model(one.model, one.data, one.rows, 7)
    assert (numbers.money, numbers.has_net_profit) == (None, False)


@pytest.mark.parametrize("target", ["net_profit", "is_profitable"])
@pytest.mark.parametrize("rounds", [0, 5])
def test_tiny_tables_and_constant_predictions(target: str, rounds: int) -> None:
    one = train(target, small_table(n_days=8, n_accounts=3), rounds=rounds)
    numbers, _ = measure_model(one.model, one.data, one.rows, 7)
    assert sum(item.rows for item in numbers.deciles) == len(one.rows.test) == 6
    assert len(numbers.deciles) == 1
    assert {item.low for item in numbers.deciles} == {None}


def test_numbers_are_the_same_again() -> None:
    one = trained("is_profitable")
    first, second = (measure_model(one.model, one.data, one.rows, 7)[0] for _ in range(2))
    assert first == second


def test_many_accounts_are_grouped_by_what_they_earn_before_the_test() -> None:
    one = train("num_trades", small_table(n_days=20, n_accounts=35), TableConfig())
    numbers, _ = measure_model(one.model, one.data, one.rows, 7)
    assert numbers.accounts is not None
    assert len(numbers.accounts.scores) == 5
    assert "mean |net_profit| per day before the test period" in numbers.accounts.rule
