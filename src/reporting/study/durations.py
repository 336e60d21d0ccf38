"""States and durations of the trials."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from src.reporting.document import histogram
from src.reporting.document.blocks import Table
from src.reporting.document.plot import Axis, Bars, Plot, Role
from src.reporting.document.words import format_duration, format_share
from src.reporting.study.numbers import Snapshot
from src.study.trial_times import seconds_taken

STATES = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING", "waiting": "WAITING"}
ENDED: Mapping[str, Role] = {"complete": "main", "pruned": "muted", "failed": "bad"}
MAX_BINS = 14
LABELS = 6
WIDE = 30.0
"""If the longest duration exceeds the shortest by more than this factor, bins are logarithmic."""


@dataclass(frozen=True)
class Durations:
    """A histogram of the trials' durations.

    Attributes:
        edges: seconds, one more than there are bins.
        counts: for each state, the trials in each bin, including its lower edge; states without a trial are left out.
    """

    edges: tuple[float, ...]
    counts: Mapping[str, tuple[int, ...]]


def seconds_by_state(snapshot: Snapshot) -> dict[str, list[float]]:
    """Seconds of each finished trial, by state; a trial is left out if the clock was set back during it."""
    by_state: dict[str, list[float]] = {}
    for state in ENDED:
        taken = [seconds_taken(trial) for trial in snapshot.in_state(STATES[state])]
        by_state[state] = [seconds for seconds in taken if seconds is not None and seconds > 0]
    return by_state


def states_table(snapshot: Snapshot) -> Table:
    """Number and share of trials by state; of finished ones, median, 5 % and 95 % quantiles and sum of seconds."""
    seconds = seconds_by_state(snapshot)
    rows = []
    for word, name in STATES.items():
        count = len(snapshot.in_state(name))
        cells: list[float | None] = [None] * 4
        if seconds.get(word):
            cells = [*np.quantile(seconds[word], [0.5, 0.05, 0.95]).tolist(), sum(seconds[word])]
        if count or word == "complete":
            rows.append((word, count, format_share(count / max(1, len(snapshot.trials))), *cells))
    columns = ("state", "trials", "share", "median seconds", "5 % quantile", "95 % quantile", "total seconds")
    return Table(columns, tuple(rows))


def durations(snapshot: Snapshot) -> Durations | None:
    """The histogram; None before a trial has finished."""
    seconds = {state: taken for state, taken in seconds_by_state(snapshot).items() if taken}
    if not seconds:
        return None
    edges = duration_edges([value for taken in seconds.values() for value in taken])
    counts = {state: tuple(histogram.counts(taken, edges)) for state, taken in seconds.items()}
    return Durations(tuple(edges), counts)


def duration_edges(seconds: Sequence[float]) -> list[float]:
    """Edges of bins that contain all durations: round numbers, or logarithmic if durations differ much."""
    low, high = min(seconds), max(seconds)
    count = min(MAX_BINS, max(6, round(1.5 * len(seconds) ** 0.5)))
    if high <= WIDE * low:
        return histogram.round_edges(seconds, count)
    spaced = np.geomspace(low, high, count + 1)
    spaced[0], spaced[-1] = low, high  # exact, because rounding could exclude the shortest or longest trial
    return list(spaced.tolist())


def durations_plot(bins: Durations) -> Plot:
    """One column per bin, the states stacked."""
    n_bins = len(bins.edges) - 1
    below, marks = [0] * n_bins, []
    for state, counts in bins.counts.items():
        ends = [start + count for start, count in zip(below, counts, strict=True)]
        marks.append(Bars(range(n_bins), ends, tuple(below), state, (ENDED[state],), thickness=0.9))
        below = ends
    every = math.ceil(n_bins / LABELS)
    ticks = [(i - 0.5, short_duration(bins.edges[i])) for i in range(0, n_bins + 1, every)]
    return Plot(Axis("duration", ticks=ticks), histogram.count_axis("trials", below), marks, height=280)


def short_duration(seconds: float) -> str:
    """A duration as a tick label: `12 ms`, `3.4 s`, `1 h 5 min`."""
    if 0 < seconds < 0.1:
        return f"{seconds * 1000:.2g} ms"
    return f"{seconds:.3g} s" if seconds < 60 else format_duration(seconds)
