"""The pruners, by name. Steps are boosting rounds.

- median (default): prunes a trial that is worse than the median of the finished trials at the same round (Golovin et
  al. 2017)
- asha: successive halving; at 30, 90, 270 and 810 rounds the better third continues (Li et al. 2020)
- hyperband: several brackets of successive halving, with different first rungs (Li et al. 2018)
- none: no pruning

Trials that violate a constraint are not compared with: they cannot win, so they set no standard.
"""

import math
from collections.abc import Callable, Container, Mapping
from typing import Any

import numpy as np
import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.trial import FrozenTrial, TrialState

from src.config import MAX_ROUNDS
from src.study.feasibility import is_feasible

N_STARTUP_TRIALS, N_WARMUP_STEPS = 10, 50
FIRST_RUNG_ROUNDS, REDUCTION = 30, 3


class CachedMedianPruner(MedianPruner):
    """`MedianPruner` that reads the finished trials once per trial instead of at each report.

    Its decisions are those of `MedianPruner` with the trials that were complete at this trial's first report. In a
    study of thousands of trials, a report to `MedianPruner` takes as long as the boosting rounds before it.
    """

    def __init__(self, n_startup_trials: int = N_STARTUP_TRIALS, n_warmup_steps: int = N_WARMUP_STEPS) -> None:
        super().__init__(n_startup_trials=n_startup_trials, n_warmup_steps=n_warmup_steps)
        self._current: tuple[str, int] | None = None
        self._numbers_read: set[int] = set()
        self._n_feasible = 0
        self._values_at_step: dict[int, list[float]] = {}

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether to prune the trial at this step."""
        step = trial.last_step
        if step is None or step < self._n_warmup_steps:
            return False
        self._read_finished_trials(study, trial)
        others = self._values_at_step.get(step)
        if self._n_feasible < max(1, self._n_startup_trials) or not others:
            return False
        reported = np.fromiter(trial.intermediate_values.values(), dtype=float)
        maximize = study.direction.name == "MAXIMIZE"
        best = np.nanmax(reported) if maximize else np.nanmin(reported)
        if math.isnan(best):
            return True
        median = np.nanmedian(others)
        return bool(best < median if maximize else best > median)

    def _read_finished_trials(self, study: optuna.Study, trial: FrozenTrial) -> None:
        if self._current == (study.study_name, trial.number):
            return
        if self._current is not None and self._current[0] != study.study_name:
            self._numbers_read, self._n_feasible, self._values_at_step = set(), 0, {}
        self._current = (study.study_name, trial.number)
        for other in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)):
            if other.number in self._numbers_read:
                continue
            self._numbers_read.add(other.number)
            if is_feasible(other):
                self._n_feasible += 1
                for step, value in other.intermediate_values.items():
                    self._values_at_step.setdefault(step, []).append(value)


class _FeasibleStudy:
    """A study without its infeasible trials, for Optuna's pruners, which compare with all trials."""

    def __init__(self, study: Any) -> None:
        self._study = study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._study, name)

    def get_trials(self, deepcopy: bool = True, states: Container[TrialState] | None = None) -> list[FrozenTrial]:
        """As in Optuna, without infeasible trials."""
        return [trial for trial in self._study.get_trials(deepcopy, states) if is_feasible(trial)]


class FeasibleHalvingPruner(SuccessiveHalvingPruner):
    """`SuccessiveHalvingPruner` that compares with feasible trials only."""

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether to prune the trial at this step."""
        feasible: Any = _FeasibleStudy(study)
        return super().prune(feasible, trial)


class FeasibleHyperbandPruner(HyperbandPruner):
    """`HyperbandPruner` that compares with feasible trials only."""

    def _try_initialization(self, study: optuna.Study) -> None:
        """Makes the pruners of the brackets."""
        super()._try_initialization(study)
        rates = range(len(self._pruners))
        self._pruners = [
            FeasibleHalvingPruner(
                min_resource=self._min_resource, reduction_factor=REDUCTION, min_early_stopping_rate=rate
            )
            for rate in rates
        ]


def _asha() -> BasePruner:
    return FeasibleHalvingPruner(min_resource=FIRST_RUNG_ROUNDS, reduction_factor=REDUCTION)


def _hyperband() -> BasePruner:
    return FeasibleHyperbandPruner(min_resource=FIRST_RUNG_ROUNDS, max_resource=MAX_ROUNDS, reduction_factor=REDUCTION)


MAKERS: Mapping[str, Callable[[], BasePruner]] = {
    "median": CachedMedianPruner,
    "asha": _asha,
    "hyperband": _hyperband,
    "none": NopPruner,
}


def make_pruner(name: str) -> BasePruner:
    """The pruner of this name; the names are those of `src.config.PRUNERS`."""
    return MAKERS[name]()
