"""Several fits at once in threads of this process, one LightGBM thread each: LightGBM releases the GIL."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from src.search.stop_flag import StopFlag

Result = TypeVar("Result")


def run_in_threads(jobs: Sequence[Callable[[StopFlag], Result]], n_threads: int) -> list[Result]:
    """Runs jobs side by side.

    Args:
        jobs: each is given a stop flag to look at between two rounds.
        n_threads: threads at most; with one, the jobs run here, one after the other.

    Returns:
        The results in the order of the jobs.

    Raises:
        Exception: what a job raised, or a Ctrl-C; the others are stopped first.
    """
    stop_flag = StopFlag()
    if min(n_threads, len(jobs)) < 2:
        return [job(stop_flag) for job in jobs]
    with ThreadPoolExecutor(min(n_threads, len(jobs))) as pool:
        futures = [pool.submit(job, stop_flag) for job in jobs]
        try:
            return [future.result() for future in futures]
        except BaseException:  # the pool waits for its threads, whatever the reason for leaving it
            stop_flag.requested = True
            pool.shutdown(wait=False, cancel_futures=True)
            raise
