"""A process that is stopped by SIGSTOP in the middle of its work, as a debugger or a suspended machine stops it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]


@contextmanager
def paused_holder(code: str, *arguments: str) -> Iterator[int]:
    """Runs code until it prints a line, and pauses it; its PID. It is killed at the end."""
    command = [sys.executable, "-c", code, *arguments]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline(), "it did not come to hold the lock"
        os.kill(process.pid, signal.SIGSTOP)
        yield process.pid
    finally:
        process.kill()
        process.communicate()
