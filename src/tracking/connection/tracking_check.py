"""Will MLflow take what a search finds? Asked before it, so that what can never work is not told after hours.

One or two questions, beside the reading of the table and without MLflow's import, so that trials begin as soon as they
did. A deleted experiment, wrong credentials, a stale run, a folder that cannot be written end the command with the
variable at fault. A store that does not answer ends nothing: its runs are written later.
"""

import logging
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from sqlalchemy.engine import make_url

from src.errors import ConfigError
from src.secrets import mask_url
from src.tracking.connection.artifact_store import check_artifacts, check_database_file
from src.tracking.connection.database_lookup import DatabaseLookup
from src.tracking.connection.destination import Experiment, NewStore, NoAnswer, choose_experiment
from src.tracking.connection.embedded_store import DEFAULT_URI
from src.tracking.connection.server_lookup import (
    Forbidden,
    ServerLookup,
    needs_mlflow_client,
    refuse_databricks_without_credentials,
)
from src.tracking.connection.tracking_uri import DATABASE_SERVERS

log = logging.getLogger(__name__)

SECONDS_TO_ANSWER = 10.0


class TrackingCheck:
    """Asks in a thread, which ends with the process; an embedded store answers at once.

    Args:
        environ: says where MLflow is, which experiment is meant, and who we are.
        refuses: whether what can never work is an error. It is none to a worker of a study that others share: its
            trials count all the same, and who finishes the study writes them.
        seconds: until the search begins without an answer, counted from here.
    """

    def __init__(self, environ: Mapping[str, str], refuses: bool = True, seconds: float = SECONDS_TO_ANSWER) -> None:
        self._environ = dict(environ)
        self._refuses = refuses
        self._until = time.monotonic() + seconds
        self._problem: ConfigError | NoAnswer | None = None
        self._thread = threading.Thread(target=self._ask, name="tracking-check", daemon=True)
        self._thread.start()
        if _uri(environ).startswith("sqlite:"):
            self.join()

    def _ask(self) -> None:
        try:
            refuse_permanent_errors(self._environ)
        except (ConfigError, NoAnswer) as problem:
            self._problem = problem

    def join(self) -> None:
        """Waits for the answer, as long as there is time left, and tells it.

        Raises:
            ConfigError: MLflow will never take the runs; names the variable at fault.
        """
        self._thread.join(max(0.0, self._until - time.monotonic()))
        problem = NoAnswer("nothing was heard in time") if self._thread.is_alive() else self._problem
        self._problem = None  # told once
        if isinstance(problem, ConfigError) and self._refuses:
            raise problem
        if isinstance(problem, ConfigError):
            log.warning("%s; the trials of this worker are kept, and written when the study is finished", problem)
        elif problem is not None:
            shown = mask_url(_uri(self._environ))[:150]
            log.warning("MLflow at %s does not answer (%s): its runs are written later", shown, problem)


def refuse_permanent_errors(environ: Mapping[str, str]) -> None:
    """Asks where the runs of this environment would go.

    Raises:
        ConfigError: they can never be written; names the variable at fault.
        NoAnswer: MLflow cannot be asked now.
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
    """As `refuse_permanent_errors` for a command that reads models: whether MLflow lets us in, whatever the experiment.

    No answer is told by what the command does next.

    Raises:
        ConfigError: names the variable at fault.
    """
    uri = _uri(environ)
    kind = _kind(uri)
    with suppress(NoAnswer):
        if (kind == "sqlite" and _sqlite_path(uri).is_file()) or kind in DATABASE_SERVERS:
            DatabaseLookup(uri).refuse_other_schema()
        elif kind in ("http", "https") and not needs_mlflow_client(environ):
            _first_experiment(ServerLookup(uri, environ))
        elif kind == "databricks":
            refuse_databricks_without_credentials(uri, environ)


def _first_experiment(server: ServerLookup) -> Experiment | None:
    """The one that every server has; a new one's files lie beside its. Not everybody may see it."""
    try:
        return server.experiment("0")
    except Forbidden:
        return None


def _open_database(uri: str, environ: Mapping[str, str]) -> DatabaseLookup:
    if _kind(uri) == "sqlite":
        check_database_file(_sqlite_path(uri), _shown(environ))
    lookup = DatabaseLookup(uri)
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
