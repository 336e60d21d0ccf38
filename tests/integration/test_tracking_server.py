"""A real MLflow server that is away when the search begins, and gone again for a while in the middle."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.integration.conftest import _free_ports
from tests.integration.tuning_job import Job


class TrackingServer:
    """MLflow's own server over an SQLite file, artifacts through the server."""

    def __init__(self, folder: Path) -> None:
        (port,) = _free_ports(1)
        self.uri = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--port", port, "--workers", "1"]
        self._command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}"]
        self._command += ["--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self._process = subprocess.Popen(
            self._command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def wait(self) -> None:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                    return
            except (URLError, OSError):  # not there yet
                time.sleep(0.1)
        raise AssertionError("the server did not come up in a minute")

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[TrackingServer]:
    server = TrackingServer(tmp_path)
    yield server
    server.kill()


@pytest.mark.timeout(300)
def test_trials_never_wait_for_mlflow_and_all_are_written_once_it_is_there(
    tmp_path: Path, server: TrackingServer
) -> None:
    job = Job(tmp_path, 8, tracking_uri=server.uri)
    process = job.start()
    while job.finished() < 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    server.start()
    process.communicate(timeout=120)
    done = job.finished()
    assert done == 8, "the outage held up no trial"
    server.wait()  # it may have come too late for the first command; the same command catches up
    process = job.start()
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "num_trades v1 @champion" in out
    job.check(8)
