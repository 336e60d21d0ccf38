"""Cost of a report: seconds of the command, and sizes of HTML and PDF.

    python -m benchmarks.report

A study of each size is filled with finished trials (half of them pruned, with curves and reports as in a real study) in
an embedded store; the command runs in a separate process. The limits are 10 seconds for 1,000 trials, a minute for
10,000, and 6 MB for the HTML file.
"""

import os
import subprocess
import sys
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from benchmarks.filled_study import finished_trials
from benchmarks.record import ROOT, bench_parser, median, print_table, write_result

AT_MOST_SECONDS = {1_000: 10, 10_000: 60}
AT_MOST_BYTES = 6_000_000
STORE = "studies.db"


def fill(folder: Path, n_trials: int, seed: int) -> None:
    """Creates a store with one study of `n_trials` finished trials."""
    import optuna

    from src.study.studies import OptunaStudyManager

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = OptunaStudyManager(storage_url=f"sqlite:///{folder / STORE}").create_or_load_study("filled")
    study.add_trials(finished_trials(n_trials, seed))


def run_report(folder: Path) -> dict[str, Any]:
    """Runs the command once; returns its seconds and the bytes of its files.

    Raises:
        CalledProcessError: the command failed; its message is on stderr.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "OPTUNA_"))}
    command = [sys.executable, "-m", "src.modeling.optuna_visualization", "--storage-url", f"sqlite:///{STORE}"]
    before, cpu = time.perf_counter(), _cpu_of_children()
    subprocess.run(command, cwd=folder, env=kept | {"PYTHONPATH": str(ROOT)}, stdout=subprocess.DEVNULL, check=True)
    seconds = time.perf_counter() - before
    written = folder / "artefacts/reports/filled"
    return {
        "seconds": seconds,
        "cpu_seconds": _cpu_of_children() - cpu,
        "html_bytes": (written / "report.html").stat().st_size,
        "pdf_bytes": (written / "report.pdf").stat().st_size,
    }


def _cpu_of_children() -> float:
    """CPU seconds of all finished child processes, which depend less on other processes than wall time."""
    used = os.times()
    return used.children_user + used.children_system


def one_size(n_trials: int, args: Namespace) -> dict[str, Any]:
    """One row of the table."""
    with tempfile.TemporaryDirectory(prefix="daily-profit-bench-") as name:
        fill(Path(name), n_trials, args.seed)
        runs = [run_report(Path(name)) for _ in range(args.rounds)]
    return {
        "trials": n_trials,
        "seconds": median(run["seconds"] for run in runs),
        "of it CPU": median(run["cpu_seconds"] for run in runs),
        "at most, s": AT_MOST_SECONDS.get(n_trials),
        "HTML, MB": runs[0]["html_bytes"] / 1e6,
        "at most, MB": AT_MOST_BYTES / 1e6,
        "PDF, MB": runs[0]["pdf_bytes"] / 1e6,
        "runs": runs,
    }


def parse(argv: list[str] | None) -> Namespace:
    """Parses the options; `--quick` sets small sizes."""
    parser = bench_parser("report", "Seconds and sizes of the report, by trials of the study.")
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1_000, 10_000], help="sizes of the study")
    parser.add_argument("--rounds", type=int, default=3, help="reports of each size")
    parser.add_argument("--seed", type=int, default=0, help="of the trials")
    args = parser.parse_args(argv)
    if args.quick:
        args.trials, args.rounds = [20, 100], 1
    return args


def main(argv: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit status."""
    args = parse(argv)
    rows = [one_size(n_trials, args) for n_trials in sorted(args.trials)]
    print_table([{name: value for name, value in row.items() if name != "runs"} for row in rows])
    write_result("report", {"table": rows}, args.results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
