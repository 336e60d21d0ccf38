"""Writes the runs of many trials into an SQL tracking store in one transaction.

MLflow's client needs three calls, six transactions and some 20 ms of Python for each run, which is more than a trial of
a small table takes; the search would end long before MLflow shows it. The same rows, written by MLflow's own table
classes in its own session, take about one millisecond. Only a store that this process opens itself can be written like
this: `sqlite:///mlflow.db`, MLflow's default, or another database URL. A server gets the client's calls.
"""

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import sqlalchemy
from mlflow.entities import LifecycleStage, SourceType
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlMetric, SqlParam, SqlRun, SqlTag
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NAME, MLFLOW_USER
from mlflow.utils.uri import append_to_uri_path

from src.tracking.projection.trial_run import TrialRun

LONGEST_VALUE = 500
"""Longer values of parameters and tags are left to MLflow's client, which checks and shortens them."""


def sql_store_of(client: MlflowClient) -> SqlAlchemyStore | None:
    """The SQL store that this client writes to; None for a server or another kind of store."""
    store = client._tracking_client.store
    return store if type(store) is SqlAlchemyStore else None


def fits(run: TrialRun) -> bool:
    """Whether all texts of a run are short enough to be written unchecked."""
    return all(len(text) <= LONGEST_VALUE for text in (*run.params.values(), *run.tags.values()))


def insert_runs(store: SqlAlchemyStore, experiment_id: str, runs: Sequence[TrialRun]) -> None:
    """Writes ended runs with their tags, parameters and metrics: all of them or, after an error or a kill, none.

    Args:
        store: the open store.
        experiment_id: an existing experiment.
        runs: runs that the store does not have yet.

    Raises:
        MlflowException: the store refuses, or cannot be reached.
    """
    location = store.get_experiment(experiment_id).artifact_location
    kinds = SqlRun, SqlTag, SqlParam, SqlMetric, SqlLatestMetric  # in the order of their foreign keys
    rows: dict[Any, list[dict[str, Any]]] = {kind: [] for kind in kinds}
    for run in runs:
        run_id = uuid.uuid4().hex
        artifacts = append_to_uri_path(location, run_id, SqlAlchemyStore.ARTIFACTS_FOLDER_NAME)
        rows[SqlRun].append(_run_row(run, run_id, int(experiment_id), artifacts))
        tags = {**run.tags, MLFLOW_RUN_NAME: run.name}
        rows[SqlTag] += [{"run_uuid": run_id, "key": key, "value": value} for key, value in tags.items()]
        rows[SqlParam] += [{"run_uuid": run_id, "key": key, "value": value} for key, value in run.params.items()]
        points = list(_metric_rows(run, run_id))
        rows[SqlMetric] += points
        # The last point of each metric: `points` are in the order of their steps.
        rows[SqlLatestMetric] += {point["key"]: point for point in points}.values()
    with store.ManagedSessionMaker(read_only=False) as session:
        for kind, values in rows.items():
            if values:
                session.execute(sqlalchemy.insert(kind.__table__), values)


def _run_row(run: TrialRun, run_id: str, experiment_id: int, artifacts: str) -> dict[str, Any]:
    """A row like those of `SqlAlchemyStore.create_run`, but of a run that has ended."""
    return {
        "run_uuid": run_id,
        "name": run.name,
        "experiment_id": experiment_id,
        "artifact_uri": artifacts,
        "source_type": SourceType.to_string(SourceType.UNKNOWN),
        "source_name": "",
        "entry_point_name": "",
        "source_version": "",
        "user_id": run.tags.get(MLFLOW_USER, "unknown"),
        "status": run.status,
        "start_time": run.ended if run.started is None else run.started,
        "end_time": run.ended,
        "deleted_time": None,
        "lifecycle_stage": LifecycleStage.ACTIVE,
    }


def _metric_rows(run: TrialRun, run_id: str) -> Iterator[dict[str, Any]]:
    for metric in run.metrics:
        yield {
            "run_uuid": run_id,
            "key": metric.key,
            "value": metric.value,
            "timestamp": metric.timestamp,
            "step": metric.step,
            "is_nan": False,
        }
