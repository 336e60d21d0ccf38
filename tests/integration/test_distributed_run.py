"""The three commands of `make fanout` as processes on a real Postgres, in any start order."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from src.modeling.waiting import StudyProgress, read_progress
from tests.integration.fleet import FINISH, NAME, SHARED, Fleet

NOT_YET = "waiting for study num_trades_20240101_120000: create has not prepared it yet for run "


@pytest.fixture
def fleet(tmp_path: Path, postgres_url: str, mlflow_store: str) -> Iterator[Fleet]:
    fleet = Fleet(tmp_path, postgres_url, mlflow_store)
    yield fleet
    fleet.stop()


def waiter(fleet: Fleet, *options: str) -> subprocess.Popen[bytes]:
    return fleet.run(SHARED, "--mode", "wait", "--study-name", NAME, *options)


def too_early(fleet: Fleet, token: str, *options: str) -> tuple[subprocess.Popen[bytes], subprocess.Popen[bytes]]:
    """A wait and a worker of the run, after both have logged that create has not prepared the study."""
    run = ("--run-token", token)
    both = waiter(fleet, *run, "--timeout", "200"), fleet.worker(0, *run, *options)
    for item in both:
        while "waiting for study" not in fleet.output(item):
            assert item.poll() is None, fleet.output(item)
            time.sleep(0.05)
    return both


@pytest.mark.timeout(400)
def test_an_extended_study_is_waited_for_in_any_start_order(fleet: Fleet) -> None:
    first = too_early(fleet, "t1", "--n-trials", "3")
    fleet.done(fleet.create(3, "--run-token", "t1"))
    for item in first:
        fleet.done(item)
    assert "3 of 3 trials are finished" in fleet.done(waiter(fleet)), "without a token, what is there counts"

    waits, worker = too_early(fleet, "t2", "--n-trials", "5")
    fleet.done(fleet.create(5, "--run-token", "t2"))
    assert f"worker 0 joins study {NAME}: 3 of 5 trials are finished" in fleet.done(worker)
    message = fleet.done(waits)
    assert NOT_YET + "t2" in message
    assert "has ended: 5 of 5 trials are finished" in message

    again = waiter(fleet, "--run-token", "t3", "--timeout", "200")
    fleet.done(fleet.create(5, "--run-token", "t3"))
    assert "has ended: 5 of 5 trials" in fleet.done(again), "of a run that has nothing to do"

    fleet.done(fleet.run(FINISH, "--study-name", NAME, "--n-trials", "5", "--timeout", "0.001"))
    fleet.check(5)
    seen = read_progress(make_url(fleet.url), NAME, "t3")
    assert isinstance(seen, StudyProgress) and seen.heartbeat is not None
    assert seen.best == fleet.study().best_value


@pytest.mark.timeout(400)
def test_a_longer_timeout_is_waited_for_and_counts_from_the_new_run(fleet: Fleet) -> None:
    timed = ("--n-trials", "5000", "--timeout", "1", "--run-token", "t1")
    fleet.done(fleet.create(5000, "--timeout", "1", "--run-token", "t1"))
    assert "its timeout has passed" in fleet.done(fleet.worker(0, *timed))
    before = [trial.number for trial in fleet.study().trials if trial.state.is_finished()]
    fleet.done(fleet.worker(1, *timed))
    after = [trial.number for trial in fleet.study().trials if trial.state.is_finished()]
    assert after == before, "a replacement pod gets no extra time"
    assert "has ended: " in fleet.done(waiter(fleet, "--run-token", "t1"))
    total = str(sum(trial.state.is_finished() for trial in fleet.study().trials) + 2)

    waits, worker = too_early(fleet, "t2", "--n-trials", total, "--timeout", "600")
    fleet.done(fleet.create(int(total), "--timeout", "600", "--run-token", "t2"))
    assert f"it has all {total} trials" in fleet.done(worker)
    assert f"has ended: {total} of {total} trials are finished" in fleet.done(waits)


@pytest.mark.timeout(400)
def test_an_error_of_create_ends_the_run_and_a_corrected_run_resumes(fleet: Fleet) -> None:
    wait, worker = too_early(fleet, "t1")
    message = fleet.done(fleet.create(2, "--run-token", "t1", "--data", "s3.parquet"), status=2)
    assert "s3.parquet" in message
    for item in (wait, worker):
        last = fleet.done(item, status=2).splitlines()[-1]
        assert last.startswith(f"error: the run of study '{NAME}' cannot continue, because create failed: ")
        assert "s3.parquet" in last

    wait, worker = too_early(fleet, "t2")
    fleet.done(fleet.create(2, "--run-token", "t2"))
    fleet.done(worker)
    assert "has ended: 2 of 2" in fleet.done(wait)


@pytest.mark.timeout(400)
def test_an_error_of_a_worker_ends_the_wait(fleet: Fleet) -> None:
    fleet.done(fleet.create(2, "--run-token", "t1"))
    wait = waiter(fleet, "--run-token", "t1", "--timeout", "200")
    by_hand = fleet.worker(7, "--data", "gone.parquet")
    fleet.done(by_hand, status=2)
    assert wait.poll() is None, "a worker that belongs to no run says nothing of one"
    assert fleet.runs()[0].data.tags["daily_profit.outcome"] == "searching"
    fleet.done(fleet.worker(4, "--data", "gone.parquet", "--run-token", "t1"), status=2)
    assert "because worker 4 failed: " in fleet.done(wait, status=2).splitlines()[-1]
    parent, _ = fleet.runs()
    assert parent.info.status == "FAILED", "the run of the study shows it too"
    assert parent.data.tags["daily_profit.outcome"].startswith("failed: ")
    assert "gone.parquet" in parent.data.tags["daily_profit.outcome"]


NIGHT = ("--create", "--run-token", "t1", "--targets", "num_trades", "--data", "table.parquet")
"""A run without a separate create: every worker first does the work of create."""


@pytest.mark.timeout(400)
def test_workers_with_create_make_one_study(fleet: Fleet) -> None:
    for item in [fleet.worker(number, *NIGHT, "--n-trials", "3") for number in (0, 1)]:
        assert "waiting for study" not in fleet.done(item)
    parent, _ = fleet.runs()
    assert (parent.info.status, parent.data.tags["daily_profit.outcome"]) == ("FINISHED", "searched")
    fleet.done(fleet.run(FINISH, "--study-name", NAME, "--timeout", "0.001"))
    fleet.check(3)
    assert "already has its 3 trials" in fleet.done(fleet.worker(2, *NIGHT, "--n-trials", "3"))
    fleet.check(3)


@pytest.mark.timeout(400)
def test_a_replacement_pod_gets_no_extra_time_without_a_create(fleet: Fleet) -> None:
    timed = (*NIGHT, "--n-trials", "5000", "--timeout", "1")
    assert "its timeout has passed" in fleet.done(fleet.worker(0, *timed))
    before = len([trial for trial in fleet.study().trials if trial.state.is_finished()])
    began = fleet.study().user_attrs["search_began"]
    fleet.done(fleet.worker(1, *timed))
    assert len([trial for trial in fleet.study().trials if trial.state.is_finished()]) == before
    assert fleet.study().user_attrs["search_began"] == began
