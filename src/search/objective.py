"""Makes Optuna objectives from data and folds: closures that train, report and prune.

Test rows are never used here: the folds hold indices of search rows only.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightgbm as lgb
import numpy as np
import optuna

from src.config import EARLY_STOPPING_ROUNDS, MAX_ROUNDS, REPORT_EVERY_ROUNDS
from src.model_settings import Constraint, SpaceSettings
from src.search.binned_folds import BinnedFolds
from src.search.boosting import BestPredictions, ValidationCurve, boost
from src.search.dart import make_booster
from src.search.device import CPU, DEVICE_ATTR
from src.search.measures import PREDICTED_ROWS, count_leaves, fold_spread, predict_ms_per_1000, rounds_of_final_fit
from src.search.search_space import lightgbm_params, make_space, suggest_hyperparameters
from src.search.starting_points import is_fixed_config
from src.search.stop_flag import StopFlag
from src.study.feasibility import FOLD_VALUES_ATTR
from src.study.studies import Objective
from src.study.validation_predictions import PredictionStore, raw_scores

UserObjective = Callable[..., float]


@dataclass(frozen=True)
class ObjectiveSettings:
    """Settings of the training; the same settings and seed give the same score to the bit.

    Attributes:
        predictions: the store for validation predictions of the best complete trials; None keeps none.
        growth: training rows of the final fit per training row of a fold.
        constraints: limits of the registered model; each complete trial says how far it is above them.
        space: what hyperparameters are drawn from.
    """

    seed: int = 42
    max_rounds: int = MAX_ROUNDS
    patience: int = EARLY_STOPPING_ROUNDS
    report_every: int = REPORT_EVERY_ROUNDS
    stop_flag: StopFlag = field(default_factory=StopFlag)
    predictions: PredictionStore | None = None
    growth: float = 1.0
    constraints: Sequence[Constraint] = ()
    space: SpaceSettings = field(default_factory=SpaceSettings)


def make_objective(folds: BinnedFolds, settings: ObjectiveSettings) -> Objective:
    """The LightGBM objective on these folds.

    A trial's value is the best mean validation score over the boosting rounds. The trial stores what the final fit and
    the reports need, also when it is pruned: `best_iteration` and `curve` (at most 100 points). A complete trial stores
    its measures too, and its constraints by Optuna's `set_constraint`.
    """
    space = make_space(settings.space, bool(folds.data.categorical))

    def objective(trial: optuna.Trial) -> float:
        hyperparameters = suggest_hyperparameters(trial, space)
        curve = ValidationCurve(maximize=folds.data.config.direction == "maximize")
        best = None if settings.predictions is None else BestPredictions(len(folds.folds), curve.maximize)
        try:
            boosters = _make_boosters(folds, hyperparameters, settings.seed)
            boost(boosters, curve, settings.max_rounds, settings.patience, _make_reporter(trial, settings), best)
        finally:
            _store_curve(trial, curve)
            if folds.device != trial.user_attrs.get(DEVICE_ATTR, CPU):
                trial.set_user_attr(DEVICE_ATTR, folds.device)
        is_feasible = _store_measures(trial, boosters, curve, folds, settings)
        if best is not None and settings.predictions is not None and is_feasible:
            trial.set_user_attr("predicted_round", best.round)
            scores = raw_scores(folds.data.config.task, best.values)
            settings.predictions.keep(trial.number, curve.best_value, scores, pinned=is_fixed_config(trial.params))
        return curve.best_value

    return objective


def retrain_and_predict(
    folds: BinnedFolds, hyperparameters: dict[str, Any], rounds: int, seed: int, stop_flag: StopFlag
) -> np.ndarray:
    """Trains a trial's boosters again, up to the round of the wanted predictions.

    Args:
        folds: of the search.
        hyperparameters: of the trial.
        rounds: the trial's `predicted_round`.
        seed: of the search.
        stop_flag: checked after each round.

    Returns:
        Raw scores of the validation rows of all folds, concatenated, 32-bit: equal to the bit to those that the trial
        itself would have kept.

    Raises:
        Interrupted: a stop was requested.
    """
    boosters = _make_boosters(folds, hyperparameters, seed)
    last = BestPredictions(len(boosters), maximize=True)
    for number, booster in enumerate(boosters):
        for _ in range(rounds):
            booster.update()
            stop_flag.raise_if_stopped()
        booster.eval_valid(last.feval(number))
    last.keep_if_best(rounds, 0.0)
    return raw_scores(folds.data.config.task, last.values)


def make_user_objective(folds: BinnedFolds, user: UserObjective, stop_flag: StopFlag) -> Objective:
    """A user's objective, `(trial, X_train, y_train, X_val, y_val) -> score`, averaged over the folds."""

    def objective(trial: optuna.Trial) -> float:
        scores = []
        for number in range(len(folds.folds)):
            stop_flag.raise_if_stopped()
            scores.append(float(user(trial, *folds.frames(number))))
        return float(np.mean(scores))

    return objective


def _make_boosters(folds: BinnedFolds, hyperparameters: dict[str, Any], seed: int) -> list[lgb.Booster]:
    data = folds.data
    params = lightgbm_params(hyperparameters, data.config, seed, folds.num_threads, data.signs, folds.device)
    return [make_booster(params, train, [valid]) for train, valid in folds.datasets(hyperparameters["max_bin"])]


def _make_reporter(trial: optuna.Trial, settings: ObjectiveSettings) -> Callable[[int, float], bool]:
    def on_round(round_number: int, score: float) -> bool:
        settings.stop_flag.raise_if_stopped()
        if settings.stop_flag.deadline_passed():
            return True
        if round_number % settings.report_every == 0:
            trial.report(score, round_number)
            if trial.should_prune():
                raise optuna.TrialPruned(f"after {round_number} rounds")
        return False

    return on_round


def _store_measures(
    trial: optuna.Trial,
    boosters: Sequence[lgb.Booster],
    curve: ValidationCurve,
    folds: BinnedFolds,
    settings: ObjectiveSettings,
) -> bool:
    """Stores the measures of the trial's final model, and the constraints; returns whether the trial may win."""
    if not math.isfinite(curve.best_value):
        return False
    best_round, trees = curve.best_round, rounds_of_final_fit(curve.best_round, settings.growth)
    per_tree = sum(count_leaves(booster, best_round) for booster in boosters) / (best_round * len(boosters))
    measures = {"trees": float(trees), "leaves": float(round(per_tree * trees))}
    if len(boosters) > 1:
        measures["fold_spread"] = fold_spread(folds.data.config.metric, curve.best_of_folds)
        trial.set_user_attr(FOLD_VALUES_ATTR, list(curve.best_of_folds))
    if any(each.quantity == "predict_ms_per_1000" for each in settings.constraints):
        measured = predict_ms_per_1000(boosters[-1], folds.validation_matrix(PREDICTED_ROWS), best_round)
        measures["predict_ms_per_1000"] = measured * trees / best_round
    for name, value in measures.items():
        trial.set_user_attr(name, value)
    excesses = {str(each): each.excess(measures[each.quantity]) for each in settings.constraints}
    for name, value in excesses.items():
        trial.set_constraint(name, value)
    return all(value <= 0 for value in excesses.values())


def _store_curve(trial: optuna.Trial, curve: ValidationCurve) -> None:
    if curve.best_round:
        trial.set_user_attr("best_iteration", curve.best_round)
        trial.set_user_attr("curve", curve.downsampled())
