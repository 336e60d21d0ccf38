"""Learning curves: whose, and where they are from."""

import math
from typing import Any

import pytest
from optuna.trial import TrialState

from src.reporting.document.plot import Line
from src.reporting.study.learning_curves import MAX_PRUNED_CURVES, LearningCurve, curves, curves_plot
from tests.reporting.hand_made import reporting, snapshot_of, trial


def test_curves_of_pruned_median_and_best_trials() -> None:
    kept = {"curve": {"steps": [1, 5, 9], "values": [9.0, math.nan, 2.0]}}
    snapshot = snapshot_of(
        trial(5.0, **reporting({10: 6.0, 1: 7.0})),
        trial(2.0, user_attrs=kept, **reporting({1: 0.0})),
        trial(9.0),
        trial(6.0, TrialState.PRUNED, **reporting({1: 6.0})),
        trial(None, TrialState.FAIL, **reporting({1: 6.0})),
    )
    assert curves(snapshot) == [
        LearningCurve("pruned", 3, (1,), (6.0,)),
        LearningCurve("median", 0, (1, 10), (7.0, 6.0)),
        LearningCurve("best", 1, (1, 9), (9.0, 2.0)),
    ]
    assert curves(snapshot_of()) == []


@pytest.mark.parametrize("foreign", ["text", 3, [1, 2], {"steps": [1]}, {"steps": [1], "values": [1, 2]}, {}])
def test_a_foreign_attribute_named_curve_is_not_taken_for_one(foreign: Any) -> None:
    snapshot = snapshot_of(trial(1.0, user_attrs={"curve": foreign}, **reporting({4: 2.0})))
    assert curves(snapshot) == [LearningCurve("best", 0, (4,), (2.0,))]


def test_only_the_latest_pruned_curves_are_drawn() -> None:
    stopped = [trial(1.0, TrialState.PRUNED, **reporting({1: 1.0})) for _ in range(100)]
    drawn = curves(snapshot_of(*stopped))
    assert [curve.number for curve in drawn] == list(range(100 - MAX_PRUNED_CURVES, 100))


def test_a_curve_of_thousands_of_steps_keeps_its_ends() -> None:
    steps = tuple(float(i) for i in range(5000))
    (line,) = curves_plot([LearningCurve("best", 3, steps, tuple(-step for step in steps))], "MAE").marks
    assert isinstance(line, Line)
    assert (len(line.x), line.x[0], line.x[-1], line.y[-1]) == (200, 0.0, 4999.0, -4999.0)
    assert line.name == "best: trial 3"
