"""Reads the registered models' hyperparameters in the background, as starting points for a new study.

MLflow takes seconds to import, and a server may not answer at all. So a separate process reads the registry while the
table is read; without an answer in time the search starts without these points. An embedded store without models is
not read.
"""

import contextlib
import json
import logging
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import make_url

from src.search.earlier_model import EarlierModel
from src.tracking.connection.embedded_store import DEFAULT_URI

log = logging.getLogger(__name__)

SECONDS_TO_ANSWER = 10.0
_START = (
    "import json, sys; given = json.loads(sys.stdin.readline()); sys.path[:] = given['path']; "
    "from src.tracking.registry.earlier_models_process import answer; answer(given['targets'])"
)
_REQUEST_LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}


class EarlierModels:
    """The versions of several targets' models, if the registry answers in time.

    Args:
        targets: names of the models.
        environ: environment variables that locate the registry for MLflow.
        seconds: timeout for the answer, counted from the creation of this object.
    """

    def __init__(
        self,
        targets: Sequence[str],
        environ: Mapping[str, str] = os.environ,
        seconds: float = SECONDS_TO_ANSWER,
    ) -> None:
        self._deadline = time.monotonic() + seconds
        self._models: dict[str, list[EarlierModel]] = {}
        self._thread: threading.Thread | None = None
        if may_hold_models(environ):
            given = json.dumps({"path": sys.path, "targets": list(targets)}) + "\n"
            self._thread = threading.Thread(
                target=self._read_registry,
                args=(given, dict(environ) | _REQUEST_LIMITS, seconds),
                name="earlier-models",
                daemon=True,
            )
            self._thread.start()

    def of(self, target: str) -> list[EarlierModel]:
        """The versions that have a starting point, newest first; waits for the answer until the deadline."""
        if self._thread is not None:
            self._thread.join(max(0.0, self._deadline - time.monotonic()))
            if self._thread.is_alive():
                _log_no_answer("no answer in time")
        return self._models.get(target, [])

    def _read_registry(self, given: str, environ: dict[str, str], seconds: float) -> None:
        start = [sys.executable, "-c", _START]
        try:
            done = subprocess.run(
                start,
                input=given,
                env=environ,
                timeout=seconds,
                capture_output=True,
                text=True,
                errors="replace",
                process_group=0,
            )
        except (OSError, subprocess.SubprocessError) as error:
            _log_no_answer(type(error).__name__)
            return
        if done.returncode:
            _log_no_answer((done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1])
            return
        answers = json.loads(done.stdout.splitlines()[-1])
        self._models = {target: [EarlierModel(**fields) for fields in answers[target]] for target in answers}


def _log_no_answer(reason: str) -> None:
    log.info("registered models are not used as starting points: %s", reason)


def may_hold_models(environ: Mapping[str, str]) -> bool:
    """False for an embedded store without models, read without MLflow; True for any other store."""
    uri = environ.get("MLFLOW_REGISTRY_URI") or environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI
    if not uri.startswith("sqlite:///"):
        return True
    path = Path(make_url(uri).database or "")
    if not path.is_file():
        return False
    address = f"file:{quote(str(path.absolute()))}?mode=ro"
    try:
        with contextlib.closing(sqlite3.connect(address, uri=True)) as connection:
            return connection.execute("SELECT 1 FROM model_versions LIMIT 1").fetchone() is not None
    except sqlite3.DatabaseError:  # no such table yet, or not a database: MLflow reports it when it opens the file
        return False
