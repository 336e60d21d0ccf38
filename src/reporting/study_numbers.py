"""A study's numbers: what the report shows, before anything is drawn.

Every function is pure and takes the snapshot that `take_snapshot` made, so that the chapters of one report agree
although the study may still run; only Optuna's own importances read the study once more. Trials of every state may
be inside, and an objective of anybody's making.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from src.config import Direction
from src.errors import ConfigError
from src.reporting.blocks import Table

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

MIN_TRIALS_FOR_IMPORTANCES = 10
MIN_TOP_TRIALS = 5
"""PED-ANOVA compares the top trials with all; its documentation asks for five top trials at least."""
MAX_PRUNED_CURVES = 40


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
class Points:
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

    complete: Points
    best: Points
    pruned: Points


@dataclass(frozen=True)
class Importances:
    """Shares of the variation that parameters explain, largest first, or the reason why there are none."""

    shares: Mapping[str, float]
    why_not: str = ""


@dataclass(frozen=True)
class Slice:
    """One parameter against the value, over complete trials.

    Attributes:
        name: the parameter's.
        xs: its values; text for a category.
        ys: the trials' values.
        numbers: the trials' numbers.
        scale: how the parameter was drawn: `linear`, `log` or `category`.
        order: a category's choices in their order, otherwise empty.
    """

    name: str
    xs: tuple[float | str, ...]
    ys: tuple[float, ...]
    numbers: tuple[int, ...]
    scale: str
    order: tuple[str, ...] = ()


@dataclass(frozen=True)
class Curve:
    """A trial's validation score by step; `role` is `best`, `median` or `pruned`."""

    role: str
    number: int
    steps: tuple[float, ...]
    values: tuple[float, ...]


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
    spans = [(start, end) for start, end in ended if start is not None and end is not None]
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
    stopped = [(t.number, curve[1][-1]) for t in snapshot.in_state("PRUNED") if (curve := _reported(t))[1]]
    pruned = Points(tuple(number for number, _ in stopped), tuple(value for _, value in stopped))
    return History(Points(numbers, values), Points(numbers, tuple(best)), pruned)


def importances(study: "Study", snapshot: Snapshot) -> Importances:
    """How much each parameter matters for reaching the top trials.

    PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023), in Optuna's form that knows parameters which only some
    trials have. It draws nothing at random: equal trials give equal shares.
    """
    n_trials = len(snapshot.complete)
    if n_trials < MIN_TRIALS_FOR_IMPORTANCES:
        wanted = f"{MIN_TRIALS_FOR_IMPORTANCES} complete trials are needed, there are {n_trials}"
        return Importances({}, f"Too few trials to say which parameters matter: {wanted}.")
    names = sorted({name for trial in snapshot.complete for name in trial.params})
    if not names:
        return Importances({}, "The trials have no parameters.")
    if len({trial.value for trial in snapshot.complete}) == 1:
        return Importances({}, "All trials have the same value: no parameter made a difference.")
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, MIN_TOP_TRIALS / n_trials))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "inaccurate for rare parameters" would reach the terminal of a tune
            shares = get_param_importances(study, evaluator=evaluator, params=names)
    except (ValueError, ArithmeticError, RuntimeError) as error:  # boundary: an evaluator over anybody's parameters
        return Importances({}, f"Optuna could not compute importances: {error}")
    kept = {name: share for name, share in shares.items() if math.isfinite(share)}
    why_not = "" if kept else "Optuna could not tell the parameters' importances apart."
    return Importances(dict(sorted(kept.items(), key=lambda item: (-item[1], item[0]))), why_not)


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
    return f"{distribution.low:g} to {distribution.high:g}" + (f" ({', '.join(notes)})" if notes else "")


def slices(snapshot: Snapshot) -> list[Slice]:
    """Each parameter against the value, in the order in which trials first had them."""
    names = dict.fromkeys(name for trial in snapshot.complete for name in trial.params)
    return [_slice(name, [t for t in snapshot.complete if name in t.params]) for name in names]


def _slice(name: str, trials: Sequence["FrozenTrial"]) -> Slice:
    distribution = trials[-1].distributions[name]
    raw = [trial.params[name] for trial in trials]
    ys, numbers = tuple(value_of(trial) for trial in trials), tuple(trial.number for trial in trials)
    if hasattr(distribution, "choices") or not all(_is_finite(x) for x in raw):
        choices = [str(choice) for choice in getattr(distribution, "choices", ())]
        labels = tuple(str(x) for x in raw)
        return Slice(name, labels, ys, numbers, "category", tuple(dict.fromkeys([*choices, *labels])))
    scale = "log" if getattr(distribution, "log", False) else "linear"
    return Slice(name, tuple(raw), ys, numbers, scale)


def curves(snapshot: Snapshot) -> list[Curve]:
    """Learning curves of the latest pruned trials, of the median trial and, last and so on top, of the best."""
    stopped = snapshot.in_state("PRUNED")[-MAX_PRUNED_CURVES:]
    chosen = [("pruned", trial) for trial in stopped]
    if len(snapshot.ranked) > 2:
        chosen.append(("median", snapshot.ranked[len(snapshot.ranked) // 2]))
    chosen += [("best", trial) for trial in snapshot.ranked[:1]]
    drawn = [Curve(role, trial.number, *_reported(trial)) for role, trial in chosen]
    return [curve for curve in drawn if curve.steps]


def top_trials(snapshot: Snapshot, n: int = 20) -> Table:
    """The best complete trials: number, value, seconds, then every parameter that one of them has."""
    best = snapshot.ranked[:n]
    names = tuple(dict.fromkeys(name for trial in best for name in trial.params))
    rows = tuple(
        (t.number, t.value, t.duration.total_seconds() if t.duration else None, *_cells(t.params, names)) for t in best
    )
    return Table(("trial", "value", "seconds", *names), rows)


def _cells(params: Mapping[str, Any], names: Sequence[str]) -> list[Any]:
    # A choice may be None, which is not the same as a parameter that the trial does not have.
    return [str(params[name]) if name in params and params[name] is None else params.get(name) for name in names]


def _reported(trial: "FrozenTrial") -> tuple[tuple[float, ...], tuple[float, ...]]:
    """A trial's steps and values: the curve that our objective leaves on it, else what it reported to the pruner."""
    kept = trial.user_attrs.get("curve")
    pairs = sorted(trial.intermediate_values.items())
    if isinstance(kept, Mapping) and _same_length(kept.get("steps"), kept.get("values")):
        pairs = list(zip(kept["steps"], kept["values"], strict=True))
    finite = [(step, value) for step, value in pairs if _is_finite(step) and _is_finite(value)]
    return tuple(step for step, _ in finite), tuple(value for _, value in finite)


def _same_length(a: object, b: object) -> bool:
    return isinstance(a, list) and isinstance(b, list) and len(a) == len(b) > 0


def _is_finite(x: object) -> bool:
    return isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x)
