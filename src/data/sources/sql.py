"""Reads the rows of a SELECT from Postgres or SQLite."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from src.errors import ConfigError, DataError
from src.secrets import mask_url, scrub
from src.suggest import did_you_mean, one_line

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

CONNECT_TIMEOUT = 10
"""Seconds; `?connect_timeout=` in the URL overrides it."""
_CHUNK = 100_000
"""Rows held as Python objects at a time, because these need several times the memory of pandas columns."""


def read_sql(source: str, query: str) -> pd.DataFrame:
    """Reads the result of a SELECT.

    The transaction is read-only, so that a mistyped query changes nothing.

    Args:
        source: `postgresql://…` (also `postgres://`, with the psycopg2 driver in both cases) or `sqlite:///…`.
        query: a SELECT.

    Raises:
        ConfigError: the URL is malformed.
        DataError: the server or file cannot be reached or refuses access, or the query is wrong or gives no columns.
    """
    from sqlalchemy.exc import DBAPIError

    url = _parse(source)
    engine = _engine(url)
    try:
        connection = engine.connect()
    except DBAPIError as error:
        detail = scrub(one_line(error.orig), source)
        raise DataError(f"--data {mask_url(source)} cannot be opened: {detail}: check host, user, password") from error
    except ValueError as error:  # text that the driver cannot encode, a parameter of the wrong type
        raise ConfigError(f"--data {mask_url(source)} has a value that the driver refuses: correct the URL") from error
    try:
        with connection:
            return _select(connection, query, source)
    except DBAPIError as error:
        shown = scrub(one_line(query, 80), source)
        # The server's message then quotes the query as the driver sent it ("DECLARE … CURSOR … FOR SELEC"): cut.
        detail = scrub(one_line(str(error.orig).partition("\nLINE ")[0]), source)
        raise DataError(f"--query {shown!r} failed: {detail}: correct the SELECT") from error
    finally:
        engine.dispose()


def _parse(source: str) -> "URL":
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    # SQLAlchemy uses psycopg 3 for `postgresql://`, which this project does not install.
    with_driver = re.sub(
        r"^(postgresql|postgres)(\+psycopg2)?://", "postgresql+psycopg2://", source, flags=re.IGNORECASE
    )
    try:
        url = make_url(with_driver)
    except (ArgumentError, ValueError) as error:  # ValueError: the port is not a number
        wanted = "postgresql://user:password@host:5432/database"
        raise ConfigError(
            f"--data {mask_url(source)} is not a URL: write {wanted}, special characters as %40"
        ) from error
    if url.get_backend_name() == "sqlite":
        _check_sqlite_file(url.database, source)
    return url


def _check_sqlite_file(database: str | None, source: str) -> None:
    """Refuses a file that does not exist: SQLite would create an empty database."""
    if not database or database == ":memory:":
        raise ConfigError(f"--data {source} names no file: write sqlite:///path/to/file.db")
    path = Path(database)
    if not path.is_file():
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"--data {source}: no such file{did_you_mean(path.name, names)}: give a path that exists")


def _engine(url: "URL") -> "Engine":
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    if url.get_backend_name() == "sqlite":
        return create_engine(url, poolclass=NullPool)
    timeout = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_TIMEOUT}
    # A server-side cursor: otherwise the driver loads the whole result before the first chunk.
    options = {"postgresql_readonly": True, "stream_results": True}
    return create_engine(url, poolclass=NullPool, connect_args=timeout, execution_options=options)


def _select(connection: "Connection", query: str, source: str) -> pd.DataFrame:
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("PRAGMA query_only = ON")
    # Without `no_parameters`, the driver takes a percent sign (LIKE 'A%') for a placeholder.
    result = connection.exec_driver_sql(query, execution_options={"no_parameters": True})
    if not result.returns_rows:
        shown = scrub(one_line(query, 80), source)
        raise DataError(f"--query {shown!r} gives no columns: write a SELECT")
    columns = list(result.keys())

    def chunks() -> Iterator[pd.DataFrame]:
        while rows := result.fetchmany(_CHUNK):
            yield pd.DataFrame([tuple(row) for row in rows], columns=columns, dtype=object).apply(_typed)

    frames = list(chunks())
    if not frames:
        return pd.DataFrame(columns=columns)
    # A column without values in one chunk has dtype object there, and in the concatenation.
    return pd.concat(frames, ignore_index=True).apply(_typed)


def _typed(column: pd.Series) -> pd.Series:
    """Python objects as pandas types; integers with missing values stay integers, instead of 12 becoming 12.0."""
    if column.dtype != object:
        return column
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    if inferred == "decimal":
        return column.astype(np.float64)
    if inferred != "integer" or not column.isna().any():
        return column.infer_objects()
    try:
        return column.astype("Int64")
    except OverflowError:  # beyond 64 bits
        return column
