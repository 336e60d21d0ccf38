"""Learning curves of the best trial, the median trial and pruned trials."""

from collections.abc import Sequence
from dataclasses import dataclass

from src.reporting.document.downsample import downsampled
from src.reporting.document.plot import Axis, Line, Plot
from src.reporting.study.numbers import Snapshot, reported

MAX_PRUNED_CURVES = 40
MAX_CURVE_POINTS = 200
STYLES = {
    "pruned": Line((), (), role="muted", width=1, opacity=0.5),
    "median": Line((), (), role="accent", width=2),
    "best": Line((), (), role="main", width=3),
}


@dataclass(frozen=True)
class LearningCurve:
    """A trial's validation score by step; `role` is `best`, `median` or `pruned`."""

    role: str
    number: int
    steps: tuple[float, ...]
    values: tuple[float, ...]


def curves(snapshot: Snapshot) -> list[LearningCurve]:
    """Learning curves of the latest pruned trials, of the median trial, and of the best, which is last, so on top."""
    stopped = snapshot.in_state("PRUNED")[-MAX_PRUNED_CURVES:]
    chosen = [("pruned", trial) for trial in stopped]
    if len(snapshot.ranked) > 2:
        chosen.append(("median", snapshot.ranked[len(snapshot.ranked) // 2]))
    chosen += [("best", trial) for trial in snapshot.ranked[:1]]
    drawn = [LearningCurve(role, trial.number, *reported(trial)) for role, trial in chosen]
    return [curve for curve in drawn if curve.steps]


def curves_plot(drawn: Sequence[LearningCurve], metric: str) -> Plot:
    """Validation score by step: pruned trials as thin lines, the median trial, the best trial."""
    return Plot(Axis("step"), Axis(metric), [_line(curve) for curve in drawn], height=380, zoom=True)


def _line(curve: LearningCurve) -> Line:
    style = STYLES[curve.role]
    kept = downsampled(len(curve.steps), limit=MAX_CURVE_POINTS)
    return Line(
        [curve.steps[i] for i in kept], [curve.values[i] for i in kept],
        "pruned" if curve.role == "pruned" else f"{curve.role}: trial {curve.number}",
        style.role, width=style.width, opacity=style.opacity,
    )  # fmt: skip
