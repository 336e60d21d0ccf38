"""The connection to MLflow: which experiment, and which run is the parent.

Nothing is contacted at import. Inside `mlflow run` the run that MLflow started is named by MLFLOW_RUN_ID.
"""

import os
import time
from collections.abc import Mapping
from functools import cached_property

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, ErrorCode
from mlflow.tracking import MlflowClient

from src.config import DEFAULT_EXPERIMENT
from src.errors import TrackingError
from src.secrets import mask_url
from src.tracking.embedded_store import prepare_embedded_store
from src.tracking.tracking_database import reach_database
from src.tracking.tracking_errors import tracking_errors

# MLflow's own defaults retry a dead server for minutes; what is not written now is written by a later pass.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}

# Without it MLflow's pages open an experiment as one of language models.
_UI_OF_TRAINING = {"mlflow.experimentKind": "custom_model_development"}


def shown_uri() -> str:
    """The tracking URI without a password."""
    return mask_url(mlflow.get_tracking_uri())


class TrackingSession:
    """One process's view of one experiment."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        for name, value in _PATIENCE.items():
            os.environ.setdefault(name, value)
        self.environ = environ

    @cached_property
    def client(self) -> MlflowClient:
        """Made on first use: with the embedded store that is when its schema is created."""
        with tracking_errors("open the tracking store"):
            prepare_embedded_store(mlflow.get_tracking_uri())
            reach_database(mlflow.get_tracking_uri())
            return MlflowClient()

    @cached_property
    def outer_run(self) -> Run | None:
        """The run that `mlflow run` started, if we are inside one."""
        run_id = self.environ.get("MLFLOW_RUN_ID")
        if not run_id:
            return None
        with tracking_errors(f"read run {run_id}"):
            return self.client.get_run(run_id)

    @cached_property
    def experiment_id(self) -> str:
        """The outer run's experiment, else MLFLOW_EXPERIMENT_ID, else the named one, made if it is new."""
        if self.outer_run is not None:
            return self.outer_run.info.experiment_id
        if self.environ.get("MLFLOW_EXPERIMENT_ID"):
            return self.environ["MLFLOW_EXPERIMENT_ID"]
        name = self.environ.get("MLFLOW_EXPERIMENT_NAME") or DEFAULT_EXPERIMENT
        with tracking_errors(f"open experiment {name!r}"):
            return self._experiment_named(name)

    def _experiment_named(self, name: str) -> str:
        found = self.client.get_experiment_by_name(name)
        if found is None:
            try:
                return self.client.create_experiment(name, tags=_UI_OF_TRAINING)
            except MlflowException as error:  # another process made it a moment earlier
                if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                    raise
                found = self.client.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            raise TrackingError(f"experiment {name!r} is deleted: restore it, or set MLFLOW_EXPERIMENT_NAME to another")
        return str(found.experiment_id)


def now_ms() -> int:
    """MLflow's unit of time."""
    return int(time.time() * 1000)


def end_parent_run(session: TrackingSession, run_id: str, status: str) -> None:
    """Ends the parent run: FINISHED, KILLED after Ctrl-C, FAILED.

    The run of `mlflow run` is then ended by MLflow once more, with the status of the process.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    with tracking_errors(f"end run {run_id}"):
        session.client.set_terminated(run_id, status)
