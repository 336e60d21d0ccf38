"""The rows that a model is judged on."""

import numpy as np
import pytest

from src.config import SplitSettings
from src.evaluation.scoring import score
from src.final.final_model import score_hold_out
from src.reporting.model.hold_out import predict_hold_out
from tests.reporting.held_out import held_out
from tests.reporting.trained import train, trained


@pytest.mark.parametrize("target", ["net_profit", "is_profitable", "num_trades"])
def test_model_and_baseline_are_those_that_the_metadata_judges(target: str) -> None:
    one = trained(target)
    found, name = predict_hold_out(one.model, one.data, one.rows)
    judged = score_hold_out(one.model, one.data, one.rows)
    assert name == judged["best_baseline"]
    assert score(found.metric, found.y, found.prediction) == judged["test_score"]
    assert score(found.metric, found.y, found.baseline) == judged["baselines"][name]
    assert (len(found.y), found.n_days) == (96, 12)


def test_rows_are_taken_with_all_their_columns() -> None:
    rows = held_out([1, 2, 3], [4, 5, 6], days=[0, 0, 1], accounts=["a", "b", "a"], net_profit=[7, 8, np.nan])
    last = rows.take(np.array([2]))
    assert (last.y.tolist(), last.prediction.tolist(), last.baseline.tolist()) == ([3], [6], [0])
    assert last.dates is not None and last.accounts is not None and last.net_profit is not None
    assert (str(last.dates[0]), last.accounts[0], last.n_days) == ("2024-01-02", "a", 1)
    assert np.isnan(last.net_profit).all()
    assert rows.take(np.array([True, False, True])).y.tolist() == [1, 3]
    assert held_out([1], [1]).take(np.array([0])).n_days is None


def test_without_a_hold_out_there_is_nothing_to_predict() -> None:
    one = train(split=SplitSettings(test_fraction=0))
    with pytest.raises(ValueError, match="there are no test rows to predict"):
        predict_hold_out(one.model, one.data, one.rows)
