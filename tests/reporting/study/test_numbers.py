"""The report's numbers from studies made by hand, whose answers are plain to see."""

import math
from datetime import datetime, timedelta

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState

from src.config import Direction
from src.errors import ConfigError
from src.reporting.study import numbers
from tests.reporting.hand_made import MIXED, snapshot_of, study_of, trial


def test_states_are_counted_also_those_without_trials() -> None:
    expected = {"complete": 5, "pruned": 2, "failed": 1, "running": 1, "waiting": 0}
    assert numbers.count_states(snapshot_of(*MIXED)) == expected


def test_history_keeps_the_best_so_far_in_the_studys_direction() -> None:
    down = numbers.history(snapshot_of(*MIXED))
    assert down.complete == numbers.TrialValues((0, 2, 4, 8), (5.0, 7.0, 3.0, 3.0))
    assert down.best == numbers.TrialValues((0, 2, 4, 8), (5.0, 5.0, 3.0, 3.0))
    assert down.pruned == numbers.TrialValues((3,), (6.5,))
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


def test_best_parameters_with_the_ranges_they_were_drawn_from() -> None:
    best = trial(1.0, params={"kind": None, "rate": 0.05, "leaves": 64, "bins": 96})
    assert numbers.best_parameters(snapshot_of(trial(2.0), best)).rows == (
        ("rate", 0.05, "0.01 to 0.3 (log)"),
        ("leaves", 64, "10 to 200"),
        ("kind", None, "gbdt, dart, None"),
        ("bins", 96, "32 to 512 (steps of 32)"),
    )
    assert numbers.best_parameters(snapshot_of()).rows == ()


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
    assert numbers.top_trials(snapshot).rows == ()


def test_several_objectives_are_refused_in_one_line() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"], study_name="pareto")
    with pytest.raises(ConfigError, match=r"^study 'pareto' has 2 objectives; [^\n]+$"):
        numbers.take_snapshot(study)


@given(
    st.dictionaries(st.integers(-20, 20), st.one_of(st.floats(-9, 9), st.sampled_from([math.inf, math.nan]))),
    st.booleans(),
)
def test_the_ends_are_those_of_the_whole_curve(steps: dict[int, float], kept: bool) -> None:
    curve = {"curve": {"steps": list(steps), "values": list(steps.values())}}
    given = {"user_attrs": curve} if kept else {"intermediate_values": steps}
    one = trial(1.0, **given)
    xs, ys = numbers.reported(one)
    assert numbers.reported_ends(one) == (numbers.ReportedSteps(xs[0], xs[-1], ys[-1]) if xs else None)


@pytest.mark.parametrize(
    ("value", "finite"),
    [(1, True), (1e308, True), (10**400, False), (math.inf, False), (math.nan, False), (True, False), ("1", False)],
)
def test_a_number_is_what_a_float_can_hold(value: object, finite: bool) -> None:
    assert numbers.is_finite(value) is finite


def test_bounds_are_written_in_full_while_that_is_short() -> None:
    assert numbers.describe_range(IntDistribution(1, 2**20, log=True)) == "1 to 1,048,576 (log)"
    assert numbers.describe_range(IntDistribution(1, 10**18)) == "1 to 1e+18"
    assert numbers.describe_range(FloatDistribution(1e-8, 10.0, log=True)) == "1e-08 to 10 (log)"
