import threading
import time
from functools import partial

import pytest

from src.final.threads import run_in_threads
from src.search.stop_flag import StopFlag


@pytest.mark.parametrize("n_threads", [1, 2, 8])
def test_results_come_in_the_order_of_the_jobs(n_threads: int) -> None:
    def job(number: int, stop_flag: StopFlag) -> int:
        time.sleep(0.002 * (5 - number))
        return number

    assert run_in_threads([partial(job, number) for number in range(5)], n_threads) == [0, 1, 2, 3, 4]
    assert run_in_threads([], n_threads) == []


def test_jobs_run_in_parallel() -> None:
    meeting = threading.Barrier(3)

    def job(stop_flag: StopFlag) -> int:
        return meeting.wait(timeout=10)

    assert sorted(run_in_threads([job] * 3, 3)) == [0, 1, 2]


def test_with_one_thread_jobs_run_in_the_caller() -> None:
    assert run_in_threads([lambda stop_flag: threading.get_ident()] * 2, 1) == [threading.get_ident()] * 2


def test_a_failing_job_stops_the_others() -> None:
    both_run = threading.Barrier(2)
    rounds: list[int] = []

    def fails(stop_flag: StopFlag) -> None:
        both_run.wait(timeout=10)
        raise ZeroDivisionError("no luck")

    def works(stop_flag: StopFlag) -> None:
        both_run.wait(timeout=10)
        for number in range(2000):
            rounds.append(number)
            time.sleep(0.005)
            stop_flag.raise_if_stopped()

    def waits(stop_flag: StopFlag) -> None:
        stop_flag.raise_if_stopped()
        rounds.append(-1)

    with pytest.raises(ZeroDivisionError, match="no luck"):
        run_in_threads([fails, works, *[waits] * 5], 2)
    assert 0 in rounds
    assert len(rounds) < 2000, "it was stopped between two rounds"
