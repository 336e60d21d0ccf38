"""Projection beside the search: a thread that never holds up a trial, and outlives an MLflow outage."""

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
        self._said = False

    def __enter__(self) -> "BackgroundProjector":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Lets the trial that is being written be finished; what is left is the business of the last pass."""
        self._stop.set()
        self.projection.hurry.set()
        self._thread.join()
        self.projection.hurry.clear()

    def _run(self) -> None:
        wait = PASS_SECONDS
        while not self._stop.wait(wait):
            try:
                self.projection.project()
                wait = PASS_SECONDS
            except (
                DailyProfitError,
                StorageInternalError,
            ) as error:  # MLflow or the store is away: trials go on, a later pass catches up
                wait = min(2 * wait, MAX_BACKOFF_SECONDS)
                self._say(error)

    def _say(self, error: Exception) -> None:
        level = logging.DEBUG if self._said else logging.WARNING
        what = "MLflow is away" if isinstance(error, TrackingError) else "projection failed"
        log.log(level, "%s, the search goes on and its runs will be written later: %s", what, error)
        self._said = True
