"""Starts worker processes in milliseconds: they are forked from a server process that has imported all packages.

A new process would import for five seconds of CPU time and hold 140 MB of memory that forked workers share. A fork of
the main process would copy locks that threads of OpenMP and MLflow hold. So a fork server without threads and table is
started first, imports while the table is read, and forks every worker.
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
"""Modules that a worker needs for a trial. None may start a thread on import."""
SINGLE_THREADED = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""Settings that stop libraries from starting threads on import; a worker uses one CPU anyway."""
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
        with _server_environment():
            _shorten_socket_folder()
            forkserver.ensure_running()
    except OSError as error:
        reason = f"{error.strerror or error}; check the limit of processes and that {tempfile.gettempdir()} is writable"
        raise RunError(f"no process can be started: {reason}") from error


def _shorten_socket_folder() -> None:
    """Uses another folder for sockets if TMPDIR is too long for a socket path, as Python 3.14 does."""
    config = current_process()._config  # type: ignore[attr-defined]
    if config.get("tempdir") is None and len(os.fsencode(tempfile.gettempdir())) > MAX_FOLDER_BYTES:
        config["tempdir"] = folder = tempfile.mkdtemp(prefix="pymp-", dir=SHORT_FOLDER)
        util.Finalize(None, shutil.rmtree, args=(folder, True), exitpriority=-100)


def fork_context() -> context.ForkServerContext:
    """The multiprocessing context that creates processes and pipes."""
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
        except (OSError, EOFError) as error:  # the server died while it was starting the process
            if attempt == ATTEMPTS:
                raise RunError(f"no worker can be started: {error or 'the fork server has died'}") from error
            log.debug("the fork server has died, starting another: %r", error)
            time.sleep(0.1 * attempt)  # until the system reports its death


@contextmanager
def _server_environment() -> Iterator[None]:
    """Sets the server's environment, so that it finds this project from any working directory."""
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
