import math
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.search.boosting import MAX_CURVE_POINTS, READ_EVERY_ROUNDS, BestPredictions, ValidationCurve, boost


class Scripted:
    """A fake booster with given validation scores after each round."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = scores
        self.rounds = 0
        self.looks: list[int] = []
        self.buffer = np.zeros(2)

    def update(self) -> None:
        self.rounds += 1

    def eval_valid(self, feval: Any = None) -> list[tuple[str, str, float, bool]]:
        if feval is not None:
            self.looks.append(self.rounds)
            self.buffer[:] = self.rounds  # one buffer for all rounds, as LightGBM has it
            assert feval(self.buffer, None) == []
        return [("valid", "l1", self.scores[self.rounds - 1], False)]


def run(boosters: list[Any], maximize: bool = False, patience: int = 3) -> ValidationCurve:
    return boost(boosters, ValidationCurve(maximize), 10, patience, lambda round_number, score: False)


def test_it_stops_when_nothing_improved_for_a_while() -> None:
    booster = Scripted([5, 4, 6, 6, 6, 1, 1, 1, 1, 1])
    curve = run([booster])
    assert (curve.best_round, curve.best_value, booster.rounds) == (2, 4, 5)


def test_an_auc_is_maximised() -> None:
    curve = run([Scripted([0.5, 0.7, 0.6, 0.6, 0.6, 0.9] + [0.9] * 4)], maximize=True)
    assert (curve.best_round, curve.best_value) == (2, 0.7)


def test_folds_advance_together_and_are_averaged() -> None:
    first, second = Scripted([1, 3, 5, 5, 5, 5]), Scripted([9, 3, 5, 5, 5, 5])
    curve = run([first, second])
    assert curve.values == [5, 3, 5, 5, 5]
    assert first.rounds == second.rounds == 5


def test_it_ends_at_the_last_round_and_when_told() -> None:
    falling = [float(10 - i) for i in range(10)]
    assert run([Scripted(falling)]).best_round == 10
    stopped = boost([Scripted(falling)], ValidationCurve(False), 10, 3, lambda round_number, score: round_number == 4)  # type: ignore[list-item]
    assert stopped.best_round == 4


@given(st.lists(st.floats(-1e6, 1e6), max_size=400), st.booleans())
def test_a_downsampled_curve_keeps_first_best_and_last(values: list[float], maximize: bool) -> None:
    curve = ValidationCurve(maximize)
    for value in values:
        curve.add(value)
    downsampled = curve.downsampled()
    assert len(downsampled["steps"]) == len(downsampled["values"]) <= MAX_CURVE_POINTS
    assert downsampled["steps"] == sorted(set(downsampled["steps"]))
    if values:
        assert {1, curve.best_round, len(values)} <= set(downsampled["steps"])
        assert curve.best_value == (max(values) if maximize else min(values))
        assert [values[step - 1] for step in downsampled["steps"]] == downsampled["values"]
    else:
        assert math.isnan(curve.best_value)


def test_the_first_of_equal_scores_is_the_best() -> None:
    assert run([Scripted([2, 1, 1, 1, 1, 1, 1])]).best_round == 2
    with pytest.raises(IndexError):
        run([Scripted([])])


def watch(boosters: list[Any], patience: int = 50) -> BestPredictions:
    best = BestPredictions(len(boosters), maximize=False)
    boost(boosters, ValidationCurve(False), len(boosters[0].scores), patience, lambda *_: False, best)
    return best


def test_predictions_of_the_best_round_are_kept_fold_after_fold() -> None:
    first, second = Scripted([5, 4, 3, 4, 5]), Scripted([5, 4, 3, 4, 5])
    second.buffer = np.zeros(3)
    assert watch([first, second]).values.tolist() == [3, 3, 3, 3, 3]


def test_predictions_are_read_in_the_first_rounds_and_in_every_fifth() -> None:
    booster = Scripted([100.0 - i for i in range(33)])
    best = watch([booster])
    assert booster.looks == [*range(1, 11), 15, 20, 25, 30]
    assert best.round == 30
    assert best.values.tolist() == [30, 30], "those of a round next to the best"


def test_of_the_rounds_read_the_first_best_is_kept() -> None:
    scores = [5.0, 3.0, 4.0, 3.0] + [9.0] * 10 + [3.0, 1.0]
    assert watch([Scripted(scores)]).round == 2


def test_predictions_are_read_only_when_needed() -> None:
    booster = Scripted([3, 2, 1])
    boost([booster], ValidationCurve(False), 3, 3, lambda *_: False)  # type: ignore[list-item]
    assert booster.looks == []


@pytest.mark.parametrize("boosting", ["gbdt", "dart"])
@pytest.mark.parametrize("objective", ["regression_l1", "binary"])
def test_validation_scores_equal_predictions(boosting: str, objective: str) -> None:
    """Also for dart, which after its best round cannot predict as it did then; a binary model gives probabilities."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 3))
    y = x[:, 0] + rng.normal(size=600)
    y = (y > 0).astype(float) if objective == "binary" else y
    quiet = {"verbosity": -1, "num_threads": 1}
    params = quiet | {
        "objective": objective, "boosting": boosting, "num_leaves": 7, "metric": "l1", "drop_rate": 0.3, "seed": 1,
    }  # fmt: skip
    train = lgb.Dataset(x[:400], y[:400], params=quiet, free_raw_data=False).construct()
    booster = lgb.Booster(params, train)
    booster.add_valid(lgb.Dataset(x[400:], y[400:], reference=train, params=quiet).construct(), "valid")
    curve, best = ValidationCurve(False), BestPredictions(1, maximize=False)
    boost([booster], curve, 60, 60, lambda *_: False, best)
    assert curve.best_round < 60
    assert abs(best.round - curve.best_round) <= READ_EVERY_ROUNDS
    stopped = lgb.train(params, train, best.round)
    np.testing.assert_allclose(best.values, np.asarray(stopped.predict(x[400:])), rtol=1e-12)
