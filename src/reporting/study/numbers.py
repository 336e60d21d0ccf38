"""A study's numbers: what the report shows, before anything is drawn.

Every function is pure and takes the snapshot that `take_snapshot` made, so that the chapters of one report agree
although the study may still run. Trials of every state may be inside, and an objective of anybody's making.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from src.config import Direction
from src.errors import ConfigError
from src.reporting.document.blocks import Table
from src.study.trial_times import seconds_taken, utc_time

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

MIN_TRIALS = 10
"""Fewer trials than these are not compared with each other."""


@dataclass(frozen=True)
class Snapshot:
    """A study at one moment.

    Attributes:
        name: as its user wrote it, not escaped.
        direction: `minimize` or `maximize`.
        trials: of every state, by number.
    """

    name: str
    direction: Direction
    trials: tuple["FrozenTrial", ...]

    @cached_property
    def complete(self) -> tuple["FrozenTrial", ...]:
        """Complete trials with a finite value, by number: an infinite one can be neither drawn nor compared."""
        return tuple(t for t in self.in_state("COMPLETE") if t.value is not None and math.isfinite(t.value))

    @cached_property
    def ranked(self) -> tuple["FrozenTrial", ...]:
        """`complete`, the best first; of equal ones the earlier first, as `study.best_trial` has it."""
        sign = -1 if self.direction == "maximize" else 1
        return tuple(sorted(self.complete, key=lambda trial: sign * value_of(trial)))

    def in_state(self, *names: str) -> list["FrozenTrial"]:
        """Trials whose state has one of the names that Optuna gives them, such as `PRUNED`."""
        return [trial for trial in self.trials if trial.state.name in names]


@dataclass(frozen=True)
class TrialValues:
    """Trials as points: equally long sequences of trial numbers and values."""

    numbers: tuple[int, ...] = ()
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class History:
    """What each trial reached.

    Attributes:
        complete: trials and their values.
        best: the same trials and the best value so far.
        pruned: trials and the last value each reported; those that reported none are left out.
    """

    complete: TrialValues
    best: TrialValues
    pruned: TrialValues


@dataclass(frozen=True)
class ReportedSteps:
    """The first and the last step that a trial reported, and the value at the last."""

    first: float
    last: float
    value: float


def take_snapshot(study: "Study") -> Snapshot:
    """Reads a study once.

    Raises:
        ConfigError: the study has several objectives.
    """
    n_objectives = len(study.directions)
    if n_objectives != 1:
        raise ConfigError(f"study {study.study_name!r} has {n_objectives} objectives: a report shows a study of one")
    direction: Direction = "maximize" if study.direction.name == "MAXIMIZE" else "minimize"
    trials = sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number)
    return Snapshot(study.study_name, direction, tuple(trials))


def value_of(trial: "FrozenTrial") -> float:
    """A complete trial's value, typed as the number that it is."""
    return float("nan") if trial.value is None else trial.value


def count_states(snapshot: Snapshot) -> dict[str, int]:
    """Trials by state, in the order of a trial's life; states without trials are 0."""
    states = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING", "waiting": "WAITING"}
    return {word: len(snapshot.in_state(name)) for word, name in states.items()}


def search_seconds(snapshot: Snapshot) -> tuple[float, float] | None:
    """Seconds from the first start to the last end, and seconds of all trials added up; None before any ended."""
    ended = [(t.datetime_start, t.datetime_complete) for t in snapshot.trials]
    spans = [(utc_time(start), utc_time(end)) for start, end in ended if start is not None and end is not None]
    if not spans:
        return None
    whole = max(end for _, end in spans) - min(start for start, _ in spans)
    return whole.total_seconds(), sum((end - start).total_seconds() for start, end in spans)


def history(snapshot: Snapshot) -> History:
    """Values by trial, the best so far, and where pruned trials stood when they were stopped."""
    numbers = tuple(trial.number for trial in snapshot.complete)
    values = tuple(value_of(trial) for trial in snapshot.complete)
    pick = max if snapshot.direction == "maximize" else min
    best: list[float] = []
    for value in values:
        best.append(pick(best[-1], value) if best else value)
    stopped = [(t.number, ends.value) for t in snapshot.in_state("PRUNED") if (ends := reported_ends(t))]
    pruned = TrialValues(tuple(number for number, _ in stopped), tuple(value for _, value in stopped))
    return History(TrialValues(numbers, values), TrialValues(numbers, tuple(best)), pruned)


def best_parameters(snapshot: Snapshot) -> Table:
    """The best trial's parameters and the range each was drawn from; no rows before a trial is complete."""
    if not snapshot.ranked:
        return Table(("parameter", "value", "drawn from"), ())
    best = snapshot.ranked[0]
    rows = tuple((name, value, describe_range(best.distributions[name])) for name, value in best.params.items())
    return Table(("parameter", "value", "drawn from"), rows)


def describe_range(distribution: Any) -> str:
    """An Optuna distribution in words: its choices, or its bounds with step and logarithm."""
    if hasattr(distribution, "choices"):
        return ", ".join(str(choice) for choice in distribution.choices)
    step = distribution.step if distribution.step not in (None, 1) else None
    notes = [f"steps of {step:g}"] if step else []
    notes += ["log"] if distribution.log else []
    ends = " to ".join(_bound(end) for end in (distribution.low, distribution.high))
    return ends + (f" ({', '.join(notes)})" if notes else "")


def _bound(end: float) -> str:
    """As it was written by whoever named it: whole numbers in full while that is short."""
    return f"{end:g}" if abs(end) < 1e6 or abs(end) >= 1e9 or end != int(end) else f"{end:,.0f}"


def top_trials(snapshot: Snapshot, n: int = 20) -> Table:
    """The best complete trials: number, value, seconds, then every parameter that one of them has."""
    best = snapshot.ranked[:n]
    names = tuple(dict.fromkeys(name for trial in best for name in trial.params))
    rows = tuple((t.number, t.value, seconds_taken(t), *_cells(t.params, names)) for t in best)
    return Table(("trial", "value", "seconds", *names), rows)


def _cells(params: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    # A choice may be None, which is not the same as a parameter that the trial does not have.
    return [str(params[name]) if name in params and params[name] is None else params.get(name) for name in names]


def reported(trial: "FrozenTrial") -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A trial's steps and values: the curve that our objective leaves on it, else what it reported to the pruner."""
    finite = [(step, value) for step, value in _pairs(trial) if is_finite(step) and is_finite(value)]
    return tuple(step for step, _ in finite), tuple(value for _, value in finite)


def reported_ends(trial: "FrozenTrial") -> ReportedSteps | None:
    """The ends of `reported`, without what lies between; None where nothing was reported."""
    pairs = _pairs(trial)
    finite = (pair for pair in pairs if is_finite(pair[0]) and is_finite(pair[1]))
    backwards = (pair for pair in reversed(pairs) if is_finite(pair[0]) and is_finite(pair[1]))
    first, last = next(finite, None), next(backwards, None)
    return None if first is None or last is None else ReportedSteps(first[0], last[0], last[1])


def _pairs(trial: "FrozenTrial") -> list[tuple[float, float]]:
    kept = trial.user_attrs.get("curve")
    if isinstance(kept, Mapping) and _same_length(kept.get("steps"), kept.get("values")):
        return list(zip(kept["steps"], kept["values"], strict=True))
    return sorted(trial.intermediate_values.items())


def _same_length(a: object, b: object) -> bool:
    return isinstance(a, list) and isinstance(b, list) and len(a) == len(b) > 0


def is_finite(x: object) -> bool:
    """Whether it is a number that a float can hold: no truth value, no infinity, no NaN."""
    return isinstance(x, int | float) and not isinstance(x, bool) and abs(x) <= sys.float_info.max
