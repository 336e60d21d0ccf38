"""A worker process: how it is started, how it runs, and what it says when it leaves.

Its last word travels through a pipe of its own. The exit status alone would not do: the fork server, which reports it,
may be killed while the worker goes on.
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
"""What multiprocessing says of a process whose fork server is gone, whether it lives or not."""
MAX_LINE = 500

ExitReport = tuple[str, Any]
"""("done", None), ("stopped", None), ("error", (type, message)) or ("broke", line)."""


class WorkerStopFlag(StopFlag):
    """Also stops when the supervisor is gone: nobody would wait for the worker's trials any more."""

    def __init__(self, deadline: float | None, supervisor: Any) -> None:
        super().__init__(deadline=deadline)
        self.supervisor = supervisor
        self._looked = -CHECK_SECONDS

    def raise_if_stopped(self) -> None:
        """As in `StopFlag`; an orphan is asked to stop."""
        if monotonic() - self._looked >= CHECK_SECONDS:
            self._looked = monotonic()
            self.requested = self.requested or not self.supervisor.is_alive()
        super().raise_if_stopped()


@dataclass(frozen=True)
class WorkerStart:
    """What a worker is started with.

    Attributes:
        work: a function of its stop flag, by cloudpickle, and so a user's own objective and callbacks inside it.
        deadline: on the clock of `time.monotonic`, which all processes of a machine share.
        verbose: it logs as much as the supervisor does.
        folder: the working directory, in which relative paths are meant.
        environ: the supervisor's environment of now; the fork server has that of its own start.
    """

    work: bytes
    deadline: float | None
    verbose: bool
    folder: str = field(default_factory=os.getcwd)
    environ: dict[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)


class Worker:
    """A worker as its supervisor sees it.

    Raises:
        RunError: it cannot be started.

    Attributes:
        pid: its process.
        signalled_at: when it was told to stop, by `time.monotonic`; None if it was not.
    """

    def __init__(self, worker_start: WorkerStart) -> None:
        receiver, sender = fork_context().Pipe(duplex=False)
        self._process = fork_context().Process(target=run_worker, args=(worker_start, sender), daemon=True)
        start_process(self._process)
        sender.close()
        self._words: Connection = receiver
        self.pid = self._process.pid or 0
        self.signalled_at: float | None = None
        self._told: set[int] = set()
        try:
            self._seen: psutil.Process | None = psutil.Process(self.pid)
        except psutil.NoSuchProcess:  # it is dead already
            self._seen = None

    @property
    def sentinel(self) -> int | None:
        """What becomes readable when the worker ends; None once that has been seen."""
        return self._process.sentinel if self._process.exitcode is None else None

    @property
    def status(self) -> int | None:
        """Its exit status, minus the signal if one killed it; None if nobody can tell any more."""
        return None if self._process.exitcode == UNKNOWN_STATUS else self._process.exitcode

    def is_alive(self) -> bool:
        """Whether it runs, also when the fork server is gone."""
        if self._process.exitcode is None:
            return True
        if self._process.exitcode != UNKNOWN_STATUS or self._seen is None:
            return False
        try:
            return self._seen.is_running() and self._seen.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def send_signal(self, number: signal.Signals) -> None:
        """Sends a signal, once each."""
        if number in self._told or not self.is_alive():
            return
        self._told.add(number)
        if number in (signal.SIGTERM, signal.SIGKILL) and self.signalled_at is None:
            self.signalled_at = monotonic()
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:  # it has left a moment ago
            return

    def exit_report(self) -> ExitReport | None:
        """What it said when it left; None if it was killed."""
        try:
            return self._words.recv() if self._words.poll() else None
        except (EOFError, ConnectionError):
            return None


def make_worker_start(work: Callable[[StopFlag], None], deadline: float | None, verbose: bool) -> WorkerStart:
    """Packs a function of the worker's brake."""
    return WorkerStart(cloudpickle.dumps(work), deadline, verbose)


def run_worker(worker_start: WorkerStart, words: Connection) -> None:
    """A worker process from start to exit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the whole group; the supervisor passes it on
    stop_flag = WorkerStopFlag(worker_start.deadline, multiprocessing.parent_process())
    signal.signal(signal.SIGTERM, lambda number, frame: setattr(stop_flag, "requested", True))
    signal.signal(signal.SIGUSR1, lambda number, frame: setattr(stop_flag, "study_stopped", True))
    gc.freeze()  # what the fork server imported is never looked at again, so that its pages stay shared
    os.environ.clear()
    os.environ.update(worker_start.environ)
    os.chdir(worker_start.folder)
    set_up_logging(worker_start.verbose)
    try:
        cloudpickle.loads(worker_start.work)(stop_flag)
        words.send(("done", None))
    except Interrupted:
        words.send(("stopped", None))
    except DailyProfitError as error:
        words.send(("error", (type(error), str(error))))
    except Exception as error:  # of a user's own callback, most likely: Python shows where
        words.send(("broke", " ".join(f"{type(error).__name__}: {error}".split())[:MAX_LINE]))
        raise
