"""Data and folds in, an Optuna objective out: a closure that fits, reports and prunes.

The hold-out rows never come here: the folds hold indices of search rows only.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import lightgbm as lgb
import numpy as np
import optuna

from src.config import EARLY_STOPPING_ROUNDS, MAX_ROUNDS, REPORT_EVERY_ROUNDS
from src.modeling.binned_folds import BinnedFolds
from src.modeling.boosting import Curve, boost
from src.modeling.brake import Brake
from src.modeling.optuna_utils import Objective
from src.modeling.search_space import lightgbm_params, suggest_hyperparameters

UserObjective = Callable[..., float]


@dataclass(frozen=True)
class ObjectiveSettings:
    """How a trial is trained; the same settings and seed give the same score to the bit."""

    seed: int = 42
    max_rounds: int = MAX_ROUNDS
    patience: int = EARLY_STOPPING_ROUNDS
    report_every: int = REPORT_EVERY_ROUNDS
    brake: Brake = field(default_factory=Brake)


def make_objective(folds: BinnedFolds, settings: ObjectiveSettings) -> Objective:
    """The objective of LightGBM on these folds.

    A trial's value is the best mean validation score over the boosting rounds. What the final fit and the reports need
    is kept on the trial: `best_iteration` and `curve` (at most 100 points), also when it is pruned.
    """

    def objective(trial: optuna.Trial) -> float:
        hyperparameters = suggest_hyperparameters(trial)
        curve = Curve(maximize=folds.data.config.direction == "maximize")
        try:
            boosters = _make_boosters(folds, hyperparameters, settings)
            boost(boosters, curve, settings.max_rounds, settings.patience, _make_reporter(trial, settings))
        finally:
            _keep(trial, curve)
        return curve.best_value

    return objective


def make_user_objective(folds: BinnedFolds, user: UserObjective, brake: Brake) -> Objective:
    """An objective of the user's own, `(trial, X_train, y_train, X_val, y_val) -> score`, averaged over the folds."""

    def objective(trial: optuna.Trial) -> float:
        scores = []
        for number in range(len(folds.folds)):
            brake.check()
            scores.append(float(user(trial, *folds.frames(number))))
        return float(np.mean(scores))

    return objective


def _make_boosters(
    folds: BinnedFolds, hyperparameters: dict[str, Any], settings: ObjectiveSettings
) -> list[lgb.Booster]:
    params = lightgbm_params(hyperparameters, folds.data.config, settings.seed, folds.num_threads)
    boosters = []
    for train, valid in folds.datasets(hyperparameters["max_bin"]):
        booster = lgb.Booster(params, train)
        booster.add_valid(valid, "valid")
        boosters.append(booster)
    return boosters


def _make_reporter(trial: optuna.Trial, settings: ObjectiveSettings) -> Callable[[int, float], bool]:
    def on_round(round_number: int, score: float) -> bool:
        if settings.brake.check():
            return True
        if round_number % settings.report_every == 0:
            trial.report(score, round_number)
            if trial.should_prune():
                raise optuna.TrialPruned(f"after {round_number} rounds")
        return False

    return on_round


def _keep(trial: optuna.Trial, curve: Curve) -> None:
    if curve.best_round:
        trial.set_user_attr("best_iteration", curve.best_round)
        trial.set_user_attr("curve", curve.thinned())
