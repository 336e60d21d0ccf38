"""Processes that start in milliseconds: they are forked from one that has imported what they need, and nothing else.

A worker of its own would import for five seconds of CPU and keep 140 MB for what all of them have in common. A fork of
this process would copy locks that OpenMP's and MLflow's threads hold. So a server, which has no threads and no table,
is started first, imports while the table is read, and is asked for each worker.
"""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import context, current_process, forkserver, get_context, util
from pathlib import Path

from src.errors import RunError

log = logging.getLogger(__name__)

PRELOADED = (
    "src.workers.worker_task",
    "src.workers.shared_folds",
    "src.search.objective",
    "src.workers.worker_process",
    "sqlalchemy.dialects.sqlite",
    "sqlalchemy.dialects.postgresql",
    "alembic.command",
    "psycopg2",
    "pyarrow",
)
"""What a worker needs for a trial. Nothing here may start a thread."""
SINGLE_THREADED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""Libraries that start threads when they are imported; each worker keeps one CPU busy anyway."""
ATTEMPTS = 3
MAX_FOLDER_BYTES, SHORT_FOLDER = 70, "/tmp"
"""The path of a socket has 107 bytes, of which `multiprocessing` needs 32 for names of its own."""


def start_fork_server() -> None:
    """Starts the server if it is not running; it imports in the background.

    Raises:
        RunError: no process can be started.
    """
    fork_context().set_forkserver_preload(list(PRELOADED))
    try:
        with _surroundings():
            _make_room_for_sockets()
            forkserver.ensure_running()
    except OSError as error:
        reason = f"{error.strerror or error}; are there too many already, can {tempfile.gettempdir()} be written?"
        raise RunError(f"no process can be started: {reason}") from error


def _make_room_for_sockets() -> None:
    """Where TMPDIR is too long for a socket's path, sockets get a folder elsewhere, as Python 3.14 has it."""
    config = current_process()._config  # type: ignore[attr-defined]
    if config.get("tempdir") is None and len(os.fsencode(tempfile.gettempdir())) > MAX_FOLDER_BYTES:
        config["tempdir"] = folder = tempfile.mkdtemp(prefix="pymp-", dir=SHORT_FOLDER)
        util.Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=-100)


def fork_context() -> context.ForkServerContext:
    """What makes processes and pipes."""
    return get_context("forkserver")


def start_process(process: context.ForkServerProcess) -> None:
    """Starts a process; a server that was killed is started again.

    Raises:
        RunError: no process can be started.
    """
    for attempt in range(1, ATTEMPTS + 1):
        start_fork_server()
        try:
            process.start()
            return
        except (OSError, EOFError) as error:  # the server died between two of our words to it
            if attempt == ATTEMPTS:
                raise RunError(f"no worker can be started: {error or 'the fork server is gone'}") from error
            log.debug("the fork server is gone, starting another: %r", error)
            time.sleep(0.1 * attempt)  # until the system tells that it is gone


@contextmanager
def _surroundings() -> Iterator[None]:
    """The environment that the server starts in: it finds this project whatever folder the command runs in."""
    before = dict(os.environ)
    root = str(Path(__file__).resolve().parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, before.get("PYTHONPATH")]))
    for name, value in SINGLE_THREADED.items():
        os.environ.setdefault(name, value)
    try:
        yield
    finally:
        for name in ("PYTHONPATH", *SINGLE_THREADED):
            if name in before:
                os.environ[name] = before[name]
            else:
                del os.environ[name]
