"""Finds a study's MLflow run by the run id stored on the study: to read its files, add the report, or end it.

It creates no run, experiment or store: the report of a study without a run is not written to MLflow. MLflow takes
seconds to import, so it is imported only for a study with a run id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.errors import TrackingError

if TYPE_CHECKING:
    from src.tracking.connection.session import TrackingSession

PARENT_ATTR = "mlflow_parent"
"""Study attribute `{"tracking_uri": …, "run_id": …}`, set by the projection; the URI holds no password."""
REPORT_FOLDER = "report"
OUTCOME_TAG = "daily_profit.outcome"
"""Tag of a parent run with the outcome of the study. A killed process cannot update it: its run keeps `searching` or
`searched`."""
SEARCHING = "searching"
"""Trials are running, or their process was killed."""
SEARCHED = "searched"
"""The search has ended and no final model is trained yet."""
TRAINED, REGISTERED = "trained", "registered"
"""The final model is trained; `registered` unless registration is switched off."""


@dataclass
class RunEnding:
    """How a parent run ends.

    Attributes:
        status: MLflow run status: FINISHED, KILLED after Ctrl-C or SIGTERM, FAILED.
        outcome: the tag's text: `searched`, `trained`, `registered`, `stopped` or `failed: <reason>`; at most 500
            characters in one line, without passwords.
    """

    status: str = "FINISHED"
    outcome: str = SEARCHED


@dataclass(frozen=True)
class ParentRun:
    """A study's existing run."""

    session: "TrackingSession"
    run_id: str

    def names(self, folder: str = "") -> list[str]:
        """Paths of the artifacts in a folder of the run, relative to the artifact root.

        Raises:
            TrackingError: MLflow or its artifact store cannot be reached.
        """
        from src.tracking.connection.tracking_errors import tracking_errors

        with tracking_errors(f"list the files of run {self.run_id}"):
            return [file.path for file in self.session.client.list_artifacts(self.run_id, folder or None)]

    def fetch(self, path: str, folder: Path) -> Path:
        """Downloads an artifact into a local folder; returns its local path.

        Raises:
            TrackingError: MLflow or its artifact store cannot be reached, or there is no such artifact.
        """
        from src.tracking.connection.tracking_errors import tracking_errors

        with tracking_errors(f"read {path} of run {self.run_id}"):
            return Path(self.session.client.download_artifacts(self.run_id, path, str(folder)))

    def log_report(self, files: Sequence[Path]) -> None:
        """Uploads files to the run's folder `report`; files of the same name are replaced.

        Raises:
            TrackingError: MLflow or its artifact store cannot be reached, or refuses.
        """
        from src.tracking.connection.tracking_errors import tracking_errors

        with tracking_errors(f"add the report to run {self.run_id}"):
            for path in files:
                self.session.client.log_artifact(self.run_id, str(path), REPORT_FOLDER)


def find_parent_run(study_name: str, user_attrs: Mapping[str, Any]) -> ParentRun | None:
    """The run that the projection stored on a study; None for a study that was never projected.

    Args:
        study_name: for messages.
        user_attrs: the study's user attributes.

    Raises:
        TrackingError: MLflow cannot be reached, or does not have the run; the message says where it was written.
    """
    stored = user_attrs.get(PARENT_ATTR)
    if not isinstance(stored, Mapping) or "run_id" not in stored:
        return None
    from src.tracking.connection.session import TrackingSession, shown_uri
    from src.tracking.connection.tracking_errors import none_if_absent, tracking_errors

    run_id, session = str(stored["run_id"]), TrackingSession()
    remedy = f"set MLFLOW_TRACKING_URI to where it was written: {stored.get('tracking_uri', 'unknown')}"
    refuse_missing_store(remedy)
    with tracking_errors(f"read the run of study {study_name!r}"):
        run = none_if_absent(session.client.get_run, run_id)
    if run is None:
        raise TrackingError(f"MLflow at {shown_uri()} has no run {run_id} of study {study_name!r}: {remedy}")
    if run.info.lifecycle_stage != "active":
        raise TrackingError(f"run {run_id} of study {study_name!r} is deleted in MLflow: restore it")
    return ParentRun(session, run_id)


def end_parent_run(session: "TrackingSession", run_id: str, ending: RunEnding) -> None:
    """Ends a parent run and sets its outcome tag; `searched` does not replace a later outcome such as `registered`.

    Inside `mlflow run`, MLflow ends the run once more with the status of the process.

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


def refuse_missing_store(remedy: str) -> None:
    """Checks that an embedded store exists, because opening it would create it.

    Args:
        remedy: end of the error's message.

    Raises:
        TrackingError: there is no such file.
    """
    import mlflow
    from sqlalchemy.engine import make_url

    uri = mlflow.get_tracking_uri()
    if not uri.startswith("sqlite:///"):
        return
    path = Path(make_url(uri).database or "")
    if not path.is_file() or path.stat().st_size == 0:
        raise TrackingError(f"there is no MLflow store {path}: {remedy}")
