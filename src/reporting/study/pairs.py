"""The two most important parameters together: the mean value in each cell of a grid over their ranges.

No surface is fitted: a cell without a trial is empty.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from src.reporting.document.downsample import downsampled
from src.reporting.document.plot import Axis, Heat, Mark, Plot, Points
from src.reporting.study.numbers import MIN_TRIALS, Snapshot, value_of
from src.reporting.study.parameter_ranges import ParameterRange, numeric, parameter_ranges

FEWEST_CELLS, MOST_CELLS = 3, 12
TRIALS_PER_CELL = 4
MAX_POINTS = 1000


@dataclass(frozen=True)
class ParameterPair:
    """Two parameters of the complete trials that have both.

    Attributes:
        x, y: the parameters; `x` is the more important one.
        numbers, xs, ys, values: of the trials, all of the same length.
        means: mean value by row (the lowest `y` first) and column; None for a cell without a trial.
    """

    x: ParameterRange
    y: ParameterRange
    numbers: tuple[int, ...]
    xs: tuple[float, ...]
    ys: tuple[float, ...]
    values: tuple[float, ...]
    means: tuple[tuple[float | None, ...], ...]


def most_important_pair(snapshot: Snapshot, shares: Mapping[str, float]) -> ParameterPair | None:
    """The two most important numeric parameters that enough trials have together; None if there are none."""
    ranges = parameter_ranges(snapshot.complete)
    names = sorted(numeric(ranges), key=lambda name: (-shares.get(name, 0.0), name))
    for x, y in combinations(names, 2):
        both = [trial for trial in snapshot.complete if x in trial.params and y in trial.params]
        if len(both) >= MIN_TRIALS:
            numbers = tuple(trial.number for trial in both)
            xs, ys = (tuple(float(trial.params[name]) for trial in both) for name in (x, y))
            values = tuple(value_of(trial) for trial in both)
            means = cell_means(_cells(ranges[x], xs), _cells(ranges[y], ys), values)
            return ParameterPair(ranges[x], ranges[y], numbers, xs, ys, values, means)
    return None


def n_cells(n_trials: int) -> int:
    """Number of cells along each side, for a few trials per cell if trials were evenly distributed."""
    return min(MOST_CELLS, max(FEWEST_CELLS, round(math.sqrt(n_trials / TRIALS_PER_CELL))))


def _cells(known: ParameterRange, values: Sequence[float]) -> list[int]:
    last = n_cells(len(values)) - 1
    return [min(last, int(known.share(value) * (last + 1))) for value in values]


def cell_means(
    columns: Sequence[int], rows: Sequence[int], values: Sequence[float]
) -> tuple[tuple[float | None, ...], ...]:
    """Mean value of the trials in each cell of a square, by row and column; None for a cell without a trial."""
    side = n_cells(len(values))
    inside: dict[tuple[int, int], list[float]] = {}
    for column, row, value in zip(columns, rows, values, strict=True):
        inside.setdefault((row, column), []).append(value)
    means = {cell: fmean(held) for cell, held in inside.items()}
    return tuple(tuple(means.get((row, column)) for column in range(side)) for row in range(side))


def pair_plot(pair: ParameterPair, metric: str, maximize: bool) -> Plot:
    """Mean value as colour, the trials as points, the best trial as a larger point."""
    ranked = sorted(range(len(pair.values)), key=lambda i: -pair.values[i] if maximize else pair.values[i])
    best, *others = ranked
    kept = [others[i] for i in downsampled(len(others), range(len(others)), MAX_POINTS)]
    marks: list[Mark] = [
        Heat(_centres(pair.x, len(pair.means)), _centres(pair.y, len(pair.means)), pair.means, f"mean {metric}"),
        _points(pair, kept, Points((), (), name="trials", role="accent", size=4, opacity=0.8)),
        _points(pair, [best], Points((), (), name=f"best: trial {pair.numbers[best]}", role="accent", size=12)),
    ]
    x, y = (Axis(known.name, scale="log" if known.log else "linear") for known in (pair.x, pair.y))
    return Plot(x, y, marks, height=400)


def _points(pair: ParameterPair, kept: Sequence[int], style: Points) -> Points:
    return Points(
        [pair.xs[i] for i in kept], [pair.ys[i] for i in kept], style.name, style.role,
        size=style.size, opacity=style.opacity, notes=[f"trial {pair.numbers[i]}, {pair.values[i]:.5g}" for i in kept],
    )  # fmt: skip


def _centres(known: ParameterRange, side: int) -> list[float]:
    return [known.value((i + 0.5) / side) for i in range(side)]
