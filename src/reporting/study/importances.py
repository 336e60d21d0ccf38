"""Which parameters matter, and how sure that is.

PED-ANOVA (Watanabe, Bansal and Hutter, IJCAI 2023), in Optuna's form that knows parameters which only some trials
have (conditional PED-ANOVA, KDD 2026). fANOVA was measured beside it: 16 s against 0.03 s at 1,000 trials, and it
leaves out every parameter that some trial lacks. The spread comes from drawing the trials anew, with replacement
(Efron 1979). In random searches of known answer, two standard deviations around the share held the true share in
83 % of cases at 100 trials and 89 % at 300, percentiles of the resamples in fewer than half of them, because a
resample, which repeats trials, sees importances more evenly spread than they are.
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from src.config import Direction
from src.reporting.document.plot import Axis, Bars, Plot
from src.reporting.document.words import format_share, too_few
from src.reporting.study.numbers import MIN_TRIALS, Snapshot

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

MIN_TOP_TRIALS = 5
"""PED-ANOVA compares the top trials with all; its documentation asks for five top trials at least."""
N_RESAMPLES = 20
MAX_RESAMPLE = 2000
"""Larger studies are resampled by so many trials, and the spread, which falls with the root of their number, scaled."""
SEED = 0


@dataclass(frozen=True)
class Importances:
    """Shares of the variation that parameters explain, largest first, or the reason why there are none.

    Attributes:
        shares: by parameter; they add up to 1.
        spread: bounds of each share, two standard deviations to either side of it within 0 and 1.
        why_not: a sentence where there are no shares.
    """

    shares: Mapping[str, float]
    spread: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    why_not: str = ""


def importances(snapshot: Snapshot) -> Importances:
    """How much each parameter matters for reaching the top trials; equal trials give equal numbers."""
    trials = snapshot.complete
    if len(trials) < MIN_TRIALS:
        return Importances({}, why_not=too_few("say which parameters matter", MIN_TRIALS, len(trials)))
    names = sorted({name for trial in trials for name in trial.params})
    if not names:
        return Importances({}, why_not="The trials have no parameters.")
    if len({trial.value for trial in trials}) == 1:
        return Importances({}, why_not="All trials have the same value: no parameter made a difference.")
    try:
        found = _shares(trials, names, snapshot.direction)
        kept = {name: share for name, share in found.items() if math.isfinite(share)}
        drawn = _resampled(trials, names, snapshot.direction)
    except (ValueError, ArithmeticError, RuntimeError) as error:  # boundary: an evaluator over anybody's parameters
        return Importances({}, why_not=f"Optuna could not compute importances: {error}")
    if not kept:
        return Importances({}, why_not="Optuna could not tell the parameters' importances apart.")
    reach = 2 * math.sqrt(min(1.0, MAX_RESAMPLE / len(trials)))
    spread = {name: _around(kept[name], reach * float(np.nanstd(drawn[name]))) for name in kept}
    return Importances(dict(sorted(kept.items(), key=lambda item: (-item[1], item[0]))), spread)


def _around(share: float, reach: float) -> tuple[float, float]:
    reach = reach if math.isfinite(reach) else 0.0
    return max(0.0, share - reach), min(1.0, share + reach)


def _resampled(trials: Sequence["FrozenTrial"], names: list[str], direction: Direction) -> dict[str, list[float]]:
    rng = np.random.default_rng(SEED)
    size = min(len(trials), MAX_RESAMPLE)
    found: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(N_RESAMPLES):
        picked = [trials[i] for i in rng.integers(0, len(trials), size)]
        shares = _shares(picked, names, direction)
        for name in names:
            found[name].append(shares.get(name, 0.0))
    return found


def _shares(trials: Sequence["FrozenTrial"], names: list[str], direction: Direction) -> dict[str, float]:
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    present = [name for name in names if any(name in trial.params for trial in trials)]
    evaluator = PedAnovaImportanceEvaluator(target_quantile=max(0.1, MIN_TOP_TRIALS / len(trials)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "inaccurate for rare parameters" would reach the terminal of a tune
        return get_param_importances(_study_of(trials, direction), evaluator=evaluator, params=present)


def _study_of(trials: Sequence["FrozenTrial"], direction: Direction) -> "Study":
    """A study of these very trials with no store behind it, which would copy them one by one and log each study."""
    import optuna

    class Sample(optuna.Study):
        def __init__(self) -> None: ...

        @property
        def directions(self) -> list[optuna.study.StudyDirection]:
            return [optuna.study.StudyDirection[direction.upper()]]

        def get_trials(self, deepcopy: bool = True, states: Any = None) -> list["FrozenTrial"]:
            return [trial for trial in trials if states is None or trial.state in states]

    return Sample()


def importances_plot(found: Importances) -> Plot:
    """One bar per parameter with its spread, the most important on top."""
    names, shares = list(found.shares), list(found.shares.values())
    lows, highs = ([found.spread[name][side] for name in names] for side in (0, 1))
    said = [
        f"{format_share(s)} ({a * 100:.0f}\N{EN DASH}{b * 100:.0f})"
        for s, a, b in zip(shares, lows, highs, strict=True)
    ]
    bars = Bars(list(range(len(names))), shares, low=lows, high=highs, texts=said, across=True)
    rows = Axis(ticks=list(enumerate(names)), reverse=True)
    # The texts need room beyond the bars, where a share has no meaning and no tick.
    shown = [(share / 100, f"{share} %") for share in range(0, 101, 50 if max(highs) > 0.5 else 10)]
    shown = [(at, label) for at, label in shown if at < max(highs) + 0.1]
    return Plot(Axis("share", percent=True, ticks=shown), rows, [bars], height=70 + 30 * len(names), legend=False)
