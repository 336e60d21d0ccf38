"""Runs several fits in threads of this process, with one LightGBM thread per fit; LightGBM releases the GIL."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from src.search.stop_flag import StopFlag

Result = TypeVar("Result")


def run_in_threads(jobs: Sequence[Callable[[StopFlag], Result]], n_threads: int) -> list[Result]:
    """Runs jobs in parallel.

    Args:
        jobs: functions of a stop flag, which they check between two rounds.
        n_threads: maximum number of threads; with one, the jobs run in this thread, one after the other.

    Returns:
        The results in the order of the jobs.

    Raises:
        Exception: the error of a job, or Ctrl-C; the other jobs are stopped first.
    """
    stop_flag = StopFlag()
    if min(n_threads, len(jobs)) < 2:
        return [job(stop_flag) for job in jobs]
    with ThreadPoolExecutor(min(n_threads, len(jobs))) as pool:
        futures = [pool.submit(job, stop_flag) for job in jobs]
        try:
            return [future.result() for future in futures]
        except BaseException:  # also Ctrl-C: the pool would wait for its threads
            stop_flag.requested = True
            pool.shutdown(wait=False, cancel_futures=True)
            raise
