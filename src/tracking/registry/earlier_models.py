"""What the registry's models were made with, for a new study to begin with: asked beside, never waited for in vain.

MLflow takes seconds to import, and a server may not answer at all. So a process of its own asks, while the table is
read, and a search that finds no answer in time begins without. An embedded store that holds no model yet is not asked.
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
    """The versions of some targets' models, as far as the registry gives them in time.

    Args:
        targets: names of the models.
        environ: says where the registry is, as MLflow reads it.
        seconds: until the search begins without an answer, counted from here.
    """

    def __init__(
        self,
        targets: Sequence[str],
        environ: Mapping[str, str] = os.environ,
        seconds: float = SECONDS_TO_ANSWER,
    ) -> None:
        self._until = time.monotonic() + seconds
        self._found: dict[str, list[EarlierModel]] = {}
        self._asking: threading.Thread | None = None
        if may_hold_models(environ):
            given = json.dumps({"path": sys.path, "targets": list(targets)}) + "\n"
            self._asking = threading.Thread(
                target=self._ask,
                args=(given, dict(environ) | _REQUEST_LIMITS, seconds),
                name="earlier-models",
                daemon=True,
            )
            self._asking.start()

    def of(self, target: str) -> list[EarlierModel]:
        """The versions that say what they were made with, the newest first; waits for the answer if it must."""
        if self._asking is not None:
            self._asking.join(max(0.0, self._until - time.monotonic()))
            if self._asking.is_alive():
                _log_no_answer("it does not answer")
        return self._found.get(target, [])

    def _ask(self, given: str, environ: dict[str, str], seconds: float) -> None:
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
        self._found = {target: [EarlierModel(**each) for each in answers[target]] for target in answers}


def _log_no_answer(why: str) -> None:
    log.info("the registry's models are not looked at: %s", why)


def may_hold_models(environ: Mapping[str, str]) -> bool:
    """False for an embedded store without a model, as can be seen without MLflow; a server has to be asked."""
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
    except sqlite3.DatabaseError:  # no such table yet, or no database at all: MLflow says so when it opens the file
        return False
