"""The numbers of the multi-target report: scores, skill, convergence, parameters of the good trials.

Pure functions of `ComparedStudy`. Scores of different metrics cannot be compared, so only numbers without a unit are
compared: the skill over the best naive baseline, shares of trials, shares of the gain.
"""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import TYPE_CHECKING, Any

from src.reporting.document import words
from src.reporting.document.blocks import Table
from src.reporting.study.numbers import Snapshot, count_states, history, search_seconds, value_of
from src.reporting.study.parameter_ranges import ParameterRange, parameter_ranges

if TYPE_CHECKING:
    import pandas as pd
    from optuna.trial import FrozenTrial

MIN_TRIALS = 10
"""With fewer trials, quartiles of a tenth and the convergence mean nothing."""
TOP_SHARE, MIN_TOP = 0.1, 5
MOST_OF_THE_GAIN = 0.95


@dataclass(frozen=True)
class ComparedStudy:
    """One of several studies, with the files of its final model.

    Attributes:
        label: its name in the report; unique in the report.
        snapshot: of its trials.
        metadata: of its final model; empty if there is none.
        predictions: of the final model on the test rows, columns `account`, `date`, `y`, `prediction`; None if they
            were not saved.
    """

    label: str
    snapshot: Snapshot
    metadata: Mapping[str, Any]
    predictions: "pd.DataFrame | None" = None

    @property
    def comparison(self) -> words.BaselineComparison | None:
        """The final model and the baselines on test rows; without a test score, on validation rows."""
        return self.compare("test") or self.compare("validation")

    def compare(self, part: str) -> words.BaselineComparison | None:
        """The final model and the baselines on `validation` or `test` rows."""
        return words.compare(self.metadata, part, self.snapshot.direction)


@dataclass(frozen=True)
class Skill:
    """A model's skill over the best naive baseline on the same rows; bounds are None if unknown."""

    label: str
    part: str
    skill: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Convergence:
    """How the best value of a search improved over its trials.

    Attributes:
        label: the study's.
        shares: shares of the finished trials, in (0, 1], at which the best value changed, and the end.
        gains: share of the total improvement from the first value to the best, from that point on.
        n_finished: number of complete and pruned trials.
        first: value of the first complete trial.
        best: the best value of all trials.
        most_number: number of the trial that reached 95 % of the improvement.
        most_share: share of the finished trials up to that trial.
    """

    label: str
    shares: tuple[float, ...]
    gains: tuple[float, ...]
    n_finished: int
    first: float
    best: float
    most_number: int
    most_share: float


@dataclass(frozen=True)
class Quartiles:
    """Values of one parameter over the good trials of one study."""

    label: str
    n: int
    low: float
    first: float
    median: float
    third: float
    high: float


@dataclass(frozen=True)
class NumericSpread:
    """A numeric parameter: its quartiles by study, and the limits of its search range."""

    name: str
    log: bool
    limits: tuple[float, float]
    rows: tuple[Quartiles, ...]


@dataclass(frozen=True)
class ChoiceSpread:
    """A categorical parameter: for each study in `labels`, the share of good trials with each of `choices`."""

    name: str
    choices: tuple[str, ...]
    labels: tuple[str, ...]
    shares: tuple[tuple[float, ...], ...]


def searches(items: Sequence[ComparedStudy]) -> Table:
    """One row per study: metric, trials, duration, best value."""
    columns = ("model", "metric", "better", "finished trials", "duration", "best in search")
    return Table(columns, tuple(_search(item) for item in items))


def _search(item: ComparedStudy) -> tuple[Any, ...]:
    snapshot, counts = item.snapshot, count_states(item.snapshot)
    seconds = search_seconds(snapshot)
    return (
        item.label,
        words.metric_name(item.metadata),
        "higher" if snapshot.direction == "maximize" else "lower",
        counts["complete"] + counts["pruned"],
        None if seconds is None else words.format_duration(seconds[0]),
        value_of(snapshot.ranked[0]) if snapshot.ranked else None,
    )


def performance(items: Sequence[ComparedStudy]) -> Table:
    """One row per study: the final model's scores with interval, the best naive baseline, the skill over it."""
    columns = (
        "model", "validation", "test", "95 % interval", "best naive baseline", "its score", "skill",
        "95 % interval of the skill",
    )  # fmt: skip
    return Table(columns, tuple(_performance(item) for item in items))


def _performance(item: ComparedStudy) -> tuple[Any, ...]:
    comparison, validation, test = item.comparison, item.compare("validation"), item.compare("test")
    name, reference = next(iter(comparison.baselines.items()), (None, None)) if comparison else (None, None)
    skill = None if comparison is None else comparison.skill
    return (
        item.label,
        None if validation is None else validation.model,
        None if test is None else test.model,
        None if test is None else words.format_interval(test.interval),
        name,
        reference,
        None if skill is None else words.format_percent(skill),
        None if comparison is None else words.format_interval(comparison.skill_interval, words.format_percent),
    )


def skills(items: Sequence[ComparedStudy]) -> list[Skill]:
    """Skills of the scored models, the largest first; on test rows if there are any, else on validation rows."""
    scored = []
    for item in items:
        comparison = item.comparison
        if comparison is not None and comparison.skill is not None:
            low, high = comparison.skill_interval or (None, None)
            scored.append(Skill(item.label, comparison.part, comparison.skill, low, high))
    return sorted(scored, key=lambda skill: -skill.skill)


def n_complete(item: ComparedStudy) -> int:
    """Number of complete trials with a finite value."""
    return len(item.snapshot.complete)


def convergence(item: ComparedStudy) -> Convergence | None:
    """The convergence of a search; None before a trial is complete."""
    best = history(item.snapshot).best
    if not best.numbers:
        return None
    finished = sorted(trial.number for trial in item.snapshot.in_state("COMPLETE", "PRUNED"))
    first, last = best.values[0], best.values[-1]
    # Halved, because the difference of two finite numbers may overflow.
    half_gain = last / 2 - first / 2
    gains = [1.0 if half_gain == 0 else (value / 2 - first / 2) / half_gain for value in best.values]
    taken = [(bisect_left(finished, number) + 1) / len(finished) for number in best.numbers]
    changes = [i for i in range(len(gains)) if i == 0 or gains[i] != gains[i - 1]]
    most = next(i for i in range(len(gains)) if gains[i] >= MOST_OF_THE_GAIN)
    return Convergence(
        item.label,
        (*(taken[i] for i in changes), 1.0),
        (*(gains[i] for i in changes), 1.0),
        len(finished),
        first,
        last,
        best.numbers[most],
        taken[most],
    )


def good_trials(snapshot: Snapshot) -> tuple["FrozenTrial", ...]:
    """The best tenth of the complete trials, at least five; empty if there are fewer than ten."""
    n = len(snapshot.complete)
    return snapshot.ranked[: max(MIN_TOP, math.ceil(TOP_SHARE * n))] if n >= MIN_TRIALS else ()


def spreads(items: Sequence[ComparedStudy]) -> list[NumericSpread | ChoiceSpread]:
    """Each parameter over the good trials of each study, parameters of the most studies first.

    A parameter is numeric if it is numeric in every good trial of every study, otherwise categorical.
    """
    good = {item.label: good_trials(item.snapshot) for item in items}
    ranges = parameter_ranges(trial for trials in good.values() for trial in trials)
    n_studies = {name: sum(any(name in t.params for t in trials) for trials in good.values()) for name in ranges}
    return [_spread(ranges[name], good) for name in sorted(ranges, key=lambda name: -n_studies[name])]


def _spread(known: ParameterRange, good: Mapping[str, Sequence["FrozenTrial"]]) -> NumericSpread | ChoiceSpread:
    sampled = {
        label: [t.params[known.name] for t in trials if known.name in t.params] for label, trials in good.items()
    }
    values = {label: xs for label, xs in sampled.items() if xs}
    if known.choices:
        taken = {label: [str(x) for x in xs] for label, xs in values.items()}
        shares = tuple(tuple(xs.count(choice) / len(xs) for choice in known.choices) for xs in taken.values())
        return ChoiceSpread(known.name, known.choices, tuple(taken), shares)
    rows = tuple(_quartiles(label, sorted(float(x) for x in xs)) for label, xs in values.items())
    return NumericSpread(known.name, known.log, (known.low, known.high), rows)


def _quartiles(label: str, ordered: Sequence[float]) -> Quartiles:
    if len(ordered) == 1:
        return Quartiles(label, 1, *([ordered[0]] * 5))
    first, median, third = quantiles(ordered, n=4, method="inclusive")
    return Quartiles(label, len(ordered), ordered[0], first, median, third, ordered[-1])


def differences(items: Sequence[ComparedStudy]) -> list[tuple[str, list[tuple[str, str]]]]:
    """What makes models incomparable, data or test period, if they differ in it: (what, [(label, value)])."""
    readers = {"data": _data_of, "test period": _test_period}
    differing = []
    for what, read in readers.items():
        values = [(item.label, value) for item in items if (value := read(item.metadata))]
        if len({value for _, value in values}) > 1:
            differing.append((what, values))
    return differing


def _data_of(metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("data") or "")  # not the digest, which covers only one target's rows


def _test_period(metadata: Mapping[str, Any]) -> str:
    split = metadata.get("split")
    dates = split.get("test_dates") if isinstance(split, Mapping) else None
    return " to ".join(str(date) for date in dates) if isinstance(dates, list | tuple) else ""
