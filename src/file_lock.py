"""Locks between processes, with the name of the holder and a limit on waiting; and the implementation with a file.

The holder of a lock sends a heartbeat every few seconds, however long its work takes. A paused process (SIGSTOP, a
suspended machine) sends none: after some minutes without a heartbeat, waiting ends with an error that names it.
"""

import contextlib
import fcntl
import logging
import os
import platform
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO

from src.errors import LockError

log = logging.getLogger(__name__)

MAX_SILENT_SECONDS = 180.0
"""Longest time without a heartbeat of the holder. On a machine that swaps, a heartbeat can be a minute late."""
HEARTBEAT_SECONDS = 10.0
LOG_AFTER_SECONDS = 10.0
MIN_WATCHED_SECONDS = 30.0
"""Shortest wait before a holder is given up: after a suspended machine resumes, all heartbeats are old."""
MAX_HIDDEN_SECONDS = 1800.0
"""Longest wait for a holder whose heartbeats this user may not see."""
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.5


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock.

    Attributes:
        name: the process, its host, and since when it holds the lock.
        silent: seconds since its last heartbeat; None where it is unknown.
        remedy: how to free the lock.
    """

    name: str
    silent: float | None
    remedy: str


def wait_for_lock(
    attempt: Callable[[], bool], holder: Callable[[], Holder | None], what: str, seconds: float | None = None
) -> None:
    """Takes a lock, and waits as long as another process holds it.

    Args:
        attempt: takes the lock if it is free; returns whether it did.
        holder: returns the present holder, None if there is none.
        what: names the lock in messages.
        seconds: longest time without a heartbeat of the holder; MAX_SILENT_SECONDS when None.

    Raises:
        LockError: the holder has sent no heartbeat for too long; names it and the remedy.
    """
    seconds = MAX_SILENT_SECONDS if seconds is None else seconds
    began, pause, logged = time.monotonic(), FIRST_PAUSE, False
    while not attempt():
        waited = time.monotonic() - began
        current = holder() if waited >= min(seconds, LOG_AFTER_SECONDS) else None
        if current is not None:
            silent = waited * seconds / MAX_HIDDEN_SECONDS if current.silent is None else current.silent
            if silent >= seconds and waited >= min(seconds, MIN_WATCHED_SECONDS):
                raise LockError(f"{what} is held by {current.name}, which does not respond: {current.remedy}")
            if not logged:
                log.warning("waiting for %s, held by %s", what, current.name)
                logged = True
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, LONGEST_PAUSE)


@contextlib.contextmanager
def heartbeats(send: Callable[[], None]) -> Iterator[None]:
    """Calls `send` every few seconds in a thread, which stops when the process is paused."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(HEARTBEAT_SECONDS):
            send()

    thread = threading.Thread(target=run, name="lock-heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def file_lock(path: Path, what: str) -> Iterator[None]:
    """Holds the lock of a file; the operating system frees it when the holder is killed.

    Raises:
        OSError: the file cannot be opened.
        LockError: the holder has sent no heartbeat for too long.
    """
    with _open_lock_file(path) as handle:
        wait_for_lock(partial(_try_lock, handle), partial(_holder, handle), what)
        with heartbeats(partial(os.utime, handle.fileno())):
            yield


@contextlib.contextmanager
def try_file_lock(path: Path) -> Iterator[bool]:
    """As `file_lock`, without waiting: yields whether the lock was taken."""
    with _open_lock_file(path) as handle:
        yield _try_lock(handle)


def process_name() -> str:
    """Name of this process, for other processes that wait for its lock."""
    return f"process {os.getpid()} on {platform.node()}"


def utc_text(seconds: float) -> str:
    """A time in seconds since 1970, readable."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _open_lock_file(path: Path) -> IO[str]:
    return open(path, "a+", encoding="utf-8")  # "w" would erase the holder's name


def _try_lock(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # another process holds it
        return False
    # Not through the handle's buffer, which would fail again when it is closed.
    with contextlib.suppress(OSError):  # a full disk: the lock works without the name
        os.ftruncate(handle.fileno(), 0)
        os.write(handle.fileno(), f"{process_name()} since {utc_text(time.time())}".encode())
    return True


def _holder(handle: IO[str]) -> Holder:
    handle.seek(0)
    name = handle.read() or "an unknown process"
    silent = max(0.0, time.time() - os.fstat(handle.fileno()).st_mtime)
    return Holder(name, silent, "resume that process (kill -CONT) or end it, then try again")
