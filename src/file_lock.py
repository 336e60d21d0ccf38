"""Locks between processes that say who holds them and do not wait for ever, and the kind of them that is a file.

A holder that lives shows it every few seconds, however long its work takes. One that is paused (SIGSTOP, a suspended
machine) does not, and would be waited for without end: after some minutes of silence the waiting ends with its name.
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

SILENT_SECONDS = 180.0
"""So long may a holder show no sign of life; a machine that swaps can keep a living one from it for a minute."""
BEAT_SECONDS = 10.0
SAY_SECONDS = 10.0
SEEN_SECONDS = 30.0
"""So long the silence must have been watched from here: after a machine's sleep everybody has been silent for long."""
HIDDEN_SECONDS = 1800.0
"""So long is a holder waited for whose signs of life this user may not see."""
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.5


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock.

    Attributes:
        who: its name, where it runs, since when it holds the lock.
        silent: seconds since its last sign of life; None where that cannot be told.
        remedy: how to free the lock.
    """

    who: str
    silent: float | None
    remedy: str


def wait_for_lock(
    attempt: Callable[[], bool], holder: Callable[[], Holder | None], what: str, seconds: float | None = None
) -> None:
    """Tries to take a lock until it is taken.

    Args:
        attempt: takes the lock if nobody holds it, and says whether it did.
        holder: who holds it now, None for nobody.
        what: names the lock in messages.
        seconds: of silence after which the holder is not waited for any longer; SILENT_SECONDS when None.

    Raises:
        LockError: the holder shows no sign of life; names it and the remedy.
    """
    seconds = SILENT_SECONDS if seconds is None else seconds
    began, pause, said = time.monotonic(), FIRST_PAUSE, False
    while not attempt():
        waited = time.monotonic() - began
        found = holder() if waited >= min(seconds, SAY_SECONDS) else None
        if found is not None:
            silent = waited * seconds / HIDDEN_SECONDS if found.silent is None else found.silent
            if silent >= seconds and waited >= min(seconds, SEEN_SECONDS):
                raise LockError(f"{what} is held by {found.who}, which shows no sign of life: {found.remedy}")
            if not said:
                log.warning("waiting for %s, held by %s", what, found.who)
                said = True
        time.sleep(pause * random.uniform(0.5, 1.0))
        pause = min(2 * pause, LONGEST_PAUSE)


@contextlib.contextmanager
def shown_alive(beat: Callable[[], None]) -> Iterator[None]:
    """Calls `beat` every few seconds, from a thread that a paused process stops with all its others."""
    over = threading.Event()

    def run() -> None:
        while not over.wait(BEAT_SECONDS):
            beat()

    thread = threading.Thread(target=run, name="lock-beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextlib.contextmanager
def file_lock(path: Path, what: str) -> Iterator[None]:
    """Holds the lock that a file stands for; a killed holder frees it.

    Raises:
        OSError: the file cannot be opened.
        LockError: the holder shows no sign of life.
    """
    with _opened(path) as handle:
        wait_for_lock(partial(_try_lock, handle), partial(_holder, handle), what)
        with shown_alive(partial(os.utime, handle.fileno())):
            yield


@contextlib.contextmanager
def try_file_lock(path: Path) -> Iterator[bool]:
    """As `file_lock`, but nobody waits: whether the lock is held now."""
    with _opened(path) as handle:
        yield _try_lock(handle)


def process_name() -> str:
    """What this process is called where others see its lock."""
    return f"process {os.getpid()} on {platform.node()}"


def utc_text(seconds: float) -> str:
    """A time in seconds since 1970, for people."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def _opened(path: Path) -> IO[str]:
    return open(path, "a+", encoding="utf-8")  # "w" would wipe out the holder's name


def _try_lock(handle: IO[str]) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # another process holds it
        return False
    # Past the buffer of the handle, which would fail once more when it is closed.
    with contextlib.suppress(OSError):  # a full disk: the lock holds without a name
        os.ftruncate(handle.fileno(), 0)
        os.write(handle.fileno(), f"{process_name()} since {utc_text(time.time())}".encode())
    return True


def _holder(handle: IO[str]) -> Holder:
    handle.seek(0)
    who = handle.read() or "a process that is not named"
    silent = max(0.0, time.time() - os.fstat(handle.fileno()).st_mtime)
    return Holder(who, silent, "resume that process (kill -CONT) or end it, then try again")
