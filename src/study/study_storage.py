"""Optuna's SQL storage with buffered running trials, an exact budget, owners of trials, and recovery of trials.

- Budget: the transaction that creates a trial counts the existing trials, under the lock that Optuna takes for the
  trial's number, and rolls back when the study has enough. W workers finish exactly N trials, not N + W - 1.
- Owner: the same transaction records which process runs the trial.
- Recovery: a trial of a dead process goes back to WAITING, with its number and parameters, and the next worker runs
  it. A kill therefore leaves no extra trial that would be counted or shown twice. After `MAX_ATTEMPTS` processes died,
  the trial fails.
- Outages: operations are retried until the database is available again (`retry_policy`). A retry recognises by the
  trial's owner and state that the first attempt succeeded and only its answer was lost. After an outage, a missing
  heartbeat does not mean that a worker is dead, because no worker could write.

The private names of Optuna used here are listed in `optuna_internals`; `test_study_storage` and the integration tests
cover what is used.
"""

import contextlib
import json
import logging
import threading
import time
import warnings
from datetime import datetime
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning, StorageInternalError, UpdateFinishedTrialError
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from src.study.buffered_storage import BufferedStorage, TrialLost
from src.study.optuna_internals import CONSTRAINT_PREFIX, models, started_utc, storage_behind_cache, transaction
from src.study.retry_policy import RetryPolicy, is_transient, retry_while_unavailable
from src.study.store_location import set_up_sessions
from src.study.trial_owners import (
    ATTEMPTS,
    OWNER,
    count_trials,
    end_time_if_ended_by,
    lock_study,
    newest_running_trial_of,
    owned_trials,
    owner_of,
    server_uptime,
)
from src.study.trial_times import local_time
from src.study.worker_identity import is_known_dead, worker_identity

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
HEARTBEAT_SECONDS = 15
GRACE_SECONDS = 60
SECONDS_BETWEEN_SWEEPS = 5.0
"""Optuna looks for stale trials before each trial; this limits how often the database is queried."""
CLAIMED_STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)
STARTED_STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)


RETRIED_METHODS = (
    "create_new_study", "delete_study", "set_study_user_attr", "set_study_system_attr", "get_study_id_from_name",
    "get_study_name_from_id", "get_study_directions", "get_study_user_attrs", "get_study_system_attrs",
    "get_all_studies", "create_new_trial", "_create_new_trial", "set_trial_param", "_set_trial_param",
    "get_trial_param", "set_trial_state_values", "set_trial_intermediate_value", "set_trial_user_attr",
    "set_trial_system_attr", "get_trial_id_from_study_id_trial_number", "get_trial_user_attrs",
    "get_trial_system_attrs", "get_trial", "get_all_trials", "_get_trials", "get_best_trial", "_get_best_trial_id",
    "_get_stale_trial_ids", "requeue_own_trials", "flush_trial", "finish_trial",
)  # fmt: skip
"""All methods that open a transaction, except heartbeats, which are useless when they are late."""


class BudgetMet(Exception):
    """The study has its total of trials; raised inside `study.optimize` to end it."""


@retry_while_unavailable(*RETRIED_METHODS)
class StudyStorage(BufferedStorage):
    """A store of studies; see the module's docstring.

    Attributes:
        n_trials: total of finished trials for the studies that this process runs; None is no limit.
        retry_policy: for outages of the database.
    """

    def __init__(self, url: str, engine_kwargs: dict[str, Any] | None = None) -> None:
        self.retry_policy = RetryPolicy(make_url(url))
        self._creating = threading.local()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # heartbeats are experimental; tests cover their use
            super().__init__(
                url, engine_kwargs=engine_kwargs, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=GRACE_SECONDS
            )
        set_up_sessions(self.engine)
        self.n_trials: int | None = None
        self._requeueing: set[int] = set()
        self._last_sweep = -SECONDS_BETWEEN_SWEEPS
        self._started: tuple[int, float] = (-1, 0.0)

    def requeue_trial(self, trial_id: int) -> None:
        """Lets the next FAIL of this trial put it back into the queue instead."""
        self._requeueing.add(trial_id)

    def requeue_own_trials(self, study_id: int) -> None:
        """Puts all trials back into the queue that this process left RUNNING because it was interrupted."""
        own_identity = worker_identity()
        for trial_id, owner, _ in self._owned_trials(study_id, (TrialState.RUNNING,)):
            if owner == own_identity:
                self._requeue(trial_id)

    def _requeue(self, trial_id: int) -> bool:
        """Puts a trial of this process back into the queue, with its parameters."""
        try:
            if trial_id in self._running:
                self.flush_trial(trial_id)
        except TrialLost:  # another worker runs it already
            return False
        except StorageInternalError as error:  # such as a full disk: requeued with what was written before
            if is_transient(error):
                raise
            log.debug("the parameters of trial %d could not be written", self._running[trial_id].trial.number)
        return self._to_waiting(trial_id, worker_identity())

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Any = None) -> bool:
        """As in Optuna, but a requeued trial becomes WAITING, and no trial starts beyond the budget."""
        if state == TrialState.FAIL and trial_id in self._requeueing:
            requeued = self._requeue(trial_id)
            self._requeueing.discard(trial_id)
            return requeued
        if self.runs_here(trial_id) and state.is_finished():
            return self.finish_trial(trial_id, state, values)
        if state != TrialState.RUNNING:
            return super().set_trial_state_values(trial_id, state, values)
        if not self._start_waiting(trial_id):
            return False
        self.hold_trial(self.get_trial(trial_id))
        return True

    def _start_waiting(self, trial_id: int) -> bool:
        with transaction(self.scoped_session) as session:
            trial = models.TrialModel.find_or_raise_by_id(trial_id, session)
            lock_study(session, trial.study_id)
            session.refresh(trial)
            present: Any = trial.state
            self.check_trial_is_updatable(trial_id, present)
            if present != TrialState.WAITING:
                return self.retry_policy.retrying and self._lock_if_owned(session, trial_id)
            if self.n_trials is not None and count_trials(session, trial.study_id, STARTED_STATES) >= self.n_trials:
                return False
            # In the same transaction: a RUNNING trial with its dead owner would be recovered again.
            self._record_owner(session, trial_id)
            # The inner call shares this thread's session: its commit ends this transaction too.
            return super().set_trial_state_values(trial_id, TrialState.RUNNING)

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        self._creating.tries = 0
        trial = super()._create_new_trial(study_id, template_trial)
        if template_trial is None:
            trial.datetime_start = local_time(self._creating.started)
            trial.system_attrs[OWNER] = worker_identity()
            self.hold_trial(trial)
        return trial

    def _lock_if_owned(self, session: Session, trial_id: int) -> bool:
        return super()._lock_if_owned(session, trial_id) and owner_of(session, trial_id) == worker_identity()

    def _end_time_if_ended_here(self, session: Session, trial_id: int, state: TrialState) -> datetime | None:
        return end_time_if_ended_by(session, trial_id, worker_identity(), state) if self.retry_policy.retrying else None

    def _record_owner(self, session: Session, trial_id: int) -> None:
        """Records that this process runs the trial, and writes the first heartbeat."""
        self._started = (trial_id, time.monotonic())
        attributes, beats = models.TrialSystemAttributeModel, models.TrialHeartbeatModel
        self._set_trial_attr_without_commit(session, attributes, trial_id, OWNER, worker_identity())
        beat = beats.where_trial_id(trial_id, session)
        if beat is None:
            session.add(beats(trial_id=trial_id))
        else:
            beat.heartbeat = session.execute(sqlalchemy.func.now()).scalar()

    def record_heartbeat(self, trial_id: int) -> None:
        """As in Optuna, without the first heartbeat of Optuna's thread, which was written with the state."""
        started_id, started = self._started
        if trial_id == started_id and time.monotonic() - started <= HEARTBEAT_SECONDS / 2:
            return
        try:
            super().record_heartbeat(trial_id)
        except StorageInternalError as error:
            if not is_transient(error):
                raise
            log.debug("a heartbeat of trial %d could not be written; the next one is due soon", trial_id)

    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> models.TrialModel:
        if template_trial is not None:  # enqueued or added by the user: recorded regardless of the budget
            return super()._get_prepared_new_trial(study_id, template_trial, session)
        lock_study(session, study_id)
        self._creating.tries += 1
        if self.retry_policy.retrying or self._creating.tries > 1:
            created = newest_running_trial_of(session, study_id, worker_identity(), self._running.keys())
            if created is not None:  # an earlier attempt created it, and the answer was lost
                self._creating.started = started_utc(created)
                return created
        if self.n_trials is not None and count_trials(session, study_id, CLAIMED_STATES) >= self.n_trials:
            raise BudgetMet
        trial = super()._get_prepared_new_trial(study_id, None, session)
        self._creating.started = started_utc(trial)
        trial_id: Any = trial.trial_id
        # In the same transaction, so that a trial can be recovered from its first moment on.
        self._record_owner(session, trial_id)
        return trial

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        """Called by Optuna before each trial: requeues trials of dead processes, returns those that have to fail."""
        if time.monotonic() - self._last_sweep < SECONDS_BETWEEN_SWEEPS:
            return []
        self._last_sweep = time.monotonic()
        stale = set() if self._was_recently_unavailable() else set(super()._get_stale_trial_ids(study_id))
        exhausted = []
        for trial_id, owner, attempts in self._owned_trials(study_id, (TrialState.RUNNING,)):
            if trial_id not in stale and not is_known_dead(owner):
                continue
            if attempts >= MAX_ATTEMPTS:
                with contextlib.suppress(UpdateFinishedTrialError):  # another worker has just recorded it
                    self.set_trial_user_attr(trial_id, "error", f"its process died {attempts} times")
                    exhausted.append(trial_id)
            else:
                self._to_waiting(trial_id, owner, attempts + 1)
        return exhausted

    def _was_recently_unavailable(self) -> bool:
        """Whether missing heartbeats mean nothing: the database was unavailable, or has just started."""
        if self.engine.name == "sqlite":
            return False
        if self.retry_policy.was_unavailable_within(GRACE_SECONDS):
            return True
        with transaction(self.scoped_session) as session:
            return server_uptime(session) < GRACE_SECONDS

    def _owned_trials(self, study_id: int, states: tuple[TrialState, ...]) -> list[tuple[int, str, int]]:
        with transaction(self.scoped_session) as session:
            return owned_trials(session, study_id, states)

    def _to_waiting(self, trial_id: int, owner: str, attempts: int | None = None) -> bool:
        """RUNNING → WAITING, unless another process has taken the trial over or finished it in the meantime."""
        self.forget_trial(trial_id)
        with transaction(self.scoped_session) as session:
            trial = models.TrialModel.find_or_raise_by_id(trial_id, session)
            lock_study(session, trial.study_id)
            session.refresh(trial)
            attributes = session.query(models.TrialSystemAttributeModel)
            recorded = attributes.filter_by(trial_id=trial_id, key=OWNER).populate_existing().one_or_none()
            if trial.state != TrialState.RUNNING or (recorded is not None and recorded.value_json != json.dumps(owner)):
                return False
            trial.state = TrialState.WAITING
            if attempts is not None:
                attribute = models.TrialSystemAttributeModel
                self._set_trial_attr_without_commit(session, attribute, trial_id, ATTEMPTS, attempts)
            # The next attempt reports the same steps and sets the same constraints; Optuna would warn and ignore them.
            session.query(models.TrialIntermediateValueModel).filter_by(trial_id=trial_id).delete()
            attributes.filter(
                models.TrialSystemAttributeModel.trial_id == trial_id,
                models.TrialSystemAttributeModel.key.startswith(CONSTRAINT_PREFIX),
            ).delete(synchronize_session=False)
        return True


def requeue_dead_trials(study: optuna.Study) -> None:
    """Runs at once the recovery that Optuna otherwise runs before each trial."""
    backend: Any = storage_behind_cache(study)
    backend._last_sweep = -SECONDS_BETWEEN_SWEEPS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
