"""Writes the log of predictions to a folder of Parquet files or to a SQL table; both grow and are never rewritten."""

import logging
import os
import socket
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from src.data.sources.dispatch import SQL_SCHEMES, scheme_of
from src.data.sources.sql import open_database, parse_url
from src.errors import ConfigError, DataError
from src.secrets import mask_url, scrub
from src.serving.prediction_log.collect import Keys, LogError, PredictionLog, log_columns
from src.suggest import listing, one_line

if TYPE_CHECKING:
    from sqlalchemy import Connection

log = logging.getLogger(__name__)

OPTION = "--log-predictions"
_INSERT_ROWS = 10_000
"""Rows held as Python objects at a time."""


def open_log(where: str | None, table: str, keys: Keys) -> PredictionLog | None:
    """The log of `--log-predictions`; None without one.

    Args:
        where: a folder, `postgresql://…` or `sqlite:///…`.
        table: name of the table, `schema.table` with a schema.
        keys: names of the account and date columns of the log.

    Raises:
        ConfigError: the folder cannot be written, the URL is malformed, or the table has other columns.
    """
    if where is None:
        return None
    scheme = scheme_of(where)
    if scheme in SQL_SCHEMES:
        sink = TableSink(where, table, keys)
        try:
            sink.check()
        except LogError as error:  # a database that is down keeps no server from starting
            log.error("%s; predictions are given without it, and it is tried again", error)
        return PredictionLog(sink, keys)
    if scheme is not None:
        raise ConfigError(
            f"{OPTION} {mask_url(where)}: {scheme}:// is unknown: use a folder, postgresql:// or sqlite:///"
        )
    return PredictionLog(FolderSink(Path(where), keys), keys)


class FolderSink:
    """A folder of Parquet files, one per write; several processes may share it.

    Args:
        folder: is created.
        keys: names of the account and date columns of the log.

    Raises:
        ConfigError: the folder cannot be written.
    """

    def __init__(self, folder: Path, keys: Keys) -> None:
        self._folder, self._keys = folder, keys
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ".probe").write_bytes(b"")
            (folder / ".probe").unlink()
        except OSError as error:  # a file of that name, no permission, read-only
            reason = f"{error.strerror}: give a folder that this user can write"
            raise ConfigError(f"{OPTION} {folder} cannot be written: {reason}") from error

    def write(self, rows: pd.DataFrame) -> None:
        """As in `LogSink`; a file appears when it is complete."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = {"text": pa.string(), "number": pa.float64(), "time": pa.timestamp("us", tz="UTC")}
        schema = pa.schema([(name, kinds[kind]) for name, kind in log_columns(self._keys).items()])
        stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        path = self._folder / f"{stamp}.parquet"
        partial = path.with_name(f".{path.name}")
        try:
            with partial.open("wb") as file:
                pq.write_table(pa.Table.from_pandas(rows, schema, preserve_index=False), file)
            partial.replace(path)
        except OSError as error:  # a full disk, or a folder that has become unwritable
            with suppress(OSError):  # the same
                partial.unlink()
            raise LogError(f"{OPTION} {self._folder}: {one_line(error)}", is_transient=True) from error


class TableSink:
    """A table of Postgres or SQLite, without a key: what was answered twice is there twice.

    A connection is opened for every write, so that a database that was started again is found.

    Args:
        source: `postgresql://…` or `sqlite:///…`.
        name: of the table, `schema.table` with a schema; the first write creates it.
        keys: names of the account and date columns of the log.

    Raises:
        ConfigError: the URL is malformed.
    """

    def __init__(self, source: str, name: str, keys: Keys) -> None:
        from sqlalchemy import Column, DateTime, Double, MetaData, Table, Text

        self._source, self._url = source, parse_url(source, OPTION)
        kinds: dict[str, Any] = {"text": Text(), "number": Double(), "time": DateTime(timezone=True)}
        schema, _, table = name.rpartition(".")
        columns = [Column(column, kinds[kind]) for column, kind in log_columns(keys).items()]
        self._table = Table(table, MetaData(), *columns, schema=schema or None)

    def check(self) -> None:
        """Looks at an existing table.

        Raises:
            ConfigError: it lacks columns of the log.
            LogError: the database cannot be reached.
        """
        from sqlalchemy import inspect

        with self._connection() as connection:
            inspector, name, schema = inspect(connection), self._table.name, self._table.schema
            if not inspector.has_table(name, schema):
                return
            found = {column["name"] for column in inspector.get_columns(name, schema)}
        if missing := [column.name for column in self._table.columns if column.name not in found]:
            raise ConfigError(
                f"the table {name!r} of {OPTION} {mask_url(self._source)} has no column(s) {listing(missing)}: give "
                "another --log-table, which is created"
            )

    def write(self, rows: pd.DataFrame) -> None:
        """As in `LogSink`: one transaction."""
        plain = rows.astype(object).where(rows.notna(), None)
        with self._connection() as connection, connection.begin():
            self._table.create(connection, checkfirst=True)
            for start in range(0, len(plain), _INSERT_ROWS):
                records: Any = plain.iloc[start : start + _INSERT_ROWS].to_dict("records")
                connection.execute(self._table.insert(), records)

    @contextmanager
    def _connection(self) -> Iterator["Connection"]:
        from sqlalchemy import exc

        try:
            with open_database(self._url, self._source, {}, OPTION) as connection:
                yield connection
        except DataError as error:  # of `open_database`: the server does not answer, or refuses access
            raise LogError(str(error), is_transient=True) from error
        except exc.SQLAlchemyError as error:
            # Of a statement. Another server may have created the table at the same time; refused values stay refused.
            detail = scrub(one_line(getattr(error, "orig", None) or error, 200), self._source)
            raise LogError(
                f"{OPTION} {mask_url(self._source)} refuses the predictions: {detail}",
                is_transient=isinstance(error, exc.DBAPIError) and not isinstance(error, exc.DataError),
            ) from error
