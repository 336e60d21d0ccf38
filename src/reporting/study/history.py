"""The optimization history: value of each trial, best value so far, and the last improvement."""

from dataclasses import dataclass

from src.reporting.document.axis_limits import axis_limits
from src.reporting.document.downsample import MAX_POINTS, downsampled
from src.reporting.document.plot import Axis, Line, Plot, Points
from src.reporting.document.words import format_number, format_share, too_few
from src.reporting.study.numbers import MIN_TRIALS, History, Snapshot, history


@dataclass(frozen=True)
class SearchImprovement:
    """The last improvement of a search; trials are ordered by number.

    Attributes:
        finished: number of complete and pruned trials.
        last: number of the best trial, which made the last improvement.
        after: number of finished trials after it.
        best_at_half: the best value of the first half of the finished trials; None if none of these is complete.
        best: the best value of all trials.
    """

    finished: int
    last: int
    after: int
    best_at_half: float | None
    best: float

    @property
    def gain(self) -> float | None:
        """By how much the second half of the trials improved the best value; never negative."""
        return None if self.best_at_half is None else abs(self.best - self.best_at_half)


def progress(snapshot: Snapshot) -> SearchImprovement | None:
    """The last improvement; None before a trial is complete."""
    if not snapshot.ranked:
        return None
    best = snapshot.ranked[0]
    done = [trial.number for trial in snapshot.in_state("COMPLETE", "PRUNED")]
    first_half = set(done[: len(done) // 2])
    early = next((trial.value for trial in snapshot.ranked if trial.number in first_half), None)
    after = sum(number > best.number for number in done)
    return SearchImprovement(
        len(done), best.number, after, early, best.value if best.value is not None else float("nan")
    )


def describe_progress(improvement: SearchImprovement | None, metric: str) -> str:
    """The last improvement in sentences."""
    finished = improvement.finished if improvement else 0
    if improvement is None or finished < MIN_TRIALS:
        return too_few("show when the search stopped improving", MIN_TRIALS, finished, "finished")
    if improvement.after:
        what = "the one trial after it" if improvement.after == 1 else f"the {improvement.after:,} after it"
        share = f"{format_share(improvement.after / finished)} of the search"
        text = f"Trial {improvement.last} made the last improvement; {what} ({share}) made none."
    else:
        text = f"Trial {improvement.last}, the last finished one, improved the best {metric}: "
        text += "the search had not converged."
    if improvement.best_at_half is None or improvement.gain is None:
        return text
    now = format_number(improvement.best)
    if not improvement.gain:
        return f"{text} The second half of the {finished:,} finished trials did not improve the best {metric}, {now}."
    change = f"from {format_number(improvement.best_at_half)} to {now}"
    # A relative change means nothing if the value is zero or changed its sign.
    same_side = improvement.best_at_half * improvement.best > 0
    gained = 100 * improvement.gain / abs(improvement.best_at_half) if same_side else 0.0
    share = f" ({gained:,.0f} %)" if gained >= 100 else f" ({gained:.2g} %)" if same_side else ""
    return f"{text} The second half of the {finished:,} finished trials improved the best {metric} {change}{share}."


def history_plot(snapshot: Snapshot, metric: str) -> Plot:
    """Value by trial, the best value so far, and the last reported values of pruned trials."""
    known = history(snapshot)
    places = {number: place for place, number in enumerate(known.complete.numbers)}
    kept = downsampled(len(places), [places[trial.number] for trial in snapshot.ranked[:MAX_POINTS]])
    cut = downsampled(len(known.pruned.numbers), limit=MAX_POINTS // 2)
    steps = _changes(known)
    marks: list[Points | Line] = [
        Points(
            [known.pruned.numbers[i] for i in cut], [known.pruned.values[i] for i in cut],
            name="pruned (last reported)", role="muted", cross=True, opacity=1.0,
        ),
        Points([known.complete.numbers[i] for i in kept], [known.complete.values[i] for i in kept], name="complete"),
        Line(
            [known.best.numbers[i] for i in steps], [known.best.values[i] for i in steps],
            name="best so far", role="accent", step=True,
        ),
    ]  # fmt: skip
    return Plot(Axis("trial"), Axis(metric, limits=value_limits(snapshot)), [m for m in marks if m.x], zoom=True)


def value_limits(snapshot: Snapshot) -> tuple[float, float] | None:
    """Limits of the value axis, if a few trials are far worse than all others; otherwise None."""
    known = history(snapshot)
    return axis_limits(known.complete.values, snapshot.direction == "maximize", known.pruned.values)


def _changes(known: History) -> list[int]:
    """Indices at which the best value changed, and the last index: all that a step line needs."""
    values = known.best.values
    last = len(values) - 1
    return [i for i, value in enumerate(values) if i in (0, last) or value != values[i - 1]]
