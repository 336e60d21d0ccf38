"""Optuna's SQL storage, its running trials held in memory, with an exact budget, owners, and taking over from the dead.

- Budget: the transaction that creates a trial counts those there are, under the lock that Optuna takes for the trial's
  number, and rolls back when the study has enough. W workers finish exactly N trials, not N + W - 1.
- Owner: the same transaction notes which process runs the trial.
- Taking over: a trial whose process is dead goes back to WAITING, with its number and parameters, and the next worker
  runs it. So a kill leaves no second trial behind that would be counted or shown twice. A trial that outlives several
  processes is not given out again for ever: after `MAX_ATTEMPTS` it fails.

It reaches into `optuna.storages._rdb`, which the lock file pins to an exact version; `test_study_storage` and the
integration tests hold what is relied on.
"""

import json
import time
import warnings
from typing import Any

import optuna
import sqlalchemy
from optuna.exceptions import ExperimentalWarning
from optuna.storages._rdb import models
from optuna.storages._rdb.storage import _create_scoped_session
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.orm import Session

from src.modeling.buffered_storage import BufferedStorage, TrialLost
from src.modeling.worker_identity import is_known_dead, is_process_here, worker_identity

OWNER = "worker"
ATTEMPTS = "attempts"
MAX_ATTEMPTS = 5
HEARTBEAT_SECONDS = 15
GRACE_SECONDS = 60
SECONDS_BETWEEN_SWEEPS = 5.0
"""Optuna looks for dead trials before each one; more often than this is no use to anybody."""
CLAIMED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING, TrialState.WAITING)
STARTED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.RUNNING)


class BudgetMet(Exception):
    """The study has as many trials as it was asked for; ends `study.optimize` from inside."""


class StudyStorage(BufferedStorage):
    """A store of studies; see the module's docstring.

    Attributes:
        n_trials: budget of finished trials for the studies that this process runs; None is no limit.
    """

    def __init__(self, url: str, engine_kwargs: dict[str, Any] | None = None) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # heartbeats are; their use here is tested
            super().__init__(
                url, engine_kwargs=engine_kwargs, heartbeat_interval=HEARTBEAT_SECONDS, grace_period=GRACE_SECONDS
            )
        self.n_trials: int | None = None
        self._giving_back: set[int] = set()
        self._swept = -SECONDS_BETWEEN_SWEEPS
        self._begun: tuple[int, float] = (-1, 0.0)

    def give_back(self, trial_id: int) -> None:
        """Makes the failure that is about to be recorded for this trial a return to the queue instead."""
        self._giving_back.add(trial_id)

    def give_back_own(self, study_id: int) -> None:
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
                self.set_trial_user_attr(trial_id, "error", reason)
                failed += super().set_trial_state_values(trial_id, TrialState.FAIL)
        return failed

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Any = None) -> bool:
        """As in Optuna, but a trial that is given back waits again, and none starts beyond the budget."""
        if state == TrialState.FAIL and trial_id in self._giving_back:
            self._giving_back.discard(trial_id)
            return self._return(trial_id)
        if self.runs_here(trial_id) and state.is_finished():
            return self.finish_trial(trial_id, state, values)
        if state != TrialState.RUNNING:
            return super().set_trial_state_values(trial_id, state, values)
        if not self._start_waiting(trial_id):
            return False
        self.open_trial(self.get_trial(trial_id))
        return True

    def _start_waiting(self, trial_id: int) -> bool:
        with _create_scoped_session(self.scoped_session) as session:
            trial = models.TrialModel.find_or_raise_by_id(trial_id, session)
            _lock_study(session, trial.study_id)
            session.refresh(trial)
            present: Any = trial.state
            self.check_trial_is_updatable(trial_id, present)
            if present != TrialState.WAITING:
                return False
            if self.n_trials is not None and _count(session, trial.study_id, STARTED) >= self.n_trials:
                return False
            # With the state, not after it: RUNNING under its dead owner's name the trial would be taken over again.
            self._note_owner(session, trial_id)
            # The inner call shares this thread's session: its commit ends this transaction too.
            return super().set_trial_state_values(trial_id, TrialState.RUNNING)

    def _create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> FrozenTrial:
        trial = super()._create_new_trial(study_id, template_trial)
        if template_trial is None:
            trial.system_attrs[OWNER] = worker_identity()
            self.open_trial(trial)
        return trial

    def _still_ours(self, session: Session, trial_id: int) -> bool:
        if not super()._still_ours(session, trial_id):
            return False
        attribute = models.TrialSystemAttributeModel
        noted = sqlalchemy.select(attribute.value_json).where(attribute.trial_id == trial_id, attribute.key == OWNER)
        return session.execute(noted).scalar() == json.dumps(worker_identity())

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
        if trial_id != begun_id or time.monotonic() - begun > HEARTBEAT_SECONDS / 2:
            super().record_heartbeat(trial_id)

    def _get_prepared_new_trial(
        self, study_id: int, template_trial: FrozenTrial | None, session: Session
    ) -> models.TrialModel:
        if template_trial is not None:  # enqueued or added by hand: recorded whatever the budget
            return super()._get_prepared_new_trial(study_id, template_trial, session)
        _lock_study(session, study_id)
        if self.n_trials is not None and _count(session, study_id, CLAIMED) >= self.n_trials:
            raise BudgetMet
        trial = super()._get_prepared_new_trial(study_id, None, session)
        trial_id: Any = trial.trial_id
        # In the same transaction: no trial can die before it could be found dead or stale.
        self._note_owner(session, trial_id)
        return trial

    def _get_stale_trial_ids(self, study_id: int) -> list[int]:
        """Called by Optuna before each trial: takes over from the dead, returns those trials that are to fail."""
        if time.monotonic() - self._swept < SECONDS_BETWEEN_SWEEPS:
            return []
        self._swept = time.monotonic()
        stale = set(super()._get_stale_trial_ids(study_id))
        exhausted = []
        for trial_id, owner, attempts in self._owned(study_id, (TrialState.RUNNING,)):
            if trial_id not in stale and not is_known_dead(owner):
                continue
            if attempts >= MAX_ATTEMPTS:
                self.set_trial_user_attr(trial_id, "error", f"its process died {attempts} times")
                exhausted.append(trial_id)
            else:
                self._to_waiting(trial_id, owner, attempts + 1)
        return exhausted

    def _owned(self, study_id: int, states: tuple[TrialState, ...]) -> list[tuple[int, str, int]]:
        """(trial id, owner, attempts so far) of every trial in one of these states."""
        trial, attribute = models.TrialModel, models.TrialSystemAttributeModel
        query = (
            sqlalchemy.select(trial.trial_id, attribute.key, attribute.value_json)
            .outerjoin(attribute, (attribute.trial_id == trial.trial_id) & attribute.key.in_((OWNER, ATTEMPTS)))
            .where(trial.study_id == study_id, trial.state.in_(states))
        )
        found: dict[int, dict[str, Any]] = {}
        with _create_scoped_session(self.scoped_session) as session:
            for trial_id, key, text in session.execute(query):
                found.setdefault(trial_id, {})[key] = None if text is None else json.loads(text)
        return [(trial_id, noted.get(OWNER, ""), noted.get(ATTEMPTS, 1)) for trial_id, noted in found.items()]

    def _to_waiting(self, trial_id: int, owner: str, attempts: int | None = None) -> bool:
        """RUNNING → WAITING, unless somebody else has taken the trial over or finished it in the meantime."""
        self.forget_trial(trial_id)
        with _create_scoped_session(self.scoped_session) as session:
            trial = models.TrialModel.find_or_raise_by_id(trial_id, session)
            _lock_study(session, trial.study_id)
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


def _lock_study(session: Session, study_id: Any) -> None:
    """Write lock until the transaction ends. SELECT … FOR UPDATE is nothing on SQLite; an UPDATE locks everywhere."""
    study = models.StudyModel
    session.execute(
        sqlalchemy.update(study).where(study.study_id == study_id).values(study_name=study.study_name),
        execution_options={"synchronize_session": False},
    )


def _count(session: Session, study_id: Any, states: tuple[TrialState, ...]) -> int:
    trial = models.TrialModel
    return session.query(trial).filter(trial.study_id == study_id, trial.state.in_(states)).count()


def take_over_dead_trials(study: optuna.Study) -> None:
    """What Optuna does before each trial, for when no trial is about to start; at once."""
    backend: Any = getattr(study._storage, "_backend", study._storage)  # Optuna puts its cache in front
    backend._swept = -SECONDS_BETWEEN_SWEEPS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
