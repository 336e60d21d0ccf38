"""At which step trials were cut, and what that saved.

The saving is an estimate: a cut trial would have run as many steps as the median complete trial, each of them as long
as its own steps were.
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
    """What was cut.

    Attributes:
        numbers: of the pruned trials that reported a value.
        cuts: the last step of each.
        full: the median last step of complete trials; None where none of them reported.
        saved_steps: not run, all trials together.
        saved_seconds: not run; trials without times count 0.
        spent_seconds: run by complete and pruned trials.
    """

    numbers: tuple[int, ...]
    cuts: tuple[float, ...]
    full: float | None
    saved_steps: float
    saved_seconds: float
    spent_seconds: float


def pruning(snapshot: Snapshot) -> Pruning:
    """Where trials were cut and what it saved.

    Steps are counted from 1; a study whose steps begin at 0 or below counts from there.
    """
    stopped, whole = snapshot.in_state("PRUNED"), snapshot.in_state("COMPLETE")
    ends = {trial.number: found for trial in [*stopped, *whole] if (found := reported_ends(trial))}
    cut = [trial for trial in stopped if trial.number in ends]
    finals = [ends[trial.number].last for trial in whole if trial.number in ends]
    full = float(median(finals)) if finals else None
    origin = min([1.0, *(found.first for found in ends.values())])
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
    """How long a trial took; 0 where that is not known, or where the clock was set back meanwhile."""
    return max(0.0, seconds_taken(trial) or 0.0)


def describe_pruning(found: Pruning) -> str:
    """The estimate in a sentence."""
    if found.full is None:
        return "What it saved is not known: no complete trial reported its steps."
    said = f"{len(found.cuts):,} trials were cut before they were through; the median complete trial ran to step "
    said += f"{found.full:,.0f}. By estimate {found.saved_steps:,.0f} steps were not run"
    whole = found.saved_seconds + found.spent_seconds
    if not whole:
        return f"{said}."
    share = f"{format_share(found.saved_seconds / whole)} of what the search would have taken without"
    return f"{said}, which is {format_duration(found.saved_seconds)} of trials' time, {share}."


def cut_edges(found: Pruning) -> list[float]:
    """Edges of the histogram's bins up to the last cut: as wide as the steps between cuts, so that none is in vain."""
    different = sorted(set(found.cuts))
    apart = min((b - a for a, b in pairwise(different)), default=1.0)
    shown = different if found.full is None else [*different, max(found.full, different[0])]
    edges = round_edges(shown, MAX_BINS, least_width=max(1.0, apart))
    return [edge for place, edge in enumerate(edges) if place < 2 or edges[place - 1] <= different[-1]]


def pruning_plot(found: Pruning) -> Plot:
    """The histogram, and the step that a complete trial reaches."""
    edges = cut_edges(found)
    width = edges[1] - edges[0]
    found_counts = counts(found.cuts, edges)
    bars = Bars([(a + b) / 2 for a, b in pairwise(edges)], found_counts, thickness=0.9 * width)
    rules = [] if found.full is None else [Rule(found.full, upright=True, label="median complete trial", role="accent")]
    return Plot(
        Axis("step at which a trial was cut"),
        count_axis("trials", found_counts),
        [bars, *rules],
        height=280,
        legend=False,
    )
