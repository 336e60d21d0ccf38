"""Several searches at once in supervised processes: who gets a process, who has left and why, who is late.

Processes, not threads, one LightGBM thread each: on two cores that is 1.2 times the work of one two-thread process,
and on a busy machine a two-thread fit slows down by orders of magnitude (OpenMP's barriers wait for a thread that is
not running). A worker here runs the same `run_trials` as any other; the study's budget keeps the total exact.
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
"""Killed workers of a search, at least, before it is given up if no trial ends meanwhile. A trial that kills its worker
each time is recorded as failed after five attempts (`study_storage.MAX_ATTEMPTS`), and the search goes on."""
DEATHS_PER_WORKER = 3
MEMORY_DEATHS_ALONE = 3
GRACE_SHARE, GRACE_SECONDS = 0.03, 1.0
"""How long after its deadline a search waits for a round that is under way, by its timeout and at least."""
KILL_SECONDS = 1.0


@dataclass(frozen=True)
class PooledSearch:
    """One of the searches of a pool.

    Attributes:
        name: the target.
        work: what a worker does until the study's budget is met; it travels by cloudpickle.
        timeout: seconds, from the start of its first worker.
        max_workers: workers at most; more than there are trials to run would be idle.
        count_ended: how many trials have ended, in whatever state.
        fail_trial_of: called with the PID and the reason of a worker that died of its trial.
    """

    name: str
    work: Callable[[StopFlag], None]
    timeout: float | None = None
    max_workers: int = sys.maxsize
    count_ended: Callable[[], int] = lambda: 0
    fail_trial_of: Callable[[int, str], None] = lambda pid, reason: None


@dataclass
class _SearchState:
    """A search and its workers.

    Attributes:
        ending: no worker is to begin another trial.
        deaths: killed workers since a trial has ended.
        alone: of these, the ones killed for memory with no other worker beside them.
    """

    search: PooledSearch
    workers: list[Worker] = field(default_factory=list)
    worker_start: WorkerStart | None = None
    ending: bool = False
    error: DailyProfitError | None = None
    deaths: int = 0
    alone: int = 0
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
    """Starts, watches and stops the workers of some searches.

    A free place goes to the unfinished search with the fewest workers, the first of several.

    Args:
        searches: what is searched, each under its own name.
        size: workers in all.
        stop_flag: of this process; the workers are stopped when it is requested.
        verbose: workers log as much as this process does.
        count_oom_kills: how often the kernel has killed for memory so far.
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
        """Fills the places; `run` does it too.

        Raises:
            RunError: no process can be started; those that were are stopped.
        """
        try:
            self._fill()
        except BaseException:
            self.stop()
            raise

    def run(self, show_progress: Callable[[], None] = lambda: None) -> dict[str, DailyProfitError]:
        """Runs until every worker has left.

        Args:
            show_progress: called about once a second.

        Returns:
            Why a search failed, by name; the others are not touched by it.

        Raises:
            Interrupted: a stop was requested; the workers have given their trials back.
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
                    return {each.search.name: each.error for each in self._searches if each.error is not None}
                # Each is asked once: a worker may end between two questions.
                sentinels = [worker.sentinel for worker in self._workers()]
                wait([sentinel for sentinel in sentinels if sentinel is not None], POLL_SECONDS)
        finally:
            self.stop()

    def stop(self) -> None:
        """Asks every worker to give its trial back and to leave, and waits for them."""
        try:
            while any(worker.is_alive() for worker in self._workers()):
                for worker in self._workers():
                    worker.send_signal(signal.SIGTERM)
                time.sleep(0.02)
        except (
            KeyboardInterrupt
        ):  # a user's own objective may not look at the stop flag; the user does not want to wait
            for worker in self._workers():
                worker.send_signal(signal.SIGKILL)
            raise

    def _workers(self) -> list[Worker]:
        return [worker for running in self._searches for worker in running.workers]

    def _fill(self) -> None:
        while len(self._workers()) < self._size:
            waiting = [
                each for each in self._searches if not each.closed and len(each.workers) < each.search.max_workers
            ]
            if not waiting:
                return
            running = min(waiting, key=lambda each: len(each.workers))
            if running.worker_start is None:
                timeout = running.search.timeout
                deadline = None if timeout is None else time.monotonic() + timeout
                running.worker_start = make_worker_start(running.search.work, deadline, self._verbose)
            running.workers.append(Worker(running.worker_start))

    def _is_running(self, running: _SearchState, worker: Worker) -> bool:
        """Whether the worker is still there; if not, what it said is acted upon.

        Raises:
            Interrupted: somebody else told it to stop: an operator, a shutdown.
        """
        if worker.is_alive():
            return True
        what: Any
        kind, what = worker.exit_report() or ("silent", None)
        if kind == "done":
            running.ending = True
        elif kind == "error":
            running.error = running.error or what[0](what[1])
        elif kind == "broke":
            running.error = running.error or RunError(f"a worker of {running.search.name!r} failed with {what}")
        elif kind == "stopped" and worker.signalled_at is None:
            raise Interrupted("a worker was told to stop")
        elif kind == "silent" and worker.signalled_at is None and not running.closed:
            self._handle_killed_worker(running, worker)
        return False

    def _handle_killed_worker(self, running: _SearchState, worker: Worker) -> None:
        """A worker was killed: another takes its place, unless that has happened too often."""
        status, name = worker.status, running.search.name
        if status is not None and status >= 0:
            running.error = RunError(f"a worker of {name!r} ended with status {status} without a word")
            return
        if running.search.count_ended() != running.ended_at_death:  # some trial has ended since: the search gets on
            running.deaths = running.alone = 0
        running.deaths += 1
        for_memory = self._was_for_memory(status)
        if for_memory:
            running.search.fail_trial_of(worker.pid, "killed for memory: the kernel ended the process that ran it")
            running.alone += self._size == 1
            self._memory_deaths += 1
            if self._memory_deaths > 1:
                self._size = max(1, self._size - 1)
        running.ended_at_death = running.search.count_ended()
        running.error = self._error_if_hopeless(running)
        if running.error is None:
            how = "for memory, its trial is recorded as failed" if for_memory else f"by {_signal_name(status)}"
            log.warning("a worker of %s was killed %s; going on with up to %d workers", name, how, self._size)

    def _was_for_memory(self, status: int | None) -> bool:
        """Each kill for memory that the kernel has counted explains one worker's death."""
        if status in (None, -signal.SIGKILL) and self._count_oom_kills() > self._oom_kills:
            self._oom_kills += 1
            return True
        return False

    def _error_if_hopeless(self, running: _SearchState) -> SearchError | None:
        if running.alone >= MEMORY_DEATHS_ALONE:
            return SearchError(
                f"the search of {running.search.name!r} was killed for memory {running.alone} times in a row with a "
                f"single worker: give it more memory, or a smaller table"
            )
        if running.deaths > max(DEATHS_IN_A_ROW, DEATHS_PER_WORKER * self._size):
            return SearchError(
                f"workers of {running.search.name!r} keep being killed, {running.deaths} without a trial in between: "
                f"try fewer --max-workers, now {self._size}, and look at the system's log"
            )
        return None


def _signal_workers(running: _SearchState) -> None:
    """Workers of a search that is over are told so: to leave after their trial, to stop, or, if late, to die."""
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
