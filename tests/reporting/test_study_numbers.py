"""The report's numbers from studies made by hand, whose answers are plain to see."""

import math
import warnings
from datetime import datetime, timedelta
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from src.config import Direction
from src.errors import ConfigError
from src.reporting import study_numbers as numbers

RANGES: dict[str, BaseDistribution] = {
    "kind": CategoricalDistribution(("gbdt", "dart", None)),
    "rate": FloatDistribution(0.01, 0.3, log=True),
    "leaves": IntDistribution(10, 200),
    "bins": IntDistribution(32, 512, step=32),
}


def trial(value: float | None, state: TrialState = TrialState.COMPLETE, **given: Any) -> FrozenTrial:
    params = {"rate": 0.1, "leaves": 31} | given.pop("params", {})
    ranges = {name: RANGES[name] for name in params}
    return create_trial(state=state, value=value, params=params, distributions=ranges, **given)


def study_of(*trials: FrozenTrial, direction: Direction = "minimize") -> optuna.Study:
    study = optuna.create_study(direction=direction, study_name="by_hand")
    study.add_trials(trials)
    return study


def snapshot_of(*trials: FrozenTrial, direction: Direction = "minimize") -> numbers.Snapshot:
    return numbers.take_snapshot(study_of(*trials, direction=direction))


MIXED = (
    trial(5.0),
    trial(None, TrialState.FAIL),
    trial(7.0),
    trial(6.5, TrialState.PRUNED, intermediate_values={10: 8.0, 20: 6.5}),
    trial(3.0),
    trial(None, TrialState.PRUNED),
    trial(None, TrialState.RUNNING),
    trial(math.inf),
    trial(3.0),
)


def test_states_are_counted_also_those_without_trials() -> None:
    expected = {"complete": 5, "pruned": 2, "failed": 1, "running": 1, "waiting": 0}
    assert numbers.count_states(snapshot_of(*MIXED)) == expected


def test_history_keeps_the_best_so_far_in_the_studys_direction() -> None:
    down = numbers.history(snapshot_of(*MIXED))
    assert down.complete == numbers.Points((0, 2, 4, 8), (5.0, 7.0, 3.0, 3.0))
    assert down.best == numbers.Points((0, 2, 4, 8), (5.0, 5.0, 3.0, 3.0))
    assert down.pruned == numbers.Points((3,), (6.5,))
    up = numbers.history(snapshot_of(*MIXED, direction="maximize"))
    assert up.best.values == (5.0, 7.0, 7.0, 7.0)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=20), st.sampled_from(["minimize", "maximize"]))
def test_the_best_is_optunas_best(values: list[float], direction: Direction) -> None:
    study = study_of(*(trial(value) for value in values), direction=direction)
    snapshot = numbers.take_snapshot(study)
    assert snapshot.ranked[0].number == study.best_trial.number
    assert numbers.history(snapshot).best.values[-1] == study.best_value


def test_an_infinite_value_is_no_best() -> None:
    snapshot = snapshot_of(*MIXED, direction="maximize")
    assert snapshot.ranked[0].number == 2


def test_duration_is_a_span_and_a_sum() -> None:
    start = datetime(2024, 1, 1)
    first, second, unstarted = trial(1.0), trial(2.0), trial(None, TrialState.WAITING)
    first.datetime_start, first.datetime_complete = start, start + timedelta(seconds=10)
    second.datetime_start, second.datetime_complete = start + timedelta(seconds=5), start + timedelta(seconds=25)
    assert numbers.search_seconds(snapshot_of(first, second, unstarted)) == (25.0, 30.0)
    assert numbers.search_seconds(snapshot_of(unstarted)) is None


def test_importances_find_the_parameter_that_decides() -> None:
    rates = [0.01 * 1.12**i for i in range(30)]
    trials = [trial(rate, params={"rate": rate, "leaves": 10 + 37 * i % 190}) for i, rate in enumerate(rates)]
    study = study_of(*trials)
    shares = numbers.importances(study, numbers.take_snapshot(study)).shares
    assert list(shares) == ["rate", "leaves"]
    assert shares["rate"] > 0.6
    assert sum(shares.values()) == pytest.approx(1)
    assert numbers.importances(study, numbers.take_snapshot(study)).shares == shares


def test_importances_know_parameters_of_some_trials_only_and_warn_nobody() -> None:
    trials = [
        trial(float(i), params={"kind": "dart", "bins": 32 * (1 + i)} if i in (3, 7, 9) else {}) for i in range(15)
    ]
    study = study_of(*trials)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shares = numbers.importances(study, numbers.take_snapshot(study)).shares
    assert shares.keys() == {"rate", "leaves", "kind", "bins"}


@pytest.mark.parametrize(
    ("trials", "reason"),
    [
        ([trial(float(i)) for i in range(9)], "Too few trials"),
        ([trial(None, TrialState.PRUNED)] * 30, "there are 0"),
        ([trial(1.0) for _ in range(12)], "same value"),
        ([create_trial(value=float(i)) for i in range(12)], "no parameters"),
    ],
)
def test_importances_say_why_there_are_none(trials: list[FrozenTrial], reason: str) -> None:
    study = study_of(*trials)
    found = numbers.importances(study, numbers.take_snapshot(study))
    assert not found.shares
    assert reason in found.why_not


def test_best_parameters_with_the_ranges_they_were_drawn_from() -> None:
    best = trial(1.0, params={"kind": None, "rate": 0.05, "leaves": 64, "bins": 96})
    assert numbers.best_parameters(snapshot_of(trial(2.0), best)).rows == (
        ("rate", 0.05, "0.01 to 0.3 (log)"),
        ("leaves", 64, "10 to 200"),
        ("kind", None, "gbdt, dart, None"),
        ("bins", 96, "32 to 512 (steps of 32)"),
    )
    assert numbers.best_parameters(snapshot_of()).rows == ()


def test_slices_hold_the_complete_trials_that_have_the_parameter() -> None:
    snapshot = snapshot_of(
        trial(1.0, params={"kind": "dart"}),
        trial(2.0),
        trial(3.0, TrialState.PRUNED),
        trial(4.0, params={"kind": None}),
    )
    rate, leaves, kind = numbers.slices(snapshot)
    assert (rate.name, rate.scale, rate.xs, rate.ys) == ("rate", "log", (0.1, 0.1, 0.1), (1.0, 2.0, 4.0))
    assert (leaves.scale, leaves.numbers) == ("linear", (0, 1, 3))
    assert (kind.scale, kind.xs, kind.ys) == ("category", ("dart", "None"), (1.0, 4.0))
    assert kind.order == ("gbdt", "dart", "None")


def test_curves_of_pruned_median_and_best_trials() -> None:
    kept = {"curve": {"steps": [1, 5, 9], "values": [9.0, math.nan, 2.0]}}
    snapshot = snapshot_of(
        trial(5.0, intermediate_values={10: 6.0, 1: 7.0}),
        trial(2.0, user_attrs=kept, intermediate_values={1: 0.0}),
        trial(9.0),
        trial(6.0, TrialState.PRUNED, intermediate_values={1: 6.0}),
        trial(None, TrialState.FAIL, intermediate_values={1: 6.0}),
    )
    assert numbers.curves(snapshot) == [
        numbers.Curve("pruned", 3, (1,), (6.0,)),
        numbers.Curve("median", 0, (1, 10), (7.0, 6.0)),
        numbers.Curve("best", 1, (1, 9), (9.0, 2.0)),
    ]


@pytest.mark.parametrize("foreign", ["text", 3, [1, 2], {"steps": [1]}, {"steps": [1], "values": [1, 2]}, {}])
def test_a_foreign_attribute_named_curve_is_not_taken_for_one(foreign: Any) -> None:
    snapshot = snapshot_of(trial(1.0, user_attrs={"curve": foreign}, intermediate_values={4: 2.0}))
    assert numbers.curves(snapshot) == [numbers.Curve("best", 0, (4,), (2.0,))]


def test_only_the_latest_pruned_curves_are_drawn() -> None:
    stopped = [trial(1.0, TrialState.PRUNED, intermediate_values={1: 1.0}) for _ in range(100)]
    drawn = numbers.curves(snapshot_of(*stopped))
    assert [curve.number for curve in drawn] == list(range(100 - numbers.MAX_PRUNED_CURVES, 100))


def test_top_trials_are_ranked_and_have_a_cell_for_every_parameter() -> None:
    best = trial(1.0, params={"kind": None})
    best.datetime_start, best.datetime_complete = datetime(2024, 1, 1), datetime(2024, 1, 1, 0, 0, 3)
    table = numbers.top_trials(snapshot_of(trial(3.0), best, trial(2.0)), n=2)
    assert table.columns == ("trial", "value", "seconds", "rate", "leaves", "kind")
    assert table.rows[0] == (1, 1.0, 3.0, 0.1, 31, "None")
    assert table.rows[1][:2] == (2, 2.0)
    assert table.rows[1][-1] is None


def test_an_empty_study_has_empty_numbers() -> None:
    snapshot = snapshot_of()
    assert numbers.history(snapshot).complete.numbers == ()
    assert numbers.slices(snapshot) == []
    assert numbers.curves(snapshot) == []
    assert numbers.top_trials(snapshot).rows == ()


def test_several_objectives_are_refused_in_one_line() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"], study_name="pareto")
    with pytest.raises(ConfigError, match=r"^study 'pareto' has 2 objectives: [^\n]+$"):
        numbers.take_snapshot(study)
