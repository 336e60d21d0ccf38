"""After a kill at any time the same command resumes the study, and no trial is lost or counted twice.

`DAILY_PROFIT_TEST_TRIALS` and `DAILY_PROFIT_TEST_KILLS` set another size than the quick one of the suite.
"""

import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.integration.tuning_job import NAME, Job


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_random_times_and_resumed(tmp_path: Path, workers: int) -> None:
    n_trials = int(os.environ.get("DAILY_PROFIT_TEST_TRIALS", "12"))
    n_kills = int(os.environ.get("DAILY_PROFIT_TEST_KILLS", "2"))
    job = Job(tmp_path, n_trials, "--max-workers", str(workers))
    rng = random.Random(workers)
    for kill in range(n_kills):
        process = job.start()
        done_before = job.finished()
        deadline = time.monotonic() + 60
        # Every second kill waits for progress, so that all phases of the study are hit.
        while process.poll() is None and time.monotonic() < deadline:
            if kill % 2 or job.finished() > done_before:
                break
            time.sleep(0.1)
        time.sleep(rng.uniform(0, 6 if kill % 2 else 2))
        process.kill()
        process.communicate()
    process = job.start()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "num_trades v1 @champion" in out
    job.check(n_trials)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_saves_finished_trials_and_reports_how_to_resume(tmp_path: Path, number: signal.Signals) -> None:
    job = Job(tmp_path, 10)
    process = job.start()
    while job.finished() < 2 and process.poll() is None:
        time.sleep(0.2)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert f"the same command with --study-name {NAME} resumes it" in err
    assert "Traceback" not in err
    states = [trial.state.name for trial in job.study().trials]
    assert "RUNNING" not in states
    assert "FAIL" not in states
    parent, children = job.runs()
    assert (parent.info.status, parent.data.tags["daily_profit.outcome"]) == ("KILLED", "stopped")
    assert len(children) == job.finished() >= 2, "what was finished is in MLflow before the command ends"
    process = job.start()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    job.check(10)
