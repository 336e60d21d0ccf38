"""Who runs a trial, and whether that process still lives.

A process is named by the boot of its machine, its PID namespace, its PID and its start time. On the same boot and in
the same namespace its death is known at once and for certain, a reused PID included; of any other nothing is known
here, and its heartbeat has to tell.
"""

import os
import platform
from functools import cache
from pathlib import Path

import psutil

START_TIME_TOLERANCE_SECONDS = 5.0
"""psutil reckons a start time from the wall clock, which may be set while the process runs."""


@cache
def _this_machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    if boot.exists():  # Linux: exact, and the same in all containers of a host, hence the PID namespace beside it
        return f"{boot.read_text().strip()}/{os.readlink('/proc/self/ns/pid')}"
    return f"{platform.node()}/{psutil.boot_time():.0f}"


def worker_identity() -> str:
    """The name of this process, `<machine>|<pid>|<start time>|<host>`; the host is for people only."""
    pid = os.getpid()
    return f"{_this_machine()}|{pid}|{psutil.Process(pid).create_time():.2f}|{platform.node()}"


def is_known_dead(identity: str) -> bool:
    """True only if the process ran on this machine and is gone; False says alive, or not known from here."""
    parts = identity.split("|")
    if len(parts) != 4 or parts[0] != _this_machine():
        return False
    try:
        process = psutil.Process(int(parts[1]))
        same = abs(process.create_time() - float(parts[2])) <= START_TIME_TOLERANCE_SECONDS
        return not same or process.status() == psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError):
        return True


def is_process_here(identity: str, pid: int) -> bool:
    """Whether the name is that of this machine's process with this PID, alive or dead."""
    parts = identity.split("|")
    return len(parts) == 4 and parts[0] == _this_machine() and parts[1] == str(pid)
