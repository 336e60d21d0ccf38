"""The sampled values of each parameter over the search: a band becomes narrow when the sampler converges."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from src.reporting.document.plot import Axis, Band, Line, Mark, Plot, Rule
from src.reporting.study.numbers import MIN_TRIALS, Snapshot
from src.reporting.study.parameter_ranges import ParameterRange, parameter_ranges

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

WINDOWS_OF_SEARCH = 10
"""A window has a tenth of the trials, at least ten."""
MAX_WINDOWS = 50
FEWEST_TRIALS = MIN_TRIALS + 4
"""Fewer trials give fewer than five windows, too few to show a trend."""
MAX_CHOICES = 6


@dataclass(frozen=True)
class Evolution:
    """One parameter in windows of consecutive trials.

    Attributes:
        known: the parameter and its range.
        window: trials in each window.
        numbers: number of the middle trial of each window.
        low, median, high: quartiles of a numeric parameter in each window; empty for a categorical one.
        shares: for each choice of a categorical parameter, its share of each window's trials; empty for a numeric one.
    """

    known: ParameterRange
    window: int
    numbers: tuple[int, ...]
    low: tuple[float, ...] = ()
    median: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    shares: tuple[tuple[float, ...], ...] = ()


def evolutions(snapshot: Snapshot) -> list[Evolution]:
    """Every parameter that enough trials, in whatever state, have sampled and that is not fixed."""
    ranges = parameter_ranges(snapshot.trials)
    having: dict[str, list[FrozenTrial]] = {name: [] for name in ranges}
    for trial in snapshot.trials:
        for name in trial.params:
            having[name].append(trial)
    enough = [name for name, trials in having.items() if len(trials) >= FEWEST_TRIALS and not ranges[name].fixed]
    return [_evolution(ranges[name], having[name]) for name in enough]


def windows(n: int) -> tuple[int, list[int]]:
    """The length of a window and the starts of all windows: windows overlap, the last ends with the last trial."""
    length = max(MIN_TRIALS, n // WINDOWS_OF_SEARCH)
    last = n - length
    count = min(MAX_WINDOWS, last + 1)
    return length, [round(i * last / max(1, count - 1)) for i in range(count)]


def _evolution(known: ParameterRange, trials: Sequence["FrozenTrial"]) -> Evolution:
    length, starts = windows(len(trials))
    middles = tuple(trials[start + length // 2].number for start in starts)
    values = [trial.params[known.name] for trial in trials]
    if known.choices:
        return Evolution(known, length, middles, shares=_choice_shares(known, values, length, starts))
    columns = np.asarray(values, dtype=float)
    held = np.stack([columns[start : start + length] for start in starts])
    low, median, high = (tuple(row) for row in np.quantile(held, [0.25, 0.5, 0.75], axis=1).tolist())
    return Evolution(known, length, middles, low, median, high)


def _choice_shares(
    known: ParameterRange, values: Sequence[Any], length: int, starts: Sequence[int]
) -> tuple[tuple[float, ...], ...]:
    labels = [str(value) for value in values]
    held = [labels[start : start + length] for start in starts]
    return tuple(tuple(part.count(choice) / length for part in held) for choice in known.choices)


def evolution_plot(evolution: Evolution, best: Any = None) -> Plot:
    """Running median and quartiles of a numeric parameter, running shares of a categorical one's choices.

    Args:
        evolution: the parameter.
        best: its value in the best trial, drawn as a horizontal line if it is numeric.
    """
    known, marks = evolution.known, list[Mark]()
    if known.choices:
        often = sorted(range(len(known.choices)), key=lambda i: -sum(evolution.shares[i]))[:MAX_CHOICES]
        marks += [
            Line(evolution.numbers, evolution.shares[i], name=known.choices[i], role="series", series_index=place)
            for place, i in enumerate(often)
        ]
        return Plot(Axis("trial"), Axis(known.name, percent=True, limits=(0.0, 1.0)), marks, height=260)
    marks.append(Band(evolution.numbers, evolution.low, evolution.high, name="middle half", opacity=0.25))
    marks.append(Line(evolution.numbers, evolution.median, name="median"))
    if best is not None:
        marks.append(Rule(float(best), label="best", role="accent"))
    scale = Axis(known.name, scale="log" if known.log else "linear", limits=_whole(known))
    return Plot(Axis("trial"), scale, marks, height=260, legend=False)


def _whole(known: ParameterRange) -> tuple[float, float] | None:
    return (known.low, known.high) if known.low < known.high else None
