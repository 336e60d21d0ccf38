"""The store of studies: a URL, the OPTUNA_POSTGRES_* variables, or a SQLite file in a folder (the embedded store)."""

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
"""libpq parameters: a dead connection is noticed within half a minute; the system's default is hours."""
SESSION_SETTINGS = "SET TIME ZONE 'UTC'; SET idle_in_transaction_session_timeout = '300s'"
"""Settings of a Postgres session. Optuna stores heartbeats as the session's local time: with two time zones, or in the
hour when the clock changes, a living worker would count as dead. The timeout limits how long a process that is paused
in the middle of a transaction can hold its locks."""
POSTGRES_VARIABLES = ("USER", "PASSWORD", "HOST", "PORT", "DB")


def store_url(storage_url: str | None, storage_dir: Path, environ: Mapping[str, str]) -> URL:
    """The URL of the store: `--storage-url`, else OPTUNA_POSTGRES_*, else `--storage-dir`.

    Raises:
        ConfigError: a malformed URL, an unsupported database, or an incomplete set of OPTUNA_POSTGRES_* variables.
    """
    if storage_url:
        return _parse(storage_url)
    given = {name: environ.get(f"OPTUNA_POSTGRES_{name}", "") for name in POSTGRES_VARIABLES}
    if any(given.values()):
        if not environ.get("OPTUNA_POSTGRES_PASSWORD", "unset"):
            raise ConfigError("OPTUNA_POSTGRES_PASSWORD is empty: set it to the password, or unset it to use ~/.pgpass")
        return _postgres_from(given)
    return URL.create("sqlite", database=str(Path(storage_dir).resolve() / EMBEDDED_FILE))


def _parse(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        shown = mask_url(text)
        raise ConfigError(
            f"--storage-url {shown!r} is not a URL: use postgresql://user:password@host:5432/database"
        ) from None
    if url.drivername in ("postgresql", "postgres", "postgresql+psycopg2"):
        if not url.database:
            raise ConfigError(f"--storage-url {mask_url(text)!r} names no database: end it with /database")
        return url.set(drivername="postgresql+psycopg2")  # SQLAlchemy uses psycopg 3 for postgresql://; not installed
    if url.drivername in ("sqlite", "sqlite+pysqlite"):
        if not url.database or url.database == ":memory:":
            raise ConfigError(f"--storage-url {text!r} names no file: use sqlite:///studies.db")
        return url.set(drivername="sqlite")
    raise ConfigError(
        f"--storage-url {mask_url(text)!r}: {url.drivername!r} is not supported: use postgresql:// or sqlite:///"
    )


def _postgres_from(given: Mapping[str, str]) -> URL:
    missing = [f"OPTUNA_POSTGRES_{name}" for name in ("USER", "HOST") if not given[name]]
    if missing:
        named = ", ".join(f"OPTUNA_POSTGRES_{name}" for name, value in given.items() if value)
        raise ConfigError(f"{named} set, but not {' and '.join(missing)}: set them too, or unset all OPTUNA_POSTGRES_*")
    port = given["PORT"] or "5432"
    if not port.isdecimal():
        raise ConfigError(f"OPTUNA_POSTGRES_PORT {port!r} is not a port: use a number such as 5432")
    url = URL.create(
        "postgresql+psycopg2",
        username=given["USER"],
        password=given["PASSWORD"] or None,
        port=int(port),
        database=given["DB"] or "optuna",
    )
    if given["HOST"].startswith("/"):  # the folder of a Unix socket, as in libpq
        return url.set(query={"host": given["HOST"]}, port=None)
    return url.set(host=given["HOST"])


def engine_options(url: URL) -> dict[str, Any]:
    """Arguments of SQLAlchemy's `create_engine` for this store."""
    if url.get_backend_name() == "sqlite":
        return {"creator": _sqlite_connector(Path(url.database or ""))}
    return {"pool_pre_ping": True, "pool_size": 2, "max_overflow": 2, "connect_args": connect_args(url)}


def connect_args(url: URL) -> dict[str, Any]:
    """Arguments of the driver for this store: timeouts, and a name by which other processes know the lock's holder."""
    if url.get_backend_name() == "sqlite":
        return {}
    name = f"daily-profit:{platform.node()[:40]}:{os.getpid()}"
    return {**CONNECT_ARGS, "fallback_application_name": name}  # a user's own application_name wins


def set_up_sessions(engine: sqlalchemy.Engine) -> None:
    """Applies `SESSION_SETTINGS` to all sessions of a store, also to those after an outage."""
    if engine.name == "sqlite":
        return

    def set_up(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(SESSION_SETTINGS)
        connection.commit()

    sqlalchemy.event.listen(engine, "connect", set_up)
    engine.dispose()  # existing connections lack the settings


def _sqlite_connector(path: Path) -> Callable[[], sqlite3.Connection]:
    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, timeout=SQLITE_BUSY_SECONDS, check_same_thread=False)
        # A commit then needs no fsync: ten times faster. `kill -9` loses nothing; a power failure may lose the last
        # transactions, but never the file.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    return connect
