"""Slice plots: the value by each parameter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from src.reporting.document.axis_limits import axis_limits
from src.reporting.document.downsample import downsampled
from src.reporting.document.plot import Axis, Plot, Points
from src.reporting.study.numbers import Snapshot, is_finite, value_of
from src.reporting.study.parameter_ranges import is_number

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial


@dataclass(frozen=True)
class Slice:
    """The value by one parameter, over complete trials.

    Attributes:
        name: the parameter's.
        xs: its values; text for a categorical parameter.
        ys: the trials' values.
        numbers: the trials' numbers.
        scale: the parameter's distribution: `linear`, `log` or `category`.
        order: choices of a categorical parameter in their order, otherwise empty.
    """

    name: str
    xs: tuple[float | str, ...]
    ys: tuple[float, ...]
    numbers: tuple[int, ...]
    scale: str
    order: tuple[str, ...] = ()


def slices(snapshot: Snapshot) -> list[Slice]:
    """A slice of each parameter, in order of first appearance."""
    having: dict[str, list[FrozenTrial]] = {}
    for trial in snapshot.complete:
        for name in trial.params:
            having.setdefault(name, []).append(trial)
    return [_slice(name, trials) for name, trials in having.items()]


def _slice(name: str, trials: Sequence["FrozenTrial"]) -> Slice:
    distribution = trials[-1].distributions[name]
    raw = [trial.params[name] for trial in trials]
    ys, numbers = tuple(value_of(trial) for trial in trials), tuple(trial.number for trial in trials)
    if not is_number(distribution) or not all(is_finite(x) for x in raw):
        choices = [str(choice) for choice in getattr(distribution, "choices", ())]
        labels = tuple(str(x) for x in raw)
        return Slice(name, labels, ys, numbers, "category", tuple(dict.fromkeys([*choices, *labels])))
    log = getattr(distribution, "log", False) and all(x > 0 for x in raw)
    return Slice(name, tuple(raw), ys, numbers, "log" if log else "linear")


def slice_plot(cut: Slice, metric: str, maximize: bool, limit: int) -> Plot:
    """The slice as points, later trials darker; of more than `limit` trials, the best and some of the others."""
    ranked = sorted(range(len(cut.ys)), key=lambda i: -cut.ys[i] if maximize else cut.ys[i])
    kept = downsampled(len(cut.ys), ranked, limit)
    place = {label: i for i, label in enumerate(cut.order)}
    xs = [float(place[str(x)]) if cut.order else float(x) for x in (cut.xs[i] for i in kept)]
    numbers = [cut.numbers[i] for i in kept]
    points = Points(
        xs, [cut.ys[i] for i in kept], size=6, opacity=0.85, shade=numbers, notes=[f"trial {n}" for n in numbers]
    )
    return Plot(_axis(cut), Axis(metric, limits=axis_limits(cut.ys, maximize)), [points], height=240, legend=False)


def _axis(cut: Slice) -> Axis:
    if not cut.order:
        return Axis(cut.name, scale="log" if cut.scale == "log" else "linear")
    return Axis(cut.name, ticks=list(enumerate(cut.order)), limits=(-0.5, len(cut.order) - 0.5))
