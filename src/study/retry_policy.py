"""Waiting for a database that is away: which failures pass by themselves, how long one waits, what the log says of it.

A database that restarts, fails over or is moved is away for seconds to a minute. What was asked of it then is asked
again, with exponential backoff and jitter ("full jitter", Brooker 2015, from half the pause up), so that many workers
do not come back at one moment. What no time mends (a wrong password, an unknown database, a mistake of ours) is raised
at once.
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
"""A managed Postgres fails over in one to two minutes; a pod of one is moved in less."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
STOP_SECONDS = 0.1
"""Between two looks at whether the process is asked to stop."""

TRANSIENT_STATES = ("08", "57P", "53300", "40001", "40P01", "25006")
"""SQLSTATE: connection exceptions, shutdown and start-up, too many clients, two kinds of conflict, and a server that is
read-only because it is not the primary any more."""
TRANSIENT_WORDS = (
    "starting up",
    "shutting down",
    "recovery",
    "not yet accepting",
    "too many",
    "reserved",
    "terminating",
)
"""Of a server that refuses a new connection: libpq passes its words on, not its SQLSTATE."""
PERMANENT_WORDS = ("no password supplied", "certificate", "SSL", "authentication method", "invalid", "missing")
"""Of libpq itself; whatever else it says is that nobody answers."""


def is_transient(error: BaseException) -> bool:
    """Whether the store is away, or was, for a reason that passes: the same may succeed a little later."""
    for each in chain_of(error):
        if isinstance(each, DBAPIError):
            if each.connection_invalidated:
                return True
            state = getattr(each.orig, "pgcode", None)
            if state:
                return bool(state.startswith(TRANSIENT_STATES))
            from_postgres = type(each.orig).__module__.startswith("psycopg2")
            return from_postgres and isinstance(each, OperationalError) and _is_no_answer(str(each.orig))
    return False


def chain_of(error: BaseException) -> Iterator[BaseException]:
    """The error and, one after the other, what it came from."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__


def _is_no_answer(text: str) -> bool:
    if "FATAL:" in text:
        return any(words in text for words in TRANSIENT_WORDS)
    return not any(words in text for words in PERMANENT_WORDS)


class RetryPolicy:
    """How long one process retries what one store does not answer.

    Attributes:
        seconds: how long an operation is tried again; 0 raises at once.
        stop: asked while waiting; True ends it, because the process is to leave.
        quiet: says at DEBUG only that the store is away; for a process beside one that says it.
    """

    def __init__(self, url: URL, seconds: float = RETRY_SECONDS, quiet: bool = False) -> None:
        self.seconds = seconds if url.get_backend_name() != "sqlite" else 0.0
        self.stop: Callable[[], bool] = lambda: False
        self.quiet = quiet
        self._store = url
        self._url = url.render_as_string(hide_password=False)
        self._shown = mask_url(self._url)
        self._inside = threading.local()
        self._away_since: float | None = None
        self._back_at: float | None = None
        self._given_up = False

    def __reduce__(self) -> tuple[Any, ...]:
        return RetryPolicy, (self._store, self.seconds, self.quiet)

    @property
    def retrying(self) -> bool:
        """Whether what runs in this thread was tried before; it may have been done, and only its answer lost."""
        return bool(getattr(self._inside, "retrying", False))

    def was_away_within(self, seconds: float) -> bool:
        """Whether the store was away at some moment of these last seconds, as this process saw it."""
        return self._back_at is not None and time.monotonic() - self._back_at < seconds

    def call(self, operation: Callable[[], T]) -> T:
        """The operation's result, in spite of failures that pass; one inside another is repeated with the outer one.

        Raises:
            Exception: what the operation raised, at once if it does not pass, else when the time is up.
        """
        if getattr(self._inside, "deep", False):
            return operation()
        self._inside.deep = True
        try:
            return self._until_done(operation)
        finally:
            self._inside.deep = self._inside.retrying = False

    def _until_done(self, operation: Callable[[], T]) -> T:
        began, pause, tries = time.monotonic(), FIRST_PAUSE, 0
        while True:
            try:
                result = operation()
            except (StorageInternalError, SQLAlchemyError, ConfigError, StoreError) as error:
                if not is_transient(error) or self._is_enough(began):
                    raise
                tries += 1
                if tries > 1:  # a connection that was cut is replaced at once, without a word
                    self._note_away(error)
                self._pause(pause * random.uniform(0.5, 1.0))
                pause = min(2 * pause, LONGEST_PAUSE)
                self._inside.retrying = True
            else:
                self._note_back(tries)
                return result

    def _is_enough(self, began: float) -> bool:
        if not self._given_up and not self.stop() and time.monotonic() - began < self.seconds:
            return False
        self._given_up = True  # whoever asks next while it is still away is told so at once
        return True

    def _pause(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and not self.stop():
            time.sleep(min(left, STOP_SECONDS))

    def _note_away(self, error: BaseException) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            level = logging.DEBUG if self.quiet else logging.WARNING
            log.log(
                level, "the store %s is away, waiting up to %.0f s: %s", self._shown, self.seconds, self._said(error)
            )

    def _note_back(self, tries: int) -> None:
        self._given_up = False
        if tries:
            self._back_at = time.monotonic()
        if self._away_since is not None:
            away, self._away_since = time.monotonic() - self._away_since, None
            level = logging.DEBUG if self.quiet else logging.WARNING
            log.log(level, "the store %s is back after %.0f s", self._shown, away)

    def _said(self, error: BaseException) -> str:
        """The driver's words, in one line."""
        texts = [str(each.orig).strip() for each in chain_of(error) if isinstance(each, DBAPIError)]
        return scrub(texts[-1].splitlines()[0] if texts and texts[-1] else type(error).__name__, self._url)


def retry_while_unavailable(*names: str) -> Callable[[type[T]], type[T]]:
    """Makes methods of a class survive that its store is away; an instance's `retry_policy` says for how long."""

    def repeated(method: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(method)
        def call(self: Any, *args: Any, **kwargs: Any) -> Any:
            return self.retry_policy.call(lambda: method(self, *args, **kwargs))

        return call

    def decorate(cls: type[T]) -> type[T]:
        for name in names:
            setattr(cls, name, repeated(getattr(cls, name)))
        return cls

    return decorate
