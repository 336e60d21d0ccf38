"""Checks before a search that MLflow can accept its runs, so that a permanent error is not reported after hours.

One or two queries run while the table is read, without importing MLflow, so that trials are not delayed. A deleted
experiment, wrong credentials, a stale run or a read-only folder ends the command with a message that names the
variable. A store that does not answer is a warning: its runs are written later.
"""

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url

from src.errors import ConfigError
from src.secrets import mask_url
from src.tracking.connection.artifact_store import check_artifacts, check_database_file
from src.tracking.connection.destination import Experiment, NewStore, NoAnswer, choose_experiment
from src.tracking.connection.embedded_store import DEFAULT_URI
from src.tracking.connection.server_lookup import (
    Forbidden,
    ServerLookup,
    needs_mlflow_client,
    refuse_databricks_without_credentials,
)
from src.tracking.connection.tracking_uri import DATABASE_SERVERS

if TYPE_CHECKING:
    from src.tracking.connection.database_lookup import DatabaseLookup

log = logging.getLogger(__name__)

SECONDS_TO_ANSWER = 10.0


class TrackingCheck:
    """Runs the check in a daemon thread; for an embedded store it is complete at once.

    Args:
        environ: environment variables with the tracking URI, the experiment and the credentials.
        refuses: whether a permanent error is raised; otherwise it is a warning, for a worker of a shared study: its
            trials count anyway, and the finish writes their runs.
        seconds: timeout for the answer, counted from the creation of this object.
    """

    def __init__(self, environ: Mapping[str, str], refuses: bool = True, seconds: float = SECONDS_TO_ANSWER) -> None:
        self._environ = dict(environ)
        self._refuses = refuses
        self._deadline = time.monotonic() + seconds
        self._problem: ConfigError | NoAnswer | None = None
        self._thread = threading.Thread(target=self._check, name="tracking-check", daemon=True)
        self._thread.start()
        if _uri(environ).startswith("sqlite:"):
            self.join()

    def _check(self) -> None:
        try:
            refuse_permanent_errors(self._environ)
        except (ConfigError, NoAnswer) as problem:
            self._problem = problem

    def join(self) -> None:
        """Waits for the result until the deadline, and reports a problem once.

        Raises:
            ConfigError: MLflow can never accept the runs; the message names the wrong variable.
        """
        self._thread.join(max(0.0, self._deadline - time.monotonic()))
        problem = NoAnswer("no answer in time") if self._thread.is_alive() else self._problem
        self._problem = None  # reported once
        if isinstance(problem, ConfigError) and self._refuses:
            raise problem
        if isinstance(problem, ConfigError):
            log.warning(
                "%s; the trials of this worker are kept, and their runs are written when the study is finished", problem
            )
        elif problem is not None:
            shown = mask_url(_uri(self._environ))[:150]
            log.warning("MLflow at %s does not answer (%s): its runs are written later", shown, problem)


def refuse_permanent_errors(environ: Mapping[str, str]) -> None:
    """Checks the experiment and the artifact location of the runs.

    Raises:
        ConfigError: runs can never be written; the message names the wrong variable.
        NoAnswer: MLflow does not answer now.
    """
    uri = _uri(environ)
    kind = _kind(uri)
    if kind == "sqlite" and not _sqlite_path(uri).is_file():
        check_database_file(_sqlite_path(uri), _shown(environ))
        check_artifacts(choose_experiment(environ, NewStore(), mask_url(uri)[:150]), environ)
    elif kind == "sqlite" or kind in DATABASE_SERVERS:
        lookup = _open_database(uri, environ)
        check_artifacts(choose_experiment(environ, lookup, mask_url(uri)[:150]), environ)
    elif kind in ("http", "https") and not needs_mlflow_client(environ):
        server = ServerLookup(uri, environ)
        experiment = choose_experiment(environ, server, mask_url(uri)[:150]) or _first_experiment(server)
        if experiment is not None:
            check_artifacts(experiment, environ)
    elif kind == "databricks":
        refuse_databricks_without_credentials(uri, environ)


def refuse_denied_access(environ: Mapping[str, str]) -> None:
    """Checks the access to MLflow, without an experiment, for a command that only reads models.

    If MLflow does not answer, the next step of the command reports it.

    Raises:
        ConfigError: access is denied; the message names the wrong variable.
    """
    uri = _uri(environ)
    kind = _kind(uri)
    with suppress(NoAnswer):
        if (kind == "sqlite" and _sqlite_path(uri).is_file()) or kind in DATABASE_SERVERS:
            _database(uri).refuse_other_schema()
        elif kind in ("http", "https") and not needs_mlflow_client(environ):
            _first_experiment(ServerLookup(uri, environ))
        elif kind == "databricks":
            refuse_databricks_without_credentials(uri, environ)


def _first_experiment(server: ServerLookup) -> Experiment | None:
    """The default experiment, beside which a new one's artifacts lie; None if the user may not read it."""
    try:
        return server.experiment("0")
    except Forbidden:
        return None


def _database(uri: str) -> "DatabaseLookup":
    from src.tracking.connection.database_lookup import DatabaseLookup  # imports Optuna, which a server lacks

    return DatabaseLookup(uri)


def _open_database(uri: str, environ: Mapping[str, str]) -> "DatabaseLookup":
    if _kind(uri) == "sqlite":
        check_database_file(_sqlite_path(uri), _shown(environ))
    lookup = _database(uri)
    lookup.refuse_other_schema()
    return lookup


def _uri(environ: Mapping[str, str]) -> str:
    return environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def _kind(uri: str) -> str:
    return uri.partition(":")[0].partition("+")[0].lower()


def _sqlite_path(uri: str) -> Path:
    return Path(make_url(uri).database or "")


def _shown(environ: Mapping[str, str]) -> str:
    given = environ.get("MLFLOW_TRACKING_URI")
    return f"MLFLOW_TRACKING_URI {given[:150]!r}" if given else f"MLflow's store {DEFAULT_URI}"
