"""A study on Postgres: exact totals, an outage of the store, and a password that is never shown."""

import os
import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest

from src.study.studies import OptunaStudyManager
from tests.integration.servers import PASSWORD, PostgresServer
from tests.integration.tuning_job import Job


def wait_for_trials(job: Job, process: subprocess.Popen[str], n: int) -> None:
    while job.finished() < n:
        assert process.poll() is None, process.communicate()
        time.sleep(0.2)


@pytest.mark.timeout(300)
def test_a_store_outage_costs_no_trial_and_shows_no_password(tmp_path: Path, postgres_server: PostgresServer) -> None:
    job = Job(tmp_path, 10, "--verbose", storage_url=postgres_server.url)
    killed = job.start()
    wait_for_trials(job, killed, 3)
    killed.send_signal(signal.SIGKILL)
    out, err = killed.communicate()
    process = job.start()
    wait_for_trials(job, process, job.finished() + 1)
    postgres_server.kill()
    time.sleep(2)
    postgres_server.start()
    more_out, more_err = process.communicate(timeout=300)
    assert process.returncode == 0, more_err
    assert "is unavailable, retrying for up to 150 s" in more_err
    assert "is available again after" in more_err
    job.check(10)
    assert PASSWORD not in out + err + more_out + more_err
    assert _places_that_hold(PASSWORD.encode(), tmp_path) == []
    tables = ("study_user_attributes", "study_system_attributes", "trial_user_attributes", "trial_system_attributes")
    for table in tables:
        assert PASSWORD not in str(postgres_server.execute(f"SELECT value_json FROM {table}"))


def _places_that_hold(secret: bytes, folder: Path) -> list[str]:
    for database in folder.glob("*.db"):  # includes the content of the journal
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
