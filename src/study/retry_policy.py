"""Retries while a database is unavailable: which errors are transient, how long to retry, what is logged.

A database that restarts, fails over or is moved is unavailable for seconds to a minute. Operations are then repeated
with exponential backoff and jitter ("full jitter", Brooker 2015, from half the pause up), so that many workers do not
reconnect at the same moment. Permanent errors (a wrong password, an unknown database, a bug) are raised at once.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, TypeVar

from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError

from src.errors import ConfigError, StoreError
from src.secrets import mask_url, scrub

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_SECONDS = 150.0
"""A managed Postgres fails over in one to two minutes; a Postgres pod is moved in less."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
STOP_CHECK_SECONDS = 0.1
"""Between two checks of the stop flag while waiting."""

TRANSIENT_STATES = ("08", "57P", "53300", "40001", "40P01", "25006")
"""SQLSTATE: connection exceptions, shutdown and start-up, too many clients, two kinds of conflict, and a server that is
read-only because it is no longer the primary."""
TRANSIENT_WORDS = (
    "starting up",
    "shutting down",
    "recovery",
    "not yet accepting",
    "too many",
    "reserved",
    "terminating",
)
"""In messages of a server that refuses a new connection: libpq forwards the text, but not the SQLSTATE."""
PERMANENT_WORDS = ("no password supplied", "certificate", "SSL", "authentication method", "invalid", "missing")
"""In messages of libpq itself; all its other messages mean that the server does not answer."""


def is_transient(error: BaseException) -> bool:
    """Whether the store is or was unavailable for a transient reason, so that a retry may succeed."""
    for cause in causes_of(error):
        if isinstance(cause, DBAPIError):
            if cause.connection_invalidated:
                return True
            state = getattr(cause.orig, "pgcode", None)
            if state:
                return bool(state.startswith(TRANSIENT_STATES))
            from_postgres = type(cause.orig).__module__.startswith("psycopg2")
            return from_postgres and isinstance(cause, OperationalError) and _is_unreachable(str(cause.orig))
    return False


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """The error and its chain of causes."""
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def _is_unreachable(text: str) -> bool:
    if "FATAL:" in text:
        return any(words in text for words in TRANSIENT_WORDS)
    return not any(words in text for words in PERMANENT_WORDS)


class RetryPolicy:
    """Retries of one process for one store.

    Attributes:
        seconds: how long an operation is retried; 0 raises at once.
        stop: called while waiting; True ends the retries, because the process has to stop.
        quiet: log an outage at DEBUG only, for a process next to one that logs it.
    """

    def __init__(self, url: URL, seconds: float = RETRY_SECONDS, quiet: bool = False) -> None:
        self.seconds = seconds if url.get_backend_name() != "sqlite" else 0.0
        self.stop: Callable[[], bool] = lambda: False
        self.quiet = quiet
        self._store = url
        self._url = url.render_as_string(hide_password=False)
        self._shown = mask_url(self._url)
        self._thread = threading.local()
        self._unavailable_since: float | None = None
        self._available_since: float | None = None
        self._given_up = False

    def __reduce__(self) -> tuple[Any, ...]:
        return RetryPolicy, (self._store, self.seconds, self.quiet)

    @property
    def retrying(self) -> bool:
        """Whether this thread repeats an operation, which may have succeeded already with only its answer lost."""
        return bool(getattr(self._thread, "retrying", False))

    def was_unavailable_within(self, seconds: float) -> bool:
        """Whether this process found the store unavailable within the last seconds."""
        return self._available_since is not None and time.monotonic() - self._available_since < seconds

    def call(self, operation: Callable[[], T]) -> T:
        """The result of an operation, which is retried after transient errors; nested calls are retried as a whole.

        Raises:
            Exception: what the operation raised: a permanent error at once, a transient error when the time is up.
        """
        if getattr(self._thread, "in_call", False):
            return operation()
        self._thread.in_call = True
        try:
            return self._retry(operation)
        finally:
            self._thread.in_call = self._thread.retrying = False

    def _retry(self, operation: Callable[[], T]) -> T:
        started, pause, tries = time.monotonic(), FIRST_PAUSE, 0
        while True:
            try:
                result = operation()
            except (StorageInternalError, SQLAlchemyError, ConfigError, StoreError) as error:
                if not is_transient(error) or self._gives_up(started):
                    raise
                tries += 1
                if tries > 1:  # a broken connection is replaced at once and not logged
                    self._log_unavailable(error)
                self._pause(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, LONGEST_PAUSE)
                self._thread.retrying = True
            else:
                self._log_available(tries)
                return result

    def _gives_up(self, started: float) -> bool:
        if not self._given_up and not self.stop() and time.monotonic() - started < self.seconds:
            return False
        self._given_up = True  # while the store stays unavailable, further operations fail at once
        return True

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.stop():
            time.sleep(min(left, STOP_CHECK_SECONDS))

    def _log_unavailable(self, error: BaseException) -> None:
        if self._unavailable_since is None:
            self._unavailable_since = time.monotonic()
            level = logging.DEBUG if self.quiet else logging.WARNING
            log.log(
                level,
                "the store %s is unavailable, retrying for up to %.0f s: %s",
                self._shown,
                self.seconds,
                self._driver_message(error),
            )

    def _log_available(self, tries: int) -> None:
        self._given_up = False
        if tries:
            self._available_since = time.monotonic()
        if self._unavailable_since is not None:
            seconds, self._unavailable_since = time.monotonic() - self._unavailable_since, None
            level = logging.DEBUG if self.quiet else logging.WARNING
            log.log(level, "the store %s is available again after %.0f s", self._shown, seconds)

    def _driver_message(self, error: BaseException) -> str:
        """The driver's message, in one line."""
        texts = [str(cause.orig).strip() for cause in causes_of(error) if isinstance(cause, DBAPIError)]
        return scrub(texts[-1].splitlines()[0] if texts and texts[-1] else type(error).__name__, self._url)


def retry_while_unavailable(*names: str) -> Callable[[type[T]], type[T]]:
    """Class decorator: retries the named methods while the store is unavailable, by the instance's `retry_policy`."""

    def retried(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            return self.retry_policy.call(lambda: method(self, *args, **kwargs))

        return call

    def decorate(cls: type[T]) -> type[T]:
        for name in names:
            setattr(cls, name, retried(getattr(cls, name)))
        return cls

    return decorate
