import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.modeling.boosting import MAX_CURVE_POINTS, Curve, boost


class Scripted:
    """Stands where a booster stands: its validation score after each round is given."""

    def __init__(self, scores: list[float]) -> None:
        self.scores = scores
        self.rounds = 0

    def update(self) -> None:
        self.rounds += 1

    def eval_valid(self) -> list[tuple[str, str, float, bool]]:
        return [("valid", "l1", self.scores[self.rounds - 1], False)]


def run(boosters: list[Any], maximize: bool = False, patience: int = 3) -> Curve:
    return boost(boosters, Curve(maximize), 10, patience, lambda round_number, score: False)


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
    told = boost([Scripted(falling)], Curve(False), 10, 3, lambda round_number, score: round_number == 4)  # type: ignore[list-item]
    assert told.best_round == 4


@given(st.lists(st.floats(-1e6, 1e6), max_size=400), st.booleans())
def test_a_thinned_curve_keeps_first_best_and_last(values: list[float], maximize: bool) -> None:
    curve = Curve(maximize)
    for value in values:
        curve.add(value)
    thinned = curve.thinned()
    assert len(thinned["steps"]) == len(thinned["values"]) <= MAX_CURVE_POINTS
    assert thinned["steps"] == sorted(set(thinned["steps"]))
    if values:
        assert {1, curve.best_round, len(values)} <= set(thinned["steps"])
        assert curve.best_value == (max(values) if maximize else min(values))
        assert [values[step - 1] for step in thinned["steps"]] == thinned["values"]
    else:
        assert math.isnan(curve.best_value)


def test_the_first_of_equal_scores_is_the_best() -> None:
    assert run([Scripted([2, 1, 1, 1, 1, 1, 1])]).best_round == 2
    with pytest.raises(IndexError):
        run([Scripted([])])
