"""The MLflow run of a study, found again from the note on the study: to read its files, to add the report, to end it.

Nothing is made here, neither a run nor an experiment nor a store: a report of a study that MLflow does not know stays
outside of MLflow. MLflow is imported when a study has such a note, it takes seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.errors import TrackingError

if TYPE_CHECKING:
    from src.tracking.connection.session import TrackingSession

PARENT_ATTR = "mlflow_parent"
"""Of a study: `{"tracking_uri": …, "run_id": …}`, set by the projection; the URI holds no password."""
REPORT_FOLDER = "report"
OUTCOME_TAG = "daily_profit.outcome"
"""Of a parent run: what became of the study. A process that is killed cannot say so: its run keeps the tag that it has,
`searching` or `searched`."""
SEARCHING = "searching"
"""Trials are run, or whatever ran them was killed."""
SEARCHED = "searched"
"""The search has ended and no final model is trained yet."""
TRAINED, REGISTERED = "trained", "registered"
"""The final model is trained, and registered unless that was not wanted."""


@dataclass
class RunEnding:
    """How a parent run ends.

    Attributes:
        status: MLflow's: FINISHED, KILLED after Ctrl-C or SIGTERM, FAILED.
        outcome: the tag's text: `searched`, `trained`, `registered`, `stopped` or `failed: ` and why; at most 500
            characters in one line, without passwords.
    """

    status: str = "FINISHED"
    outcome: str = SEARCHED


@dataclass(frozen=True)
class ParentRun:
    """A study's run that is there."""

    session: "TrackingSession"
    run_id: str

    def names(self, folder: str = "") -> list[str]:
        """Paths of the artifacts that lie in a folder of the run, from the top of its artifacts.

        Raises:
            TrackingError: MLflow or its artifact store cannot be reached.
        """
        from src.tracking.connection.tracking_errors import tracking_errors

        with tracking_errors(f"list the files of run {self.run_id}"):
            return [file.path for file in self.session.client.list_artifacts(self.run_id, folder or None)]

    def fetch(self, path: str, folder: Path) -> Path:
        """Downloads an artifact into a local folder; returns where it lies now.

        Raises:
            TrackingError: MLflow or its artifact store cannot be reached, or there is no such artifact.
        """
        from src.tracking.connection.tracking_errors import tracking_errors

        with tracking_errors(f"read {path} of run {self.run_id}"):
            return Path(self.session.client.download_artifacts(self.run_id, path, str(folder)))

    def log_report(self, files: Sequence[Path]) -> None:
        """Uploads files to the run's folder `report`, in place of earlier ones of the same names.

        Raises:
            TrackingError: MLflow or its artifact store cannot be reached, or refuses.
        """
        from src.tracking.connection.tracking_errors import tracking_errors

        with tracking_errors(f"add the report to run {self.run_id}"):
            for path in files:
                self.session.client.log_artifact(self.run_id, str(path), REPORT_FOLDER)


def find_parent_run(study_name: str, user_attrs: Mapping[str, Any]) -> ParentRun | None:
    """The run that the projection noted on a study; None for a study that was never projected.

    Args:
        study_name: for messages.
        user_attrs: the study's.

    Raises:
        TrackingError: MLflow cannot be reached, or does not have the run; says where it was written to.
    """
    noted = user_attrs.get(PARENT_ATTR)
    if not isinstance(noted, Mapping) or "run_id" not in noted:
        return None
    from mlflow.exceptions import MlflowException
    from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

    from src.tracking.connection.session import TrackingSession, shown_uri
    from src.tracking.connection.tracking_errors import tracking_errors

    run_id, session = str(noted["run_id"]), TrackingSession()
    remedy = f"set MLFLOW_TRACKING_URI to where it was written: {noted.get('tracking_uri', 'not noted')}"
    _refuse_absent_store(remedy)
    with tracking_errors(f"read the run of study {study_name!r}"):
        try:
            run = session.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
                raise
            absent = f"MLflow at {shown_uri()} has no run {run_id} of study {study_name!r}: {remedy}"
            raise TrackingError(absent) from error
    if run.info.lifecycle_stage != "active":
        raise TrackingError(f"run {run_id} of study {study_name!r} is deleted in MLflow: restore it")
    return ParentRun(session, run_id)


def end_parent_run(session: "TrackingSession", run_id: str, ending: RunEnding) -> None:
    """Ends a parent run and says how in its tag; of a study that has its model, a search without one says nothing new.

    The run of `mlflow run` is then ended by MLflow once more, with the status of the process.

    Raises:
        TrackingError: MLflow cannot be reached or refuses.
    """
    from src.tracking.connection.tracking_errors import tracking_errors

    client = session.client
    with tracking_errors(f"end run {run_id}"):
        before = client.get_run(run_id).data.tags.get(OUTCOME_TAG, SEARCHING)
        if ending.outcome != SEARCHED or before == SEARCHING:
            client.set_tag(run_id, OUTCOME_TAG, ending.outcome)
        client.set_terminated(run_id, ending.status)


def _refuse_absent_store(remedy: str) -> None:
    """An embedded store would be made by opening it."""
    import mlflow
    from sqlalchemy.engine import make_url

    uri = mlflow.get_tracking_uri()
    if not uri.startswith("sqlite:///"):
        return
    path = Path(make_url(uri).database or "")
    if not path.is_file() or path.stat().st_size == 0:
        raise TrackingError(f"there is no MLflow store {path}: {remedy}")
