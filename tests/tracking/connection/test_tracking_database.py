"""An unavailable tracking database is reported within seconds; other URIs are not checked."""

import mlflow
import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from src.errors import TrackingError
from src.tracking.connection import tracking_database
from src.tracking.connection.session import TrackingSession
from src.tracking.connection.tracking_database import ATTEMPTS, SECONDS_BETWEEN, check_database_answers
from src.tracking.registry.served_model import load_served, pinned_uri

AWAY = "postgresql+psycopg2://quant:geheim@127.0.0.1:9/mlflow"


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    made: list[float] = []
    monkeypatch.setattr("src.tracking.connection.tracking_database.time.sleep", made.append)
    return made


def test_an_unavailable_database_is_tried_a_few_times(pauses: list[float]) -> None:
    with pytest.raises(OperationalError, match="refused"):
        check_database_answers(AWAY)
    assert pauses == [SECONDS_BETWEEN] * (ATTEMPTS - 1)


def test_a_session_reports_it_in_one_line_without_the_password(pauses: list[float]) -> None:
    mlflow.set_tracking_uri(AWAY)
    with pytest.raises(TrackingError, match=r"cannot open the tracking store: .*refused") as caught:
        _ = TrackingSession({}).client
    assert "geheim" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("uri", ["models:/net_profit/3", "models:/net_profit@champion"])
def test_loading_a_model_does_not_wait_either(uri: str, pauses: list[float]) -> None:
    mlflow.set_tracking_uri(AWAY)
    with pytest.raises(TrackingError, match=r"cannot load model .*refused"):
        load_served(pinned_uri(uri))
    assert pauses == [SECONDS_BETWEEN] * (ATTEMPTS - 1), "by us; MLflow was not asked"


@pytest.mark.parametrize("uri", ["sqlite:///nowhere/mlflow.db", "http://127.0.0.1:9", "databricks", "./mlruns", ""])
def test_other_uris_are_not_checked(uri: str, pauses: list[float]) -> None:
    check_database_answers(uri)
    assert pauses == []


def test_a_host_that_drops_packets_has_a_timeout_of_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    given = []

    class Engine:
        def connect(self) -> "Engine":
            return self

        def __enter__(self) -> "Engine":
            return self

        def __exit__(self, *_: object) -> None:
            return None

    def create_engine(url: object, connect_args: dict[str, int], poolclass: object) -> Engine:
        given.append((make_url(str(url)).host, connect_args))
        return Engine()

    monkeypatch.setattr(tracking_database, "create_engine", create_engine)
    check_database_answers(AWAY)
    check_database_answers(AWAY + "?connect_timeout=3")
    assert given == [("127.0.0.1", {"connect_timeout": 10}), ("127.0.0.1", {})]
