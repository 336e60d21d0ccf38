"""Runs several searches at once in supervised worker processes: starts, watches, replaces and stops the workers.

Workers are processes with one LightGBM thread: on two cores they do 1.2 times the work of one process with two threads,
and on a busy machine a two-thread fit is slower by orders of magnitude (OpenMP's barriers wait for a thread that is not
running). A worker runs the same `run_trials` as in other modes; the study's budget keeps the total exact.
"""

import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from typing import Any

from src.errors import DailyProfitError, Interrupted, RunError, SearchError
from src.search.stop_flag import StopFlag
from src.workers.cpus import oom_kills
from src.workers.worker_process import Worker, WorkerStart, make_worker_start

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
PROGRESS_SECONDS = 1.0
DEATHS_IN_A_ROW = 6
"""A search fails after more killed workers than this (or more, see `DEATHS_PER_WORKER`) if no trial ends in between. A
trial that kills its worker each time is ended by the store before, after `study_storage.MAX_ATTEMPTS` attempts."""
DEATHS_PER_WORKER = 3
GRACE_SHARE, GRACE_SECONDS = 0.03, 1.0
"""Wait after the deadline for running rounds: a share of the timeout, and the minimum in seconds."""
KILL_SECONDS = 1.0


@dataclass(frozen=True)
class PooledSearch:
    """One of the searches of a pool.

    Attributes:
        name: the target.
        work: the worker function, sent by cloudpickle; it runs trials until the study's budget is reached.
        timeout: seconds from the start of its first worker.
        max_workers: maximum number of workers; more workers than missing trials would be idle.
        count_ended: returns the number of trials that have ended, in any state.
    """

    name: str
    work: Callable[[StopFlag], None]
    timeout: float | None = None
    max_workers: int = sys.maxsize
    count_ended: Callable[[], int] = lambda: 0


@dataclass
class _SearchState:
    """A search and its workers.

    Attributes:
        ending: workers must not start another trial.
        deaths: number of killed workers since the last trial ended.
        ended_at_death: number of ended trials at the last of these deaths.
    """

    search: PooledSearch
    workers: list[Worker] = field(default_factory=list)
    worker_start: WorkerStart | None = None
    ending: bool = False
    error: DailyProfitError | None = None
    deaths: int = 0
    ended_at_death: int = -1

    @property
    def closed(self) -> bool:
        return self.ending or self.error is not None or self.seconds_late() >= 0

    def seconds_late(self) -> float:
        """Seconds since the deadline, negative before it."""
        if self.worker_start is None or self.worker_start.deadline is None:
            return -1.0
        return time.monotonic() - self.worker_start.deadline


class WorkerPool:
    """Starts, watches and stops the workers of several searches.

    A free worker slot goes to the unfinished search with the fewest workers; ties go to the first one.

    Args:
        searches: searches with different names.
        size: total number of workers.
        stop_flag: stop flag of this process; a requested stop also stops the workers.
        verbose: whether workers log in detail.
        count_oom_kills: returns the number of out-of-memory kills so far.
    """

    def __init__(
        self,
        searches: Sequence[PooledSearch],
        size: int,
        stop_flag: StopFlag,
        verbose: bool = False,
        count_oom_kills: Callable[[], int] = oom_kills,
    ) -> None:
        self._searches = [_SearchState(search) for search in searches]
        self._size = size
        self._stop_flag = stop_flag
        self._verbose = verbose
        self._count_oom_kills = count_oom_kills
        self._oom_kills = count_oom_kills()
        self._memory_deaths = 0

    def start(self) -> None:
        """Starts workers in all free slots; `run` does this too.

        Raises:
            RunError: a process cannot be started; the started ones are stopped.
        """
        try:
            self._fill()
        except BaseException:
            self.stop()
            raise

    def run(self, show_progress: Callable[[], None] = lambda: None) -> dict[str, DailyProfitError]:
        """Runs until all workers have exited.

        Args:
            show_progress: called about once a second.

        Returns:
            The errors of failed searches by name; other searches are not affected.

        Raises:
            Interrupted: a stop was requested; the running trials are queued again.
            RunError: no process can be started.
        """
        shown = 0.0
        try:
            while True:
                if self._stop_flag.requested:
                    raise Interrupted("interrupted")
                for running in self._searches:
                    running.workers = [worker for worker in running.workers if self._is_running(running, worker)]
                    _signal_workers(running)
                self._fill()
                if time.monotonic() - shown >= PROGRESS_SECONDS:
                    show_progress()
                    shown = time.monotonic()
                if not self._workers():
                    return {state.search.name: state.error for state in self._searches if state.error is not None}
                # Read once per worker, because a worker may exit between two reads.
                sentinels = [worker.sentinel for worker in self._workers()]
                wait([sentinel for sentinel in sentinels if sentinel is not None], POLL_SECONDS)
        finally:
            self.stop()

    def stop(self) -> None:
        """Stops all workers, whose running trials are queued again, and waits for them."""
        try:
            while any(worker.is_alive() for worker in self._workers()):
                for worker in self._workers():
                    worker.send_signal(signal.SIGTERM)
                time.sleep(0.02)
        except KeyboardInterrupt:  # a second Ctrl-C: a user's own objective may not check the stop flag
            for worker in self._workers():
                worker.send_signal(signal.SIGKILL)
            raise

    def _workers(self) -> list[Worker]:
        return [worker for running in self._searches for worker in running.workers]

    def _fill(self) -> None:
        while len(self._workers()) < self._size:
            open_searches = [
                state for state in self._searches if not state.closed and len(state.workers) < state.search.max_workers
            ]
            if not open_searches:
                return
            running = min(open_searches, key=lambda state: len(state.workers))
            if running.worker_start is None:
                timeout = running.search.timeout
                deadline = None if timeout is None else time.monotonic() + timeout
                running.worker_start = make_worker_start(running.search.work, deadline, self._verbose)
            running.workers.append(Worker(running.worker_start))

    def _is_running(self, running: _SearchState, worker: Worker) -> bool:
        """Whether the worker runs; if it has exited, its exit report is handled.

        Raises:
            Interrupted: another process sent it SIGTERM, for example a shutdown.
        """
        if worker.is_alive():
            return True
        detail: Any
        kind, detail = worker.exit_report() or ("killed", None)
        if kind == "done":
            running.ending = True
        elif kind == "error":
            running.error = running.error or detail[0](detail[1])
        elif kind == "crashed":
            running.error = running.error or RunError(f"a worker of {running.search.name!r} failed with {detail}")
        elif kind == "stopped" and worker.signalled_at is None:
            raise Interrupted("a worker received SIGTERM")
        elif kind == "killed" and worker.signalled_at is None and not running.closed:
            self._handle_killed_worker(running, worker)
        return False

    def _handle_killed_worker(self, running: _SearchState, worker: Worker) -> None:
        """Replaces a killed worker, unless too many were killed in a row."""
        status, name = worker.status, running.search.name
        if status is not None and status >= 0:
            running.error = RunError(f"a worker of {name!r} exited with status {status} and no message")
            return
        ended = running.search.count_ended()
        running.deaths = running.deaths + 1 if ended == running.ended_at_death else 1
        running.ended_at_death = ended
        cause = _signal_name(status)
        if self._was_out_of_memory(status):
            cause = "out of memory"
            self._memory_deaths += 1
            if self._memory_deaths > 1:
                self._size = max(1, self._size - 1)
        if running.deaths > max(DEATHS_IN_A_ROW, DEATHS_PER_WORKER * self._size):
            running.error = SearchError(
                f"workers of {name!r} keep being killed ({cause}), {running.deaths} without a trial in between: "
                f"use fewer --max-workers, now {self._size}, more memory or a smaller table, and read the system's log"
            )
            return
        log.warning("a worker of %s was killed (%s); continuing with up to %d workers", name, cause, self._size)

    def _was_out_of_memory(self, status: int | None) -> bool:
        """Whether the kernel has counted a new out-of-memory kill; one counted kill explains one dead worker."""
        if status in (None, -signal.SIGKILL) and self._count_oom_kills() > self._oom_kills:
            self._oom_kills += 1
            return True
        return False


def _signal_workers(running: _SearchState) -> None:
    """Signals the workers of a search that ends: to exit after their trial, to stop, or, if overdue, to be killed."""
    timeout = running.search.timeout or 0.0
    overdue = running.seconds_late() > max(GRACE_SECONDS, GRACE_SHARE * timeout)
    for worker in running.workers:
        if overdue and worker.signalled_at is not None and time.monotonic() - worker.signalled_at > KILL_SECONDS:
            worker.send_signal(signal.SIGKILL)
        elif overdue or running.error is not None:
            worker.send_signal(signal.SIGTERM)
        elif running.ending:
            worker.send_signal(signal.SIGUSR1)


def _signal_name(status: int | None) -> str:
    return "an unknown signal" if status is None else signal.Signals(-status).name
