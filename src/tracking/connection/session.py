"""The connection to MLflow: the client, the experiment and the outer run.

Importing this module contacts nothing. Inside `mlflow run`, MLFLOW_RUN_ID is the run that MLflow started.
"""

import os
import time
from collections.abc import Callable, Mapping
from functools import cached_property

import mlflow
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from src.errors import ConfigError, TrackingError
from src.secrets import mask_url
from src.tracking.connection.destination import Experiment, FoundRun, choose_experiment, experiment_name
from src.tracking.connection.embedded_store import prepare_embedded_store
from src.tracking.connection.tracking_database import check_database_answers
from src.tracking.connection.tracking_errors import none_if_absent, tracking_errors

# MLflow's defaults retry a dead server for minutes; a later pass writes missing runs anyway.
_REQUEST_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "30"}

# Without this tag the MLflow UI opens an experiment in its view for language models.
_EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


def shown_uri() -> str:
    """The tracking URI without a password."""
    return mask_url(mlflow.get_tracking_uri())


class TrackingSession:
    """One process's connection to one experiment."""

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        for name, value in _REQUEST_LIMITS.items():
            os.environ.setdefault(name, value)
        self.environ = environ

    @cached_property
    def client(self) -> MlflowClient:
        """The client, created on first use; this also creates the schema of an embedded store."""
        with tracking_errors("open the tracking store"):
            prepare_embedded_store(mlflow.get_tracking_uri())
            check_database_answers(mlflow.get_tracking_uri())
            return MlflowClient()

    @cached_property
    def outer_run(self) -> Run | None:
        """The run that `mlflow run` started, if this process runs inside one."""
        run_id = self.environ.get("MLFLOW_RUN_ID")
        if not run_id:
            return None
        with tracking_errors(f"read run {run_id}"):
            return self.client.get_run(run_id)

    @cached_property
    def experiment_id(self) -> str:
        """The outer run's experiment, else MLFLOW_EXPERIMENT_ID, else the named one, created if it is new."""
        with tracking_errors("open the experiment"):
            return self._chosen_experiment() or self._create_experiment(experiment_name(self.environ))

    def _chosen_experiment(self) -> str | None:
        try:
            found = choose_experiment(self.environ, _ClientLookup(self.client), shown_uri())
        except ConfigError as error:  # also reported before the search, unless MLflow was unavailable
            raise TrackingError(str(error)) from error
        return None if found is None else found.experiment_id

    def _create_experiment(self, name: str) -> str:
        try:
            return self.client.create_experiment(name, tags=_EXPERIMENT_TAGS)
        except MlflowException as error:  # another process created it a moment earlier
            found = self._chosen_experiment() if error.error_code == "RESOURCE_ALREADY_EXISTS" else None
            if found is None:
                raise
            return found


class _ClientLookup:
    """Reads through MLflow's client; see `destination.Lookup`."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def experiment(self, experiment_id: str) -> Experiment | None:
        return self._find_experiment(self._client.get_experiment, experiment_id)

    def experiment_named(self, name: str) -> Experiment | None:
        return self._find_experiment(self._client.get_experiment_by_name, name)

    def run(self, run_id: str) -> FoundRun | None:
        run = none_if_absent(self._client.get_run, run_id)
        return None if run is None else FoundRun(run.info.experiment_id, run.info.lifecycle_stage == "active")

    def _find_experiment(
        self, read: Callable[[str], "mlflow.entities.Experiment | None"], id_or_name: str
    ) -> Experiment | None:
        found = none_if_absent(read, id_or_name)
        if found is None:
            return None
        active = found.lifecycle_stage == "active"
        return Experiment(str(found.experiment_id), found.name, active, found.artifact_location)


def now_ms() -> int:
    """The current time in milliseconds since the epoch, as MLflow stores it."""
    return int(time.time() * 1000)
