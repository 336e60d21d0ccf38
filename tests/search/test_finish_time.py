from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from src.search.finish_time import (
    FITS_SHARE,
    SECONDS_PER_TRIAL,
    DeadlineUpdate,
    TableSize,
    TimeLimit,
    final_fit_seconds,
    seconds_per_row_and_round,
)
from src.search.stop_flag import StopFlag

SIZE = TableSize(fold_rows=8_000, n_folds=1, search_rows=10_000, values=100_000)
LIMIT = TimeLimit(end=100.0, size=SIZE, seconds=100.0, ensemble_size=4, n_cpus=2)


def trial(seconds: float, rounds: int, best: int, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    made = create_trial(
        state=state, value=1.0, user_attrs={"best_iteration": best, "curve": {"steps": [1, rounds], "values": [1, 2]}}
    )
    made.datetime_start = datetime(2024, 1, 1)
    made.datetime_complete = made.datetime_start + timedelta(seconds=seconds)
    return made


def test_a_final_fit_is_estimated_from_its_trials_seconds_rows_and_rounds() -> None:
    assert seconds_per_row_and_round(trial(8, 100, 50), SIZE) == pytest.approx(8 / (100 * 8_000))
    assert final_fit_seconds(trial(8, 100, 50), SIZE, 50) == pytest.approx(5.0)
    folded = replace(SIZE, fold_rows=16_000, n_folds=3)
    assert final_fit_seconds(trial(8, 100, 50), folded, 50) == pytest.approx(2.5)
    assert folded.growth == pytest.approx(10_000 / (16_000 / 3))
    assert final_fit_seconds(create_trial(value=1.0), SIZE, 50) == 0, "a user's own objective has no curve"


def test_the_search_ends_earlier_with_more_trials_and_with_slower_fits() -> None:
    deadlines = [LIMIT.search_deadline([trial(0.01, 100, 50)] * n) for n in (0, 10, 1000)]
    assert LIMIT.end > deadlines[0] > deadlines[1] > deadlines[2]
    assert deadlines[1] - deadlines[2] == pytest.approx(990 * SECONDS_PER_TRIAL, rel=0.01)
    slower = LIMIT.search_deadline([trial(1, 100, 50)] * 10)
    growth = 1.25
    fits = 4 * (1 / 100 * 50 * growth * growth) / 2 - 4 * (0.01 / 100 * 50 * growth * growth) / 2
    assert deadlines[1] - slower == pytest.approx(fits, rel=0.05), "four fits, two at a time"


def test_fits_never_take_more_than_their_share() -> None:
    rest = LIMIT.search_deadline([])
    assert LIMIT.search_deadline([trial(1000, 100, 100)]) == pytest.approx(
        rest - FITS_SHARE * LIMIT.seconds - SECONDS_PER_TRIAL
    )


def test_pruned_trials_have_no_final_fit() -> None:
    assert LIMIT.search_deadline([trial(9, 100, 50, TrialState.PRUNED)]) == pytest.approx(
        LIMIT.search_deadline([]) - SECONDS_PER_TRIAL
    )


def test_a_slow_machine_and_several_final_models_need_more_time() -> None:
    assert LIMIT.search_deadline([], slowdown=2.0) == pytest.approx(100 - 2 * LIMIT.rest_seconds(0))
    assert replace(LIMIT, n_finishes=3).search_deadline([]) < LIMIT.search_deadline([])
    assert replace(LIMIT, n_finishes=0).search_deadline([trial(9, 100, 50)]) > LIMIT.search_deadline([])


def test_targets_share_what_is_left() -> None:
    first = LIMIT.share(n_left=4, now=20.0)
    assert (first.end, first.n_finishes) == (40.0, 1)
    both = LIMIT.share(n_left=4, now=20.0, n_next=2)
    assert (both.end, both.n_finishes) == (60.0, 2)
    assert replace(LIMIT, n_finishes=0).share(n_left=2, now=0.0).n_finishes == 0, "a worker of a shared study"


class Clock:
    """Seconds that tests set."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def updated(flag: StopFlag, cpu_share: float, at: float, *trials: FrozenTrial) -> tuple[optuna.Study, Clock, Any]:
    """A deadline update after a trial that ended at a time, in a process that got this share of a CPU."""
    clock, cpu = Clock(), Clock()
    update = DeadlineUpdate(LIMIT, flag, clock, cpu)
    study = optuna.create_study()
    study.add_trials(trials)
    clock.now, cpu.now = at, at * cpu_share
    return study, clock, update


def test_the_deadline_follows_the_trials() -> None:
    flag = StopFlag()
    slow = [trial(2, 100, 50)] * 5
    study, _, update = updated(flag, 1.0, 10.0, *slow)
    assert flag.deadline == pytest.approx(LIMIT.search_deadline([])), "before the first trial"
    update(study, study.trials[-1])
    assert flag.deadline == pytest.approx(LIMIT.search_deadline(slow))


def test_a_busy_machine_ends_the_search_earlier() -> None:
    idle, busy = StopFlag(), StopFlag()
    for flag, share in ((idle, 1.0), (busy, 0.25)):
        study, _, update = updated(flag, share, 40.0, trial(1, 100, 50))
        update(study, study.trials[-1])
    assert idle.deadline is not None
    assert busy.deadline is not None
    assert busy.deadline < idle.deadline


def test_the_timeout_of_the_search_still_ends_it_first() -> None:
    flag = StopFlag(deadline=30.0)
    study, _, update = updated(flag, 1.0, 10.0, trial(1, 100, 50))
    update(study, study.trials[-1])
    assert flag.deadline == 30.0


def test_the_study_stops_after_the_deadline() -> None:
    flag = StopFlag()
    study, clock, update = updated(flag, 1.0, 10.0)
    objective_calls = []

    def objective(trial: optuna.Trial) -> float:
        objective_calls.append(trial.number)
        clock.now += 20.0
        return 1.0

    study.optimize(objective, n_trials=50, callbacks=[update])
    assert flag.deadline is not None
    assert clock.now >= flag.deadline
    assert 1 < len(objective_calls) < 6
