import os
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
import sqlalchemy
from optuna.storages._rdb import models
from optuna.trial import TrialState

from src.study.studies import OptunaStudyManager
from src.study.study_storage import (
    GRACE_SECONDS,
    MAX_ATTEMPTS,
    BudgetMet,
    StudyStorage,
    requeue_dead_trials,
)
from src.study.trial_owners import ATTEMPTS, OWNER
from src.study.worker_identity import worker_identity

# These tests ask for single trials, to look at the store between two steps; the product uses study.optimize.
pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat of storage is supposed to be used:UserWarning")
ROOT = Path(__file__).parents[2]
DIE_IN_A_TRIAL = """
import os, sys
from src.modeling.optuna_utils import OptunaStudyManager
study = OptunaStudyManager(sys.argv[1]).load_study("s")
trial = study.ask()
trial.suggest_float("x", 0, 1)
trial.report(0.5, 1)
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def die_in_a_trial(tmp_path: Path, study: optuna.Study) -> Callable[[], None]:
    def die() -> None:
        done = subprocess.run([sys.executable, "-c", DIE_IN_A_TRIAL, str(tmp_path)], cwd=ROOT, check=False)
        assert done.returncode == -9

    return die


def states(study: optuna.Study) -> list[str]:
    return [trial.state.name for trial in study.get_trials(deepcopy=False)]


def pretend_owner(manager: OptunaStudyManager, trial: optuna.Trial, owner: str) -> None:
    manager.storage.set_trial_system_attr(trial._trial_id, OWNER, owner)


def test_no_trial_is_created_beyond_the_budget(manager: OptunaStudyManager, study: optuna.Study) -> None:
    manager.storage.n_trials = 2
    study.ask()
    study.tell(study.ask(), 1.0)
    with pytest.raises(BudgetMet):
        study.ask()
    assert states(study) == ["RUNNING", "COMPLETE"]


def test_a_failed_trial_does_not_count(manager: OptunaStudyManager, study: optuna.Study) -> None:
    manager.storage.n_trials = 1
    study.tell(study.ask(), state=TrialState.FAIL)
    study.tell(study.ask(), 1.0)
    with pytest.raises(BudgetMet):
        study.ask()


def test_enqueued_trials_do_not_start_beyond_the_budget(manager: OptunaStudyManager, study: optuna.Study) -> None:
    for x in (0.1, 0.2, 0.3):
        study.enqueue_trial({"x": x})
    manager.storage.n_trials = 2
    for _ in range(2):
        trial = study.ask()
        study.tell(trial, trial.suggest_float("x", 0, 1))
    with pytest.raises(BudgetMet):
        study.ask()
    assert states(study) == ["COMPLETE", "COMPLETE", "WAITING"]


def test_a_trial_knows_its_process_from_its_first_transaction(study: optuna.Study) -> None:
    study.ask()
    assert study.trials[0].system_attrs[OWNER] == worker_identity()


@pytest.mark.slow
def test_the_trial_of_a_killed_process_waits_again_with_its_number_and_parameters(
    study: optuna.Study, die_in_a_trial: Callable[[], None]
) -> None:
    die_in_a_trial()
    drawn = study.trials[0].params
    requeue_dead_trials(study)
    assert states(study) == ["WAITING"]
    trial = study.ask()
    assert trial.number == 0
    assert {"x": trial.suggest_float("x", 0, 1)} == drawn
    assert study.trials[0].system_attrs[OWNER] == worker_identity()
    assert study.trials[0].intermediate_values == {}, "the next attempt reports from the first step on"


@pytest.mark.slow
def test_a_recovered_trial_never_runs_with_its_dead_owner(
    manager: OptunaStudyManager,
    study: optuna.Study,
    die_in_a_trial: Callable[[], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def too_late(*_: object, **__: object) -> None:
        raise AssertionError("a second transaction: between the two another worker would take the trial away")

    die_in_a_trial()
    requeue_dead_trials(study)
    monkeypatch.setattr(StudyStorage, "set_trial_system_attr", too_late)
    monkeypatch.setattr(StudyStorage, "record_heartbeat", too_late)
    study.ask()
    assert study.trials[0].system_attrs[OWNER] == worker_identity()
    requeue_dead_trials(study)
    assert states(study) == ["RUNNING"]


def test_the_second_worker_at_a_waiting_trial_changes_nothing(manager: OptunaStudyManager, study: optuna.Study) -> None:
    study.enqueue_trial({"x": 0.5})
    trial = study.ask()
    pretend_owner(manager, trial, "elsewhere|1|1.0|host")
    assert not manager.storage.set_trial_state_values(trial._trial_id, TrialState.RUNNING)
    assert study.trials[0].system_attrs[OWNER] == "elsewhere|1|1.0|host"


def test_a_living_owner_keeps_its_trial(study: optuna.Study) -> None:
    study.ask()
    requeue_dead_trials(study)
    assert states(study) == ["RUNNING"]


@pytest.mark.slow
def test_a_trial_that_outlives_many_processes_fails_with_the_reason(
    manager: OptunaStudyManager, study: optuna.Study, die_in_a_trial: Callable[[], None]
) -> None:
    die_in_a_trial()
    trial = study.trials[0]
    manager.storage.set_trial_system_attr(trial._trial_id, ATTEMPTS, MAX_ATTEMPTS)
    requeue_dead_trials(study)
    assert states(study) == ["FAIL"]
    assert study.trials[0].user_attrs["error"] == f"its process died {MAX_ATTEMPTS} times"


@pytest.mark.slow
def test_each_take_over_counts_an_attempt(study: optuna.Study, die_in_a_trial: Callable[[], None]) -> None:
    for _ in range(2):
        die_in_a_trial()
        requeue_dead_trials(study)
    assert study.trials[0].system_attrs[ATTEMPTS] == 3


def test_an_owner_on_another_machine_has_the_grace_period(manager: OptunaStudyManager, study: optuna.Study) -> None:
    trial = study.ask()
    pretend_owner(manager, trial, "elsewhere|1|1.0|host")
    requeue_dead_trials(study)
    assert states(study) == ["RUNNING"]
    with manager.storage.engine.begin() as connection:
        beat = connection.execute(sqlalchemy.select(models.TrialHeartbeatModel.heartbeat)).scalar_one()
        connection.execute(
            sqlalchemy.update(models.TrialHeartbeatModel).values(heartbeat=beat - timedelta(seconds=GRACE_SECONDS + 1))
        )
    requeue_dead_trials(study)
    assert states(study) == ["WAITING"]


def test_missing_heartbeats_during_an_outage_do_not_mean_death(
    manager: OptunaStudyManager, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    trial = study.ask()
    pretend_owner(manager, trial, "elsewhere|1|1.0|host")
    with manager.storage.engine.begin() as connection:
        connection.execute(sqlalchemy.update(models.TrialHeartbeatModel).values(heartbeat=datetime(2024, 1, 1)))
    with monkeypatch.context() as patched:
        patched.setattr(StudyStorage, "_was_recently_unavailable", lambda self: True)
        requeue_dead_trials(study)
        assert states(study) == ["RUNNING"]
    requeue_dead_trials(study)
    assert states(study) == ["WAITING"]


def test_a_trial_taken_over_by_another_is_not_taken_from_it(manager: OptunaStudyManager, study: optuna.Study) -> None:
    trial = study.ask()
    seen_owner = "elsewhere|1|1.0|host"
    assert not manager.storage._to_waiting(trial._trial_id, seen_owner)
    assert states(study) == ["RUNNING"]


def test_a_requeued_trial_waits_instead_of_failing(manager: OptunaStudyManager, study: optuna.Study) -> None:
    def interrupted(trial: optuna.Trial) -> float:
        manager.storage.requeue_trial(trial._trial_id)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        study.optimize(interrupted)
    assert states(study) == ["WAITING"]


def test_trials_that_this_process_left_running_are_requeued(manager: OptunaStudyManager, study: optuna.Study) -> None:
    study.ask()
    other = study.ask()
    pretend_owner(manager, other, "elsewhere|1|1.0|host")
    manager.storage.requeue_own_trials(study._study_id)
    assert states(study) == ["WAITING", "RUNNING"]


@pytest.mark.slow
def test_workers_in_processes_meet_the_budget_exactly(tmp_path: Path, study: optuna.Study) -> None:
    code = """
import os, pathlib, sys, time
from src.search.stop_flag import StopFlag
from src.modeling.optuna_utils import OptunaStudyManager
from src.search.trial_loop import WorkerContext, run_trials
manager = OptunaStudyManager(sys.argv[1])
study = manager.load_study("s")
ready = pathlib.Path(sys.argv[1])
(ready / f"{os.getpid()}.ready").touch()
while len(list(ready.glob("*.ready"))) < 3:
    time.sleep(0.01)
run_trials(study, lambda trial: trial.suggest_float("x", 0, 1), WorkerContext(manager.storage, 30, StopFlag()))
"""
    workers = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT) for _ in range(3)]
    assert [worker.wait(60) for worker in workers] == [0, 0, 0]
    assert states(study) == ["COMPLETE"] * 30
    assert sorted(trial.number for trial in study.trials) == list(range(30))
    owners = {trial.system_attrs[OWNER] for trial in study.trials}
    assert len(owners) >= 2, "one worker alone proves nothing"
    assert len({trial.params["x"] for trial in study.trials}) == 30, "no two draws are equal"
    assert os.getpid() not in {int(owner.split("|")[1]) for owner in owners}


def test_the_storage_is_one_of_optuna(manager: OptunaStudyManager) -> None:
    assert isinstance(manager.storage, StudyStorage)
    assert isinstance(manager.storage, optuna.storages.RDBStorage)
