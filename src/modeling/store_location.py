"""Where studies are kept: a URL, the OPTUNA_POSTGRES_* variables, or the embedded store under a folder."""

import contextlib
import fcntl
import logging
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from src.errors import ConfigError, StoreError
from src.modeling.patience import Patience
from src.secrets import mask_url, scrub

log = logging.getLogger(__name__)

EMBEDDED_FILE = "studies.db"
SQLITE_BUSY_SECONDS = 60
CONNECT_ARGS: Mapping[str, int] = MappingProxyType(
    {
        "connect_timeout": 10,
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }
)
"""Of libpq: a server that vanished without a word is given up in half a minute; the system's own default is hours."""
POSTGRES_VARIABLES = ("USER", "PASSWORD", "HOST", "PORT", "DB")


def store_url(storage_url: str | None, storage_dir: Path, environ: Mapping[str, str]) -> URL:
    """The URL of the store, the first that is given of: `--storage-url`, OPTUNA_POSTGRES_*, `--storage-dir`.

    Raises:
        ConfigError: a URL that cannot be read, a database that this project ships no driver for, or an incomplete set
            of OPTUNA_POSTGRES_* variables.
    """
    if storage_url:
        return _parse(storage_url)
    given = {name: environ.get(f"OPTUNA_POSTGRES_{name}", "") for name in POSTGRES_VARIABLES}
    if any(given.values()):
        if not environ.get("OPTUNA_POSTGRES_PASSWORD", "unset"):
            raise ConfigError("OPTUNA_POSTGRES_PASSWORD is empty: give it the password, or unset it for ~/.pgpass")
        return _postgres_from(given)
    return URL.create("sqlite", database=str(Path(storage_dir).resolve() / EMBEDDED_FILE))


def _parse(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        shown = mask_url(text)
        raise ConfigError(
            f"--storage-url {shown!r} is no URL: use postgresql://user:password@host:5432/database"
        ) from None
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg2"):
        if not url.database:
            raise ConfigError(f"--storage-url {mask_url(text)!r} names no database: end it with /database")
        return url.set(drivername="postgresql+psycopg2")  # plain postgresql:// would mean psycopg 3, not shipped
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        if not url.database or url.database == ":memory:":
            raise ConfigError(f"--storage-url {text!r} keeps nothing: name a file, sqlite:///studies.db")
        return url.set(drivername="sqlite")
    raise ConfigError(
        f"--storage-url {mask_url(text)!r}: {url.drivername!r} is not supported: use postgresql:// or sqlite:///"
    )


def _postgres_from(given: Mapping[str, str]) -> URL:
    missing = [f"OPTUNA_POSTGRES_{name}" for name in ("USER", "HOST") if not given[name]]
    if missing:
        named = ", ".join(f"OPTUNA_POSTGRES_{name}" for name, value in given.items() if value)
        raise ConfigError(f"{named} set, but not {' and '.join(missing)}: set all that the database needs, or none")
    port = given["PORT"] or "5432"
    if not port.isdecimal():
        raise ConfigError(f"OPTUNA_POSTGRES_PORT {port!r} is no port: use a number such as 5432")
    url = URL.create(
        "postgresql+psycopg2",
        username=given["USER"],
        password=given["PASSWORD"] or None,
        port=int(port),
        database=given["DB"] or "optuna",
    )
    if given["HOST"].startswith("/"):  # the folder of a Unix socket, as libpq takes it
        return url.set(query={"host": given["HOST"]}, port=None)
    return url.set(host=given["HOST"])


def engine_options(url: URL) -> dict[str, Any]:
    """Arguments of SQLAlchemy's `create_engine` for this store."""
    if url.get_backend_name() == "sqlite":
        return {"creator": _sqlite_connector(Path(url.database or ""))}
    return {"pool_pre_ping": True, "pool_size": 2, "max_overflow": 2, "connect_args": dict(CONNECT_ARGS)}


def _sqlite_connector(path: Path) -> Callable[[], sqlite3.Connection]:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=SQLITE_BUSY_SECONDS, check_same_thread=False)
        # A commit then needs no fsync: ten times faster, and `kill -9` loses nothing (a power cut may lose the last
        # transactions, never the file).
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    return connect


@contextlib.contextmanager
def store_lock(url: URL, name: str, patience: Patience | None = None) -> Iterator[None]:
    """Holds a lock of this name in this store, against all its other processes; a killed holder frees it.

    An advisory lock on Postgres, a locked file beside an SQLite store. A Postgres that restarts frees it under its
    holder: what is done under it can be done twice, or asks whether it is still to be done.

    Args:
        url: of the store.
        name: of the lock.
        patience: with a database that is away when the lock is to be taken.

    Raises:
        ConfigError: the database cannot be reached under this URL.
        StoreError: it went away while the lock was waited for.
    """
    if url.get_backend_name() == "sqlite":
        with _lock_file(url, name) as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        return
    take = partial(_ask, url, name, "SELECT pg_advisory_lock(:key)")
    connection, _ = take() if patience is None else patience.call(take)
    with _let_go(connection):
        yield


@contextlib.contextmanager
def try_store_lock(url: URL, name: str) -> Iterator[bool]:
    """As `store_lock`, but nobody waits: whether the lock is held now.

    Raises:
        ConfigError: the database cannot be reached under this URL.
        StoreError: it went away meanwhile.
    """
    if url.get_backend_name() == "sqlite":
        with _lock_file(url, name) as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # another process holds it
                yield False
            else:
                yield True
        return
    connection, held = _ask(url, name, "SELECT pg_try_advisory_lock(:key)")
    with _let_go(connection):
        yield bool(held)


@contextlib.contextmanager
def _lock_file(url: URL, name: str) -> Iterator[IO[str]]:
    folder = Path(url.database or "").parent / ".locks"
    folder.mkdir(exist_ok=True)
    with open(folder / f"{name}.lock", "w") as handle:
        yield handle


def _ask(url: URL, name: str, question: str) -> tuple[sqlalchemy.Connection, Any]:
    """A connection of its own, on which the lock was asked for, and the answer."""
    engine = sqlalchemy.create_engine(url, poolclass=NullPool, connect_args=dict(CONNECT_ARGS))
    try:
        connection = engine.connect()
    except SQLAlchemyError as error:
        raise ConfigError(
            f"{_cannot(url, 'be reached', error)}; check host, port, user, password and database"
        ) from error
    try:
        asking = connection.execution_options(isolation_level="AUTOCOMMIT")
        return connection, asking.execute(sqlalchemy.text(question), {"key": zlib.crc32(name.encode())}).scalar()
    except SQLAlchemyError as error:
        _close(connection)
        raise StoreError(f"{_cannot(url, 'give a lock', error)}; try again when it is there") from error


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
