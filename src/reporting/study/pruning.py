"""At which step trials were pruned, and how much time that saved.

The saving is an estimate: it assumes that a pruned trial would have run as many steps as the median complete trial,
at its own time per step.
"""

from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import TYPE_CHECKING

from src.reporting.document.histogram import count_axis, counts, round_edges
from src.reporting.document.plot import Axis, Bars, Plot, Rule
from src.reporting.document.words import format_duration, format_share
from src.reporting.study.numbers import Snapshot, reported_ends
from src.study.trial_times import seconds_taken

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

MAX_BINS = 20


@dataclass(frozen=True)
class Pruning:
    """Pruned steps and saved time.

    Attributes:
        numbers: of the pruned trials that reported a value.
        cuts: the last step of each of these trials.
        full: the median last step of complete trials; None if none of these reported.
        saved_steps: estimated steps not run, sum over all trials.
        saved_seconds: estimated time not run; trials without times count 0.
        spent_seconds: time of complete and pruned trials.
    """

    numbers: tuple[int, ...]
    cuts: tuple[float, ...]
    full: float | None
    saved_steps: float
    saved_seconds: float
    spent_seconds: float


def pruning(snapshot: Snapshot) -> Pruning:
    """Pruned steps and saved time.

    Steps are counted from 1, or from the lowest reported step if that is smaller.
    """
    stopped, whole = snapshot.in_state("PRUNED"), snapshot.in_state("COMPLETE")
    ends = {trial.number: reported for trial in [*stopped, *whole] if (reported := reported_ends(trial))}
    cut = [trial for trial in stopped if trial.number in ends]
    finals = [ends[trial.number].last for trial in whole if trial.number in ends]
    full = float(median(finals)) if finals else None
    origin = min([1.0, *(reported.first for reported in ends.values())])
    saved_steps, saved_seconds = 0.0, 0.0
    for trial in cut if full is not None else []:
        last = ends[trial.number].last
        missing = max(0.0, (full or 0.0) - last)
        saved_steps += missing
        saved_seconds += missing * seconds_of(trial) / (last - origin + 1)
    spent = sum(seconds_of(trial) for trial in [*stopped, *whole])
    numbers, cuts = tuple(trial.number for trial in cut), tuple(ends[trial.number].last for trial in cut)
    return Pruning(numbers, cuts, full, saved_steps, saved_seconds, spent)


def seconds_of(trial: "FrozenTrial") -> float:
    """Duration of a trial; 0 if it is unknown, or if the clock was set back during the trial."""
    return max(0.0, seconds_taken(trial) or 0.0)


def describe_pruning(result: Pruning) -> str:
    """The estimate in a sentence."""
    if result.full is None:
        return "The saved time is unknown: no complete trial reported its steps."
    text = f"{len(result.cuts):,} trials were pruned; the median complete trial ran to step "
    text += f"{result.full:,.0f}. An estimated {result.saved_steps:,.0f} steps were not run"
    whole = result.saved_seconds + result.spent_seconds
    if not whole:
        return f"{text}."
    share = f"{format_share(result.saved_seconds / whole)} of the total trial time without pruning"
    return f"{text}, which is {format_duration(result.saved_seconds)}, {share}."


def cut_edges(result: Pruning) -> list[float]:
    """Edges of the histogram's bins up to the last pruned step, at least as wide as the steps between reports."""
    different = sorted(set(result.cuts))
    apart = min((b - a for a, b in pairwise(different)), default=1.0)
    shown = different if result.full is None else [*different, max(result.full, different[0])]
    edges = round_edges(shown, MAX_BINS, least_width=max(1.0, apart))
    return [edge for place, edge in enumerate(edges) if place < 2 or edges[place - 1] <= different[-1]]


def pruning_plot(result: Pruning) -> Plot:
    """The histogram, and the last step of the median complete trial."""
    edges = cut_edges(result)
    width = edges[1] - edges[0]
    found_counts = counts(result.cuts, edges)
    bars = Bars([(a + b) / 2 for a, b in pairwise(edges)], found_counts, thickness=0.9 * width)
    rules = (
        [] if result.full is None else [Rule(result.full, upright=True, label="median complete trial", role="accent")]
    )
    return Plot(
        Axis("step at which a trial was pruned"),
        count_axis("trials", found_counts),
        [bars, *rules],
        height=280,
        legend=False,
    )
