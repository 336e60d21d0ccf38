"""A real MLflow server that is unavailable at the start of the search and again during it."""

import re
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.conftest import free_ports
from tests.integration.servers import TrackingServer
from tests.integration.tuning_job import Job


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TrackingServer]:
    (port,) = free_ports(1)
    server = TrackingServer(tmp_path, port)
    yield server
    server.kill()


@pytest.mark.timeout(300)
def test_trials_never_wait_for_mlflow_and_are_written_after_an_outage(tmp_path: Path, server: TrackingServer) -> None:
    job = Job(tmp_path, 8, tracking_uri=server.uri)
    process = job.start()
    while job.finished() < 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    server.start()
    process.communicate(timeout=120)
    done = job.finished()
    assert done == 8, "the outage held up no trial"
    server.wait()  # it may be ready too late for the first command; the same command writes the rest
    process = job.start()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "num_trades v1 @champion" in out
    job.check(8)
    (line,) = [line for line in out.splitlines() if line.startswith("report ")]
    run, page = re.fullmatch(rf"report   {server.uri}/#/experiments/\d+/runs/(\w+)/artifacts/(\S+)", line).groups()  # type: ignore[union-attr]
    with urllib.request.urlopen(f"{server.uri}/get-artifact?run_uuid={run}&path={page}") as answer:
        assert b"<title>" in answer.read(), "the page whose address is shown"
