"""Optuna's SQL storage with the running trial buffered in memory: three transactions per trial instead of about fifty.

Optuna writes each parameter, report and attribute of a trial in its own transaction, and between them reads the trial
and all unfinished trials of the study. This storage keeps the trials of its own process in memory, and writes

- when the trial starts: number, state and owner (see `study_storage`),
- at its first report: the parameters, so that other workers see them (TPE avoids parameters of running trials) and the
  next worker finds them after a `kill -9`,
- when the trial ends: reports, attributes, constraints, value and state in one transaction.

If another process has taken over the trial in the meantime, nothing is written and `TrialLost` is raised.

All writes can be repeated, because a database that crashed may have committed without an answer: repeating changes
nothing, and the buffer is cleared only after a confirmed commit.

The private names of Optuna used here are listed in `optuna_internals`.
"""

import json
from collections.abc import Container, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy
from optuna.distributions import BaseDistribution, check_distribution_compatibility, distribution_to_json
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from src.study.optuna_internals import (
    CONSTRAINT_PREFIX,
    completed_utc,
    copy_of_trial,
    id_of_trial,
    models,
    started_utc,
    transaction,
)
from src.study.trial_times import local_time

DatabaseRows = list[dict[str, Any]]
MAX_IDS_PER_QUERY = 100
"""With more ids, such as at the first read of a store, all trials are read at once."""


class TrialLost(Exception):
    """The trial has a new owner, or another process has ended it: the result of this process is not recorded."""


@dataclass
class RunningTrial:
    """A trial that this process runs.

    Attributes:
        trial: the trial for the samplers, pruners and callbacks of this process.
        params: rows that are not in the database yet.
        reports: likewise.
        user_attrs: likewise, by key.
        constraints: likewise: the system attributes of `set_constraint`.
        params_written: the parameters were written, at the first report.
    """

    trial: FrozenTrial
    params: DatabaseRows = field(default_factory=list)
    reports: DatabaseRows = field(default_factory=list)
    user_attrs: dict[str, str] = field(default_factory=dict)
    constraints: dict[str, str] = field(default_factory=dict)
    params_written: bool = False


class BufferedStorage(RDBStorage):
    """See the module's docstring. Trials of other processes are read and written as in Optuna."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._running: dict[int, RunningTrial] = {}
        self._ended: dict[int, FrozenTrial] = {}
        self._lost: set[int] = set()

    def _lock_if_owned(self, session: Session, trial_id: int) -> bool:
        """Whether this process may write to the trial; if so, its row is locked until the transaction ends."""
        trial = models.TrialModel
        locked = session.execute(
            sqlalchemy.update(trial).where(trial.trial_id == trial_id, trial.state == TrialState.RUNNING)
            .values(state=TrialState.RUNNING),
            execution_options={"synchronize_session": False},
        )  # fmt: skip
        return bool(locked.rowcount)  # type: ignore[attr-defined]

    def hold_trial(self, trial: FrozenTrial) -> None:
        """Buffers a trial that this process runs."""
        self._running[id_of_trial(trial)] = RunningTrial(trial)

    def forget_trial(self, trial_id: int) -> None:
        """Drops the buffer of a trial that this process does not run any more."""
        self._running.pop(trial_id, None)

    def runs_here(self, trial_id: int) -> bool:
        """Whether this process runs the trial, or ran it until another process took it over."""
        return trial_id in self._running or trial_id in self._lost

    def flush_trial(self, trial_id: int) -> None:
        """Writes the buffer of a trial that this process runs.

        Raises:
            TrialLost: another process has taken it over.
        """
        running = self._running[trial_id]
        with transaction(self.scoped_session) as session:
            if not self._lock_if_owned(session, trial_id):
                self.forget_trial(trial_id)
                self._lost.add(trial_id)
                raise TrialLost(f"trial {running.trial.number} was taken over by another worker")
            self._write(session, running)
        running.params, running.reports, running.user_attrs, running.constraints = [], [], {}, {}

    def finish_trial(self, trial_id: int, state: TrialState, values: Sequence[float] | None) -> bool:
        """Writes the buffer, the values and the final state; False if another process has taken the trial over."""
        if trial_id in self._lost:
            self._lost.discard(trial_id)
            return False
        running, now = self._running[trial_id], datetime.now()
        with transaction(self.scoped_session) as session:
            if self._lock_if_owned(session, trial_id):
                self._write(session, running)
                row = models.TrialModel.find_or_raise_by_id(trial_id, session)
                for objective, value in enumerate(values or ()):
                    self._set_trial_value_without_commit(session, row, objective, value)
                row.state = state
                row.datetime_complete = now
                ended: datetime | None = now
            else:
                ended = self._end_time_if_ended_here(session, trial_id, state)
        self.forget_trial(trial_id)
        if ended is None:
            return False
        running.trial.state, running.trial.datetime_complete = state, ended
        running.trial.values = None if values is None else list(values)
        self._ended[trial_id] = running.trial
        return True

    def _end_time_if_ended_here(self, session: Session, trial_id: int, state: TrialState) -> datetime | None:
        """When this process ended the trial with this state, if it did but the database's answer was lost."""
        return None

    def _write(self, session: Session, running: RunningTrial) -> None:
        trial_id = id_of_trial(running.trial)
        insert = (sqlite if self.engine.name == "sqlite" else postgresql).insert
        if running.params:
            session.execute(insert(models.TrialParamModel).on_conflict_do_nothing(), running.params)
        if running.reports:
            session.execute(insert(models.TrialIntermediateValueModel).on_conflict_do_nothing(), running.reports)
        for model, attributes in (
            (models.TrialUserAttributeModel, running.user_attrs),
            (models.TrialSystemAttributeModel, running.constraints),
        ):
            if attributes:
                rows = [{"trial_id": trial_id, "key": key, "value_json": text} for key, text in attributes.items()]
                statement = insert(model)
                written = {"value_json": statement.excluded.value_json}
                keys = [model.trial_id, model.key]
                session.execute(statement.on_conflict_do_update(index_elements=keys, set_=written), rows)

    def _set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None,
    ) -> None:
        running = self._running.get(trial_id)
        if running is None or previous_distribution is None:  # not seen yet: one query per parameter
            super()._set_trial_param(trial_id, param_name, param_value_internal, distribution, previous_distribution)
        else:
            check_distribution_compatibility(previous_distribution, distribution)
            text = distribution_to_json(distribution)
            row = {"trial_id": trial_id, "param_name": param_name, "param_value": param_value_internal}
            running.params.append(row | {"distribution_json": text})
        if running is not None:
            running.trial.distributions[param_name] = distribution
            running.trial.params[param_name] = distribution.to_external_repr(param_value_internal)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """As in Optuna; buffered until the trial ends, but the first report writes the parameters."""
        running = self._running.get(trial_id)
        if running is None:
            return super().set_trial_intermediate_value(trial_id, step, intermediate_value)
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(intermediate_value)
        row = {"trial_id": trial_id, "step": step, "intermediate_value": stored, "intermediate_value_type": kind}
        running.trial.intermediate_values[step] = intermediate_value
        if not running.params_written:
            self.flush_trial(trial_id)
            running.params_written = True
        running.reports.append(row)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """As in Optuna; buffered until the trial ends."""
        running = self._running.get(trial_id)
        if running is None:
            return super().set_trial_user_attr(trial_id, key, value)
        text = json.dumps(value)
        running.user_attrs[key] = text
        running.trial.user_attrs[key] = json.loads(text)  # as other processes will read it

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """As in Optuna, written at once: pruners of other processes read it. Constraints are buffered."""
        running = self._running.get(trial_id)
        if running is not None and key.startswith(CONSTRAINT_PREFIX):
            running.constraints[key] = json.dumps(value)
        else:
            super().set_trial_system_attr(trial_id, key, value)
        if running is not None:
            running.trial.system_attrs[key] = value

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """As in Optuna; from memory if the trial runs, or has just ended, in this process."""
        buffered = self._buffered(trial_id)
        return super().get_trial(trial_id) if buffered is None else buffered

    def _build_frozen_trial_from_trial_model(self, trial: models.TrialModel) -> FrozenTrial:
        """As in Optuna, with times that stay unambiguous in the hour that the local clock repeats."""
        built = super()._build_frozen_trial_from_trial_model(trial)
        built.datetime_start = local_time(started_utc(trial))
        built.datetime_complete = local_time(completed_utc(trial))
        return built

    def _buffered(self, trial_id: int) -> FrozenTrial | None:
        if trial_id in self._ended:
            return self._ended[trial_id]
        return copy_of_trial(self._running[trial_id].trial) if trial_id in self._running else None

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """Called by Optuna's cache before each use of the study's trials; usually there are no new ones."""
        wanted = {trial_id for trial_id in included_trial_ids if trial_id <= trial_id_greater_than}
        new_ids = None if states is not None else self._new_trial_ids(study_id, wanted, trial_id_greater_than)
        if new_ids is not None and all(trial_id in self._running or trial_id in self._ended for trial_id in new_ids):
            trials = [self.get_trial(trial_id) for trial_id in new_ids]
        else:
            read = super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)
            trials = [self._buffered(id_of_trial(trial)) or trial for trial in read]
        if states is None:  # from now on they are in Optuna's cache
            for trial in trials:
                self._ended.pop(id_of_trial(trial), None)
        return trials

    def _new_trial_ids(self, study_id: int, wanted: set[int], newer_than: int) -> list[int] | None:
        """Ids of the trials that the cache lacks, in order; None if there are too many for this query to be useful."""
        if newer_than < 0 or len(wanted) > MAX_IDS_PER_QUERY:
            return None
        trial = models.TrialModel
        unread = sqlalchemy.or_(trial.trial_id > newer_than, trial.trial_id.in_(wanted))
        with transaction(self.scoped_session) as session:
            query = sqlalchemy.select(trial.trial_id).where(trial.study_id == study_id, unread)
            return list(session.execute(query.order_by(trial.trial_id)).scalars())
