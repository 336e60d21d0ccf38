import logging
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.trial import FrozenTrial, TrialState

from src.errors import Interrupted
from src.search.search_space import suggest_hyperparameters
from src.search.stop_flag import StopFlag
from src.search.trial_loop import WorkerContext, run_trials
from src.study.buffered_storage import TrialLost
from src.study.sampler import make_sampler
from src.study.studies import OptunaStudyManager
from src.study.study_storage import StudyStorage
from src.study.trial_owners import OWNER

# Single trials are asked for, to look at the store between two steps; the product uses study.optimize.
pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat of storage is supposed to be used:UserWarning")
CURVE = {"steps": [1, 2, 3], "values": [0.5, 0.25, 1e-17]}


def as_another_reads_it(study: optuna.Study, tmp_path: Path) -> list[FrozenTrial]:
    return OptunaStudyManager(tmp_path).load_study(study.study_name).trials


def take_away(manager: OptunaStudyManager, trial: optuna.Trial) -> None:
    """What another worker does if it finds this process dead."""
    StudyStorage.set_trial_system_attr(manager.storage, trial._trial_id, OWNER, "elsewhere|1|1.0|host")


def objective(trial: optuna.Trial) -> float:
    drawn = suggest_hyperparameters(trial)
    for step in range(10, 210, 10):
        trial.report(drawn["learning_rate"] / step, step)
        if trial.number % 5 == 4 and step == 100:
            raise optuna.TrialPruned
    trial.set_user_attr("curve", CURVE)
    return float(drawn["learning_rate"])


def test_this_process_and_others_read_the_same(
    manager: OptunaStudyManager, study: optuna.Study, tmp_path: Path
) -> None:
    run_trials(study, objective, WorkerContext(manager.storage, 40, StopFlag()))
    here, there = study.trials, as_another_reads_it(study, tmp_path)
    assert here == there, "state, value, times, parameters, distributions, reports and attributes"
    assert {trial.state for trial in here} == {TrialState.COMPLETE, TrialState.PRUNED}


def test_a_trial_takes_three_transactions(manager: OptunaStudyManager) -> None:
    study = manager.create_or_load_study("s", sampler=make_sampler("random", 1))  # TPE writes once more: what it drew
    n_before, n_more = 12, 8
    # Of each parameter that is new to a process the database is asked once.
    run_trials(study, objective, WorkerContext(manager.storage, n_before, StopFlag()))
    assert {trial.params["boosting_type"] for trial in study.trials} == {"gbdt", "dart", "goss"}
    written: list[int] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if not statement.lstrip().upper().startswith(("SELECT", "BEGIN", "PRAGMA")):
            written[-1] += 1

    sqlalchemy.event.listen(manager.storage.engine, "begin", lambda connection: written.append(0))
    sqlalchemy.event.listen(manager.storage.engine, "before_cursor_execute", note)
    run_trials(study, objective, WorkerContext(manager.storage, n_before + n_more, StopFlag()))
    assert sum(count > 0 for count in written) == 3 * n_more + 1, "the last one finds the budget met"


def test_parameters_are_there_for_others_from_the_first_report_on(study: optuna.Study, tmp_path: Path) -> None:
    trial = study.ask()
    drawn = suggest_hyperparameters(trial)
    trial.report(0.5, 10)
    seen = as_another_reads_it(study, tmp_path)[0]
    assert (seen.state, seen.params) == (TrialState.RUNNING, drawn)
    assert study.trials[0].intermediate_values == {10: 0.5}
    study.tell(trial, 1.0)
    assert as_another_reads_it(study, tmp_path)[0].intermediate_values == {10: 0.5}


def test_snapshots_do_not_change_when_the_trial_goes_on(study: optuna.Study) -> None:
    trial = study.ask()
    before = study.get_trials(deepcopy=False)[0]
    trial.suggest_float("x", 0, 1)
    trial.report(1.0, 1)
    assert (before.params, before.intermediate_values) == ({}, {})


def test_two_distributions_under_one_name_are_refused_as_in_optuna(study: optuna.Study) -> None:
    study.ask().suggest_float("x", 0, 1)
    with pytest.raises(ValueError, match="Cannot set different distribution kind"):
        study.ask().suggest_int("x", 0, 1)


def test_a_trial_that_was_taken_over_is_not_written(
    manager: OptunaStudyManager, study: optuna.Study, tmp_path: Path
) -> None:
    trial = study.ask()
    x = trial.suggest_float("x", 0, 1)
    take_away(manager, trial)
    with pytest.raises(TrialLost, match="trial 0 was taken over by another worker"):
        trial.report(0.5, 1)
    study.tell(study.ask(), 2.0)
    assert as_another_reads_it(study, tmp_path)[0].system_attrs[OWNER] == "elsewhere|1|1.0|host"
    assert as_another_reads_it(study, tmp_path)[0].intermediate_values == {}
    assert x is not None


def test_a_value_found_too_late_is_dropped(manager: OptunaStudyManager, study: optuna.Study, tmp_path: Path) -> None:
    trial = study.ask()
    take_away(manager, trial)
    assert not manager.storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [0.1])
    seen = as_another_reads_it(study, tmp_path)[0]
    assert (seen.state, seen.value) == (TrialState.RUNNING, None)


def test_a_worker_that_lost_a_trial_continues_with_the_next(
    manager: OptunaStudyManager, study: optuna.Study, caplog: pytest.LogCaptureFixture
) -> None:
    def lose_the_second(trial: optuna.Trial) -> float:
        if trial.number == 1:
            take_away(manager, trial)
        trial.report(1.0, 1)
        return float(trial.number)

    manager.storage.n_trials = 4
    context = WorkerContext(
        manager.storage, 4, StopFlag(), [lambda study, trial: study.stop() if trial.number == 3 else None]
    )
    with caplog.at_level(logging.WARNING):
        run_trials(study, lose_the_second, context)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "RUNNING", "COMPLETE", "COMPLETE"]
    assert "trial 1 was taken over by another worker; this worker continues with the next trial" in caplog.text


def test_nothing_is_kept_of_trials_that_ended(manager: OptunaStudyManager, study: optuna.Study) -> None:
    run_trials(study, objective, WorkerContext(manager.storage, 12, StopFlag()))
    study.get_trials(deepcopy=False)
    assert (manager.storage._running, manager.storage._ended) == ({}, {})


def test_constraints_take_no_transaction_and_are_there_for_others(
    manager: OptunaStudyManager, study: optuna.Study, tmp_path: Path
) -> None:
    trial = study.ask()
    trial.suggest_float("x", 0, 1)
    trial.report(1.0, 10)
    writes: list[str] = []
    sqlalchemy.event.listen(
        manager.storage.engine, "before_cursor_execute", lambda c, cursor, statement, *_: writes.append(statement)
    )
    trial.set_constraint("trees<=5", 0.25)
    trial.set_constraint("leaves<=90", -0.5)
    assert not [statement for statement in writes if statement.startswith(("INSERT", "UPDATE"))]
    assert trial.constraints == study.trials[0].constraints == {"trees<=5": 0.25, "leaves<=90": -0.5}
    study.tell(trial, 1.0)
    (seen,) = as_another_reads_it(study, tmp_path)
    assert seen.constraints == {"trees<=5": 0.25, "leaves<=90": -0.5}


def test_a_trial_that_runs_again_sets_its_constraints_again(
    manager: OptunaStudyManager, study: optuna.Study, tmp_path: Path
) -> None:
    attempts = []

    def fail_once(trial: optuna.Trial) -> float:
        attempts.append(trial.number)
        trial.report(1.0, 10)
        trial.set_constraint("trees<=5", 0.25 if len(attempts) == 1 else -0.25)
        if len(attempts) == 1:
            manager.storage.requeue_trial(trial._trial_id)
            raise Interrupted("stopped")
        return 1.0

    with pytest.raises(Interrupted):
        run_trials(study, fail_once, WorkerContext(manager.storage, 1, StopFlag()))
    run_trials(study, fail_once, WorkerContext(manager.storage, 1, StopFlag()))
    (seen,) = as_another_reads_it(study, tmp_path)
    assert (attempts, seen.constraints) == ([0, 0], {"trees<=5": -0.25})
