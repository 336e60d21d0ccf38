"""A worker process: its start, its run, and its exit report.

The exit report is sent through a separate pipe. The exit status alone is not enough: the fork server, which reports it,
may be killed while the worker still runs.
"""

import gc
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any

import cloudpickle
import psutil

from src.cli import set_up_logging
from src.errors import DailyProfitError, Interrupted
from src.search.stop_flag import StopFlag
from src.workers.fork_server import fork_context, start_process

CHECK_SECONDS = 0.5
UNKNOWN_STATUS = 255
"""Exit code that multiprocessing reports if the fork server has died, for running and dead processes alike."""
MAX_LINE = 500

ExitReport = tuple[str, Any]
"""("done", None), ("stopped", None), ("error", (type, message)) or ("crashed", line)."""


class WorkerStopFlag(StopFlag):
    """Also stops when the supervisor process is dead, because nothing uses the worker's trials then."""

    def __init__(self, deadline: float | None, supervisor: Any) -> None:
        super().__init__(deadline=deadline)
        self.supervisor = supervisor
        self._checked_at = -CHECK_SECONDS

    def raise_if_stopped(self) -> None:
        """As in `StopFlag`; also requests a stop if the supervisor is dead."""
        if monotonic() - self._checked_at >= CHECK_SECONDS:
            self._checked_at = monotonic()
            self.requested = self.requested or not self.supervisor.is_alive()
        super().raise_if_stopped()


@dataclass(frozen=True)
class WorkerStart:
    """The start parameters of a worker.

    Attributes:
        work: a function of the stop flag, pickled by cloudpickle, which supports a user's own objective and callbacks.
        deadline: on the clock of `time.monotonic`, which all processes of a machine share.
        verbose: whether the worker logs in detail.
        folder: the working directory, for relative paths.
        environ: the supervisor's current environment; the fork server still has the one of its start.
    """

    work: bytes
    deadline: float | None
    verbose: bool
    folder: str = field(default_factory=os.getcwd)
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)


class Worker:
    """The supervisor's handle of a worker.

    Raises:
        RunError: it cannot be started.

    Attributes:
        pid: its process id.
        signalled_at: time of the first SIGTERM or SIGKILL, by `time.monotonic`; None if there was none.
    """

    def __init__(self, worker_start: WorkerStart) -> None:
        receiver, sender = fork_context().Pipe(duplex=False)
        self._process = fork_context().Process(target=run_worker, args=(worker_start, sender), daemon=True)
        start_process(self._process)
        sender.close()
        self._pipe: Connection = receiver
        self.pid = self._process.pid or 0
        self.signalled_at: float | None = None
        self._sent_signals: set[int] = set()
        try:
            self._psutil_process: psutil.Process | None = psutil.Process(self.pid)
        except psutil.NoSuchProcess:  # it is dead already
            self._psutil_process = None

    @property
    def sentinel(self) -> int | None:
        """A handle that becomes readable when the worker exits; None after the exit was noticed."""
        return self._process.sentinel if self._process.exitcode is None else None

    @property
    def status(self) -> int | None:
        """Its exit status, negative signal number if it was killed; None if unknown."""
        return None if self._process.exitcode == UNKNOWN_STATUS else self._process.exitcode

    def is_alive(self) -> bool:
        """Whether it runs; works also if the fork server has died."""
        if self._process.exitcode is None:
            return True
        if self._process.exitcode != UNKNOWN_STATUS or self._psutil_process is None:
            return False
        try:
            return self._psutil_process.is_running() and self._psutil_process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal; the same signal is sent only once."""
        if number in self._sent_signals or not self.is_alive():
            return
        self._sent_signals.add(number)
        if number in (signal.SIGTERM, signal.SIGKILL) and self.signalled_at is None:
            self.signalled_at = monotonic()
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:  # it has just exited
            return

    def exit_report(self) -> ExitReport | None:
        """Its exit report; None if it was killed."""
        try:
            return self._pipe.recv() if self._pipe.poll() else None
        except (EOFError, ConnectionError):
            return None


def make_worker_start(work: Callable[[StopFlag], None], deadline: float | None, verbose: bool) -> WorkerStart:
    """Pickles a function of the worker's stop flag."""
    return WorkerStart(cloudpickle.dumps(work), deadline, verbose)


def run_worker(worker_start: WorkerStart, pipe: Connection) -> None:
    """The main function of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole process group; the supervisor passes it on
    stop_flag = WorkerStopFlag(worker_start.deadline, multiprocessing.parent_process())
    signal.signal(signal.SIGTERM, lambda number, frame: setattr(stop_flag, "requested", True))
    signal.signal(signal.SIGUSR1, lambda number, frame: setattr(stop_flag, "study_stopped", True))
    gc.freeze()  # the collector skips the imported objects, so that their memory pages stay shared
    os.environ.clear()
    os.environ.update(worker_start.environ)
    os.chdir(worker_start.folder)
    set_up_logging(worker_start.verbose)
    try:
        cloudpickle.loads(worker_start.work)(stop_flag)
        pipe.send(("done", None))
    except Interrupted:
        pipe.send(("stopped", None))
    except DailyProfitError as error:
        pipe.send(("error", (type(error), str(error))))
    except Exception as error:  # most likely from a user's own callback: Python prints the traceback
        pipe.send(("crashed", " ".join(f"{type(error).__name__}: {error}".split())[:MAX_LINE]))
        raise
