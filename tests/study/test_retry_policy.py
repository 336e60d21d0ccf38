import logging
import pickle
from collections.abc import Callable

import psycopg2
import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, OperationalError

from src.errors import ConfigError
from src.study import retry_policy
from src.study.retry_policy import RetryPolicy, is_transient

URL = make_url("postgresql+psycopg2://user:s3cret@host:5432/db")
AWAY = 'connection to server at "host" (10.0.0.1), port 5432 failed: Connection refused'
REFUSED = 'connection to server at "host" (10.0.0.1), port 5432 failed: FATAL:  password authentication failed for "u"'


def failure(text: str) -> OperationalError:
    return OperationalError("SELECT 1", {}, psycopg2.OperationalError(text))


def wrapped(error: Exception) -> StorageInternalError:
    """The error as Optuna raises it."""
    try:
        raise StorageInternalError("An exception is raised during the commit") from error
    except StorageInternalError as outer:
        return outer


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_policy, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(retry_policy, "LONGEST_PAUSE", 0.01)


def failing(times: int, error: Exception) -> Callable[[], int]:
    """An operation that fails some times, then returns its number of calls."""
    asked = 0

    def operation() -> int:
        nonlocal asked
        asked += 1
        if asked <= times:
            raise error
        return asked

    return operation


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        (AWAY, True),
        ('could not translate host name "db" to address: Name or service not known', True),
        ('connection to server at "h", port 5432 failed: timeout expired', True),
        ('connection to server at "h", port 5432 failed: FATAL:  the database system is starting up', True),
        ('connection to server at "h", port 5432 failed: FATAL:  the database system is shutting down', True),
        ('connection to server at "h", port 5432 failed: FATAL:  sorry, too many clients already', True),
        (REFUSED, False),
        ('connection to server at "h", port 5432 failed: FATAL:  database "x" does not exist', False),
        ('connection to server at "h", port 5432 failed: FATAL:  role "x" does not exist', False),
        ('connection to server at "h", port 5432 failed: fe_sendauth: no password supplied', False),
        ('connection to server at "h", port 5432 failed: SSL error: certificate verify failed', False),
    ],
)
def test_no_answer_is_transient_and_a_refusal_is_permanent(text: str, passes: bool) -> None:
    assert is_transient(failure(text)) is passes
    assert is_transient(wrapped(failure(text))) is passes


def test_a_broken_connection_is_transient_and_a_violated_constraint_is_permanent() -> None:
    cut = OperationalError("SELECT 1", {}, psycopg2.OperationalError("server closed"), connection_invalidated=True)
    rule = IntegrityError("INSERT", {}, psycopg2.IntegrityError("duplicate key"))
    assert is_transient(wrapped(cut))
    assert not is_transient(rule)
    assert not is_transient(ValueError("no store at all"))


def test_sqlite_is_never_retried() -> None:
    engine = sqlalchemy.create_engine("sqlite://")
    with pytest.raises(OperationalError) as caught, engine.connect() as connection:
        connection.execute(sqlalchemy.text("SELECT * FROM missing"))
    assert not is_transient(caught.value)
    assert RetryPolicy(make_url("sqlite:///s.db")).seconds == 0


def test_an_outage_is_logged_once_at_its_start_and_once_at_its_end(
    quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert RetryPolicy(URL).call(failing(7, wrapped(failure(AWAY)))) == 8
    first, last = [record.getMessage() for record in caplog.records]
    assert "user:***@host:5432/db is unavailable, retrying for up to 150 s: connection to server" in first
    assert "is available again after" in last
    assert "s3cret" not in caplog.text


def test_a_single_broken_connection_is_not_logged(quick: None, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert RetryPolicy(URL).call(failing(1, failure(AWAY))) == 2
    assert caplog.records == []


def test_a_permanent_error_is_raised_at_once(quick: None) -> None:
    for error in (failure(REFUSED), ConfigError("no"), ValueError("ours")):
        with pytest.raises(type(error)):
            RetryPolicy(URL).call(failing(1, error))


def test_after_giving_up_operations_fail_at_once_until_the_store_is_available(quick: None) -> None:
    patient = RetryPolicy(URL, seconds=0.05)
    with pytest.raises(StorageInternalError):
        patient.call(failing(10_000, wrapped(failure(AWAY))))
    with pytest.raises(OperationalError):
        patient.call(failing(1, failure(AWAY)))
    assert patient.call(failing(0, failure(AWAY))) == 1
    assert patient.call(failing(1, failure(AWAY))) == 2


def test_a_stopped_process_does_not_retry(quick: None) -> None:
    patient = RetryPolicy(URL)
    patient.stop = lambda: True
    with pytest.raises(OperationalError):
        patient.call(failing(1, failure(AWAY)))


def test_nested_operations_are_retried_as_a_whole(quick: None) -> None:
    patient, inner = RetryPolicy(URL), failing(1, failure(AWAY))
    seen: list[bool] = []

    def outer() -> int:
        seen.append(patient.retrying)
        return patient.call(inner)

    assert patient.call(outer) == 2
    assert seen == [False, True]
    assert not patient.retrying
    assert patient.was_unavailable_within(60)


def test_a_retry_policy_can_be_pickled() -> None:
    again = pickle.loads(pickle.dumps(RetryPolicy(URL, 7, quiet=True)))
    assert (again.seconds, again.quiet) == (7, True)
