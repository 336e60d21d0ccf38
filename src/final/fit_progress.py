"""A progress bar of boosting rounds for long fits after the search."""

import sys
import threading
from typing import Any

from tqdm import tqdm

from src.search.progress import make_bar

SECONDS_BEFORE_FIRST = 5.0
"""A shorter fit shows no bar."""


class FitProgress:
    """Counts the rounds of one or more fits; use as a context manager.

    The bar comes from `make_bar`; in a terminal it is removed at the end.

    Args:
        label: text of the bar.
        rounds: total of all fits; None if unknown.
    """

    def __init__(self, label: str, rounds: int | None = None) -> None:
        self.label = label
        self.rounds = rounds
        self._lock = threading.Lock()
        self._bar: tqdm[Any] | None = None

    def __enter__(self) -> "FitProgress":
        leave = not sys.stderr.isatty()
        self._bar = make_bar(self.label, "round", self.rounds, leave=leave, delay=SECONDS_BEFORE_FIRST)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def advance(self, rounds: int = 1) -> None:
        """Adds finished rounds; may be called from any thread."""
        with self._lock:
            if self._bar is not None:
                self._bar.update(rounds)
