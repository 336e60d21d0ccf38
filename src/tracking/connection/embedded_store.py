"""Creates MLflow's embedded store, `mlflow.db`, atomically.

MLflow creates its schema by some forty migrations, which SQLite does not roll back: a process killed in between leaves
a file that MLflow refuses, and two processes that start at once race. Here the schema is built in a temporary file,
under a lock, and moved into place when it is complete. `make tune` does this before `mlflow run`, which opens the store
before the code of this project runs:

    python -m src.tracking.connection.embedded_store
"""

import contextlib
import hashlib
import logging
import os
import sqlite3
import sys
import tempfile
from contextlib import AbstractContextManager
from pathlib import Path

from sqlalchemy.engine import make_url

from src.cli import run_command
from src.file_lock import file_lock
from src.tracking.connection.schema_revisions import known_revisions
from src.tracking.connection.tracking_errors import tracking_errors
from src.tracking.connection.tracking_uri import check_tracking_uri

log = logging.getLogger(__name__)

INCOMPLETE_SUFFIX = ".half-made"
DEFAULT_URI = "sqlite:///mlflow.db"
"""MLflow's own default, in the working directory."""


def prepare_embedded_store(uri: str) -> None:
    """Ensures that an SQLite tracking store has its complete schema; does nothing for any other URI.

    A file with an incomplete schema that holds no run and no model, left by a killed process, is renamed.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
        LockError: another process holds the lock of the store and does not respond.
        MlflowException: MLflow cannot create its tables.
    """
    if not uri.startswith("sqlite:///"):
        return
    path = Path(make_url(uri).database or "").resolve()
    with _store_lock(path):
        if path.exists() and path.stat().st_size > 0:
            if not _is_incomplete(path):
                return
            log.warning("%s has an incomplete schema, left by a killed process, and no data: it is created again", path)
            os.replace(path, path.with_name(path.name + INCOMPLETE_SUFFIX))
        _build(path)


def main() -> int:
    """Prepares MLflow's embedded store, if it uses one; returns the exit status."""

    def command() -> int:
        check_tracking_uri(os.environ)
        with tracking_errors("prepare the tracking store"):
            prepare_embedded_store(os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI)
        return 0

    return run_command(command)


def _build(path: Path) -> None:
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f"{path.name}.") as folder:
        built = Path(folder) / path.name
        engine = create_sqlalchemy_engine(f"sqlite:///{built}")
        _initialize_tables(engine)
        engine.dispose()
        os.replace(built, path)


def _is_incomplete(path: Path) -> bool:
    """True for a file without the newest schema and without runs and models."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    with contextlib.closing(sqlite3.connect(path)) as connection:
        if _holds_rows(connection, "runs") or _holds_rows(connection, "registered_models"):
            return False
        try:
            revisions = [row[0] for row in connection.execute("SELECT version_num FROM alembic_version")]
        except (
            sqlite3.DatabaseError
        ):  # no such table yet, or not a database: MLflow reports which when it opens the file
            return _is_database(connection)
    # An unknown revision belongs to a newer MLflow, whose database is complete.
    return revisions != [_get_latest_schema_revision()] and set(revisions) <= known_revisions().keys()


def _holds_rows(connection: sqlite3.Connection, table: str) -> bool:
    try:
        return connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None
    except sqlite3.DatabaseError:  # no such table yet, or no database at all
        return False


def _is_database(connection: sqlite3.Connection) -> bool:
    try:
        connection.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.DatabaseError:
        return False
    return True


def _store_lock(path: Path) -> AbstractContextManager[None]:
    """A lock that is released when its holder is killed; its file lies outside the user's folder."""
    name = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    lock = Path(tempfile.gettempdir()) / f"daily-profit-{os.getuid()}-{name}.lock"
    return file_lock(lock, f"the lock of MLflow's store {path}")


if __name__ == "__main__":
    sys.exit(main())
