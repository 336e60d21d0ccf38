"""Statistics of the last rows of a sequence, merged in an order that depends on the window's length alone.

A statistic is a state (arrays, one value per row) with an associative merge. The state of 2k rows that end at row t is
merged from that of the k rows that end at t - k and that of the k rows that end at t; a window of 20 is 16 + 4. No
running sum is kept: a row's result uses exactly the rows of its window, always in the same order, so that it has the
same bits whatever the history before the window, the other rows, or the row's place in the array. For the same reason
only elementwise operations are used that IEEE 754 rounds exactly: + - * / sqrt, minimum, maximum, comparisons.
"""

from collections.abc import Callable, Sequence
from itertools import cycle

import numpy as np

from .panel import Floats, Integers

State = tuple[Floats, ...]
Merge = Callable[[State, State, int], State]
"""Merges the state of older rows, that of newer rows, and the number of the newer rows."""


class Rows:
    """Rows of several sequences, one sequence after the other.

    Args:
        positions: the number of earlier rows of the row's sequence among these rows, (n_rows,).
    """

    def __init__(self, positions: Integers) -> None:
        self.positions = positions
        self._without: dict[int, Integers] = {}

    def earlier(self, values: Floats, lag: int, empty: float) -> Floats:
        """The value of the row `lag` rows earlier in the same sequence; `empty` if there is none, (n_rows,)."""
        if lag == 0:
            return values
        moved = np.empty_like(values)
        moved[lag:] = values[:-lag]
        if lag not in self._without:
            self._without[lag] = np.flatnonzero(self.positions < lag)
        moved[self._without[lag]] = empty
        return moved


class Windows:
    """One statistic over windows of any length that end at each row and include it.

    Args:
        rows: the sequences.
        state: the statistic of each row alone.
        empty: the state of no rows, one number per array; of a state with more arrays, these numbers repeated.
        merge: of two states.
    """

    def __init__(self, rows: Rows, state: State, empty: Sequence[float], merge: Merge) -> None:
        self._rows, self._empty, self._merge = rows, empty, merge
        self._states: dict[int, State] = {1: state}

    def __getitem__(self, length: int) -> State:
        """The state of the last `length` rows, or of those that there are."""
        if length not in self._states:
            newest = 1 << (length.bit_length() - 1)
            if newest == length:
                newest //= 2
            self._states[length] = self._joined(length, newest)
        return self._states[length]

    def _joined(self, length: int, newest: int) -> State:
        state, covered = self[newest], newest
        while covered < length:
            part = 1 << ((length - covered).bit_length() - 1)
            pairs = zip(self[part], cycle(self._empty), strict=False)
            older = tuple(self._rows.earlier(array, covered, empty) for array, empty in pairs)
            state = self._merge(older, state, covered)
            covered += part
        return state
