"""CPUs available to this process by affinity and cgroup quota, and the number of out-of-memory kills.

The host's core count is wrong in a container: a pod with two CPUs on a machine with 64 would start 64 workers. The
files are those of Linux (cgroups(7), proc(5)); a missing file sets no limit. Tests pass another `root` to simulate
other machines.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def available_cpus(root: Path = ROOT) -> int:
    """CPUs that this process may use, at least 1; a fractional quota is rounded up.

    Rounding up is harmless for one-thread workers: under a quota they share the available time.
    """
    cpus = [float(_affinity())]
    for folder in _cgroup_folders(root, "cpu"):
        quota, period = _cpu_quota(folder)
        if quota > 0 and period > 0:
            cpus.append(quota / period)
    return max(1, math.ceil(min(cpus)))


def oom_kills(root: Path = ROOT) -> int:
    """Number of out-of-memory kills in this cgroup, or on the whole machine if the cgroup has no counter."""
    for folder in _cgroup_folders(root, "memory"):
        for name in ("memory.events", "memory.oom_control"):
            count = _counters(folder / name).get("oom_kill")
            if count is not None:
                return count
    return _counters(root / "proc/vmstat").get("oom_kill", 0)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """The folders with a controller's files: the cgroup of this process and its parents.

    In a container the path in `/proc/self/cgroup` may be the host's, while the container sees its own cgroup at the
    root: missing folders are skipped, and the root is always included.
    """
    base = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            tops = [base, base / "unified"]
        elif controller in controllers.split(","):
            tops = [base / controllers, base / controller]
        else:
            continue
        for top in tops:
            inner = top / path.strip("/")
            for folder in [inner, *inner.parents]:
                if folder.is_dir() and folder.is_relative_to(top):
                    yield folder


def _cpu_quota(folder: Path) -> tuple[float, float]:
    """(quota, period) in microseconds; a quota of -1 is no limit."""
    for line in _lines(folder / "cpu.max"):
        quota, _, period = line.partition(" ")
        return (-1.0 if quota == "max" else float(quota), float(period or 100_000))
    quota_v1, period_v1 = _first_number(folder / "cpu.cfs_quota_us"), _first_number(folder / "cpu.cfs_period_us")
    return (-1.0 if quota_v1 is None else float(quota_v1), 0.0 if period_v1 is None else float(period_v1))


def _first_number(*paths: Path) -> int | None:
    for path in paths:
        for line in _lines(path):
            return int(line) if line.lstrip("-").isdecimal() else None  # "max" is no limit
    return None


def _counters(path: Path) -> dict[str, int]:
    """The counters of a file with lines `name number`."""
    pairs = [line.split() for line in _lines(path)]
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux, another version of cgroups, or no permission: no known limit
        return []
