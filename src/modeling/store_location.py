"""Where studies are kept: a URL, the OPTUNA_POSTGRES_* variables, or the embedded store under a folder."""

import contextlib
import fcntl
import sqlite3
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from src.errors import ConfigError
from src.secrets import mask_url, scrub

EMBEDDED_FILE = "studies.db"
SQLITE_BUSY_SECONDS = 60
CONNECT_SECONDS = 10
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
    return {"pool_pre_ping": True, "pool_size": 2, "connect_args": {"connect_timeout": CONNECT_SECONDS}}


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
def store_lock(url: URL, name: str) -> Iterator[None]:
    """Holds a lock of this name in this store, against all its other processes; a killed holder frees it.

    An advisory lock on Postgres, a locked file beside an SQLite store.

    Raises:
        ConfigError: the database cannot be reached under this URL.
    """
    if url.get_backend_name() == "sqlite":
        folder = Path(url.database or "").parent / ".locks"
        folder.mkdir(exist_ok=True)
        with open(folder / f"{name}.lock", "w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        return
    engine = sqlalchemy.create_engine(url, poolclass=NullPool, connect_args={"connect_timeout": CONNECT_SECONDS})
    with _reached(url, engine) as connection:
        connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": zlib.crc32(name.encode())})
        yield


@contextlib.contextmanager
def _reached(url: URL, engine: sqlalchemy.Engine) -> Iterator[sqlalchemy.Connection]:
    try:
        connection = engine.connect()
    except SQLAlchemyError as error:
        plain = url.render_as_string(hide_password=False)
        reason = scrub(str(getattr(error, "orig", error)).strip().splitlines()[0], plain)
        raise ConfigError(
            f"the store {mask_url(plain)} cannot be reached: {reason}; check host, port, user, password and database"
        ) from error
    with connection:
        yield connection
