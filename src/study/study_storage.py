"""Optuna's SQL storage, its running trials held in memory, with an exact budget, owners, and taking over from the dead.

- Budget: the transaction that creates a trial counts those there are, under the lock that Optuna takes for the trial's
  number, and rolls back when the study has enough. W workers finish exactly N trials, not N + W - 1.
- Owner: the same transaction notes which process runs the trial.
- Taking over: a trial whose process is dead goes back to WAITING, with its number and parameters, and the next worker
  runs it. So a kill leaves no second trial behind that would be counted or shown twice. A trial that outlives several
  processes is not given out again for ever: after `MAX_ATTEMPTS` it fails.
- A database that is away for a while: every operation is repeated until it is back (`retry_policy`). One whose answer
  was lost finds, by the trial's owner and state, that it was done already. Nobody is taken for dead because he was
  silent while nobody could write.

Optuna's private names that it uses are listed in `optuna_internals`; `test_study_storage` and the integration tests
hold what is relied on.
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
from src.study.optuna_internals import models, started_utc, storage_behind_cache, transaction
from src.study.retry_policy import RetryPolicy, is_transient, retry_while_unavailable
from src.study.store_location import set_up_sessions
from src.study.trial_owners import (
    ATTEMPTS,
    OWNER,
    count_trials,
    lock_study,
    newest_run_by,
    owned_trials,
    owner_of,
    seconds_up,
    when_ended_by,
)
from src.study.trial_times import local_time
from src.study.worker_identity import is_known_dead, is_process_here, worker_identity

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 5
HEARTBEAT_SECONDS = 15
GRACE_SECONDS = 60
SECONDS_BETWEEN_SWEEPS = 5.0
"""Optuna looks for dead trials before each one; more often than this is no use to anybody."""
CLAIMED_STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)
STARTED_STATES = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)


RETRIED_METHODS = (
    "create_new_study", "delete_study", "set_study_user_attr", "set_study_system_attr", "get_study_id_from_name",
    "get_study_name_from_id", "get_study_directions", "get_study_user_attrs", "get_study_system_attrs",
    "get_all_studies", "create_new_trial", "_create_new_trial", "set_trial_param", "_set_trial_param",
    "get_trial_param", "set_trial_state_values", "set_trial_intermediate_value", "set_trial_user_attr",
    "set_trial_system_attr", "get_trial_id_from_study_id_trial_number", "get_trial_user_attrs",
    "get_trial_system_attrs", "get_trial", "get_all_trials", "_get_trials", "get_best_trial", "_get_best_trial_id",
    "_get_stale_trial_ids", "requeue_own_trials", "fail_trials_of", "flush_trial", "finish_trial",
)  # fmt: skip
"""Whatever opens a transaction; a heartbeat is no use later than it was due."""


class BudgetMet(Exception):
    """The study has as many trials as it was asked for; ends `study.optimize` from inside."""


@retry_while_unavailable(*RETRIED_METHODS)
class StudyStorage(BufferedStorage):
    """A store of studies; see the module's docstring.

    Attributes:
        n_trials: budget of finished trials for the studies that this process runs; None is no limit.
        retry_policy: with a database that is away.
    """

    def __init__(self, url: str, engine_kwargs: dict[str, Any] | None = None) -> None:
        self.retry_policy = RetryPolicy(make_url(url))
        self._creating = threading.local()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # heartbeats are; their use here is tested
            super().__init__(
                url, engine_kwargs=engine_kwargs, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=GRACE_SECONDS
            )
        set_up_sessions(self.engine)
        self.n_trials: int | None = None
        self._requeueing: set[int] = set()
        self._swept = -SECONDS_BETWEEN_SWEEPS
        self._begun: tuple[int, float] = (-1, 0.0)

    def requeue_trial(self, trial_id: int) -> None:
        """Makes the failure that is about to be recorded for this trial a return to the queue instead."""
        self._requeueing.add(trial_id)

    def requeue_own_trials(self, study_id: int) -> None:
        """Returns every trial that this process left RUNNING, after an interruption between two of its steps."""
        mine = worker_identity()
        for trial_id, owner, _ in self._owned(study_id, (TrialState.RUNNING,)):
            if owner == mine:
                self._return(trial_id)

    def _return(self, trial_id: int) -> bool:
        """Puts a trial of this process back into the queue, with its parameters."""
        try:
            if trial_id in self._open:
                self.flush_trial(trial_id)
        except TrialLost:  # somebody else runs it already
            return False
        except StorageInternalError as error:  # the disk is full, say: it waits again with what was written before
            if is_transient(error):
                raise
            log.debug("what trial %d had drawn could not be written", self._open[trial_id].seen.number)
        return self._to_waiting(trial_id, worker_identity())

    def fail_trials_of(self, study_id: int, pid: int, reason: str) -> int:
        """Records the trial that a process of this machine died of as failed; it is not to be run again.

        Args:
            study_id: Optuna's.
            pid: of the process, which is dead.
            reason: kept as the trial's `error`.

        Returns:
            How many trials these were: the one that it ran, unless somebody else has begun it again meanwhile.
        """
        failed = 0
        for trial_id, owner, _ in self._owned(study_id, (TrialState.RUNNING, TrialState.WAITING)):
            if is_process_here(owner, pid):
                with contextlib.suppress(UpdateFinishedTrialError):  # it has ended meanwhile
                    self.set_trial_user_attr(trial_id, "error", reason)
                    failed += super().set_trial_state_values(trial_id, TrialState.FAIL)
        return failed

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Any = None) -> bool:
        """As in Optuna, but a trial that is given back waits again, and none starts beyond the budget."""
        if state == TrialState.FAIL and trial_id in self._requeueing:
            returned = self._return(trial_id)
            self._requeueing.discard(trial_id)
            return returned
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
                return self.retry_policy.retrying and self._still_ours(session, trial_id)
            if self.n_trials is not None and count_trials(session, trial.study_id, STARTED_STATES) >= self.n_trials:
                return False
            # With the state, not after it: RUNNING under its dead owner's name the trial would be taken over again.
            self._note_owner(session, trial_id)
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

    def _still_ours(self, session: Session, trial_id: int) -> bool:
        return super()._still_ours(session, trial_id) and owner_of(session, trial_id) == worker_identity()

    def _ended_here(self, session: Session, trial_id: int, state: TrialState) -> datetime | None:
        return when_ended_by(session, trial_id, worker_identity(), state) if self.retry_policy.retrying else None

    def _note_owner(self, session: Session, trial_id: int) -> None:
        """Writes down that this process runs the trial, and its first beat."""
        self._begun = (trial_id, time.monotonic())
        attributes, beats = models.TrialSystemAttributeModel, models.TrialHeartbeatModel
        self._set_trial_attr_without_commit(session, attributes, trial_id, OWNER, worker_identity())
        beat = beats.where_trial_id(trial_id, session)
        if beat is None:
            session.add(beats(trial_id=trial_id))
        else:
            beat.heartbeat = session.execute(sqlalchemy.func.now()).scalar()

    def record_heartbeat(self, trial_id: int) -> None:
        """As in Optuna, whose thread beats once more at once: the first beat was written with the state."""
        begun_id, begun = self._begun
        if trial_id == begun_id and time.monotonic() - begun <= HEARTBEAT_SECONDS / 2:
            return
        try:
            super().record_heartbeat(trial_id)
        except StorageInternalError as error:
            if not is_transient(error):
                raise
            log.debug("a beat of trial %d could not be written; the next one is due soon", trial_id)

    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> models.TrialModel:
        if template_trial is not None:  # enqueued or added by hand: recorded whatever the budget
            return super()._get_prepared_new_trial(study_id, template_trial, session)
        lock_study(session, study_id)
        self._creating.tries += 1
        if self.retry_policy.retrying or self._creating.tries > 1:
            made = newest_run_by(session, study_id, worker_identity(), self._open.keys())
            if made is not None:  # an earlier try created it, and the answer was lost
                self._creating.started = started_utc(made)
                return made
        if self.n_trials is not None and count_trials(session, study_id, CLAIMED_STATES) >= self.n_trials:
            raise BudgetMet
        trial = super()._get_prepared_new_trial(study_id, None, session)
        self._creating.started = started_utc(trial)
        trial_id: Any = trial.trial_id
        # In the same transaction: no trial can die before it could be found dead or stale.
        self._note_owner(session, trial_id)
        return trial

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        """Called by Optuna before each trial: takes over from the dead, returns those trials that are to fail."""
        if time.monotonic() - self._swept < SECONDS_BETWEEN_SWEEPS:
            return []
        self._swept = time.monotonic()
        stale = set() if self._nobody_could_write() else set(super()._get_stale_trial_ids(study_id))
        exhausted = []
        for trial_id, owner, attempts in self._owned(study_id, (TrialState.RUNNING,)):
            if trial_id not in stale and not is_known_dead(owner):
                continue
            if attempts >= MAX_ATTEMPTS:
                with contextlib.suppress(UpdateFinishedTrialError):  # another worker has just recorded it
                    self.set_trial_user_attr(trial_id, "error", f"its process died {attempts} times")
                    exhausted.append(trial_id)
            else:
                self._to_waiting(trial_id, owner, attempts + 1)
        return exhausted

    def _nobody_could_write(self) -> bool:
        """Whether silence means nothing: the database was away, as seen from here or as it says itself."""
        if self.engine.name == "sqlite":
            return False
        if self.retry_policy.was_away_within(GRACE_SECONDS):
            return True
        with transaction(self.scoped_session) as session:
            return seconds_up(session) < GRACE_SECONDS

    def _owned(self, study_id: int, states: tuple[TrialState, ...]) -> list[tuple[int, str, int]]:
        with transaction(self.scoped_session) as session:
            return owned_trials(session, study_id, states)

    def _to_waiting(self, trial_id: int, owner: str, attempts: int | None = None) -> bool:
        """RUNNING → WAITING, unless somebody else has taken the trial over or finished it in the meantime."""
        self.forget_trial(trial_id)
        with transaction(self.scoped_session) as session:
            trial = models.TrialModel.find_or_raise_by_id(trial_id, session)
            lock_study(session, trial.study_id)
            session.refresh(trial)
            attributes = session.query(models.TrialSystemAttributeModel)
            noted = attributes.filter_by(trial_id=trial_id, key=OWNER).populate_existing().one_or_none()
            if trial.state != TrialState.RUNNING or (noted is not None and noted.value_json != json.dumps(owner)):
                return False
            trial.state = TrialState.WAITING
            if attempts is not None:
                kept = models.TrialSystemAttributeModel
                self._set_trial_attr_without_commit(session, kept, trial_id, ATTEMPTS, attempts)
            # The next attempt reports the same steps again; Optuna would warn about each.
            session.query(models.TrialIntermediateValueModel).filter_by(trial_id=trial_id).delete()
        return True


def requeue_dead_trials(study: optuna.Study) -> None:
    """What Optuna does before each trial, for when no trial is about to start; at once."""
    backend: Any = storage_behind_cache(study)
    backend._swept = -SECONDS_BETWEEN_SWEEPS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
