"""A table of predictions in Postgres or SQLite: one row per account, date, target and version."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from src.data.keys import parse_accounts, parse_days
from src.data.sources.sql import open_database, parse_url
from src.errors import ConfigError, DataError
from src.secrets import mask_url, scrub
from src.suggest import listing, one_line

if TYPE_CHECKING:
    from sqlalchemy import Connection, Table

    from src.serving.prediction_part import Part

Keys = tuple[str | None, str | None]
_INSERT_ROWS = 10_000
"""Rows held as Python objects at a time."""


class PredictionTable:
    """Writes predictions by key: a row that is there with the same key gets the new prediction.

    Args:
        connection: to the database.
        name: of the table, `schema.table` with a schema.
        keys: names of the account and the date column of the predictions; None for one that is missing.
        source: the URL, for messages.

    Raises:
        ConfigError: the table exists with other columns.
    """

    resumes = False

    def __init__(self, connection: "Connection", name: str, keys: Keys, source: str) -> None:
        self._connection, self._source, self._shown = connection, source, mask_url(source)
        self._account, self._date = keys
        self._table = _make_table(name, keys)
        self._check_columns()

    def n_rows_of(self, part: "Part") -> int | None:
        """Not known: blocks are written again and replace their own rows."""
        return None

    def write(self, part: "Part", frame: pd.DataFrame) -> None:
        """Writes the rows of a block in one transaction.

        Raises:
            DataError: a key is missing, cannot be read or occurs twice, or the database refuses the rows.
        """
        frame = self._with_plain_keys(frame, part.start)
        with _database_errors(self._source), self._connection.begin():
            self._table.create(self._connection, checkfirst=True)
            statement = self._upsert()
            for start in range(0, len(frame), _INSERT_ROWS):
                rows: Any = frame.iloc[start : start + _INSERT_ROWS].to_dict("records")
                self._connection.execute(statement, rows)

    def finish(self) -> None:
        """Every block has been committed."""

    def close(self) -> None:
        """The connection is closed by its owner."""

    def _upsert(self) -> Any:
        from sqlalchemy.dialects import postgresql, sqlite

        insert = postgresql.insert if self._connection.dialect.name == "postgresql" else sqlite.insert
        statement = insert(self._table)
        return statement.on_conflict_do_update(
            index_elements=list(self._table.primary_key), set_={"prediction": statement.excluded.prediction}
        )

    def _with_plain_keys(self, frame: pd.DataFrame, start: int) -> pd.DataFrame:
        """Accounts as text and dates as dates."""
        frame = frame.copy()
        # Predictions of several targets follow each other, with the same rows.
        n_targets = max(1, frame["target"].nunique())
        rows = start + np.arange(len(frame)) % max(1, len(frame) // n_targets)
        if self._account is not None:
            frame[self._account] = parse_accounts(frame[self._account], rows)
        if self._date is not None:
            frame[self._date] = parse_days(frame[self._date], rows).astype(object)
        repeated = frame.duplicated([column.name for column in self._table.primary_key])
        if repeated.any():
            first = frame[repeated].iloc[0]
            key = " of ".join(str(first[name]) for name in (self._account, self._date) if name is not None)
            raise DataError(
                f"two rows have the key {key}: a table of predictions has one row per account and date; remove one of "
                "the two, or give a file as --output"
            )
        return frame

    def _check_columns(self) -> None:
        from sqlalchemy import inspect

        with _database_errors(self._source), self._connection.begin():
            inspector = inspect(self._connection)
            name, schema = self._table.name, self._table.schema
            if not inspector.has_table(name, schema):
                return
            found = {column["name"] for column in inspector.get_columns(name, schema)}
            key = set(inspector.get_pk_constraint(name, schema)["constrained_columns"])
        if missing := [column.name for column in self._table.columns if column.name not in found]:
            raise ConfigError(
                f"the table {name!r} of {self._shown} has no column(s) {listing(missing)}: give another --table, which "
                "is created"
            )
        if key != {column.name for column in self._table.primary_key}:
            raise ConfigError(
                f"the table {name!r} of {self._shown} has the primary key ({listing(sorted(key)) or 'none'}), not "
                f"({listing(column.name for column in self._table.primary_key)}): give another --table"
            )


def _make_table(name: str, keys: Keys) -> "Table":
    from sqlalchemy import Column, Date, Double, MetaData, Table, Text

    schema, _, table = name.rpartition(".")
    account, date = keys
    key_columns: list[Column[Any]] = []
    if account is not None:
        key_columns.append(Column(account, Text(), primary_key=True))
    if date is not None:
        key_columns.append(Column(date, Date(), primary_key=True))
    others = [Column(column, Text(), primary_key=True) for column in ("target", "model", "version")]
    return Table(table, MetaData(), *key_columns, *others, Column("prediction", Double()), schema=schema or None)


@contextmanager
def open_prediction_table(source: str, name: str, keys: Keys) -> Iterator[PredictionTable]:
    """Opens a database for predictions; the table is created by the first block.

    Args:
        source: `postgresql://…` or `sqlite:///…`; an SQLite file is created.
        name: of the table.
        keys: names of the account and date columns, None for one that is missing.

    Raises:
        ConfigError: the URL is malformed, the predictions have no account and date, or the table has other columns.
        DataError: the database cannot be reached.
    """
    if not any(keys):
        raise ConfigError(
            f"--output {mask_url(source)} needs an account or date column as key: name them in --config, or give a file"
        )
    url = parse_url(source, "--output")
    with open_database(url, source, {}, "--output") as connection:
        yield PredictionTable(connection, name, keys, source)


@contextmanager
def _database_errors(source: str) -> Iterator[None]:
    from sqlalchemy.exc import DBAPIError

    try:
        yield
    except DBAPIError as error:
        detail = scrub(one_line(error.orig, 200), source)
        raise DataError(
            f"--output {mask_url(source)} refuses the predictions: {detail}: correct the table or its rights"
        ) from error
