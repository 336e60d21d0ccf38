"""What stops a search from outside: a deadline, and the signals Ctrl-C and SIGTERM.

SIGTERM is also how a cluster takes a machine away.
"""

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from time import monotonic
from typing import Any

from src.errors import Drained, Interrupted


@dataclass
class StopFlag:
    """What ends a trial from outside: a request to stop, or the search's deadline.

    Attributes:
        requested: set by a signal handler; the running trial is given back.
        deadline: `time.monotonic()` after which the running trial ends with the best round so far.
        signal: the number of the signal that asked, 0 if none did.
        leaving: a callback stopped the study, here or in another worker; the running trial is the last.
    """

    requested: bool = False
    deadline: float | None = None
    leaving: bool = False
    signal: int = 0

    def raise_if_stopped(self) -> None:
        """Ends the trial if a stop was requested.

        Raises:
            Interrupted: it was.
        """
        if self.requested:
            raise Interrupted("interrupted")

    def deadline_passed(self) -> bool:
        """Whether the running trial is to end now."""
        return self.deadline is not None and monotonic() >= self.deadline


@contextlib.contextmanager
def stop_on_signals(stop_flag: StopFlag) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask the search to stop at the next boosting round; a second one stops at once.

    A flag instead of an exception: a KeyboardInterrupt may come in the middle of a transaction.
    """
    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def ask(number: int, frame: Any) -> None:
        if stop_flag.requested:
            raise KeyboardInterrupt
        stop_flag.requested, stop_flag.signal = True, number
        sys.stderr.write("\nstopping: saving what is done (again to stop at once)\n")

    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupted_by(stop_flag: StopFlag, what: str) -> Interrupted:
    """A search that was stopped, by which signal, and what is done."""
    error = Interrupted(f"stopped: {what}")
    error.signal = stop_flag.signal
    return error


@contextlib.contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """SIGTERM ends the block with `Drained`, wherever it is, except in a search, which stops in its own way.

    The first process of a container ignores SIGTERM unless it has a handler, and would be killed half a minute later.
    """
    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield
        return

    def leave(number: int, frame: Any) -> None:
        raise Drained("told to leave; nothing was under way")

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    except Interrupted as error:
        if error.signal == signal.SIGTERM:
            raise Drained(str(error)) from error
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
