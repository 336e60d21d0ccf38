"""The command as a process: what it prints, how it ends, and what it refuses before it listens."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from src.data.sources.files import read_path
from src.errors import ConfigError
from src.serving.online.server import listen
from src.serving.serve import main
from tests.commands import run_here
from tests.served_registry import Registry, records, wait_until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


class Process:
    """`serve` on a free port."""

    def __init__(self, registry: Registry, folder: Path, *options: str) -> None:
        command = [sys.executable, "-m", "src.serving.serve", "--targets", "pnl", "--port", "0", *options]
        inherited = os.environ.get("PYTHONPATH", "")
        environment = os.environ | {
            "MLFLOW_TRACKING_URI": registry.uri,
            "PYTHONPATH": f"{ROOT}{os.pathsep}{inherited}",
        }
        self.process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.fullmatch(r"serving pnl on (http://127\.0\.0\.1:\d+)\n", line)
        assert found, line or self.process.communicate()[1]
        self.url = found[1]
        wait_until(lambda: requests.get(f"{self.url}/ready", timeout=10).status_code == 200)

    def end(self, number: signal.Signals) -> tuple[int, str]:
        """Exit status and standard error after a signal."""
        self.process.send_signal(number)
        error = self.process.communicate(timeout=60)[1]
        return self.process.returncode, error


@pytest.fixture
def server(registry: Registry, tmp_path: Path) -> Iterator[Process]:
    found = Process(registry, tmp_path, "--poll-seconds", "0.1", "--log-predictions", "log")
    yield found
    found.process.kill()
    found.process.communicate()


def test_follows_the_alias_and_answers_the_running_request_after_sigterm(
    server: Process, registry: Registry, tmp_path: Path
) -> None:
    request = json.dumps(records(registry.models[1])).encode()
    headers = {"Content-Type": "application/json"}
    versions = []
    for version in (1, 2):
        registry.move(version)
        wait_until(lambda version=version: requests.get(f"{server.url}/version").json()["pnl"]["version"] == version)
        answer = requests.post(f"{server.url}/invocations", data=request, headers=headers, timeout=60)
        versions.append(answer.headers["x-model-version"])
        assert answer.json()["predictions"] == list(
            registry.models[version].booster.predict(registry.models[version].matrix[:40])
        )
    assert versions == ["1", "2"]
    address = urlsplit(server.url)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=60) as client:
        start = "POST /pnl/invocations HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: "
        client.sendall(f"{start}{len(request)}\r\n\r\n".encode() + request[:100])
        wait_until(lambda: requests.get(f"{server.url}/ping", timeout=10).status_code == 200)
        server.process.send_signal(signal.SIGTERM)
        wait_until(lambda: not _listens(server.url))
        client.sendall(request[100:])
        with client.makefile("rb") as answered:
            received = answered.read()
    assert received.startswith(b"HTTP/1.1 200") and b'{"predictions": [' in received
    status, error = server.process.wait(timeout=60), server.process.communicate()[1]
    assert status == 143
    assert error.splitlines()[-1] == "stopped: the running requests were answered"
    assert "Traceback" not in error
    assert len(read_path(tmp_path / "log", "log")) == 3 * 40


def test_a_kept_connection_is_answered_once_more_after_sigterm(server: Process, registry: Registry) -> None:
    """Its client may be sending a request just then, and could not know whether a closed connection lost it."""
    request = json.dumps(records(registry.models[1])).encode()
    answers = []
    with contextlib.closing(HTTPConnection(urlsplit(server.url).netloc, timeout=60)) as client:
        for stops in (True, False):
            client.request("POST", "/invocations", request, {"Content-Type": "application/json"})
            answer = client.getresponse()
            answers.append((answer.status, answer.getheader("Connection"), json.loads(answer.read())))
            if stops:
                server.process.send_signal(signal.SIGTERM)
                wait_until(lambda: not _listens(server.url))
    assert [(status, connection) for status, connection, _ in answers] == [(200, None), (200, "close")]
    assert answers[0][2] == answers[1][2]
    assert server.process.wait(timeout=60) == 143


def _listens(url: str) -> bool:
    try:
        requests.get(f"{url}/ping", timeout=10)
    except requests.ConnectionError:  # the answer that is waited for
        return False
    return True


def test_ctrl_c_ends_it_with_130(server: Process) -> None:
    status, error = server.end(signal.SIGINT)
    assert status == 130
    assert error.splitlines()[-1] == "stopped: the running requests were answered"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--targets", "nobody"], "models:/nobody@champion"),
        (["--targets", "pnl", "--alias", "nobody"], "models:/pnl@nobody"),
        (["--targets", "a/b"], "a/b"),
        (["--targets", "pnl", "--shadow", "champion"], "--shadow champion"),
        (["--targets", "pnl", "--port", "70000"], "--port 70000"),
        (["--targets", "pnl", "--poll-seconds", "0"], "--poll-seconds 0.0"),
        (["--targets", "pnl", "--max-rows", "-1"], "--max-rows -1"),
        (["--targets", "pnl", "--host", "no.such.host.invalid"], "--host no.such.host.invalid"),
        (["--targets", "pnl", "--token-file", "absent"], "--token-file absent"),
        (["--targets", "pnl", "--log-predictions", "file"], "--log-predictions file"),
        (["--targets", "pnl", "--log-predictions", "s3://bucket/log"], "s3:// is unknown"),
        (["--targets", "pnl", "--log-predictions", "postgresql://host:port/db"], "--log-predictions postgresql://host"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(registry: Registry, tmp_path: Path, options: list[str], words: str) -> None:
    (tmp_path / "file").write_text("")
    done = run_here(main, options, tmp_path, {"MLFLOW_TRACKING_URI": registry.uri})
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith("error: ") and words in done.err
    assert len(done.err.splitlines()) == 1 and len(done.err) <= 500


def test_a_port_in_use_is_named() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(ConfigError, match="--port"):
        listen("127.0.0.1", taken.getsockname()[1])
