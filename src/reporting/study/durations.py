"""What became of the trials and how long they took."""

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
"""Durations further apart than by this factor are binned by their logarithm."""


@dataclass(frozen=True)
class Durations:
    """A histogram of trials' durations.

    Attributes:
        edges: seconds, one more than there are bins.
        counts: by state the trials in each bin, its lower edge with it; states without a trial are left out.
    """

    edges: tuple[float, ...]
    counts: Mapping[str, tuple[int, ...]]


def seconds_by_state(snapshot: Snapshot) -> dict[str, list[float]]:
    """Seconds of each trial that has ended, by state; a clock that was set back leaves no duration."""
    found: dict[str, list[float]] = {}
    for state in ENDED:
        taken = [seconds_taken(trial) for trial in snapshot.in_state(STATES[state])]
        found[state] = [seconds for seconds in taken if seconds is not None and seconds > 0]
    return found


def states_table(snapshot: Snapshot) -> Table:
    """Trials by state, the share of each, and for those that ended median, 5 % and 95 % quantile and sum of seconds."""
    seconds = seconds_by_state(snapshot)
    rows = []
    for word, name in STATES.items():
        count = len(snapshot.in_state(name))
        cells: list[float | None] = [None] * 4
        if seconds.get(word):
            cells = [*np.quantile(seconds[word], [0.5, 0.05, 0.95]).tolist(), sum(seconds[word])]
        if count or word == "complete":
            rows.append((word, count, format_share(count / max(1, len(snapshot.trials))), *cells))
    return Table(("state", "trials", "share", "median seconds", "5 %", "95 %", "all seconds"), tuple(rows))


def durations(snapshot: Snapshot) -> Durations | None:
    """The histogram; None before any trial has ended."""
    seconds = {state: taken for state, taken in seconds_by_state(snapshot).items() if taken}
    if not seconds:
        return None
    edges = duration_edges([value for taken in seconds.values() for value in taken])
    counts = {state: tuple(histogram.counts(taken, edges)) for state, taken in seconds.items()}
    return Durations(tuple(edges), counts)


def duration_edges(seconds: Sequence[float]) -> list[float]:
    """Edges of bins that hold all durations: round numbers, or apart by a constant factor where they differ much."""
    low, high = min(seconds), max(seconds)
    count = min(MAX_BINS, max(6, round(1.5 * len(seconds) ** 0.5)))
    if high <= WIDE * low:
        return histogram.round_edges(seconds, count)
    spaced = np.geomspace(low, high, count + 1)
    spaced[0], spaced[-1] = low, high  # which rounding would miss, and the trial with them
    return list(spaced.tolist())


def durations_plot(found: Durations) -> Plot:
    """One column per bin, the states on top of each other."""
    n_bins = len(found.edges) - 1
    below, marks = [0] * n_bins, []
    for state, counts in found.counts.items():
        ends = [start + count for start, count in zip(below, counts, strict=True)]
        marks.append(Bars(range(n_bins), ends, tuple(below), state, (ENDED[state],), thickness=0.9))
        below = ends
    every = math.ceil(n_bins / LABELS)
    ticks = [(i - 0.5, short_duration(found.edges[i])) for i in range(0, n_bins + 1, every)]
    return Plot(Axis("duration", ticks=ticks), histogram.count_axis("trials", below), marks, height=280)


def short_duration(seconds: float) -> str:
    """A duration for a tick: `12 ms`, `3.4 s`, `1 h 5 min`."""
    if 0 < seconds < 0.1:
        return f"{seconds * 1000:.2g} ms"
    return f"{seconds:.3g} s" if seconds < 60 else format_duration(seconds)
