"""Statistics that can be merged: the state of one row, of no rows, and the merge of two states (see `windows`).

A missing value (NaN) has the state of no rows.
"""

import numpy as np

from .panel import Floats
from .windows import Rows, State, Windows


def sums(rows: Rows, values: Floats) -> Windows:
    """State: the sum of the values, none of which is missing."""
    return Windows(rows, (values,), (0.0,), lambda older, newer, _: (older[0] + newer[0],))


def smallest(rows: Rows, values: Floats) -> Windows:
    """State: the smallest value, infinity without any."""
    filled = np.where(np.isnan(values), np.inf, values)
    return Windows(rows, (filled,), (np.inf,), lambda older, newer, _: (np.minimum(older[0], newer[0]),))


def largest(rows: Rows, values: Floats) -> Windows:
    """State: the largest value, -infinity without any."""
    filled = np.where(np.isnan(values), -np.inf, values)
    return Windows(rows, (filled,), (-np.inf,), lambda older, newer, _: (np.maximum(older[0], newer[0]),))


def moments(rows: Rows, values: Floats) -> Windows:
    """State: number of values, mean, sum of squared deviations from the mean.

    The merge is that of Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
    Variances (1979); the deviations of equal values are exactly 0.
    """
    missing = np.isnan(values)
    state = ((~missing).astype(np.float64), np.where(missing, 0.0, values), np.zeros_like(values))
    return Windows(rows, state, (0.0, 0.0, 0.0), _merge_moments)


def _merge_moments(older: State, newer: State, _: int) -> State:
    count = older[0] + newer[0]
    share = newer[0] / np.maximum(count, 1.0)
    gap = newer[1] - older[1]
    mean = older[1] + gap * share
    return count, mean, (older[2] + newer[2]) + gap * (gap * (older[0] * share))


def decayed_sums(rows: Rows, values: Floats, decay: float) -> Windows:
    """State: sum of the values and number of values, both weighted by `decay` to the power of their age in rows."""
    missing = np.isnan(values)

    def merge(older: State, newer: State, age: int) -> State:
        factor = _power(decay, age)
        return newer[0] + factor * older[0], newer[1] + factor * older[1]

    return Windows(rows, (np.where(missing, 0.0, values), (~missing).astype(np.float64)), (0.0, 0.0), merge)


def _power(base: float, exponent: int) -> float:
    """By multiplications alone: the C library's `pow` may round differently on another machine."""
    result = 1.0
    while exponent:
        if exponent & 1:
            result *= base
        base *= base
        exponent >>= 1
    return result


def drawdowns(rows: Rows, values: Floats) -> Windows:
    """State: the sum of the values, and the smallest sum of the last values, of none (0) up to all of them."""
    filled = np.where(np.isnan(values), 0.0, values)

    def merge(older: State, newer: State, _: int) -> State:
        return older[0] + newer[0], np.minimum(newer[1], older[1] + newer[0])

    return Windows(rows, (filled, np.minimum(filled, 0.0)), (0.0, 0.0), merge)


def runs(rows: Rows, values: Floats, sign: int) -> Windows:
    """State: number of values since the last one without this sign, and 1 if there is no such one, else 0."""
    inside = (values * sign > 0).astype(np.float64)
    unbroken = np.where(np.isnan(values), 1.0, inside)

    def merge(older: State, newer: State, _: int) -> State:
        return newer[0] + newer[1] * older[0], newer[1] * older[1]

    return Windows(rows, (inside, unbroken), (0.0, 1.0), merge)


def ordered(rows: Rows, values: Floats) -> Windows:
    """State: the values in ascending order, one array per row of the window; infinity where values are missing."""
    filled = np.where(np.isnan(values), np.inf, values)
    return Windows(rows, (filled,), (np.inf,), lambda older, newer, _: _merge_ordered(older, newer))


def _merge_ordered(one: State, other: State) -> State:
    """Odd-even merge of two ascending lists (Batcher, 1968; Knuth, The Art of Computer Programming 3, 5.3.4)."""
    if not one or not other:
        return one or other
    if len(one) == len(other) == 1:
        return np.minimum(one[0], other[0]), np.maximum(one[0], other[0])
    even, odd = _merge_ordered(one[::2], other[::2]), _merge_ordered(one[1::2], other[1::2])
    merged = [even[0]]
    for low, high in zip(odd, even[1:], strict=False):
        merged += [np.minimum(low, high), np.maximum(low, high)]
    pairs = min(len(odd), len(even) - 1)
    return (*merged, *odd[pairs:], *even[1 + pairs :])
