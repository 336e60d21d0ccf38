"""After random kills the study has exactly its total of trials, every trial once in MLflow, and a model.

`DAILY_PROFIT_TEST_TRIALS`, `DAILY_PROFIT_TEST_WORKERS` and `DAILY_PROFIT_TEST_KILL_SECONDS` set another size than the
quick one of the suite; with 100, 8 and 4 it takes some ten minutes. As in a cluster, MLflow's server keeps its runs in
the same Postgres and its artifacts in an S3 store, so that what kills Postgres takes MLflow away as well.
"""

import logging
import os
import random
import time
from pathlib import Path

import pytest
from optuna.trial import TrialState

from tests.integration.conftest import S3Store, free_ports
from tests.integration.fleet import FINISH, NAME, SHARED, Fleet
from tests.integration.servers import PASSWORD, PostgresServer, TrackingServer

log = logging.getLogger(__name__)

N_TRIALS = int(os.environ.get("DAILY_PROFIT_TEST_TRIALS", "24"))
N_WORKERS = int(os.environ.get("DAILY_PROFIT_TEST_WORKERS", "3"))
KILL_SECONDS = float(os.environ.get("DAILY_PROFIT_TEST_KILL_SECONDS", "5"))
TIMEOUT = 1800


@pytest.mark.timeout(TIMEOUT)
def test_a_run_survives_random_kills_of_workers_and_servers(
    tmp_path: Path, postgres_server: PostgresServer, s3: S3Store
) -> None:
    (port,) = free_ports(1)
    stores = {
        "MLFLOW_BACKEND_STORE_URI": postgres_server.database("mlflow"),
        "MLFLOW_ARTIFACTS_DESTINATION": f"s3://{s3.bucket}/artifacts",
    }
    tracking = TrackingServer(tmp_path, port, s3.settings() | stores)
    size = (300, 40) if N_TRIALS >= 100 else (60, 8)
    fleet = Fleet(tmp_path, postgres_server.url, tracking.uri, *size)
    try:
        fleet.done(fleet.create(N_TRIALS))
        waiting = fleet.run(SHARED, "--mode", "wait", "--study-name", NAME, "--timeout", str(TIMEOUT))
        kills = _run_with_random_kills(fleet, postgres_server, tracking)
        message = fleet.done(waiting, seconds=60)
        assert f"{N_TRIALS} of {N_TRIALS} trials are finished" in message
        tracking.wait()
        finish = fleet.run(FINISH, "--study-name", NAME)
        assert "num_trades v1 @champion" in fleet.done(finish, seconds=TIMEOUT / 4)
        assert kills >= 1
        log.info("%d workers were killed and %d were started", kills, len(fleet.started) - 3)
        fleet.check(N_TRIALS)
    finally:
        fleet.stop()
        tracking.kill()
    assert not [log.name for log in tmp_path.glob("*.log") if PASSWORD in log.read_text()]


def _run_with_random_kills(fleet: Fleet, postgres: PostgresServer, tracking: TrackingServer) -> int:
    """Starts and kills workers until the study has its total; returns the number of kills."""
    rng, kills = random.Random(N_TRIALS), 0
    workers = {number: fleet.worker(number) for number in range(N_WORKERS)}
    restarted = tracked = False
    killed_at, done_then = time.monotonic(), 0
    while (done := _finished(postgres)) < N_TRIALS:
        for number, worker in workers.items():
            if worker.poll() is not None:
                assert worker.returncode in (0, -9), fleet.output(worker)
                workers[number] = fleet.worker(number)
        if not tracked and done >= N_TRIALS / 3:
            tracking.start()
            tracked = True
        tracking.keep()
        if not restarted and done >= N_TRIALS / 2:
            postgres.kill()
            time.sleep(2)
            postgres.start()
            restarted = True
        # On a busy machine a worker might always be killed before it starts a trial.
        quiet = time.monotonic() - killed_at
        if quiet >= KILL_SECONDS and (done > done_then or quiet >= 5 * KILL_SECONDS):
            workers[rng.randrange(N_WORKERS)].kill()
            kills, killed_at, done_then = kills + 1, time.monotonic(), done
        time.sleep(0.2)
    if not tracked:
        tracking.start()
    for worker in workers.values():
        assert worker.wait(240) in (0, -9), fleet.output(worker)
    return kills


def _finished(postgres: PostgresServer) -> int:
    states = [state.name for state in (TrialState.COMPLETE, TrialState.PRUNED)]
    ((count,),) = postgres.execute(f"SELECT count(*) FROM trials WHERE state IN {tuple(states)}")
    assert isinstance(count, int)
    return count
