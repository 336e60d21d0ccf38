"""Locks of a real Postgres: messages name the holder, a live holder is waited for, a paused one is not."""

import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy.engine import URL

from src import file_lock
from src.errors import LockError
from src.study.store_location import connect_args, store_url
from src.study.store_lock import store_lock, try_store_lock
from tests.paused import ROOT, paused_holder

HOLD = """
import sys, time
from pathlib import Path
from src import file_lock
from src.study.store_location import connect_args, store_url
from src.study.store_lock import store_lock
file_lock.HEARTBEAT_SECONDS = 0.05
with store_lock(store_url(sys.argv[1], Path("unused"), {}), "projection-s"):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def url(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> URL:
    monkeypatch.setattr(file_lock, "MAX_SILENT_SECONDS", 4.0)
    monkeypatch.setattr(file_lock, "LOG_AFTER_SECONDS", 0.2)
    return store_url(postgres_url, Path("unused"), {})


def take(url: URL) -> None:
    with store_lock(url, "projection-s"):
        pass


def test_waiting_for_a_paused_holder_ends_and_names_it(
    url: URL, postgres_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with paused_holder(HOLD, postgres_url, "600") as pid:
        with pytest.raises(LockError) as caught:
            take(url)
        message, name = str(caught.value), f"daily-profit:{platform.node()[:40]}:{pid}"
        assert message.startswith("the lock 'projection-s' of the store postgresql+psycopg2://")
        assert f" is held by {name} (client local, last seen " in message
        assert len(message) < 500
        assert f"held by {name}" in caplog.text, "it is told before it is given up"
        (statement,) = [part for part in message.split(", ") if "pg_terminate_backend" in part]
        assert answer(url, statement.removeprefix("or run ").removesuffix(" there")) is True
        take(url)


def answer(url: URL, statement: str) -> object:
    engine = sqlalchemy.create_engine(url, connect_args=connect_args(url))
    with engine.begin() as connection:
        found = connection.execute(sqlalchemy.text(statement)).scalar()
    engine.dispose()
    return found


def test_a_live_holder_is_waited_for(url: URL, postgres_url: str) -> None:
    command = [sys.executable, "-c", HOLD, postgres_url, "9"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        take(url)
        assert holder.wait() == 0


def test_a_resumed_holder_continues(url: URL, postgres_url: str) -> None:
    with paused_holder(HOLD, postgres_url, "0.5") as pid:
        with try_store_lock(url, "projection-s") as held:
            assert not held
        os.kill(pid, signal.SIGCONT)
        take(url)


def test_a_session_of_another_user_is_named(url: URL, postgres_url: str) -> None:
    name = f"stranger_{os.getpid()}"
    answer(url, f"CREATE ROLE {name} LOGIN; SELECT true")
    with paused_holder(HOLD, postgres_url, "600") as pid:
        theirs = url.set(username=name)
        with (
            pytest.MonkeyPatch.context() as patch,
            pytest.raises(LockError, match=rf"held by \S+:{pid} \(client local\), which does not respond"),
        ):
            patch.setattr(file_lock, "MAX_HIDDEN_SECONDS", 1.0)
            take(theirs)


def test_a_users_own_application_name_is_kept(url: URL) -> None:
    named = url.update_query_dict({"application_name": "mine"})
    assert answer(named, "SHOW application_name") == "mine"
    assert str(answer(url, "SHOW application_name")).startswith("daily-profit:")
