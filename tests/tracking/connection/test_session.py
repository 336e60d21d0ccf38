import os
import threading
from pathlib import Path

import mlflow
import pytest
from mlflow.tracking import MlflowClient

from src.errors import TrackingError
from src.tracking.connection.session import TrackingSession, shown_uri
from src.tracking.projection.parent_run import RunEnding, end_parent_run

AWAY = "http://127.0.0.1:9"


@pytest.fixture
def client(mlflow_store: str) -> MlflowClient:
    mlflow.set_tracking_uri(mlflow_store)
    return MlflowClient()


def name_of(session: TrackingSession) -> str:
    return str(session.client.get_experiment(session.experiment_id).name)


def test_the_default_experiment_is_created_once(client: MlflowClient) -> None:
    first, second = TrackingSession({}), TrackingSession({})
    assert name_of(first) == "daily-profit"
    assert second.experiment_id == first.experiment_id
    assert first.outer_run is None


def test_the_environment_can_name_the_experiment(client: MlflowClient) -> None:
    assert name_of(TrackingSession({"MLFLOW_EXPERIMENT_NAME": "mine"})) == "mine"
    made = client.create_experiment("by-id")
    for name in ("", "by-id"):
        assert TrackingSession({"MLFLOW_EXPERIMENT_ID": made, "MLFLOW_EXPERIMENT_NAME": name}).experiment_id == made
    with pytest.raises(TrackingError, match=f"MLFLOW_EXPERIMENT_ID '{made}' is experiment 'by-id', but MLFLOW_EXPERI"):
        _ = TrackingSession({"MLFLOW_EXPERIMENT_ID": made, "MLFLOW_EXPERIMENT_NAME": "mine"}).experiment_id
    assert name_of(TrackingSession({"MLFLOW_EXPERIMENT_NAME": ""})) == "daily-profit"


def test_inside_mlflow_run_the_experiment_is_that_of_the_run(client: MlflowClient) -> None:
    experiment = client.create_experiment("chosen-by-mlflow")
    outer = client.create_run(experiment).info.run_id
    session = TrackingSession({"MLFLOW_RUN_ID": outer, "MLFLOW_EXPERIMENT_NAME": "mine"})
    assert session.experiment_id == experiment
    assert session.outer_run is not None
    assert session.outer_run.info.run_id == outer
    assert client.get_experiment_by_name("mine") is None


def test_a_missing_run_is_named(client: MlflowClient) -> None:
    with pytest.raises(TrackingError, match=r"MLFLOW_RUN_ID '0123': sqlite:///.* has no such run: unset it"):
        _ = TrackingSession({"MLFLOW_RUN_ID": "0123"}).experiment_id
    with pytest.raises(TrackingError, match="cannot read run 0123"):
        _ = TrackingSession({"MLFLOW_RUN_ID": "0123"}).outer_run


def test_a_deleted_experiment_is_reported_with_the_remedy(client: MlflowClient) -> None:
    client.delete_experiment(TrackingSession({}).experiment_id)
    with pytest.raises(TrackingError, match="MLFLOW_EXPERIMENT_NAME is not set, and 'daily-profit' is a deleted exp"):
        _ = TrackingSession({}).experiment_id


def test_concurrent_sessions_create_one_experiment(client: MlflowClient) -> None:
    found: list[str] = []
    start = threading.Barrier(4)

    def make() -> None:
        session = TrackingSession({})
        start.wait()
        found.append(session.experiment_id)

    threads = [threading.Thread(target=make) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4
    assert len(set(found)) == 1


def test_an_unavailable_server_is_a_one_line_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri(AWAY)
    for ask in (lambda s: s.experiment_id, lambda s: end_parent_run(s, "0123", RunEnding())):
        with pytest.raises(TrackingError, match="check MLFLOW_TRACKING_URI") as caught:
            ask(TrackingSession({}))
        assert "\n" not in str(caught.value)


def test_retries_are_limited_unless_the_user_sets_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "7")
    TrackingSession({})
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "2"
    assert os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] == "7"


def test_nothing_is_contacted_before_it_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    TrackingSession({"MLFLOW_RUN_ID": "0123"})
    assert list(tmp_path.iterdir()) == []


def test_the_uri_is_shown_without_its_password() -> None:
    mlflow.set_tracking_uri("postgresql+psycopg2://user:secret@host:5432/mlflow")
    assert shown_uri() == "postgresql+psycopg2://user:***@host:5432/mlflow"
