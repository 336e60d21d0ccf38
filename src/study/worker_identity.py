"""The identity of the process that runs a trial, and whether that process is still alive.

A process is identified by the boot id of its machine, its PID namespace, its PID and its start time. For the same boot
and namespace, its death is detected at once and reliably, also if the PID was reused. For other machines, only the
heartbeat tells.
"""

import os
import platform
from functools import cache
from pathlib import Path

import psutil

START_TIME_TOLERANCE_SECONDS = 5.0
"""psutil computes start times from the wall clock, which may be changed while the process runs."""


@cache
def _this_machine() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id")
    if boot.exists():  # Linux: exact, but the same in all containers of a host, so the PID namespace is added
        return f"{boot.read_text().strip()}/{os.readlink('/proc/self/ns/pid')}"
    return f"{platform.node()}/{psutil.boot_time():.0f}"


def worker_identity() -> str:
    """The identity of this process, `<machine>|<pid>|<start time>|<host>`; the host is for information only."""
    pid = os.getpid()
    return f"{_this_machine()}|{pid}|{psutil.Process(pid).create_time():.2f}|{platform.node()}"


def is_known_dead(identity: str) -> bool:
    """True if the process ran on this machine and has ended; False if it is alive or unknown."""
    parts = identity.split("|")
    if len(parts) != 4 or parts[0] != _this_machine():
        return False
    try:
        process = psutil.Process(int(parts[1]))
        same = abs(process.create_time() - float(parts[2])) <= START_TIME_TOLERANCE_SECONDS
        return not same or process.status() == psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError):
        return True
