"""The Pareto front of a study's trials, and the choice of one of them by `--select`.

A trial is on the front if no other trial is at least as good in all three, and better in one, of: loss, spread of the
folds, and number of leaves. The choice follows the rule of one standard error (Breiman et al. 1984): of the trials of
the front whose loss is hardly higher than the best, take the stablest or the smallest. "Hardly" is one standard error
of the best trial's mean loss over the folds, at most 1 % of that loss; with one validation window, which has no such
standard error, 1 %.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import stdev

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from src.study.feasibility import FOLD_VALUES_ATTR, is_feasible

TOLERATED_SHARE = 0.01


@dataclass(frozen=True)
class Candidate:
    """A trial that may be chosen.

    Attributes:
        number: of the trial.
        loss: its value; 1 minus the value if higher is better.
        spread: loss of the worst fold over the mean loss, minus 1; 0 with one validation window.
        leaves: of its final model.
        fold_losses: losses of the folds; empty with one validation window.
    """

    number: int
    loss: float
    spread: float
    leaves: float
    fold_losses: tuple[float, ...] = ()

    @property
    def tolerance(self) -> float:
        """How much higher the loss of a chosen trial may be, if this trial has the lowest loss."""
        share = TOLERATED_SHARE * abs(self.loss)
        if len(self.fold_losses) < 2:
            return share
        return min(share, stdev(self.fold_losses) / math.sqrt(len(self.fold_losses)))


def candidates_of(trials: Iterable[FrozenTrial], maximize: bool) -> list[Candidate]:
    """The feasible complete trials that have measures; a user's objective and earlier versions store none."""
    return [
        _candidate(trial, trial.value, maximize)
        for trial in trials
        if trial.state == TrialState.COMPLETE and is_feasible(trial) and "leaves" in trial.user_attrs
        if trial.value is not None and math.isfinite(trial.value)
    ]


def _candidate(trial: FrozenTrial, value: float, maximize: bool) -> Candidate:
    attributes = trial.user_attrs
    folds = tuple(_loss(each, maximize) for each in attributes.get(FOLD_VALUES_ATTR, ()))
    return Candidate(
        trial.number, _loss(value, maximize), attributes.get("fold_spread", 0.0), attributes["leaves"], folds
    )


def _loss(value: float, maximize: bool) -> float:
    return 1 - value if maximize else value


def pareto_front(candidates: Sequence[Candidate]) -> list[Candidate]:
    """The candidates that no other dominates, by loss; candidates with equal numbers are all kept."""
    if not candidates:
        return []
    numbers = np.array([(each.loss, each.spread, each.leaves) for each in candidates])
    front = [
        candidate
        for candidate, own in zip(candidates, numbers, strict=True)
        if not ((numbers <= own).all(axis=1) & (numbers < own).any(axis=1)).any()
    ]
    return sorted(front, key=lambda each: (each.loss, each.number))


def choose(candidates: Sequence[Candidate], select: str) -> Candidate:
    """The choice among at least one candidate; ties go to the lower loss, then to the earlier trial.

    Args:
        candidates: trials that may be chosen.
        select: `score`, `stable` or `small`.
    """
    front = pareto_front(candidates)
    best = front[0]
    near = [each for each in front if each.loss <= best.loss + best.tolerance]
    if select == "stable":
        return min(near, key=lambda each: (each.spread, each.loss, each.number))
    if select == "small":
        return min(near, key=lambda each: (each.leaves, each.loss, each.number))
    return best
