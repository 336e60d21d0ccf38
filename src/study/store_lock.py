"""Locks in a store of studies, against all its other processes: advisory locks of Postgres, files beside SQLite."""

import contextlib
import logging
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import sqlalchemy
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool

from src.errors import ConfigError, StoreError
from src.file_lock import Holder, file_lock, heartbeats, try_file_lock, utc_text, wait_for_lock
from src.secrets import mask_url, scrub
from src.study.retry_policy import RetryPolicy
from src.study.store_location import connect_args
from src.suggest import one_line

log = logging.getLogger(__name__)

_TRY = sqlalchemy.text("SELECT pg_try_advisory_lock(:key)")
_BEAT = sqlalchemy.text("SELECT 1")
_HOLDER = sqlalchemy.text(
    "SELECT a.pid, a.application_name, host(a.client_addr) AS client, extract(epoch FROM a.state_change) AS seen, "
    "extract(epoch FROM clock_timestamp() - a.state_change) AS silent "
    "FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 0 AND l.objid = :key AND l.objsubid = 1 "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
"""To users without the right to see another user's sessions, Postgres shows of them the process alone."""


@contextlib.contextmanager
def store_lock(url: URL, name: str, retry_policy: RetryPolicy | None = None) -> Iterator[None]:
    """Holds a lock of this name in this store, against all its other processes; a killed holder frees it.

    A Postgres that restarts frees it under its holder: what is done under it can be done twice, or asks whether it is
    still to be done.

    Args:
        url: of the store.
        name: of the lock.
        retry_policy: with a database that is away when the lock is to be taken.

    Raises:
        ConfigError: the database cannot be reached under this URL.
        StoreError: it went away while the lock was waited for.
        LockError: the holder of the lock shows no sign of life.
    """
    if url.get_backend_name() == "sqlite":
        with file_lock(_lock_file(url, name), _what(url, name)):
            yield
        return
    take = partial(_wait, url, name)
    connection = take() if retry_policy is None else retry_policy.call(take)
    with _let_go(connection), heartbeats(partial(_beat, connection)):
        yield


@contextlib.contextmanager
def try_store_lock(url: URL, name: str) -> Iterator[bool]:
    """As `store_lock`, but nobody waits: whether the lock is held now.

    Raises:
        ConfigError: the database cannot be reached under this URL.
        StoreError: it went away meanwhile.
    """
    if url.get_backend_name() == "sqlite":
        with try_file_lock(_lock_file(url, name)) as held:
            yield held
        return
    connection = _connect(url)
    with _let_go(connection):
        yield _ask(connection, url, name)


def _what(url: URL, name: str) -> str:
    return f"the lock {one_line(name, 100)!r} of the store {mask_url(url.render_as_string(hide_password=False))}"


def _lock_file(url: URL, name: str) -> Path:
    folder = Path(url.database or "").parent / ".locks"
    folder.mkdir(exist_ok=True)
    return folder / f"{name}.lock"


def _wait(url: URL, name: str) -> sqlalchemy.Connection:
    """A connection of its own that holds the lock."""
    connection = _connect(url)
    with contextlib.ExitStack() as failed:
        failed.callback(_close, connection)
        attempt, holder = partial(_ask, connection, url, name), partial(_holder, connection, url, name)
        wait_for_lock(attempt, holder, _what(url, name))
        failed.pop_all()
    return connection


def _connect(url: URL) -> sqlalchemy.Connection:
    engine = sqlalchemy.create_engine(url, poolclass=NullPool, connect_args=connect_args(url))
    try:
        return engine.connect().execution_options(isolation_level="AUTOCOMMIT")
    except SQLAlchemyError as error:
        raise ConfigError(
            f"{_cannot(url, 'be reached', error)}; check host, port, user, password and database"
        ) from error


def _ask(connection: sqlalchemy.Connection, url: URL, name: str) -> bool:
    try:
        return bool(connection.execute(_TRY, {"key": _key(name)}).scalar())
    except SQLAlchemyError as error:
        raise StoreError(f"{_cannot(url, 'give a lock', error)}; try again when it is there") from error


def _key(name: str) -> int:
    return zlib.crc32(name.encode())


def _holder(connection: sqlalchemy.Connection, url: URL, name: str) -> Holder | None:
    """Whose session holds the lock; None if it was freed a moment ago."""
    try:
        found = connection.execute(_HOLDER, {"key": _key(name)}).one_or_none()
    except SQLAlchemyError as error:
        raise StoreError(f"{_cannot(url, 'say who holds a lock', error)}; try again when it is there") from error
    if found is None:
        return None
    seen = "" if found.seen is None else f", last seen {utc_text(float(found.seen))}"
    who = f"{found.application_name or 'a process that is not named'} (client {found.client or 'local'}{seen})"
    remedy = f"resume or end that process, or run SELECT pg_terminate_backend({found.pid}) there, then try again"
    return Holder(who, None if found.silent is None else float(found.silent), remedy)


def _beat(connection: sqlalchemy.Connection) -> None:
    """A statement that shows in `pg_stat_activity` that the holder lives."""
    try:
        connection.execute(_BEAT)
    except SQLAlchemyError as error:  # the database is away, and the lock with it; what needs either says so
        log.debug("the holder of a lock could not show that it lives: %s", type(error).__name__)


def _cannot(url: URL, what: str, error: SQLAlchemyError) -> str:
    plain = url.render_as_string(hide_password=False)
    reason = scrub(str(getattr(error, "orig", error)).strip().splitlines()[0], plain)
    return f"the store {mask_url(plain)} cannot {what}: {reason}"


@contextlib.contextmanager
def _let_go(connection: sqlalchemy.Connection) -> Iterator[None]:
    try:
        yield
    finally:
        _close(connection)


def _close(connection: sqlalchemy.Connection) -> None:
    """Frees the lock, without a goodbye: SQLAlchemy logs one that a dead server did not hear as an error."""
    try:
        connection.detach()
        connection.invalidate()
    except SQLAlchemyError as error:
        log.debug("the connection of a lock was gone: %s", type(error).__name__)
