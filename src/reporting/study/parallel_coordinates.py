"""Parallel coordinates of the best trials: lines lie close together where the trials agree."""

from collections.abc import Mapping
from dataclasses import dataclass

from src.reporting.document.plot import Axis, Line, Plot
from src.reporting.study.numbers import Snapshot
from src.reporting.study.parameter_ranges import ParameterRange, parameter_ranges

FEWEST, MOST = 10, 50
TOP_SHARE = 0.1
MAX_PARAMETERS = 24


@dataclass(frozen=True)
class Coordinates:
    """The best trials with parameters scaled to their ranges.

    Attributes:
        parameters: of any of these trials, by importance; parameters that every complete trial has come first.
        numbers: of the trials, the best first.
        shares: for each trial, each parameter's position from 0, its lowest value, to 1; None if it has no value.
    """

    parameters: tuple[ParameterRange, ...]
    numbers: tuple[int, ...]
    shares: tuple[tuple[float | None, ...], ...]


def n_best(n_complete: int) -> int:
    """Number of trials that count as the best: a tenth, at least 10, at most 50."""
    return min(n_complete, max(FEWEST, min(MOST, round(TOP_SHARE * n_complete))))


def coordinates(snapshot: Snapshot, shares: Mapping[str, float]) -> Coordinates:
    """The best complete trials; each parameter is scaled, linearly or by its logarithm, to its range in all of them."""
    ranges = parameter_ranges(snapshot.complete)
    having = dict.fromkeys(ranges, 0)
    for trial in snapshot.complete:
        for name in trial.params:
            having[name] += 1
    order = sorted(ranges, key=lambda name: (having[name] < len(snapshot.complete), -shares.get(name, 0.0)))
    best = snapshot.ranked[: n_best(len(snapshot.complete))]
    shown = [ranges[name] for name in order if any(name in trial.params for trial in best)][:MAX_PARAMETERS]
    lines = [[known.share(t.params[known.name]) if known.name in t.params else None for known in shown] for t in best]
    return Coordinates(tuple(shown), tuple(trial.number for trial in best), tuple(tuple(line) for line in lines))


def coordinates_plot(best: Coordinates) -> Plot:
    """One row per parameter, one line per trial from row to row; the best trial on top of the others."""
    rows = list(range(len(best.parameters)))
    others, opacity = f"the {len(best.numbers) - 1} next best", 0.35 if len(best.numbers) > FEWEST else 0.6
    marks = [Line(line, rows, others, width=1.2, opacity=opacity) for line in reversed(best.shares[1:])]
    marks += [
        Line(line, rows, f"best: trial {number}", "accent", width=3)
        for number, line in zip(best.numbers[:1], best.shares[:1], strict=True)
    ]
    names = [(row, f"{known.name}: {known.describe()}") for row, known in zip(rows, best.parameters, strict=True)]
    across = Axis(ticks=[(0, "low"), (1, "high")], limits=(-0.03, 1.03))
    return Plot(across, Axis(ticks=names, reverse=True), marks, height=100 + 30 * len(rows))
