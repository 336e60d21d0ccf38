"""Where the search stopped improving, and a history that stays small."""

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.trial import TrialState

from src.config import Direction
from src.reporting.document.plot import Line, Points
from src.reporting.study.history import describe_progress, history_plot, progress
from tests.reporting.hand_made import MIXED, reporting, snapshot_of, study_of, trial


def test_progress_of_a_search_that_stopped_improving() -> None:
    values = [9.0, 8.0, 7.0, 7.5, 6.0, 6.5, 6.2, 6.0, 6.1, 6.4, 5.0, 5.5]
    found = progress(snapshot_of(*(trial(value) for value in values)))
    assert found is not None
    assert (found.finished, found.last, found.after, found.best_at_half, found.best) == (12, 10, 1, 6.0, 5.0)
    assert found.gain == 1.0
    message = describe_progress(found, "MAE")
    assert "Trial 10 made the last improvement; the one trial after it (8 % of the search) made none." in message
    assert "The second half of the 12 finished trials improved the best MAE from 6 to 5 (17 %)." in message


def test_pruned_trials_count_failed_and_running_ones_do_not() -> None:
    found = progress(snapshot_of(*MIXED))
    assert found is not None
    assert (found.finished, found.last, found.after, found.best_at_half) == (7, 4, 3, 5.0)


def test_a_search_that_still_improves_and_one_that_gained_nothing() -> None:
    still = progress(snapshot_of(*(trial(10.0 - i) for i in range(10))))
    assert "the last finished one, improved the best MAE" in describe_progress(still, "MAE")
    idle = progress(snapshot_of(*(trial(1.0 + i) for i in range(10))))
    assert "the 9 after it (90 % of the search) made none" in describe_progress(idle, "MAE")
    assert "did not improve the best MAE, 1." in describe_progress(idle, "MAE")


def test_without_a_complete_trial_in_the_first_half_no_gain_is_claimed() -> None:
    found = progress(snapshot_of(*[trial(None, TrialState.PRUNED)] * 8, *(trial(float(i)) for i in range(4))))
    assert found is not None
    assert found.gain is None
    assert "second half" not in describe_progress(found, "MAE")


@pytest.mark.parametrize(("n", "finished"), [(0, 0), (9, 9)])
def test_too_few_trials_are_said_to_be_too_few(n: int, finished: int) -> None:
    message = describe_progress(progress(snapshot_of(*(trial(float(i)) for i in range(n)))), "MAE")
    assert message.startswith("Too few trials")
    assert f"10 finished trials are needed, there are {finished}." in message


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=30), st.sampled_from(["minimize", "maximize"]))
def test_progress_agrees_with_optunas_best_trial(values: list[int], direction: Direction) -> None:
    trials = [trial(float(value)) for value in values]
    found = progress(snapshot_of(*trials, direction=direction))
    study = study_of(*trials, direction=direction)
    assert found is not None
    assert (found.last, found.best) == (study.best_trial.number, study.best_value)
    assert found.after == len(values) - 1 - study.best_trial.number
    if len(values) > 1:
        half = optuna.create_study(direction=direction)
        half.add_trials(trials[: len(values) // 2])
        assert found.best_at_half == half.best_value


def test_the_plot_holds_every_trial_of_a_small_study() -> None:
    pruned, complete, best = history_plot(snapshot_of(*MIXED), "MAE").marks
    assert isinstance(pruned, Points)
    assert isinstance(complete, Points)
    assert isinstance(best, Line)
    assert (pruned.name, list(pruned.x), list(pruned.y), pruned.cross) == ("pruned (last reported)", [3], [6.5], True)
    assert (list(complete.x), list(complete.y)) == ([0, 2, 4, 8], [5.0, 7.0, 3.0, 3.0])
    assert (list(best.x), list(best.y), best.step) == ([0, 4, 8], [5.0, 3.0, 3.0], True)


def test_the_plot_of_a_large_study_keeps_the_best_trials() -> None:
    trials = [trial(1000.0 - (i * 37 % 4001)) for i in range(4001)]
    trials += [trial(None, TrialState.PRUNED, **reporting({1: 5.0})) for _ in range(1500)]
    snapshot = snapshot_of(*trials)
    pruned, complete, best = history_plot(snapshot, "MAE").marks
    assert isinstance(complete, Points)
    assert isinstance(pruned, Points)
    assert isinstance(best, Line)
    assert (len(complete.x), len(pruned.x)) == (2000, 1000)
    assert {t.number for t in snapshot.ranked[:200]} <= set(complete.x)
    assert best.y[-1] == snapshot.ranked[0].value


def test_one_hopeless_trial_does_not_flatten_the_others() -> None:
    plot = history_plot(snapshot_of(*(trial(10.0 + i % 5) for i in range(30)), trial(1e9)), "MAE")
    assert plot.y.limits is not None
    assert plot.y.limits[0] < 10.0 < 14.0 < plot.y.limits[1] < 100.0


@pytest.mark.parametrize(
    ("first", "last", "message"),
    [(1.0, 0.0, "from 1 to 0."), (1.0, -1.0, "from 1 to \N{MINUS SIGN}1."), (-1.0, -3.5, "\N{MINUS SIGN}3.5 (250 %)."),
     (2.0, 1.999, "from 2 to 1.999 (0.05 %).")],
)  # fmt: skip
def test_a_share_of_the_gain_is_said_where_it_means_something(first: float, last: float, message: str) -> None:
    found = progress(snapshot_of(*(trial(first) for _ in range(11)), trial(last)))
    assert message in describe_progress(found, "MAE")
