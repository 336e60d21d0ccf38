"""Converts exceptions of MLflow's client to a TrackingError with one line.

The client raises its own exceptions and those of the SQL store, of S3, and of the file system or an HTTP connection
(`requests` raises OSErrors).
"""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from src.disk import is_full
from src.errors import TrackingError
from src.secrets import scrub

T = TypeVar("T")
_OTHER_ERRORS = (
    ("sqlalchemy.exc", "SQLAlchemyError"),
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("boto3.exceptions", "Boto3Error"),
)
_LONGEST_REASON = 300
_SQL = re.compile(r"\s*(?:\[SQL: |\(Background on this error at: )")
"""Start of the text that SQLAlchemy adds to a driver's message."""


@contextmanager
def tracking_errors(action: str) -> Iterator[None]:
    """Converts any exception of MLflow's client inside the block.

    Args:
        action: the attempted action, which follows "cannot" in the message: `register model 'net_profit'`.

    Raises:
        TrackingError: MLflow cannot be reached, or refuses; one line, without passwords.
    """
    try:
        yield
    except _client_errors() as error:  # any error of MLflow's client
        remedy = "check MLFLOW_TRACKING_URI, its server and its artifact store"
        if is_full(error):
            remedy = "free space on the disk of MLflow's store and of its artifacts"
        raise TrackingError(f"cannot {action}: {one_line(error)}; {remedy}") from error


def none_if_absent(read: Callable[[str], T], id_or_name: str) -> T | None:
    """What a method of MLflow's client reads; None if MLflow has no such object."""
    from mlflow.exceptions import MlflowException

    try:
        return read(id_or_name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None


def one_line(error: Exception) -> str:
    """The beginning of an error's text, without line ends, passwords and the SQL that a database refused."""
    import mlflow

    message = _SQL.split(scrub(str(error), mlflow.get_tracking_uri()))[0]
    text = " ".join(message.split()) or type(error).__name__
    return text if len(text) <= _LONGEST_REASON else text[:_LONGEST_REASON] + "..."


def _client_errors() -> tuple[type[Exception], ...]:
    """The client's exception types. A module that was not imported, or is not installed, has raised nothing."""
    from mlflow.exceptions import MlflowException

    found = [getattr(sys.modules[module], name) for module, name in _OTHER_ERRORS if sys.modules.get(module)]
    return (MlflowException, OSError, *found)
