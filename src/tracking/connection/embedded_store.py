"""MLflow's embedded store, `mlflow.db`, made whole or not at all.

MLflow creates its schema by some forty migrations, which SQLite does not roll back: a process killed in the middle
leaves a file that MLflow refuses from then on, and two processes that start at once race. Here the schema is built
beside the file, under a lock, and moved to its place when it is complete. `make tune` does so before `mlflow run`,
which opens the store before any code of ours runs:

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

HALF_MADE = ".half-made"
DEFAULT_URI = "sqlite:///mlflow.db"
"""MLflow's own default, in the working directory."""


def prepare_embedded_store(uri: str) -> None:
    """Makes sure that an SQLite tracking store has its whole schema; any other URI is left alone.

    A file that an earlier kill left half-made, and that holds no run and no model, is moved aside.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
        LockError: another process that makes the store shows no sign of life.
        MlflowException: MLflow cannot create its tables.
    """
    if not uri.startswith("sqlite:///"):
        return
    path = Path(make_url(uri).database or "").resolve()
    with _only_one_process(path):
        if path.exists() and path.stat().st_size > 0:
            if not _is_half_made(path):
                return
            log.warning("%s was left half-made by a killed process; it held nothing, and is made anew", path)
            os.replace(path, path.with_name(path.name + HALF_MADE))
        _build(path)


def main() -> int:
    """Prepares the store that MLflow will use here; returns the exit status."""

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


def _is_half_made(path: Path) -> bool:
    """True for a file without the newest schema in which nothing was ever kept."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    with contextlib.closing(sqlite3.connect(path)) as connection:
        if _holds_rows(connection, "runs") or _holds_rows(connection, "registered_models"):
            return False
        try:
            revisions = [row[0] for row in connection.execute("SELECT version_num FROM alembic_version")]
        except sqlite3.DatabaseError:  # no such table yet, or no database: MLflow says which when it opens the file
            return _is_database(connection)
    # A revision that is not known is that of a newer MLflow: its database is somebody's, and complete.
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


def _only_one_process(path: Path) -> AbstractContextManager[None]:
    """A lock that a killed holder frees, kept out of the user's folder."""
    name = hashlib.sha256(str(path).encode()).hexdigest()[:16]
    lock = Path(tempfile.gettempdir()) / f"daily-profit-{os.getuid()}-{name}.lock"
    return file_lock(lock, f"the lock of MLflow's store {path}")


if __name__ == "__main__":
    sys.exit(main())
