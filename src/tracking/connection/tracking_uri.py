"""Checks the text of MLFLOW_TRACKING_URI at the start of a command; contacts nothing.

An unavailable server is no error: the search runs and its runs are written later. A URI with an unknown scheme never
works, and would be reported only after hours of search. MLflow is not imported, because that takes seconds.
"""

import re
from collections.abc import Mapping
from importlib.metadata import entry_points

from src.errors import ConfigError
from src.secrets import mask_url

DATABASE_SERVERS = ("postgresql", "mysql", "mssql")
_OTHERS = ("http", "https", "databricks", "uc", "databricks-uc")
_SCHEME = re.compile(r"(?P<backend>[a-z][a-z0-9-]*)(\+\w+)?:", re.IGNORECASE)
_REMEDY = "use sqlite:///mlflow.db, postgresql+psycopg2://user@host/database or http://host:port"


def check_tracking_uri(environ: Mapping[str, str]) -> None:
    """Refuses a URI with a scheme that MLflow does not know, and a database whose driver is not installed.

    Raises:
        ConfigError: the message has the URI without its password, and the remedy.
    """
    uri = environ.get("MLFLOW_TRACKING_URI", "")
    if not uri or uri in _OTHERS:
        return
    match = _SCHEME.match(uri)
    backend = match["backend"].lower() if match else "file"
    shown = f"MLFLOW_TRACKING_URI {mask_url(uri)!r}"
    if backend == "file":
        if not environ.get("MLFLOW_ALLOW_FILE_STORE"):
            raise ConfigError(f"{shown} is a folder, which MLflow no longer supports: {_REMEDY}")
    elif backend in (*DATABASE_SERVERS, "sqlite"):
        _check_driver(uri, shown)
    elif backend not in _OTHERS and backend not in entry_points(group="mlflow.tracking_store").names:
        raise ConfigError(f"{shown} has the unknown scheme {backend!r}: {_REMEDY}")


def _check_driver(uri: str, shown: str) -> None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        make_url(uri).get_dialect().import_dbapi()
    except (NoSuchModuleError, ImportError) as error:  # `postgresql://` means psycopg 3, which is not shipped
        raise ConfigError(f"{shown} needs a driver that is not installed: {_REMEDY}") from error
    except (ArgumentError, ValueError):  # ValueError: the port is not a number; its text would show the password
        raise ConfigError(f"{shown} is not a URL: {_REMEDY}") from None
