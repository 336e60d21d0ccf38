"""Reads the rows of a SELECT from Postgres or SQLite."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from src.errors import ConfigError, DataError
from src.secrets import mask_url, scrub
from src.suggest import did_you_mean, one_line

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, CursorResult, Engine

CONNECT_TIMEOUT = 10
"""Seconds; `?connect_timeout=` in the URL overrides it."""
_CHUNK = 100_000
"""Rows held as Python objects at a time, because these need several times the memory of pandas columns."""


def read_sql(source: str, query: str) -> pd.DataFrame:
    """Reads the result of a SELECT.

    Args:
        source: `postgresql://…` (also `postgres://`, with the psycopg2 driver in both cases) or `sqlite:///…`.
        query: a SELECT.

    Raises:
        ConfigError: the URL is malformed.
        DataError: the server or file cannot be reached or refuses access, or the query is wrong or gives no columns.
    """
    with open_query(source, query) as rows:
        frames = list(rows.blocks(_CHUNK))
    # A column without values in one chunk has dtype object there, and in the concatenation.
    return pd.concat(frames, ignore_index=True).apply(_typed) if len(frames) > 1 else frames[0]


class QueryRows:
    """The rows of a SELECT, read in blocks.

    Attributes:
        columns: their names.
    """

    def __init__(self, connection: "Connection", source: str, query: str) -> None:
        self._connection, self._source, self._query = connection, source, query
        self._result: CursorResult[Any] | None = self._execute()
        self.columns = list(self._result.keys())

    def blocks(self, n_rows: int | None, columns: Sequence[str] | None = None) -> Iterator[pd.DataFrame]:
        """The rows in blocks of `n_rows`, all in one block if None; at least one block. A second call queries again.

        Raises:
            DataError: the query fails.
        """
        with _query_errors(self._source, self._query):
            result = self._result if self._result is not None else self._execute()
            self._result, empty = None, True
            while rows := result.fetchmany(n_rows) if n_rows else result.fetchall():
                empty = False
                frame = pd.DataFrame([tuple(row) for row in rows], columns=self.columns, dtype=object).apply(_typed)
                yield frame if columns is None else frame[list(columns)]
            if empty:
                yield pd.DataFrame(columns=self.columns if columns is None else list(columns))

    def _execute(self) -> "CursorResult[Any]":
        # Without `no_parameters`, the driver takes a percent sign (LIKE 'A%') for a placeholder.
        result = self._connection.exec_driver_sql(self._query, execution_options={"no_parameters": True})
        if not result.returns_rows:
            shown = scrub(one_line(self._query, 80), self._source)
            raise DataError(f"--query {shown!r} gives no columns: write a SELECT")
        return result


@contextmanager
def open_query(source: str, query: str) -> Iterator[QueryRows]:
    """Runs a SELECT in a read-only transaction, so that a mistyped query changes nothing.

    Raises:
        ConfigError: the URL is malformed.
        DataError: the server or file cannot be reached or refuses access, or the query is wrong or gives no columns.
    """
    url = parse_url(source)
    if url.get_backend_name() == "sqlite":
        _check_sqlite_file(url.database, source)
    # A server-side cursor: otherwise the driver loads the whole result before the first chunk.
    with open_database(url, source, {"postgresql_readonly": True, "stream_results": True}) as connection:
        with _query_errors(source, query):
            if connection.dialect.name == "sqlite":
                connection.exec_driver_sql("PRAGMA query_only = ON")
            rows = QueryRows(connection, source, query)
        yield rows


@contextmanager
def open_database(
    url: "URL", source: str, options: Mapping[str, Any], option: str = "--data"
) -> Iterator["Connection"]:
    """A connection that is closed at the end of the block.

    Args:
        url: from `parse_url`.
        source: the URL as the user gave it, for messages.
        options: execution options of a Postgres connection.
        option: the option that names the database, for messages.

    Raises:
        ConfigError: the driver refuses a value of the URL.
        DataError: the server or file cannot be reached or refuses access.
    """
    from sqlalchemy.exc import DBAPIError

    engine = _engine(url, options)
    try:
        connection = engine.connect()
    except DBAPIError as error:
        detail = scrub(one_line(error.orig), source)
        raise DataError(
            f"{option} {mask_url(source)} cannot be opened: {detail}: check host, user, password"
        ) from error
    except ValueError as error:  # text that the driver cannot encode, a parameter of the wrong type
        raise ConfigError(
            f"{option} {mask_url(source)} has a value that the driver refuses: correct the URL"
        ) from error
    try:
        with connection:
            yield connection
    finally:
        engine.dispose()


@contextmanager
def _query_errors(source: str, query: str) -> Iterator[None]:
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        shown = scrub(one_line(query, 80), source)
        # The server's message then quotes the query as the driver sent it ("DECLARE … CURSOR … FOR SELEC"): cut.
        detail = scrub(one_line(str(error.orig).partition("\nLINE ")[0]), source)
        raise DataError(f"--query {shown!r} failed: {detail}: correct the SELECT") from error


def parse_url(source: str, option: str = "--data") -> "URL":
    """The URL of a database, with the driver that this project ships.

    Raises:
        ConfigError: it is malformed.
    """
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    # SQLAlchemy uses psycopg 3 for `postgresql://`, which this project does not install.
    with_driver = re.sub(
        r"^(postgresql|postgres)(\+psycopg2)?://", "postgresql+psycopg2://", source, flags=re.IGNORECASE
    )
    try:
        return make_url(with_driver)
    except (ArgumentError, ValueError) as error:  # ValueError: the port is not a number
        wanted = "postgresql://user:password@host:5432/database"
        raise ConfigError(
            f"{option} {mask_url(source)} is not a URL: write {wanted}, special characters as %40"
        ) from error


def _check_sqlite_file(database: str | None, source: str) -> None:
    """Refuses a file that does not exist: SQLite would create an empty database."""
    if not database or database == ":memory:":
        raise ConfigError(f"--data {source} names no file: write sqlite:///path/to/file.db")
    path = Path(database)
    if not path.is_file():
        names = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(f"--data {source}: no such file{did_you_mean(path.name, names)}: give a path that exists")


def _engine(url: "URL", options: Mapping[str, Any]) -> "Engine":
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    if url.get_backend_name() == "sqlite":
        return create_engine(url, poolclass=NullPool)
    timeout = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_TIMEOUT}
    return create_engine(url, poolclass=NullPool, connect_args=timeout, execution_options=dict(options))


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
