"""Throughput and latency of `serve`: ours beside `mlflow models serve` with one worker, on the same model, in one run.

    python -m benchmarks.serving

A model of the sample table is trained and registered in an embedded store. Both servers load it and run at the same
time; the rounds alternate between them. In a round, parallel clients with one connection each send all requests, as
JSON with some rows. The clients run in this process, on the same CPUs. All predictions must be equal.
"""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import ROOT, bench_parser, interleave, median, print_table, write_result

OURS, THEIRS = "ours", "mlflow models serve"
TARGET = "net_profit"
SECONDS_TO_START = 180


def register(folder: Path, n_trees: int) -> tuple[str, list[dict[str, Any]]]:
    """Trains and registers a model; returns the store's URI and the table's last rows as records."""
    import lightgbm as lgb
    import mlflow

    from src.config import TableConfig
    from src.data.encoding import encode, learn_levels
    from src.data.sources.dispatch import read_table
    from src.data.table import load_dataset
    from src.tracking.connection.embedded_store import prepare_embedded_store
    from src.tracking.registry.model_versions import register_model
    from src.tracking.registry.served_model import ModelCard

    uri = f"sqlite:///{folder / 'mlflow.db'}"
    prepare_embedded_store(uri)
    mlflow.set_tracking_uri(uri)
    data = load_dataset(read_table(None, None), TableConfig(), TARGET)
    levels = learn_levels(data.features, data.categorical, np.arange(len(data.y)))
    booster = lgb.train(
        {"objective": "l1", "verbose": -1, "num_threads": 1},
        lgb.Dataset(encode(data.features, levels), data.y),
        n_trees,
    )
    booster.save_model(folder / "model.txt")
    metadata = {
        "target": TARGET,
        "feature_names": list(data.features),
        "categorical_levels": levels,
        "boolean_features": list(data.booleans),
        "decimal_marks": dict(data.decimal_marks),
    }
    client = mlflow.MlflowClient()
    run = client.create_run(client.create_experiment("serving", str(folder / "artifacts")))
    register_model(run.info.run_id, ModelCard(TARGET, folder / "model.txt", metadata, data.features.tail(5)))
    return uri, json.loads(data.features.tail(2000).to_json(orient="records"))


@contextlib.contextmanager
def server(words: list[str], port: int, uri: str) -> Iterator[None]:
    """Runs a server until the block ends.

    Raises:
        RuntimeError: it does not start.
    """
    environment = os.environ | {"MLFLOW_TRACKING_URI": uri, "PYTHONPATH": _python_path(), "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(
        [sys.executable, "-m", *words],
        env=environment | {"MLFLOW_LOGGING_LEVEL": "ERROR", "PATH": _path()},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _wait(port, process)
        yield
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def _python_path() -> str:
    return os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))


def _path() -> str:
    """MLflow's launcher starts `uvicorn` by its name."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    end = time.monotonic() + SECONDS_TO_START
    while time.monotonic() < end and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/ready")
            # MLflow's server has no such path, and answers when the model is loaded.
            if connection.getresponse().status in (200, 404):
                return
        except OSError:  # it does not listen yet
            pass
        finally:
            connection.close()
        time.sleep(0.2)
    raise RuntimeError(f"the server on port {port} did not start: run it by hand")


def free_port() -> int:
    """A port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def send_all(port: int, bodies: list[bytes], n_clients: int) -> tuple[float, list[float], list[bytes]]:
    """Sends all requests by parallel clients; returns the seconds in all, those of each request, and the answers.

    Raises:
        RuntimeError: a request failed.
    """
    latencies, answers = [0.0] * len(bodies), [b""] * len(bodies)

    def client(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        for place in range(first, len(bodies), n_clients):
            started = time.perf_counter()
            connection.request("POST", "/invocations", bodies[place], {"Content-Type": "application/json"})
            response = connection.getresponse()
            answers[place] = response.read()
            latencies[place] = time.perf_counter() - started
            if response.status != 200:
                raise RuntimeError(f"status {response.status}: {answers[place][:200]!r}")
        connection.close()

    started = time.perf_counter()
    with ThreadPoolExecutor(n_clients) as pool:
        list(pool.map(client, range(n_clients)))
    return time.perf_counter() - started, latencies, answers


def measure(ports: dict[str, int], bodies: list[bytes], args: Namespace) -> list[dict[str, Any]]:
    """One row of the table per server.

    Raises:
        RuntimeError: the servers' predictions differ.
    """
    latencies: dict[str, list[list[float]]] = {name: [] for name in ports}
    predicted: dict[str, list[Any]] = {}

    def one_round(name: str) -> float:
        seconds, each, answers = send_all(ports[name], bodies, args.clients)
        latencies[name].append(each)
        predicted[name] = [json.loads(answer) for answer in answers]
        return len(bodies) / seconds

    for port in ports.values():
        send_all(port, bodies[: len(bodies) // 10], args.clients)
    throughput = interleave({name: partial(one_round, name) for name in ports}, args.rounds)
    if predicted[OURS] != predicted[THEIRS]:
        raise RuntimeError("the servers' predictions differ: they serve different models")
    return [
        {
            "server": name,
            "requests/s": median(throughput[name]),
            "p50, ms": 1000 * median(np.percentile(each, 50) for each in latencies[name]),
            "p99, ms": 1000 * median(np.percentile(each, 99) for each in latencies[name]),
            "rounds": throughput[name],
        }
        for name in ports
    ]


def parse(argv: list[str] | None) -> Namespace:
    """Parses the options; `--quick` sets small sizes."""
    parser = bench_parser("serving", "Throughput and latency beside `mlflow models serve`.")
    parser.add_argument("--requests", type=int, default=2_000, help="of a round")
    parser.add_argument("--clients", type=int, default=8, help="parallel clients")
    parser.add_argument("--rows", type=int, default=10, help="of a request")
    parser.add_argument("--trees", type=int, default=300, help="of the model")
    parser.add_argument("--rounds", type=int, default=5, help="of each server")
    args = parser.parse_args(argv)
    if args.quick:
        args.requests, args.trees, args.rounds = 80, 20, 1
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = parse(argv)
    with tempfile.TemporaryDirectory(prefix="daily-profit-bench-") as name:
        uri, records = register(Path(name), args.trees)
        rng = np.random.default_rng(0)
        picked = rng.integers(0, len(records), (args.requests, args.rows))
        bodies = [json.dumps({"dataframe_records": [records[i] for i in rows]}).encode() for rows in picked]
        ports = {OURS: free_port(), THEIRS: free_port()}
        ours = ["src.serving.serve", "--targets", TARGET, "--port", str(ports[OURS])]
        theirs = ["mlflow", "models", "serve", "-m", f"models:/{TARGET}@champion", "--env-manager", "local"]
        theirs += ["--workers", "1", "--port", str(ports[THEIRS])]
        with server(ours, ports[OURS], uri), server(theirs, ports[THEIRS], uri):
            rows = measure(ports, bodies, args)
    print_table([{key: value for key, value in row.items() if key != "rounds"} for row in rows])
    write_result("serving", {"table": rows, "settings": vars(args) | {"results": None}}, args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
