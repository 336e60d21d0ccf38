"""What this process may use: CPUs by affinity and cgroup quota; and how often the kernel killed for memory.

The host's core count says nothing in a container: a pod with two CPUs on a machine of 64 would start 64 workers. The
files are those of Linux (cgroups(7), proc(5)); a file that is not there sets no limit. `root` is where they are looked
for, so that tests can show other machines.
"""

import math
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/")


def available_cpus(root: Path = ROOT) -> int:
    """CPUs that this process may keep busy, at least 1; half a CPU of quota more counts as one.

    One-thread workers lose nothing when a quota throttles them in turn, they only share what there is.
    """
    cpus = [float(_affinity())]
    for folder in _cgroup_folders(root, "cpu"):
        quota, period = _cpu_quota(folder)
        if quota > 0 and period > 0:
            cpus.append(quota / period)
    return max(1, math.ceil(min(cpus)))


def oom_kills(root: Path = ROOT) -> int:
    """How often the kernel has killed a process for memory, in this cgroup or, where it does not count, anywhere."""
    for folder in _cgroup_folders(root, "memory"):
        for name in ("memory.events", "memory.oom_control"):
            counted = _counters(folder / name).get("oom_kill")
            if counted is not None:
                return counted
    return _counters(root / "proc/vmstat").get("oom_kill", 0)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):  # Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_folders(root: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's cgroup and of those above it, in which a controller keeps its files.

    In a container the path of `/proc/self/cgroup` may be the host's, where the container sees its own cgroup at the
    top: what is not there is skipped, and the top is always looked at.
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
    """Microseconds of CPU per period; a quota of -1 or none is no limit."""
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
    """Lines of `name number`."""
    pairs = [line.split() for line in _lines(path)]
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdecimal()}


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux, another version of cgroups, or closed to this user: it sets no limit that we can see
        return []
