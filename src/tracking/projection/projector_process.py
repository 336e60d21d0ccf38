"""The projection in a process of its own, so that MLflow costs the search nothing.

MLflow takes seconds to import and tens of milliseconds of Python per trial; in a thread beside the search each boosting
round would wait for it at the interpreter's lock. The process runs at a low priority: on a busy machine MLflow lags
behind, and the last pass, in the main process, writes what is missing.

The child is no fork and does not load the caller's script again, so a script needs no `__main__` guard. Its
configuration, which may hold a password, comes through its standard input; when that ends, because the search is over
or its process is dead, so does the child.
"""

import contextlib
import json
import logging
import os
import select
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from sqlalchemy.engine import make_url

from src.cli import set_up_logging
from src.errors import DailyProfitError

if TYPE_CHECKING:
    from src.tracking.projection.study_projection import StudyProjection

log = logging.getLogger(__name__)

NICENESS = 15
SECONDS_TO_LEAVE = 2.0
SECONDS_BETWEEN_TURNS = 2.0
SECONDS_BEFORE_MLFLOW = 2.0
"""A search that is over before is not worth MLflow's import in another process."""
_START = (
    "import json, sys; given = json.loads(sys.stdin.readline()); sys.path[:] = given.pop('path'); "
    "from src.tracking.projection.projector_process import serve; serve(given)"
)


@dataclass(frozen=True)
class ProjectedStudy:
    """A study to project.

    Attributes:
        storage_url: its store, with its password.
        study_name: its name.
        shares_outer_run: as `StudyProjection` takes it.
        metric_name: likewise.
        shared: many machines work on it; one of their projectors is enough, and the others do not even import MLflow
            until that one is gone.
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
        # In a group of its own: a Ctrl-C is the main process's business.
        start = [sys.executable, "-c", _START]
        self._process = subprocess.Popen(start, stdin=subprocess.PIPE, text=True, process_group=0)
        self._send(json.dumps(self._given) + "\n")
        return self

    def __exit__(self, *_: object) -> None:
        """Lets the trial that is being written be finished; the rest is the business of the last pass."""
        if self._process is None:
            return
        try:
            self._close()
            status = self._process.wait(SECONDS_TO_LEAVE)
        except subprocess.TimeoutExpired:  # MLflow does not answer, or is being imported; a pass can be killed anywhere
            self._process.kill()
            status = self._process.wait()
        if status not in (0, -signal.SIGKILL, -signal.SIGTERM):
            log.warning("the process that writes to MLflow beside the search ended with status %d", status)

    def _send(self, text: str) -> None:
        try:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.write(text)
                self._process.stdin.flush()
        except BrokenPipeError:  # it died at once: told when it is closed
            log.debug("the projector did not live to read its settings")

    def _close(self) -> None:
        try:
            if self._process is not None and self._process.stdin is not None:
                self._process.stdin.close()
        except BrokenPipeError:  # it died before
            log.debug("the projector was gone before it was told to leave")


def serve(given: dict[str, Any]) -> None:
    """The child: passes, in a thread per study, until standard input ends."""
    os.nice(NICENESS)
    set_up_logging(given["verbose"])
    if select.select([sys.stdin], [], [], SECONDS_BEFORE_MLFLOW)[0]:
        return
    studies = [ProjectedStudy(**study) for study in given["studies"]]
    with contextlib.ExitStack() as turns:
        if all(_is_our_turn(study, turns) for study in studies):
            _project(studies, given["verbose"])


def _project(studies: Sequence[ProjectedStudy], verbose: bool) -> None:
    # Not before: the settings of logging are read by MLflow when it is imported.
    from src.study.studies import set_optuna_verbosity
    from src.tracking.projection.background_projector import BackgroundProjector

    set_optuna_verbosity(verbose)
    with contextlib.ExitStack() as stack:
        for study in studies:
            stack.enter_context(BackgroundProjector(_projection(study)))
        sys.stdin.read()


def _is_our_turn(study: ProjectedStudy, stack: contextlib.ExitStack) -> bool:
    """Waits until no other process projects a shared study; False when standard input has ended before."""
    from src.study.store_lock import try_store_lock

    url = make_url(study.storage_url)
    while study.shared:
        try:
            with contextlib.ExitStack() as attempt:
                if attempt.enter_context(try_store_lock(url, f"projector-{study.study_name}")):
                    stack.push(attempt.pop_all())
                    return True
        except DailyProfitError as error:  # the store is away; the search says so
            log.debug("%s", error)
        if select.select([sys.stdin], [], [], SECONDS_BETWEEN_TURNS)[0]:
            return False
    return True


def _projection(projected: ProjectedStudy) -> "StudyProjection":
    from src.study.retry_policy import RETRY_SECONDS
    from src.study.store_lock import store_lock
    from src.study.studies import OptunaStudyManager
    from src.tracking.connection.session import TrackingSession
    from src.tracking.projection.study_projection import StudyProjection

    manager = OptunaStudyManager(storage_url=projected.storage_url, wait_seconds=RETRY_SECONDS, quiet=True)
    study = manager.load_study(projected.study_name)
    lock = partial(store_lock, make_url(projected.storage_url), f"projection-{study.study_name}")
    return StudyProjection(study, TrackingSession(), lock, projected.shares_outer_run, projected.metric_name)
