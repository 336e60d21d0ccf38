import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from src.tracking.connection.embedded_store import main, prepare_embedded_store

ROOT = Path(__file__).parents[3]
OPEN = "import sys; from mlflow.tracking import MlflowClient; MlflowClient(sys.argv[1]).search_experiments()"
PREPARE = (
    "import sys; from src.tracking.connection.embedded_store import main, prepare_embedded_store as p; p(sys.argv[1])"
)


def start(code: str, uri: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, uri], cwd=ROOT, stderr=subprocess.DEVNULL)


def usable(uri: str) -> bool:
    client = MlflowClient(uri)
    return bool(client.get_run(client.create_run("0").info.run_id).info.status == "RUNNING")


@pytest.fixture(autouse=True)
def _artifacts_stay_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
def test_an_incomplete_store_is_created_again(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    process = start(OPEN, uri)  # MLflow itself, killed during its migrations
    while not _has_table(tmp_path / "mlflow.db", "alembic_version"):
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    prepare_embedded_store(uri)
    assert (tmp_path / "mlflow.db.half-made").exists()
    assert usable(uri)


@pytest.mark.slow
def test_a_kill_while_preparing_leaves_no_incomplete_store(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    process = start(PREPARE, uri)
    while not list(tmp_path.glob("mlflow.db.*/mlflow.db")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (tmp_path / "mlflow.db").exists()
    prepare_embedded_store(uri)
    assert usable(uri)


@pytest.mark.slow
def test_concurrent_processes_create_one_store(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    assert [process.wait() for process in [start(PREPARE, uri) for _ in range(2)]] == [0, 0]
    assert os.listdir(tmp_path) == ["mlflow.db"]
    assert usable(uri)


def test_a_store_with_runs_is_never_changed(tmp_path: Path, mlflow_store: str) -> None:
    database = Path(mlflow_store.removeprefix("sqlite:///"))
    MlflowClient(mlflow_store).create_run("0")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = 'older'")
    before = database.read_bytes()
    prepare_embedded_store(mlflow_store)
    assert database.read_bytes() == before


def test_a_file_that_is_not_a_database_is_left_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("my notes, not a database " * 100)
    prepare_embedded_store(f"sqlite:///{path}")
    assert path.read_text().startswith("my notes")


@pytest.mark.slow
def test_the_command_prepares_the_store_that_mlflow_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert main() == 0
    assert usable(f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'other.db'}")
    assert main() == 0
    assert (tmp_path / "other.db").exists()


def test_servers_are_not_contacted(tmp_path: Path) -> None:
    prepare_embedded_store("http://127.0.0.1:9")
    assert os.listdir(tmp_path) == []


def _has_table(path: Path, name: str) -> bool:
    if not path.exists():
        return False
    with closing(sqlite3.connect(path, timeout=5)) as connection:
        return bool(connection.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone())
