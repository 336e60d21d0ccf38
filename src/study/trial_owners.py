"""Queries about trials and their owners, in a transaction of the caller."""

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy
from optuna.trial import TrialState
from sqlalchemy.orm import Session

from src.study.optuna_internals import COMPLETED_UTC, models
from src.study.trial_times import local_time

OWNER = "worker"
"""Of a trial: the `worker_identity` of the process that runs it, or ran it last."""
ATTEMPTS = "attempts"
"""Of a trial: how many processes started it; a missing value means one."""


def lock_study(session: Session, study_id: Any) -> None:
    """Write lock until the transaction ends, by an UPDATE, because SQLite ignores SELECT … FOR UPDATE."""
    study = models.StudyModel
    session.execute(
        sqlalchemy.update(study).where(study.study_id == study_id).values(study_name=study.study_name),
        execution_options={"synchronize_session": False},
    )


def count_trials(session: Session, study_id: Any, states: tuple[TrialState, ...]) -> int:
    """Number of the study's trials in these states."""
    trial = models.TrialModel
    return session.query(trial).filter(trial.study_id == study_id, trial.state.in_(states)).count()


def owner_of(session: Session, trial_id: int) -> str | None:
    """The process that runs the trial, or ran it last; None if none is recorded."""
    attribute = models.TrialSystemAttributeModel
    query = sqlalchemy.select(attribute.value_json).where(attribute.trial_id == trial_id, attribute.key == OWNER)
    text = session.execute(query).scalar()
    return None if text is None else str(json.loads(text))


def owned_trials(session: Session, study_id: int, states: tuple[TrialState, ...]) -> list[tuple[int, str, int]]:
    """(trial id, owner, attempts so far) of all trials in these states."""
    trial, attribute = models.TrialModel, models.TrialSystemAttributeModel
    query = (
        sqlalchemy.select(trial.trial_id, attribute.key, attribute.value_json)
        .outerjoin(attribute, (attribute.trial_id == trial.trial_id) & attribute.key.in_((OWNER, ATTEMPTS)))
        .where(trial.study_id == study_id, trial.state.in_(states))
    )
    attributes: dict[int, dict[str, Any]] = {}
    for trial_id, key, text in session.execute(query):
        attributes.setdefault(trial_id, {})[key] = None if text is None else json.loads(text)
    return [(trial_id, of_trial.get(OWNER, ""), of_trial.get(ATTEMPTS, 1)) for trial_id, of_trial in attributes.items()]


def newest_running_trial_of(
    session: Session, study_id: int, owner: str, besides: Collection[int] = ()
) -> models.TrialModel | None:
    """The newest RUNNING trial of an owner, except the trials `besides`."""
    trial, attribute = models.TrialModel, models.TrialSystemAttributeModel
    query = (
        sqlalchemy.select(trial)
        .join(attribute, (attribute.trial_id == trial.trial_id) & (attribute.key == OWNER))
        .where(trial.study_id == study_id, trial.state == TrialState.RUNNING)
        .where(attribute.value_json == json.dumps(owner), trial.trial_id.not_in(besides))
    )
    return session.execute(query.order_by(trial.trial_id.desc())).scalars().first()


def end_time_if_ended_by(session: Session, trial_id: int, owner: str, state: TrialState) -> datetime | None:
    """When this owner ended the trial with this state; None if it did not."""
    trial = models.TrialModel
    query = sqlalchemy.select(COMPLETED_UTC).where(trial.trial_id == trial_id, trial.state == state)
    ended = local_time(session.execute(query).scalar())
    return ended if owner_of(session, trial_id) == owner else None


def server_uptime(session: Session) -> float:
    """Seconds since the start of a Postgres server."""
    query = sqlalchemy.text("SELECT extract(epoch FROM now() - pg_postmaster_start_time())")
    return float(session.execute(query).scalar_one())
