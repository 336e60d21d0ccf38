"""The numbers of a study's report.

All functions are pure and take the result of `take_snapshot`, so that the chapters of a report agree even if the
study is still running. The study may have trials in any state and any user's objective.
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
from src.study.feasibility import is_feasible
from src.study.trial_times import seconds_taken, utc_time

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

MIN_TRIALS = 10
"""Fewer trials are not compared with each other."""


@dataclass(frozen=True)
class Snapshot:
    """A study at one moment.

    Attributes:
        name: as the user wrote it, not escaped.
        direction: `minimize` or `maximize`.
        trials: in all states, ordered by number.
    """

    name: str
    direction: Direction
    trials: tuple["FrozenTrial", ...]

    @cached_property
    def complete(self) -> tuple["FrozenTrial", ...]:
        """Complete trials with a finite value, ordered by number; infinite values cannot be drawn or compared."""
        return tuple(t for t in self.in_state("COMPLETE") if t.value is not None and math.isfinite(t.value))

    @cached_property
    def feasible(self) -> tuple["FrozenTrial", ...]:
        """The trials of `complete` that meet their constraints: those that may win."""
        return tuple(trial for trial in self.complete if is_feasible(trial))

    @cached_property
    def ranked(self) -> tuple["FrozenTrial", ...]:
        """`feasible`, the best first; of equal trials the earlier first, as in `study.best_trial`."""
        sign = -1 if self.direction == "maximize" else 1
        return tuple(sorted(self.feasible, key=lambda trial: sign * value_of(trial)))

    def in_state(self, *names: str) -> list["FrozenTrial"]:
        """Trials in one of these states, by Optuna's names, such as `PRUNED`."""
        return [trial for trial in self.trials if trial.state.name in names]


@dataclass(frozen=True)
class TrialValues:
    """Trials as points: equally long sequences of trial numbers and values."""

    numbers: tuple[int, ...] = ()
    values: tuple[float, ...] = ()


@dataclass(frozen=True)
class History:
    """Values of the trials.

    Attributes:
        complete: feasible complete trials and their values.
        best: the same trials and the best value so far.
        pruned: pruned trials and their last reported values; trials without reported values are left out.
    """

    complete: TrialValues
    best: TrialValues
    pruned: TrialValues


@dataclass(frozen=True)
class ReportedSteps:
    """The first and the last step that a trial reported, and the value at the last step."""

    first: float
    last: float
    value: float


def take_snapshot(study: "Study") -> Snapshot:
    """Reads the study's trials once.

    Raises:
        ConfigError: the study has several objectives.
    """
    n_objectives = len(study.directions)
    if n_objectives != 1:
        raise ConfigError(f"study {study.study_name!r} has {n_objectives} objectives; a report needs a study with one")
    direction: Direction = "maximize" if study.direction.name == "MAXIMIZE" else "minimize"
    trials = sorted(study.get_trials(deepcopy=False), key=lambda trial: trial.number)
    return Snapshot(study.study_name, direction, tuple(trials))


def value_of(trial: "FrozenTrial") -> float:
    """A complete trial's value as a float."""
    return float("nan") if trial.value is None else trial.value


def count_states(snapshot: Snapshot) -> dict[str, int]:
    """Number of trials by state; 0 for states without trials."""
    states = {"complete": "COMPLETE", "pruned": "PRUNED", "failed": "FAIL", "running": "RUNNING", "waiting": "WAITING"}
    return {word: len(snapshot.in_state(name)) for word, name in states.items()}


def search_seconds(snapshot: Snapshot) -> tuple[float, float] | None:
    """Seconds from the first start to the last end, and the sum over all trials; None before a trial has finished."""
    ended = [(t.datetime_start, t.datetime_complete) for t in snapshot.trials]
    spans = [(utc_time(start), utc_time(end)) for start, end in ended if start is not None and end is not None]
    if not spans:
        return None
    whole = max(end for _, end in spans) - min(start for start, _ in spans)
    return whole.total_seconds(), sum((end - start).total_seconds() for start, end in spans)


def history(snapshot: Snapshot) -> History:
    """Values by trial, best values so far, and last reported values of pruned trials."""
    numbers = tuple(trial.number for trial in snapshot.feasible)
    values = tuple(value_of(trial) for trial in snapshot.feasible)
    pick = max if snapshot.direction == "maximize" else min
    best: list[float] = []
    for value in values:
        best.append(pick(best[-1], value) if best else value)
    stopped = [(t.number, ends.value) for t in snapshot.in_state("PRUNED") if (ends := reported_ends(t))]
    pruned = TrialValues(tuple(number for number, _ in stopped), tuple(value for _, value in stopped))
    return History(TrialValues(numbers, values), TrialValues(numbers, tuple(best)), pruned)


def best_parameters(snapshot: Snapshot) -> Table:
    """The best trial's parameters with their search ranges; no rows before a trial is complete."""
    if not snapshot.ranked:
        return Table(("parameter", "value", "search range"), ())
    best = snapshot.ranked[0]
    rows = tuple((name, value, describe_range(best.distributions[name])) for name, value in best.params.items())
    return Table(("parameter", "value", "search range"), rows)


def describe_range(distribution: Any) -> str:
    """An Optuna distribution in words: its choices, or its bounds, with step and `log`."""
    if hasattr(distribution, "choices"):
        return ", ".join(str(choice) for choice in distribution.choices)
    step = distribution.step if distribution.step not in (None, 1) else None
    notes = [f"steps of {step:g}"] if step else []
    notes += ["log"] if distribution.log else []
    ends = " to ".join(_bound(end) for end in (distribution.low, distribution.high))
    return ends + (f" ({', '.join(notes)})" if notes else "")


def _bound(end: float) -> str:
    """A bound as the user would write it: integers up to nine digits in full."""
    return f"{end:g}" if abs(end) < 1e6 or abs(end) >= 1e9 or end != int(end) else f"{end:,.0f}"


def top_trials(snapshot: Snapshot, n: int = 20) -> Table:
    """The best feasible trials: number, value, seconds, then every parameter of any of these trials."""
    best = snapshot.ranked[:n]
    names = tuple(dict.fromkeys(name for trial in best for name in trial.params))
    rows = tuple((t.number, t.value, seconds_taken(t), *_cells(t.params, names)) for t in best)
    return Table(("trial", "value", "seconds", *names), rows)


def _cells(params: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    # The choice None is shown, unlike a parameter that the trial does not have.
    return [str(params[name]) if name in params and params[name] is None else params.get(name) for name in names]


def reported(trial: "FrozenTrial") -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A trial's steps and values: the curve that our objective stores on it, else the values reported to the pruner."""
    finite = [(step, value) for step, value in _pairs(trial) if is_finite(step) and is_finite(value)]
    return tuple(step for step, _ in finite), tuple(value for _, value in finite)


def reported_ends(trial: "FrozenTrial") -> ReportedSteps | None:
    """The first and the last step of `reported`; None if nothing was reported."""
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
    """Whether `x` is a finite number in the range of a float: not a boolean, infinity or NaN."""
    return isinstance(x, int | float) and not isinstance(x, bool) and abs(x) <= sys.float_info.max
