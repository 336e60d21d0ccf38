"""Stopping a search from outside: a deadline, Ctrl-C and SIGTERM.

Kubernetes sends SIGTERM when it drains a node.
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
    """Ends a trial from outside: a request to stop, or the search's deadline.

    Attributes:
        requested: set by a signal handler; the running trial goes back to the queue.
        deadline: `time.monotonic()` after which the running trial ends with its best round so far.
        signal: number of the signal that was received, 0 if none.
        study_stopped: a callback stopped the study, here or in another worker; the running trial is the last one.
    """

    requested: bool = False
    deadline: float | None = None
    study_stopped: bool = False
    signal: int = 0

    def raise_if_stopped(self) -> None:
        """Ends the trial if a stop was requested.

        Raises:
            Interrupted: a stop was requested.
        """
        if self.requested:
            raise Interrupted("interrupted")

    def deadline_passed(self) -> bool:
        """Whether the running trial has to end now."""
        return self.deadline is not None and monotonic() >= self.deadline


@contextlib.contextmanager
def stop_on_signals(stop_flag: StopFlag) -> Iterator[None]:
    """Ctrl-C and SIGTERM stop the search at the next boosting round; a second signal stops it at once.

    The handler sets a flag, because a KeyboardInterrupt could occur in the middle of a transaction.
    """
    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def request_stop(number: int, frame: Any) -> None:
        if stop_flag.requested:
            raise KeyboardInterrupt
        stop_flag.requested, stop_flag.signal = True, number
        sys.stderr.write("\nstopping: saving finished trials (press Ctrl-C again to stop at once)\n")

    for number in before:
        signal.signal(number, request_stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def interrupted_by(stop_flag: StopFlag, what: str) -> Interrupted:
    """The error of a stopped search: its message says what is done, and it has the signal's number."""
    error = Interrupted(f"stopped: {what}")
    error.signal = stop_flag.signal
    return error


@contextlib.contextmanager
def exit_on_sigterm() -> Iterator[None]:
    """SIGTERM raises `Drained` in the block, except during a search, which has its own handler.

    Process 1 of a container ignores SIGTERM without a handler, and would be killed half a minute later.
    """
    if threading.current_thread() is not threading.main_thread():  # signals belong to the main thread
        yield
        return

    def raise_drained(number: int, frame: Any) -> None:
        raise Drained("received SIGTERM while idle")

    before = signal.signal(signal.SIGTERM, raise_drained)
    try:
        yield
    except Interrupted as error:
        if error.signal == signal.SIGTERM:
            raise Drained(str(error)) from error
        raise
    finally:
        signal.signal(signal.SIGTERM, before)
