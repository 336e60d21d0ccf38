"""Permanent errors are raised before the search; a store that does not answer is a warning."""

import os
import shutil
import socket
import tempfile
import threading
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from src.errors import ConfigError
from src.tracking.connection.tracking_check import TrackingCheck, refuse_denied_access, refuse_permanent_errors


@pytest.fixture
def gone(mlflow_store: str) -> dict[str, str]:
    """The environment of a command whose experiment is deleted."""
    mlflow.set_tracking_uri(mlflow_store)
    client = MlflowClient()
    client.delete_experiment(client.create_experiment("gone"))
    return {"MLFLOW_TRACKING_URI": mlflow_store, "MLFLOW_EXPERIMENT_NAME": "gone"}


def test_an_embedded_store_answers_at_once(gone: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="MLFLOW_EXPERIMENT_NAME 'gone' is a deleted experiment"):
        TrackingCheck(gone)


def test_a_worker_of_a_shared_study_only_gets_a_warning(gone: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    TrackingCheck(gone, refuses=False).join()
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("MLFLOW_EXPERIMENT_NAME 'gone' is a deleted experiment: ")
    assert line.endswith("; the trials of this worker are kept, and their runs are written when the study is finished")


def test_a_usable_store_logs_nothing(mlflow_store: str, caplog: pytest.LogCaptureFixture) -> None:
    TrackingCheck({"MLFLOW_TRACKING_URI": mlflow_store}).join()
    assert caplog.records == []


def test_the_check_creates_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    TrackingCheck({}).join()
    TrackingCheck({"MLFLOW_TRACKING_URI": "sqlite:///new/mlflow.db"}).join()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("made", [False, True], ids=["no file", "an empty file"])
def test_a_new_store_has_only_the_default_experiment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    if made:
        (tmp_path / "mlflow.db").touch()
    for name, value in (("EXPERIMENT_ID", "0"), ("EXPERIMENT_NAME", "Default"), ("EXPERIMENT_NAME", "new")):
        refuse_permanent_errors({f"MLFLOW_{name}": value})
    for name, value in (("EXPERIMENT_ID", "77"), ("EXPERIMENT_ID", "my-exp"), ("RUN_ID", "0" * 32)):
        with pytest.raises(ConfigError, match=f"^MLFLOW_{name} '{value}'"):
            refuse_permanent_errors({f"MLFLOW_{name}": value})


@pytest.mark.slow
def test_an_unavailable_server_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        uri = f"http://somebody:s3cret@127.0.0.1:{server.getsockname()[1]}"
    check = TrackingCheck({"MLFLOW_TRACKING_URI": uri})
    check.join()
    (line,) = [record.getMessage() for record in caplog.records]
    assert "***@127.0.0.1" in line
    assert "does not answer ([Errno 111] Connection refused): its runs are written later" in line
    assert "s3cret" not in line


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_not_waited_for(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # takes connections and never answers
        uri = f"http://127.0.0.1:{server.getsockname()[1]}"
        TrackingCheck({"MLFLOW_TRACKING_URI": uri}, seconds=0.3).join()
    assert "does not answer (no answer in time)" in caplog.text
    for thread in threading.enumerate():
        if thread.name == "tracking-check":
            thread.join(60)
            assert not thread.is_alive()


@pytest.mark.parametrize("taken", ["mlruns", "mlflow.db"])
def test_a_new_store_needs_writable_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: str) -> None:
    monkeypatch.chdir(tmp_path)
    if taken == "mlruns":
        (tmp_path / taken).touch()
    else:
        (tmp_path / taken).mkdir()
    with pytest.raises(ConfigError) as caught:
        refuse_permanent_errors({})
    messages = {
        "mlruns": f"MLflow's artifact folder mlruns cannot be a folder: {tmp_path}/mlruns is a file: make it writable",
        "mlflow.db": "MLflow's store sqlite:///mlflow.db is a folder: give a file in it, sqlite:///mlflow.db/mlflow.db",
    }
    assert str(caught.value).startswith(messages[taken])


def test_the_artifact_folder_of_an_experiment_is_checked(mlflow_store: str, tmp_path: Path) -> None:
    mlflow.set_tracking_uri(mlflow_store)
    (tmp_path / "file").touch()
    MlflowClient().create_experiment("kept", f"file://{tmp_path}/file/artifacts%20here")
    environ = {"MLFLOW_TRACKING_URI": mlflow_store, "MLFLOW_EXPERIMENT_NAME": "kept"}
    with pytest.raises(ConfigError, match=r"of MLflow's experiment 'kept', .*/file/artifacts here cannot be a folder"):
        refuse_permanent_errors(environ)


def as_unprivileged_user(folder: Path) -> str:
    """The message for a user without permissions; modules are imported first, as this user may not read them."""
    reader, writer = os.pipe()
    if (pid := os.fork()) == 0:
        os.chdir(folder)
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            refuse_permanent_errors({})
        except ConfigError as error:
            os.write(writer, str(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, encoding="utf-8") as pipe:
        message = pipe.read()
    os.waitpid(pid, 0)
    return message


@pytest.mark.skipif(os.getuid() != 0, reason="another user is needed to whom a folder is closed")
@pytest.mark.parametrize(
    ("closed", "message"),
    [
        ("", "MLflow's store sqlite:///mlflow.db: its folder . cannot be written: no permission in "),
        ("mlruns", "MLflow's artifact folder mlruns cannot be written: no permission in "),
        ("mlflow.db", "MLflow's store sqlite:///mlflow.db cannot be written: no permission for mlflow.db: make it wri"),
    ],
)
def test_a_folder_without_permission_is_refused(mlflow_store: str, closed: str, message: str) -> None:
    with tempfile.TemporaryDirectory() as name:  # other users cannot read pytest's folders
        home = Path(name)
        (home / "mlruns").mkdir()
        if closed == "mlflow.db":
            shutil.copy(mlflow_store.removeprefix("sqlite:///"), home / "mlflow.db")
        for path in (home, *home.iterdir()):
            path.chmod(0o777)
        (home / closed).chmod(0o555)
        refuse_permanent_errors({"MLFLOW_TRACKING_URI": mlflow_store})
        assert as_unprivileged_user(home).startswith(message)


def test_a_command_that_reads_models_ignores_the_experiment(gone: dict[str, str], tmp_path: Path) -> None:
    refuse_denied_access(gone)
    refuse_denied_access({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"})
    (tmp_path / "text.db").write_text("no database " * 100)
    for uri, message in ((f"sqlite:///{tmp_path / 'text.db'}", "not a database"), ("databricks", "DATABRICKS_TOKEN")):
        with pytest.raises(ConfigError, match=message):
            refuse_denied_access({"MLFLOW_TRACKING_URI": uri})


def test_databricks_needs_credentials(tmp_path: Path) -> None:
    nobody = {"DATABRICKS_CONFIG_FILE": str(tmp_path / "none")}
    for uri in ("databricks", "databricks://team"):
        with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI 'databricks") as caught:
            refuse_permanent_errors({"MLFLOW_TRACKING_URI": uri} | (nobody if "//" in uri else {"HOME": str(tmp_path)}))
        assert "DATABRICKS_TOKEN" in str(caught.value)
    (tmp_path / "config").write_text("[team]\nhost = https://h\ntoken = t\n")
    known = {"DATABRICKS_CONFIG_FILE": str(tmp_path / "config")}
    refuse_permanent_errors({"MLFLOW_TRACKING_URI": "databricks://team"} | known)
    refuse_permanent_errors({"MLFLOW_TRACKING_URI": "databricks", "DATABRICKS_HOST": "h", "DATABRICKS_TOKEN": "t"})
