"""Projects studies in a separate process, so that MLflow does not slow down the search.

MLflow takes seconds to import and tens of milliseconds of Python per trial; in a thread of the search process, boosting
would wait for the global interpreter lock. The process runs at a low priority: on a busy machine MLflow lags behind,
and the last pass, in the main process, writes the missing runs.

The child is not a fork and does not load the caller's script again, so a script needs no `__main__` guard. It reads its
configuration, which may hold a password, from standard input. It exits when standard input ends, because the search has
ended or its process is dead.
"""

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import make_url

from src.cli import set_up_logging
from src.errors import DailyProfitError, TrackingError

if TYPE_CHECKING:
    from src.tracking.projection.study_projection import StudyProjection

log = logging.getLogger(__name__)

NICENESS = 15
PASS_SECONDS, MAX_BACKOFF_SECONDS = 1.0, 60.0
SECONDS_TO_EXIT = 2.0
SECONDS_BETWEEN_ATTEMPTS = 2.0
SECONDS_BEFORE_MLFLOW = 2.0
"""A shorter search does not import MLflow in another process."""
_START = (
    "import json, sys; given = json.loads(sys.stdin.readline()); sys.path[:] = given.pop('path'); "
    "from src.tracking.projection.projector_process import serve; serve(given)"
)


@dataclass(frozen=True)
class ProjectedStudy:
    """A study to project.

    Attributes:
        storage_url: URL of its store, with the password.
        study_name: its name.
        shares_outer_run: see `StudyProjection`.
        metric_name: see `StudyProjection`.
        shared: whether several machines work on it. Then one projector is enough: the others wait for its lock and do
            not import MLflow.
    """

    storage_url: str = field(repr=False)
    study_name: str
    shares_outer_run: bool
    metric_name: str
    shared: bool = False


class ProjectorProcess:
    """Projects studies until it is closed; use as a context manager around their search."""

    def __init__(self, studies: Sequence[ProjectedStudy], verbose: bool = False) -> None:
        self._given = {"path": sys.path, "studies": [asdict(study) for study in studies], "verbose": verbose}
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "ProjectorProcess":
        # In its own process group, so that Ctrl-C reaches the main process only.
        start = [sys.executable, "-c", _START]
        self._process = subprocess.Popen(start, stdin=subprocess.PIPE, text=True, process_group=0)
        self._send(json.dumps(self._given) + "\n")
        return self

    def __exit__(self, *_: object) -> None:
        """Waits until the current trial is written; the last pass writes the rest."""
        if self._process is None:
            return
        try:
            self._close()
            status = self._process.wait(SECONDS_TO_EXIT)
        except (
            subprocess.TimeoutExpired
        ):  # MLflow does not answer, or is being imported; a pass may be killed at any point
            self._process.kill()
            status = self._process.wait()
        if status not in (0, -signal.SIGKILL, -signal.SIGTERM):
            log.warning("the background process that writes to MLflow exited with status %d", status)

    def _send(self, text: str) -> None:
        try:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.write(text)
                self._process.stdin.flush()
        except BrokenPipeError:  # it died at once: reported on close
            log.debug("the projector exited before it read its settings")

    def _close(self) -> None:
        try:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()
        except BrokenPipeError:  # it died earlier
            log.debug("the projector had exited before it was stopped")


def serve(given: dict[str, Any]) -> None:
    """The child process: projects the studies until standard input ends."""
    os.nice(NICENESS)
    set_up_logging(given["verbose"])
    if _search_ends_within(SECONDS_BEFORE_MLFLOW):
        return
    studies = [ProjectedStudy(**study) for study in given["studies"]]
    with contextlib.ExitStack() as locks:
        if all(_acquires_projector_lock(study, locks) for study in studies):
            _project(studies, given["verbose"])


def _project(studies: Sequence[ProjectedStudy], verbose: bool) -> None:
    from src.study.studies import set_optuna_verbosity

    set_optuna_verbosity(verbose)
    run_passes([_projection(study) for study in studies], _search_ends_within)


def run_passes(projections: "Sequence[StudyProjection]", search_ends_within: Callable[[float], bool]) -> None:
    """Runs passes until the search ends; after a failure the pause grows.

    Args:
        projections: one per study.
        search_ends_within: waits the given seconds at most; returns whether the search has ended.
    """
    from optuna.exceptions import StorageInternalError

    pause, warned = PASS_SECONDS, False
    for projection in projections:
        projection.ends_early = partial(search_ends_within, 0.0)
    while not search_ends_within(pause):
        failed = False
        for projection in projections:
            try:
                projection.project()
            except (DailyProfitError, StorageInternalError) as error:  # an outage must not stop trials: retried later
                problem = "MLflow is unavailable" if isinstance(error, TrackingError) else "projection failed"
                level = logging.DEBUG if warned else logging.WARNING
                log.log(level, "%s, the search continues and its runs are written later: %s", problem, error)
                failed = warned = True
        pause = min(2 * pause, MAX_BACKOFF_SECONDS) if failed else PASS_SECONDS


def _search_ends_within(seconds: float) -> bool:
    return bool(select.select([sys.stdin], [], [], seconds)[0])


def _acquires_projector_lock(study: ProjectedStudy, stack: contextlib.ExitStack) -> bool:
    """Waits until no other process projects a shared study; False if standard input ends first."""
    from src.study.store_lock import try_store_lock

    url = make_url(study.storage_url)
    while study.shared:
        try:
            with contextlib.ExitStack() as attempt:
                if attempt.enter_context(try_store_lock(url, f"projector-{study.study_name}")):
                    stack.push(attempt.pop_all())
                    return True
        except DailyProfitError as error:  # the store is unavailable; the search reports it
            log.debug("%s", error)
        if _search_ends_within(SECONDS_BETWEEN_ATTEMPTS):
            return False
    return True


def _projection(projected: ProjectedStudy) -> "StudyProjection":
    # Imported late: MLflow reads the logging settings at import.
    from src.study.retry_policy import RETRY_SECONDS
    from src.study.store_lock import store_lock
    from src.study.studies import OptunaStudyManager
    from src.tracking.connection.session import TrackingSession
    from src.tracking.projection.study_projection import StudyProjection

    manager = OptunaStudyManager(storage_url=projected.storage_url, wait_seconds=RETRY_SECONDS, quiet=True)
    study = manager.load_study(projected.study_name)
    lock = partial(store_lock, make_url(projected.storage_url), f"projection-{study.study_name}")
    return StudyProjection(study, TrackingSession(), lock, projected.shares_outer_run, projected.metric_name)
