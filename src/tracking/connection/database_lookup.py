"""Queries MLflow's tables directly, because MLflow takes seconds to import and would create missing tables.

Tables and columns are those of MLflow 3.17, which the lock file pins; `test_database_lookup` checks them.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from src.errors import ConfigError
from src.secrets import mask_url, scrub
from src.study.retry_policy import is_transient
from src.suggest import one_line
from src.tracking.connection.destination import Experiment, FoundRun, NewStore, NoAnswer
from src.tracking.connection.schema_revisions import known_revisions, newest_revisions
from src.tracking.connection.tracking_database import CONNECT_SECONDS

_EXPERIMENT = "SELECT experiment_id, name, lifecycle_stage, artifact_location FROM experiments WHERE {} = :value"
_RUN = "SELECT experiment_id, lifecycle_stage FROM runs WHERE run_uuid = :value"
_CONTENT_TABLES = ("runs", "registered_models")
REMEDY = "set MLFLOW_TRACKING_URI to another store"


class DatabaseLookup:
    """Reads a tracking store that is a database; see `destination.Lookup`.

    Args:
        uri: the tracking URI, `sqlite:///…` with a file that exists, `postgresql+psycopg2://…` and the like.
    """

    def __init__(self, uri: str) -> None:
        self._url = make_url(uri)
        self._plain = uri
        self.shown = f"MLFLOW_TRACKING_URI {mask_url(uri)[:150]!r}"

    def experiment(self, experiment_id: str) -> Experiment | None:
        """The experiment with this id."""
        if not experiment_id.isdecimal() or int(experiment_id) >= 2**31:
            return None
        return self._experiment("experiment_id", int(experiment_id), NewStore().experiment(experiment_id))

    def experiment_named(self, name: str) -> Experiment | None:
        """The experiment with this name."""
        return self._experiment("name", name, NewStore().experiment_named(name))

    def run(self, run_id: str) -> FoundRun | None:
        """The run with this id."""
        rows = self._query(_RUN, run_id) or []
        return FoundRun(str(rows[0][0]), rows[0][1] == "active") if rows else None

    def _experiment(self, column: str, value: Any, default: Experiment | None) -> Experiment | None:
        rows = self._query(_EXPERIMENT.format(column), value)
        if rows is None:
            return default
        experiments = [
            Experiment(str(id_), name, stage == "active", location or "") for id_, name, stage, location in rows
        ]
        return max(experiments, key=lambda experiment: experiment.active, default=None)  # workspaces may share a name

    def refuse_other_schema(self) -> None:
        """Refuses a database that the installed MLflow cannot open.

        Raises:
            ConfigError: its schema is older or newer, it is the database of Optuna's studies, or not a database.
            NoAnswer: it cannot be read now.
        """
        with self._connection() as connection:
            tables = set(sqlalchemy.inspect(connection).get_table_names())
            if "alembic_version" not in tables:
                return  # empty or incomplete: MLflow and `embedded_store` complete it
            found = set(connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).scalars())
            if {"studies", "version_info"} <= tables and "experiments" not in tables:
                raise ConfigError(f"{self.shown} is the database of Optuna's studies: give MLflow a separate database")
            if not found <= known_revisions().keys():
                raise ConfigError(
                    f"{self.shown} has the schema of a newer MLflow ({', '.join(sorted(found))}) than the installed "
                    f"one: install that version, or {REMEDY}"
                )
            if found and not found & newest_revisions() and self._stays_old(connection, tables):
                raise ConfigError(
                    f"{self.shown} has the schema of an older MLflow: make a backup and run "
                    f"`mlflow db upgrade` with this URI, or {REMEDY}"
                )

    def _stays_old(self, connection: sqlalchemy.Connection, tables: set[str]) -> bool:
        """Whether MLflow keeps an older schema; if tables are missing, it migrates the database itself."""
        queries = [f"SELECT 1 FROM {name} LIMIT 1" for name in _CONTENT_TABLES if name in tables]
        if self._url.get_backend_name() == "sqlite" and not any(map(partial(_first, connection), queries)):
            return False  # incomplete: `embedded_store` creates it again
        from mlflow.store.db.utils import _all_tables_exist  # a slow import, for a rare case

        return bool(_all_tables_exist(connection.engine))

    def _query(self, statement: str, value: Any) -> list[Any] | None:
        """The rows; None if MLflow has not created its tables yet."""
        with self._connection() as connection:
            table = statement.partition(" FROM ")[2].partition(" ")[0]
            if not sqlalchemy.inspect(connection).has_table(table):
                return None
            return list(connection.execute(sqlalchemy.text(statement), {"value": value}).all())

    @contextmanager
    def _connection(self) -> Iterator[sqlalchemy.Connection]:
        try:
            with _engine(self._url).connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            reason = one_line(scrub(str(getattr(error, "orig", None) or error), self._plain), 150)
            if _is_permanent(error):
                raise ConfigError(
                    f"{self.shown} cannot be used: {reason}: check user, password and database, or {REMEDY}"
                ) from error
            raise NoAnswer(reason) from error


def _first(connection: sqlalchemy.Connection, statement: str) -> Any:
    return connection.execute(sqlalchemy.text(statement)).first()


def _engine(url: URL) -> sqlalchemy.Engine:
    if url.get_backend_name() != "sqlite":
        seconds = CONNECT_SECONDS.get(url.get_driver_name())
        arguments = {} if seconds is None or "connect_timeout" in url.query else {"connect_timeout": seconds}
        return sqlalchemy.create_engine(url, connect_args=arguments, poolclass=NullPool)
    address = f"file:{quote(str(Path(url.database or '').absolute()))}?mode=ro"
    return sqlalchemy.create_engine("sqlite://", creator=lambda: sqlite3.connect(address, uri=True), poolclass=NullPool)


def _is_permanent(error: SQLAlchemyError) -> bool:
    """Whether a retry cannot help: a wrong password, an unknown database, a file that is not a database."""
    original = getattr(error, "orig", None)
    if isinstance(original, sqlite3.Error):
        return getattr(original, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB
    return (
        type(original).__module__.startswith("psycopg2") and isinstance(error, DBAPIError) and not is_transient(error)
    )
