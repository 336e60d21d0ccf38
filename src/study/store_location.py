"""Where studies are kept: a URL, the OPTUNA_POSTGRES_* variables, or the embedded store under a folder."""

import os
import platform
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from src.errors import ConfigError
from src.secrets import mask_url

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
SESSION_SETTINGS = "SET TIME ZONE 'UTC'; SET idle_in_transaction_session_timeout = '300s'"
"""Of a Postgres session. Optuna keeps heartbeats as the session's wall clock: with those of two zones, or in the hour
when one changes its clock, a living worker would be taken for dead. A process that is paused in the middle of a
transaction keeps what it has locked from all others no longer than this."""
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
    return {"pool_pre_ping": True, "pool_size": 2, "max_overflow": 2, "connect_args": connect_args(url)}


def connect_args(url: URL) -> dict[str, Any]:
    """The driver's arguments for a connection to this store: its timeouts, and a name that others see (locks)."""
    if url.get_backend_name() == "sqlite":
        return {}
    name = f"daily-profit:{platform.node()[:40]}:{os.getpid()}"
    return {**CONNECT_ARGS, "fallback_application_name": name}  # a user's own application_name wins


def set_up_sessions(engine: sqlalchemy.Engine) -> None:
    """Gives every session of a store its settings, those that come again after an outage too."""
    if engine.name == "sqlite":
        return

    def set_up(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(SESSION_SETTINGS)
        connection.commit()

    sqlalchemy.event.listen(engine, "connect", set_up)
    engine.dispose()  # what is connected already has other settings


def _sqlite_connector(path: Path) -> Callable[[], sqlite3.Connection]:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=SQLITE_BUSY_SECONDS, check_same_thread=False)
        # A commit then needs no fsync: ten times faster, and `kill -9` loses nothing (a power cut may lose the last
        # transactions, never the file).
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    return connect
