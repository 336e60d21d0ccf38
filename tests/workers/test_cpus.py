"""System files of other machines, and of this machine."""

import os
from pathlib import Path

import pytest

from src.serving.model_code import thread_options
from src.workers.cpus import available_cpus, oom_kills

AFFINITY = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
V2 = "0::/kubepods/pod1/box\n"


@pytest.fixture(autouse=True)
def _sixteen_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("src.workers.cpus._affinity", lambda: 16)


def tree(root: Path, cgroup: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


TOP = "sys/fs/cgroup"
V1 = "5:memory:/a/b\n4:cpu,cpuacct:/a/b\n0::/\n"


LIMITS: list[tuple[str, dict[str, str], int]] = [
    (V2, {f"{TOP}/kubepods/pod1/box/cpu.max": "200000 100000\n"}, 2),
    (V2, {f"{TOP}/kubepods/pod1/box/cpu.max": "250000 100000\n"}, 3),
    (V2, {f"{TOP}/kubepods/pod1/box/cpu.max": "10000 100000\n"}, 1),
    (V2, {f"{TOP}/kubepods/pod1/box/cpu.max": "max 100000\n", f"{TOP}/kubepods/cpu.max": "400000 100000\n"}, 4),
    ("0::/\n", {f"{TOP}/cpu.max": "300000 100000\n"}, 3),
    ("0::/only/the/host/knows\n", {f"{TOP}/cpu.max": "300000 100000\n"}, 3),
    (V2, {f"{TOP}/cpu.max": "9900000 100000\n"}, 16),
    (V1, {f"{TOP}/cpu,cpuacct/a/cpu.cfs_quota_us": "150000", f"{TOP}/cpu,cpuacct/a/cpu.cfs_period_us": "50000"}, 3),
    (V1, {f"{TOP}/cpu/cpu.cfs_quota_us": "-1", f"{TOP}/cpu/cpu.cfs_period_us": "100000"}, 16),
    (V1, {f"{TOP}/cpu/a/cpu.cfs_quota_us": "50000", f"{TOP}/cpu/a/cpu.cfs_period_us": "25000"}, 2),
    ("", {}, 16),
]  # fmt: skip


@pytest.mark.parametrize(("cgroup", "files", "cpus"), LIMITS)
def test_the_smallest_cpu_limit_counts(tmp_path: Path, cgroup: str, files: dict[str, str], cpus: int) -> None:
    assert available_cpus(tree(tmp_path, cgroup, files)) == cpus


@pytest.mark.parametrize(("cgroup", "files", "cpus"), LIMITS)
def test_the_served_model_counts_them_in_the_same_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cgroup: str, files: dict[str, str], cpus: int
) -> None:
    """`model_code` works without this project, so it has a copy of this rule."""
    monkeypatch.delenv("OMP_NUM_THREADS")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(16), raising=False)
    assert thread_options(tree(tmp_path, cgroup, files)) == {"num_threads": cpus}


@pytest.mark.parametrize(
    ("cgroup", "files", "kills"),
    [
        (V2, {f"{TOP}/kubepods/pod1/box/memory.events": "low 0\noom 4\noom_kill 3\n", "proc/vmstat": "oom_kill 9"}, 3),
        (V1, {f"{TOP}/memory/a/b/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"}, 2),
        (V2, {"proc/vmstat": "nr_free_pages 1\noom_kill 9\n"}, 9),
        ("", {}, 0),
    ],
)
def test_out_of_memory_kills_are_counted(tmp_path: Path, cgroup: str, files: dict[str, str], kills: int) -> None:
    assert oom_kills(tree(tmp_path, cgroup, files)) == kills


def test_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    assert 1 <= available_cpus() <= AFFINITY
    assert oom_kills() >= 0
