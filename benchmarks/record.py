"""Common functions of the benchmarks: interleaved rounds, medians, a table on the terminal, a JSON with machine facts.

The speed of a machine changes over time, for example with other processes or the temperature. So the contenders run in
turns, in another order in each round, and their medians are compared.
"""

import argparse
import json
import math
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from src.disk import write_atomically

ROOT = Path(__file__).resolve().parents[1]
RESULTS = Path("artefacts/benchmarks")
"""Relative to the working directory, as all output of the commands."""
VERSIONED = ("lightgbm", "mlflow", "numpy", "optuna", "optuna-integration", "flaml", "pandas", "scikit-learn")


def write_result(name: str, result: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Writes `artefacts/benchmarks/<name>.json`: name, time (UTC), machine, result.

    Args:
        name: of the benchmark and of the file.
        result: numbers, texts, lists and dicts; NumPy scalars and paths are converted, non-finite numbers become null.
        folder: another folder.

    Returns:
        The file.
    """
    path = (folder or RESULTS) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    when = datetime.now(UTC).isoformat(timespec="seconds")
    record = {"name": name, "when": when, "machine": machine_facts(), "result": result}
    write_atomically(path, json.dumps(_plain(record), indent=2, allow_nan=False) + "\n")
    sys.stdout.write(f"written: {path}\n")
    return path


def interleave(contenders: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measures every contender once per round; every round starts with the next contender.

    Args:
        contenders: functions that return a measurement, such as seconds.
        rounds: number of measurements per contender, 1 or more.

    Returns:
        The measurements of each contender, in the order of the rounds.
    """
    names = list(contenders)
    measured: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            measured[name].append(contenders[name]())
            sys.stdout.write(f"  round {number + 1}/{rounds}  {name}: {measured[name][-1]:.4g}\n")
            sys.stdout.flush()
    return measured


def median(values: Iterable[float]) -> float:
    """The median; NaN without values."""
    kept = list(values)
    return statistics.median(kept) if kept else math.nan


def ratio_of_medians(values: Iterable[float], reference: Iterable[float]) -> float:
    """Ratio of the medians; NaN if one has no values or the reference is 0."""
    below = median(reference)
    return median(values) / below if below else math.nan


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Prints rows as a table with the columns of all rows."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns, *([_shown(row.get(name)) for name in columns] for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    for line in cells:
        first, *others = zip(line, widths, strict=True) if columns else [("", 0)]
        text = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        sys.stdout.write("  ".join(text).rstrip() + "\n")
    sys.stdout.flush()


def bench_parser(name: str, description: str) -> argparse.ArgumentParser:
    """A parser whose help shows defaults, with the common options `--quick` and `--results`."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.{name}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, only to test that it runs")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON")
    return parser


def machine_facts() -> dict[str, Any]:
    """Facts about the machine: usable cores, memory, load, versions, commit."""
    limit = cpu_limit()
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cores": {"affinity": affinity, "cgroup": limit, "of_host": os.cpu_count()},
        "cpu": _cpu_model(),
        "memory_bytes": {"total": psutil.virtual_memory().total, "cgroup": memory_limit()},
        "load_1_minute": os.getloadavg()[0],
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: found for name in VERSIONED if (found := _version(name)) is not None},
        "commit": _commit(),
    }


def cpu_limit(cgroup: Path = Path("/sys/fs/cgroup")) -> float | None:
    """CPU limit of the cgroup, version 2 or 1; None without a limit."""
    if (found := _words(cgroup / "cpu.max")) is not None:
        return None if found[0] == "max" else int(found[0]) / int(found[1])
    quota, period = _words(cgroup / "cpu/cpu.cfs_quota_us"), _words(cgroup / "cpu/cpu.cfs_period_us")
    if quota is None or period is None or int(quota[0]) <= 0:
        return None
    return int(quota[0]) / int(period[0])


def memory_limit(cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Memory limit of the cgroup in bytes, version 2 or 1; None without a limit."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        if (found := _words(cgroup / name)) is not None:
            # Version 1 writes the largest page-aligned number for "no limit".
            return None if found[0] == "max" or int(found[0]) >= 2**62 else int(found[0])
    return None


def _words(path: Path) -> list[str] | None:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:  # another system, another cgroup version, or an unreadable file: unknown
        return None


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:  # the peers are only in the environment of the benchmarks
        return None


def _commit() -> str | None:
    """The current commit, marked if the tree differs from it; None outside a git checkout."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return run.stdout.strip() or None


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):  # numpy's scalars
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, str | int | bool) or value is None else str(value)
