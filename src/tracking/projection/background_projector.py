"""Projects a study in a background thread, which never delays a trial and continues after an MLflow outage."""

import logging
import threading

from optuna.exceptions import StorageInternalError

from src.errors import DailyProfitError, TrackingError
from src.tracking.projection.study_projection import StudyProjection

log = logging.getLogger(__name__)

PASS_SECONDS = 1.0
MAX_BACKOFF_SECONDS = 60.0


class BackgroundProjector:
    """Runs passes of a projection until it is closed; use as a context manager around the search."""

    def __init__(self, projection: StudyProjection) -> None:
        self.projection = projection
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlflow-projection", daemon=True)
        self._warned = False

    def __enter__(self) -> "BackgroundProjector":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Waits until the current trial is written; the last pass writes the rest."""
        self._stop.set()
        self.projection.finish_early.set()
        self._thread.join()
        self.projection.finish_early.clear()

    def _run(self) -> None:
        wait = PASS_SECONDS
        while not self._stop.wait(wait):
            try:
                self.projection.project()
                wait = PASS_SECONDS
            except (DailyProfitError, StorageInternalError) as error:  # an outage must not stop trials: retried later
                wait = min(2 * wait, MAX_BACKOFF_SECONDS)
                self._log_failure(error)

    def _log_failure(self, error: Exception) -> None:
        level = logging.DEBUG if self._warned else logging.WARNING
        problem = "MLflow is unavailable" if isinstance(error, TrackingError) else "projection failed"
        log.log(level, "%s, the search continues and its runs are written later: %s", problem, error)
        self._warned = True
