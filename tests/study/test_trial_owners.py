import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy.orm import Session

from src.study.studies import OptunaStudyManager
from src.study.trial_owners import end_time_if_ended_by
from src.study.worker_identity import worker_identity

pytestmark = pytest.mark.filterwarnings("ignore:Heartbeat of storage is supposed to be used:UserWarning")


def test_an_end_whose_answer_was_lost_is_recognised(manager: OptunaStudyManager, study: optuna.Study) -> None:
    trial = study.ask()
    study.tell(trial, 1.0)
    with Session(manager.storage.engine) as session:
        ended = end_time_if_ended_by(session, trial._trial_id, worker_identity(), TrialState.COMPLETE)
        assert ended == study.trials[0].datetime_complete
        assert end_time_if_ended_by(session, trial._trial_id, "elsewhere|1|1.0|host", TrialState.COMPLETE) is None
        assert end_time_if_ended_by(session, trial._trial_id, worker_identity(), TrialState.PRUNED) is None


def test_a_repeated_end_is_recorded_once(manager: OptunaStudyManager, study: optuna.Study) -> None:
    """The database commits, but crashes before it answers."""
    storage = manager.storage
    trial = study.ask()
    held = storage._running[trial._trial_id]
    assert storage.set_trial_state_values(trial._trial_id, TrialState.COMPLETE, [1.0])
    first = study.trials[0].datetime_complete
    storage._running[trial._trial_id] = held
    storage.retry_policy._thread.retrying = True
    assert storage.finish_trial(trial._trial_id, TrialState.COMPLETE, [1.0])
    assert study.trials[0].datetime_complete == first
