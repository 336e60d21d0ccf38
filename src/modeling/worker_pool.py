"""Trials in several supervised processes on one study.

Processes, not threads, one LightGBM thread each: on two cores that is 1.2 times the work of one two-thread process,
and on a busy machine a two-thread fit slows down by orders of magnitude (OpenMP's barriers wait for a thread that is
not running). A worker here runs the same `run_trials` as any other; the study's budget keeps the total exact.
"""

import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from typing import Any

import cloudpickle

from src.cli import set_up_logging
from src.errors import DailyProfitError, Interrupted, RunError, SearchError
from src.modeling.brake import Brake

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
PROGRESS_SECONDS = 1.0
REPLACEMENTS_PER_WORKER = 3


class WorkerBrake(Brake):
    """Also stops when the supervisor is gone: nobody would wait for the worker's trials any more."""

    def __init__(self, deadline: float | None, supervisor: int) -> None:
        super().__init__(deadline=deadline)
        self.supervisor = supervisor

    def check(self) -> bool:
        """As in `Brake`; an orphan is asked to stop."""
        if os.getppid() != self.supervisor:
            self.requested = True
        return super().check()


@dataclass
class Worker:
    """One process and the end of the pipe on which it says why it left early."""

    process: SpawnProcess
    errors: Any


class WorkerPool:
    """Starts, watches and stops the workers of one study.

    Args:
        work: what a worker does until the study's budget is met; it travels by cloudpickle, and so do a user's own
            objective and callbacks inside it.
        size: how many workers.
        brake: of this process; the workers keep its deadline, and are stopped when it is requested.
        verbose: workers log as much as this process does.
    """

    def __init__(self, work: Callable[[Brake], None], size: int, brake: Brake, verbose: bool) -> None:
        self._context = multiprocessing.get_context("spawn")  # fork would copy locks that OpenMP's threads hold
        self._payload = cloudpickle.dumps((work, brake.deadline, verbose))
        self._size = size
        self._brake = brake
        self._left = self._size * REPLACEMENTS_PER_WORKER
        self._leaving = False
        self._workers: list[Worker] = []

    def run(self, show_progress: Callable[[], None]) -> None:
        """Runs until every worker has left.

        Args:
            show_progress: called about once a second.

        Raises:
            Interrupted: a stop was requested; the workers have given their trials back.
            RunError: a worker failed, or workers keep dying.
        """
        self._workers = [self._start() for _ in range(self._size)]
        shown = 0.0
        try:
            while self._workers:
                if self._brake.requested:
                    raise Interrupted("interrupted")
                self._workers = [worker for each in self._workers if (worker := self._watch(each)) is not None]
                if self._leaving:
                    self._signal(signal.SIGUSR1)
                if time.monotonic() - shown >= PROGRESS_SECONDS:
                    show_progress()
                    shown = time.monotonic()
                time.sleep(POLL_SECONDS)
        finally:
            self._stop()

    def _start(self) -> Worker:
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_work, args=(self._payload, sender), daemon=True)
        process.start()
        sender.close()
        return Worker(process, receiver)

    def _watch(self, worker: Worker) -> Worker | None:
        """The worker, its replacement if it was killed, or None when it has left."""
        if worker.process.is_alive():
            return worker
        code = worker.process.exitcode or 0
        if code == 0:
            self._leaving = self._leaving or _stopped_the_study(worker)
            return None
        if code < 0 and self._leaving:  # its trial waits for whoever goes on with the study
            return None
        if code == Interrupted.exit_status:  # somebody else stopped it: an operator, a shutdown
            raise Interrupted("a worker was told to stop")
        if code > 0:
            raise _reported(worker)
        if self._left == 0:
            raise SearchError(f"workers keep being killed (signal {-code}): is there memory for {self._size} of them?")
        self._left -= 1
        log.warning("a worker was killed by signal %d; another takes over its trial", -code)
        return self._start()

    def _stop(self) -> None:
        self._signal(signal.SIGTERM)
        try:
            for worker in self._workers:
                worker.process.join()
        except KeyboardInterrupt:  # a user's own objective may not look at the brake; the user does not want to wait
            self._signal(signal.SIGKILL)
            raise

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.process.is_alive():
                os.kill(worker.process.pid or 0, number)


def _stopped_the_study(worker: Worker) -> bool:
    """Whether a callback in this worker stopped the study, which is then to end in the others too."""
    try:
        return bool(worker.errors.recv() is None)
    except EOFError:  # it left without a word: the budget is met, or the time is up
        return False


def _reported(worker: Worker) -> DailyProfitError:
    try:
        kind, message = worker.errors.recv()
    except EOFError:  # it could not even say why: its traceback is on the terminal
        return RunError(f"a worker ended with status {worker.process.exitcode}")
    return kind(message)  # type: ignore[no-any-return]


def _work(payload: bytes, errors: Any) -> None:
    """A worker process from start to exit."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C reaches the whole group; the supervisor passes it on
    supervisor = os.getppid()
    work, deadline, verbose = cloudpickle.loads(payload)
    brake = WorkerBrake(deadline, supervisor)
    signal.signal(signal.SIGTERM, lambda number, frame: setattr(brake, "requested", True))
    signal.signal(signal.SIGUSR1, lambda number, frame: setattr(brake, "leaving", True))
    set_up_logging(verbose)
    try:
        work(brake)
        if brake.leaving:
            errors.send(None)
    except Interrupted:
        sys.exit(Interrupted.exit_status)
    except DailyProfitError as error:
        errors.send((type(error), str(error)))
        sys.exit(error.exit_status)
