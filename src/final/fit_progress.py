"""A progress bar of boosting rounds, for fits after the search that take more than a moment."""

import sys
import threading
from typing import Any

from tqdm import tqdm

from src.search.progress import make_bar

SECONDS_BEFORE_FIRST = 5.0
"""A fit that is over before shows nothing."""


class FitProgress:
    """Counts the rounds of one or more fits; use as a context manager.

    The bar is `make_bar`'s; in a terminal it is gone at the end.

    Args:
        what: is being done, in a few words.
        rounds: of all fits together; None where nobody knows.
    """

    def __init__(self, what: str, rounds: int | None = None) -> None:
        self.what = what
        self.rounds = rounds
        self._lock = threading.Lock()
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> "FitProgress":
        leave = not sys.stderr.isatty()
        self._bar = make_bar(self.what, "round", self.rounds, leave=leave, delay=SECONDS_BEFORE_FIRST)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, rounds: int = 1) -> None:
        """Some rounds more are done; from any thread."""
        with self._lock:
            if self._bar is not None:
                self._bar.update(rounds)
