"""Locks between all processes that use a store: advisory locks of Postgres, or files next to the SQLite file."""

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
_HEARTBEAT = sqlalchemy.text("SELECT 1")
_HOLDER = sqlalchemy.text(
    "SELECT a.pid, a.application_name, host(a.client_addr) AS client, extract(epoch FROM a.state_change) AS seen, "
    "extract(epoch FROM clock_timestamp() - a.state_change) AS silent "
    "FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid "
    "WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 0 AND l.objid = :key AND l.objsubid = 1 "
    "AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
"""Without the right to see other users' sessions, Postgres shows only the process id."""


@contextlib.contextmanager
def store_lock(url: URL, name: str, retry_policy: RetryPolicy | None = None) -> Iterator[None]:
    """Holds a named lock of a store; the lock is freed when its holder is killed.

    A restart of Postgres frees the lock although its holder still runs. The protected work must therefore be
    idempotent, or check whether it is already done.

    Args:
        url: of the store.
        name: of the lock.
        retry_policy: for a database that is unavailable when the lock is taken.

    Raises:
        ConfigError: the database cannot be reached with this URL.
        StoreError: the database became unavailable while waiting for the lock.
        LockError: the holder of the lock has sent no heartbeat for too long.
    """
    if url.get_backend_name() == "sqlite":
        with file_lock(_lock_file(url, name), _what(url, name)):
            yield
        return
    take = partial(_wait, url, name)
    connection = take() if retry_policy is None else retry_policy.call(take)
    with _closing(connection), heartbeats(partial(_send_heartbeat, connection)):
        yield


@contextlib.contextmanager
def try_store_lock(url: URL, name: str) -> Iterator[bool]:
    """As `store_lock`, without waiting: yields whether the lock was taken.

    Raises:
        ConfigError: the database cannot be reached with this URL.
        StoreError: the database became unavailable meanwhile.
    """
    if url.get_backend_name() == "sqlite":
        with try_file_lock(_lock_file(url, name)) as held:
            yield held
        return
    connection = _connect(url)
    with _closing(connection):
        yield _try_lock(connection, url, name)


def _what(url: URL, name: str) -> str:
    return f"the lock {one_line(name, 100)!r} of the store {mask_url(url.render_as_string(hide_password=False))}"


def _lock_file(url: URL, name: str) -> Path:
    folder = Path(url.database or "").parent / ".locks"
    folder.mkdir(exist_ok=True)
    return folder / f"{name}.lock"


def _wait(url: URL, name: str) -> sqlalchemy.Connection:
    """A new connection that holds the lock."""
    connection = _connect(url)
    with contextlib.ExitStack() as failed:
        failed.callback(_close, connection)
        attempt, holder = partial(_try_lock, connection, url, name), partial(_holder, connection, url, name)
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


def _try_lock(connection: sqlalchemy.Connection, url: URL, name: str) -> bool:
    try:
        return bool(connection.execute(_TRY, {"key": _key(name)}).scalar())
    except SQLAlchemyError as error:
        raise StoreError(f"{_cannot(url, 'take a lock', error)}; try again when it is available") from error


def _key(name: str) -> int:
    return zlib.crc32(name.encode())


def _holder(connection: sqlalchemy.Connection, url: URL, name: str) -> Holder | None:
    """The session that holds the lock; None if the lock was freed in the meantime."""
    try:
        row = connection.execute(_HOLDER, {"key": _key(name)}).one_or_none()
    except SQLAlchemyError as error:
        raise StoreError(
            f"{_cannot(url, 'name the holder of a lock', error)}; try again when it is available"
        ) from error
    if row is None:
        return None
    seen = "" if row.seen is None else f", last seen {utc_text(float(row.seen))}"
    holder_name = f"{row.application_name or 'an unknown process'} (client {row.client or 'local'}{seen})"
    remedy = f"resume or end that process, or run SELECT pg_terminate_backend({row.pid}) there, then try again"
    return Holder(holder_name, None if row.silent is None else float(row.silent), remedy)


def _send_heartbeat(connection: sqlalchemy.Connection) -> None:
    """Runs a statement, whose time `pg_stat_activity` shows to other processes."""
    try:
        connection.execute(_HEARTBEAT)
    except SQLAlchemyError as error:  # the database is unavailable and the lock lost; the code that needs them raises
        log.debug("the heartbeat of a lock failed: %s", type(error).__name__)


def _cannot(url: URL, what: str, error: SQLAlchemyError) -> str:
    plain = url.render_as_string(hide_password=False)
    reason = scrub(str(getattr(error, "orig", error)).strip().splitlines()[0], plain)
    return f"the store {mask_url(plain)} cannot {what}: {reason}"


@contextlib.contextmanager
def _closing(connection: sqlalchemy.Connection) -> Iterator[None]:
    try:
        yield
    finally:
        _close(connection)


def _close(connection: sqlalchemy.Connection) -> None:
    """Frees the lock by dropping the connection: a normal close makes SQLAlchemy log an error if the server is dead."""
    try:
        connection.detach()
        connection.invalidate()
    except SQLAlchemyError as error:
        log.debug("the connection of a lock was lost: %s", type(error).__name__)
