"""Optuna's SQL storage with the running trial held in memory: three transactions per trial instead of about fifty.

Optuna writes every parameter, report and attribute of a trial in a transaction of its own, and reads the trial and
the whole study's unfinished trials back between them. What a process knows of the trials that it runs itself is in
its memory, so it is written

- when the trial begins (number, state and owner: `study_storage`),
- at its first report, so that others see the parameters (TPE keeps away from those that are being tried) and a
  successor finds them after a `kill -9`,
- and when it ends: reports, attributes, value and state in one transaction, all or nothing.

A trial that was taken from this process in the meantime is not written to: `TrialLost` says so.

Each of these may be repeated, because a database that died may have done it and not lived to say so: what was written
is written once, and what is held here is let go only when the database has it.

Optuna's private names that it uses are listed in `optuna_internals`.
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

from src.study.optuna_internals import completed_utc, copy_of_trial, id_of_trial, models, started_utc, transaction
from src.study.trial_times import local_time

DatabaseRows = list[dict[str, Any]]
MAX_WANTED = 100
"""Ids in one question; a store that is read for the first time, or after long, is read at once."""


class TrialLost(Exception):
    """The trial has another owner by now, or has ended elsewhere: whatever this process finds is not recorded."""


@dataclass
class RunningTrial:
    """A trial that this process runs.

    Attributes:
        seen: the trial as the samplers, pruners and callbacks of this process see it.
        params: rows that the database lacks.
        reports: likewise.
        user_attrs: likewise, by key.
        shown: the parameters were written once, at the first report.
    """

    seen: FrozenTrial
    params: DatabaseRows = field(default_factory=list)
    reports: DatabaseRows = field(default_factory=list)
    user_attrs: dict[str, str] = field(default_factory=dict)
    shown: bool = False


class BufferedStorage(RDBStorage):
    """See the module's docstring. Trials of other processes are read and written as in Optuna."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._open: dict[int, RunningTrial] = {}
        self._ended: dict[int, FrozenTrial] = {}
        self._lost: set[int] = set()

    def _still_ours(self, session: Session, trial_id: int) -> bool:
        """Whether this process may write to the trial; locks its row until the transaction ends."""
        trial = models.TrialModel
        held = session.execute(
            sqlalchemy.update(trial).where(trial.trial_id == trial_id, trial.state == TrialState.RUNNING)
            .values(state=TrialState.RUNNING),
            execution_options={"synchronize_session": False},
        )  # fmt: skip
        return bool(held.rowcount)  # type: ignore[attr-defined]

    def hold_trial(self, trial: FrozenTrial) -> None:
        """From now on the trial is held here; it runs in this process."""
        self._open[id_of_trial(trial)] = RunningTrial(trial)

    def forget_trial(self, trial_id: int) -> None:
        """What is held of the trial is dropped; it is none of this process any more."""
        self._open.pop(trial_id, None)

    def runs_here(self, trial_id: int) -> bool:
        """Whether this process runs the trial, or did until it was taken away."""
        return trial_id in self._open or trial_id in self._lost

    def flush_trial(self, trial_id: int) -> None:
        """Writes what the database lacks of a trial that this process runs.

        Raises:
            TrialLost: it runs elsewhere by now.
        """
        trial = self._open[trial_id]
        with transaction(self.scoped_session) as session:
            if not self._still_ours(session, trial_id):
                self.forget_trial(trial_id)
                self._lost.add(trial_id)
                raise TrialLost(f"trial {trial.seen.number} was given to another worker")
            self._write(session, trial)
        trial.params, trial.reports, trial.user_attrs = [], [], {}

    def finish_trial(self, trial_id: int, state: TrialState, values: Sequence[float] | None) -> bool:
        """Writes all that is left of the trial, its values and its last state; False if it runs elsewhere by now."""
        if trial_id in self._lost:
            self._lost.discard(trial_id)
            return False
        trial, now = self._open[trial_id], datetime.now()
        with transaction(self.scoped_session) as session:
            if self._still_ours(session, trial_id):
                self._write(session, trial)
                row = models.TrialModel.find_or_raise_by_id(trial_id, session)
                for objective, value in enumerate(values or ()):
                    self._set_trial_value_without_commit(session, row, objective, value)
                row.state = state
                row.datetime_complete = now
                ended: datetime | None = now
            else:
                ended = self._ended_here(session, trial_id, state)
        self.forget_trial(trial_id)
        if ended is None:
            return False
        trial.seen.state, trial.seen.datetime_complete = state, ended
        trial.seen.values = None if values is None else list(values)
        self._ended[trial_id] = trial.seen
        return True

    def _ended_here(self, session: Session, trial_id: int, state: TrialState) -> datetime | None:
        """When this process ended the trial with this state, if it did and the database's answer was lost."""
        return None

    def _write(self, session: Session, trial: RunningTrial) -> None:
        trial_id = id_of_trial(trial.seen)
        insert = (sqlite if self.engine.name == "sqlite" else postgresql).insert
        if trial.params:
            session.execute(insert(models.TrialParamModel).on_conflict_do_nothing(), trial.params)
        if trial.reports:
            session.execute(insert(models.TrialIntermediateValueModel).on_conflict_do_nothing(), trial.reports)
        if trial.user_attrs:
            rows = [{"trial_id": trial_id, "key": key, "value_json": text} for key, text in trial.user_attrs.items()]
            attributes = insert(models.TrialUserAttributeModel)
            keys = [models.TrialUserAttributeModel.trial_id, models.TrialUserAttributeModel.key]
            written = {"value_json": attributes.excluded.value_json}
            session.execute(attributes.on_conflict_do_update(index_elements=keys, set_=written), rows)

    def _set_trial_param(
        self,
        trial_id: int,
        param_name: str,
        param_value_internal: float,
        distribution: BaseDistribution,
        previous_distribution: BaseDistribution | None,
    ) -> None:
        trial = self._open.get(trial_id)
        if trial is None or previous_distribution is None:  # unknown here: the database is asked once per parameter
            super()._set_trial_param(trial_id, param_name, param_value_internal, distribution, previous_distribution)
        else:
            check_distribution_compatibility(previous_distribution, distribution)
            text = distribution_to_json(distribution)
            row = {"trial_id": trial_id, "param_name": param_name, "param_value": param_value_internal}
            trial.params.append(row | {"distribution_json": text})
        if trial is not None:
            trial.seen.distributions[param_name] = distribution
            trial.seen.params[param_name] = distribution.to_external_repr(param_value_internal)

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """As in Optuna; held until the trial ends, but the first one writes down the parameters."""
        trial = self._open.get(trial_id)
        if trial is None:
            return super().set_trial_intermediate_value(trial_id, step, intermediate_value)
        stored, kind = models.TrialIntermediateValueModel.intermediate_value_to_stored_repr(intermediate_value)
        row = {"trial_id": trial_id, "step": step, "intermediate_value": stored, "intermediate_value_type": kind}
        trial.seen.intermediate_values[step] = intermediate_value
        if not trial.shown:
            self.flush_trial(trial_id)
            trial.shown = True
        trial.reports.append(row)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """As in Optuna; held until the trial ends."""
        trial = self._open.get(trial_id)
        if trial is None:
            return super().set_trial_user_attr(trial_id, key, value)
        text = json.dumps(value)
        trial.user_attrs[key] = text
        trial.seen.user_attrs[key] = json.loads(text)  # as everybody else will read it

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """As in Optuna, at once: pruners of other processes look at them."""
        super().set_trial_system_attr(trial_id, key, value)
        if trial_id in self._open:
            self._open[trial_id].seen.system_attrs[key] = value

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """As in Optuna; from memory if the trial runs, or has just ended, in this process."""
        held = self._held(trial_id)
        return super().get_trial(trial_id) if held is None else held

    def _build_frozen_trial_from_trial_model(self, trial: models.TrialModel) -> FrozenTrial:
        """As Optuna, and in an hour that the local clock repeats the times keep which of the two is meant."""
        built = super()._build_frozen_trial_from_trial_model(trial)
        built.datetime_start = local_time(started_utc(trial))
        built.datetime_complete = local_time(completed_utc(trial))
        return built

    def _held(self, trial_id: int) -> FrozenTrial | None:
        if trial_id in self._ended:
            return self._ended[trial_id]
        return copy_of_trial(self._open[trial_id].seen) if trial_id in self._open else None

    def _get_trials(
        self,
        study_id: int,
        states: Container[TrialState] | None,
        included_trial_ids: set[int],
        trial_id_greater_than: int,
    ) -> list[FrozenTrial]:
        """Called by Optuna's cache before every use of the study's trials; nearly always nothing is new."""
        wanted = {trial_id for trial_id in included_trial_ids if trial_id <= trial_id_greater_than}
        found = None if states is not None else self._unread(study_id, wanted, trial_id_greater_than)
        if found is not None and all(trial_id in self._open or trial_id in self._ended for trial_id in found):
            trials = [self.get_trial(trial_id) for trial_id in found]
        else:
            read = super()._get_trials(study_id, states, included_trial_ids, trial_id_greater_than)
            trials = [self._held(id_of_trial(trial)) or trial for trial in read]
        if states is None:  # from here on Optuna's cache has them
            for trial in trials:
                self._ended.pop(id_of_trial(trial), None)
        return trials

    def _unread(self, study_id: int, wanted: set[int], newer_than: int) -> list[int] | None:
        """Ids of the trials that the cache lacks, in order; None if it lacks so many that asking first is no gain."""
        if newer_than < 0 or len(wanted) > MAX_WANTED:
            return None
        trial = models.TrialModel
        unread = sqlalchemy.or_(trial.trial_id > newer_than, trial.trial_id.in_(wanted))
        with transaction(self.scoped_session) as session:
            query = sqlalchemy.select(trial.trial_id).where(trial.study_id == study_id, unread)
            return list(session.execute(query.order_by(trial.trial_id)).scalars())
