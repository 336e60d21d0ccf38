"""Checks names and locations of a command before a table is read or a search starts; writes nothing.

Whether a database exists and accepts the connection is checked when the study is opened.
"""

import contextlib
import os
import sqlite3
from pathlib import Path
from urllib.parse import quote

from src.config import RunSettings
from src.disk import check_folder
from src.errors import ConfigError
from src.names import check_experiment_name
from src.study.store_location import store_url
from src.tracking.connection.tracking_uri import check_tracking_uri


def check_locations(settings: RunSettings, writes_results: bool = True) -> None:
    """Checks the store, MLflow's URI and experiment, and the output folder.

    Args:
        settings: settings of the command.
        writes_results: whether models and reports are written as well as the study.

    Raises:
        ConfigError: a name or location cannot be used.
    """
    search = settings.search
    url = store_url(search.storage_url, search.storage_dir, os.environ)
    if url.get_backend_name() == "sqlite":
        option = "--storage-url" if search.storage_url else "--storage-dir"
        check_folder(option, Path(url.database or "").parent)
        _check_sqlite_file(option, Path(url.database or ""))
    check_tracking_uri(os.environ)
    if name := os.environ.get("MLFLOW_EXPERIMENT_NAME"):
        check_experiment_name(name)
    if not writes_results:
        return
    for folder in (settings.output_dir, settings.output_dir / "models", settings.output_dir / "reports"):
        check_folder("--output-dir", folder)


def _check_sqlite_file(option: str, path: Path) -> None:
    if path.is_dir():
        raise ConfigError(f"{option} {path} is a folder: give a file in it, such as {path / 'studies.db'}")
    if not path.is_file():
        return
    # Opened through SQLite: closing it as a plain file would drop the locks of a database connection of this process.
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            connection.execute("PRAGMA schema_version").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode != sqlite3.SQLITE_NOTADB:  # for example locked: reported when the study is opened
            return
        raise ConfigError(
            f"{option} {path} is not a SQLite database: give another path; a new file is created if none exists"
        ) from error
