"""Memory that every additional worker needs in a search on a large table.

    python -m benchmarks.memory

A Parquet file with a million rows of fifty features is searched with 1, 2 and 3 workers. Twice a second,
`/proc/<pid>/smaps_rollup` (Linux) is read for every process of the search: `Pss` divides a page among the processes
that map it, `Private` is the memory that would be freed if the process ended. An additional worker may need 1.3 times
the binned data plus a bare interpreter with a worker's imports.

With one worker the search runs in the command's process, so the step from one to two is not comparable; the result is
the step from two to three.
"""

import subprocess
import sys
import time
from argparse import Namespace
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.job import BenchmarkFailed, Job, outcome, started, workspace
from benchmarks.pure import load_fold
from benchmarks.record import ROOT, bench_parser, print_table, write_result
from benchmarks.synthetic import draw_sets, largest_max_bin, memory_needed, write_table

SAMPLE_SECONDS = 0.5
MOST_BINS = 256
BINNED_FACTOR = 1.3
MIB = 2**20
QUIET = 0.3
"""With a fast learning rate and little signal, early stopping ends fits after about sixty rounds."""


@dataclass
class Peaks:
    """The largest samples of a run, in bytes.

    Attributes:
        pss: of each process, by pid.
        private: of each process, by pid.
        total_pss: of all processes at the same time.
        workers_pss: of all processes except the command's, at the same time.
    """

    pss: dict[int, int] = field(default_factory=dict)
    private: dict[int, int] = field(default_factory=dict)
    total_pss: int = 0
    workers_pss: int = 0

    def add(self, sample: dict[int, tuple[int, int]], command: int) -> None:
        """Adds one sample: (Pss, Private) of every process."""
        for pid, (pss, private) in sample.items():
            self.pss[pid] = max(pss, self.pss.get(pid, 0))
            self.private[pid] = max(private, self.private.get(pid, 0))
        self.total_pss = max(self.total_pss, sum(pss for pss, _ in sample.values()))
        self.workers_pss = max(self.workers_pss, sum(pss for pid, (pss, _) in sample.items() if pid != command))


def read_rollup(text: str) -> tuple[int, int]:
    """(Pss, Private) in bytes from the text of a `smaps_rollup`."""
    kib: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        if name in ("Pss", "Private_Clean", "Private_Dirty"):
            kib[name] = int(rest.split()[0])
    return 1024 * kib.get("Pss", 0), 1024 * (kib.get("Private_Clean", 0) + kib.get("Private_Dirty", 0))


def sample(command: int) -> dict[int, tuple[int, int]]:
    """(Pss, Private) of a process and all its descendants, by pid; without those that end meanwhile."""
    found: dict[int, tuple[int, int]] = {}
    try:
        family = [psutil.Process(command), *psutil.Process(command).children(recursive=True)]
    except psutil.NoSuchProcess:  # the command has just ended
        return found
    for process in family:
        try:
            found[process.pid] = read_rollup(Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii"))
        except (FileNotFoundError, ProcessLookupError):  # it ended between the listing and the reading
            continue
    return found


def watch(job: Job, space: Path) -> tuple[Peaks, dict[str, Any]]:
    """Runs the search and samples it until it ends."""
    peaks = Peaks()
    with started(job, space) as (process, folder):
        while process.poll() is None:
            peaks.add(sample(process.pid), process.pid)
            time.sleep(SAMPLE_SECONDS)
        return peaks, outcome(process, folder)


def bare_interpreter() -> dict[str, int]:
    """Memory of an idle process with a worker's imports."""
    code = "import lightgbm, src.workers.worker_task; print('ready', flush=True); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        pss, private = read_rollup(Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii"))
        process.communicate(b"\n")
    return {"pss": pss, "private": private}


def binned_bytes(path: Path, space: Path) -> int:
    """Size of training and validation Dataset in LightGBM's binary format, with 256 bins."""
    total = 0
    for i, dataset in enumerate(load_fold(path).bin(largest_max_bin(MOST_BINS))):
        file = space / f"binned-{i}.bin"
        dataset.save_binary(str(file))
        total += file.stat().st_size
        file.unlink()
    return total


def measure(workers: int, args: Namespace, table: Path, space: Path) -> dict[str, Any]:
    """Peaks of one run; workers are the processes that ran trials, according to the study."""
    fixed = {"learning_rate": QUIET, "boosting_type": "gbdt"} | (
        {} if args.any_max_bin else {"max_bin": largest_max_bin(MOST_BINS)}
    )
    job = Job("ours", table, draw_sets(args.trials * workers, args.seed, fixed), workers=workers)
    peaks, found = watch(job, space)
    pids = sorted({trial["pid"] for trial in found["trials"]})
    return {
        "workers": workers,
        "worker_pss": [peaks.pss.get(pid, 0) for pid in pids],
        "worker_private": [peaks.private.get(pid, 0) for pid in pids],
        "other_processes": len(peaks.pss) - len(pids),
        "all_pss": peaks.total_pss,
        "all_but_command_pss": peaks.workers_pss,
        "trials": len(found["trials"]),
        "seconds": found["seconds"],
    }


def summary(runs: list[dict[str, Any]], binned: int, bare: dict[str, int]) -> dict[str, Any]:
    """Prints the results and returns them for the JSON file."""
    limit = BINNED_FACTOR * binned + bare["pss"]
    rows = []
    for i, run in enumerate(runs):
        row = {
            "workers": run["workers"],
            "largest worker: Pss": max(run["worker_pss"], default=0) / MIB,
            "its Private": max(run["worker_private"], default=0) / MIB,
            "all: Pss": run["all_pss"] / MIB,
            "added": (run["all_pss"] - runs[i - 1]["all_pss"]) / MIB if i else None,
        }
        rows.append(row)
    print_table(rows)
    sys.stdout.write(
        f"in MiB; binned data {binned / MIB:.0f}, bare interpreter {bare['pss'] / MIB:.0f} "
        f"(private {bare['private'] / MIB:.0f}), so a further worker may add {limit / MIB:.0f}\n"
    )
    added = runs[-1]["all_pss"] - runs[-2]["all_pss"] if len(runs) > 1 else None
    return {"runs": runs, "binned": binned, "bare_interpreter": bare, "limit": limit, "last_worker_added": added}


def parse(argv: list[str] | None) -> Namespace:
    """Parses the options; `--quick` sets small sizes."""
    parser = bench_parser("memory", "Memory that every additional worker needs in a search on a large table.")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the table")
    parser.add_argument("--features", type=int, default=50, help="columns of the table")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 3], help="numbers of workers")
    parser.add_argument("--trials", type=int, default=4, help="trials per worker")
    parser.add_argument("--any-max-bin", action="store_true", help="max_bin differs between trials: several Datasets")
    parser.add_argument("--seed", type=int, default=0, help="of table and sets")
    args = parser.parse_args(argv)
    if args.quick:
        args.rows, args.features, args.workers, args.trials = 20_000, 20, [1, 2], 3
    if not Path("/proc/self/smaps_rollup").exists():
        parser.error("this system has no /proc/<pid>/smaps_rollup: run it on Linux 4.14 or newer")
    needed, there = memory_needed(args.rows, args.features), psutil.virtual_memory().available
    if needed > there:
        parser.error(f"--rows {args.rows} takes about {needed >> 20} MiB, {there >> 20} are free: give fewer")
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = parse(argv)
    try:
        with workspace() as space:
            table = write_table(space, args.rows, args.features, args.seed, signal=0.0)
            runs = [measure(workers, args, table, space) for workers in sorted(args.workers)]
            result = summary(runs, binned_bytes(table, space), bare_interpreter())
    except BenchmarkFailed as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    write_result("memory", result, args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
