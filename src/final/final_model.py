"""From trials to the registered model: fits on all rows of the search, their weighted mean, its scores.

The final model is trained on training and validation rows together. More rows bear more rounds, so the best round of
a trial is multiplied by the growth of the rows; dart, like the others, is trained just so far. How far the members of
an ensemble are trained is measured (see `member_rounds`).

`train_fits` takes nothing but LightGBM's parameters and weights. The metadata keeps them, so the same function trains
a registered model again (see `retrain`).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
from optuna.trial import FrozenTrial

from src.config import TargetConfig
from src.data.encoding import encode, learn_levels
from src.data.split_rows import SplitRows
from src.data.table import Dataset
from src.evaluation.baselines import best_baseline, naive_forecasts, score_baselines
from src.evaluation.intervals import score_estimate, skill_estimate
from src.evaluation.scoring import score, skill
from src.final.fit_progress import FitProgress
from src.final.merged_model import merge_models
from src.final.threads import run_in_threads
from src.search.binned_folds import make_lightgbm_dataset
from src.search.dart import add_start_to_first_tree, is_dart, make_booster, train_round_and_check
from src.search.search_space import lightgbm_params
from src.search.stop_flag import StopFlag

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Fit:
    """One training by LightGBM that a model is made of.

    Attributes:
        params: LightGBM's parameters in full, `num_iterations` among them.
        weight: of its raw scores in the model; the weights of a model add up to 1.
    """

    params: dict[str, Any]
    weight: float = 1.0


@dataclass(frozen=True)
class Member:
    """A trial that the final model is made of.

    Attributes:
        trial: its number.
        value: its own validation score; None where the trial has none.
        hyperparameters: as drawn by the trial.
        fit: how it is trained for the final model.
        is_fixed_config: whether it is one of the fixed configurations (see `fixed_configs`).
    """

    trial: int
    value: float | None
    hyperparameters: dict[str, Any]
    fit: Fit
    is_fixed_config: bool = False


@dataclass(frozen=True)
class TrainedModel:
    """A booster and how rows are encoded for it.

    Attributes:
        booster: features by position, as `encode` lays them out; the mean of several fits is one booster too.
        levels: category levels learned on the training rows.
        rounds: trees of each fit; LightGBM may end before `num_iterations`, where no leaf can be split.
    """

    booster: lgb.Booster
    levels: dict[str, list[str]]
    rounds: tuple[int, ...] = ()

    def predict(self, data: Dataset, rows: np.ndarray) -> np.ndarray:
        """Predictions for some rows: (len(rows),), a probability for a binary target."""
        features = data.features.iloc[rows]
        return np.asarray(self.booster.predict(encode(features, self.levels), num_threads=1))


@dataclass(frozen=True)
class FinalModel(TrainedModel):
    """The model that is registered, and what it was made of.

    Attributes:
        members: the trials, the best one first; one for a model of one trial.
        validation_score: of the members' weighted mean, each trained without the validation rows.
        rounds_factor: by which the rounds of the members that are not dart were multiplied (see `member_rounds`).
    """

    members: tuple[Member, ...] = ()
    validation_score: float | None = None
    rounds_factor: float = 1.0

    @property
    def heaviest(self) -> Member:
        """The member with the largest weight; of equal ones the first."""
        return max(self.members, key=lambda member: member.fit.weight)


def make_member(
    trial: FrozenTrial, config: TargetConfig, seed: int, rounds: int, weight: float = 1.0, is_fixed_config: bool = False
) -> Member:
    """Takes a trial as a member.

    LightGBM uses one thread for each fit, as in the search, so that the same parameters give the same model.

    Args:
        trial: a complete one.
        config: of the target.
        seed: LightGBM's.
        rounds: of its fit.
        weight: its share of the mean raw score.
        is_fixed_config: see `Member`.
    """
    params = lightgbm_params(trial.params, config, seed, num_threads=1) | {"num_iterations": rounds}
    return Member(trial.number, trial.value, dict(trial.params), Fit(params, weight), is_fixed_config=is_fixed_config)


def train_final_model(trial: FrozenTrial, data: Dataset, rows: SplitRows, seed: int) -> FinalModel:
    """Fits one trial's parameters on all rows that the search saw.

    Args:
        trial: with `best_iteration` among its user attributes.
        data: the whole table.
        rows: which rows are which.
        seed: LightGBM's.
    """
    member = make_member(trial, data.config, seed, final_rounds(trial, rows))
    return train_members([member], data, rows, trial.value)


def train_members(
    members: Sequence[Member],
    data: Dataset,
    rows: SplitRows,
    validation_score: float | None,
    rounds_factor: float = 1.0,
    n_parallel: int = 1,
) -> FinalModel:
    """Trains the final model.

    Args:
        members: what it is made of, the best trial first.
        data: the whole table.
        rows: which rows are which.
        validation_score: see `FinalModel`.
        rounds_factor: see `FinalModel`; the members' `num_iterations` contain it already.
        n_parallel: fits at once.
    """
    trained = train_fits([member.fit for member in members], data, rows, n_parallel)
    return FinalModel(trained.booster, trained.levels, trained.rounds, tuple(members), validation_score, rounds_factor)


def train_fits(fits: Sequence[Fit], data: Dataset, rows: SplitRows, n_parallel: int = 1) -> TrainedModel:
    """Trains a model from LightGBM's parameters and weights alone; the same input gives the same model to the bit.

    Args:
        fits: at least one; those of one `max_bin` share what is binned.
        data: the whole table.
        rows: which rows are which; `rows.search` are learned from.
        n_parallel: fits at once.
    """
    levels = learn_levels(data.features, data.categorical, rows.search)
    matrix = encode(data.features, levels)
    binned = {
        max_bin: make_lightgbm_dataset(data, matrix, rows.search, max_bin, num_threads=1).construct()
        for max_bin in dict.fromkeys(fit.params["max_bin"] for fit in fits)
    }
    total = sum(fit.params["num_iterations"] for fit in fits)
    with FitProgress(f"final fit of {data.target}", total) as progress:
        jobs = [_job(fit.params, binned[fit.params["max_bin"]], progress) for fit in fits]
        boosters = run_in_threads(jobs, n_parallel)
    merged = _weighted_mean(boosters, [fit.weight for fit in fits])
    return TrainedModel(merged, levels, tuple(booster.num_trees() for booster in boosters))


def _weighted_mean(boosters: Sequence[lgb.Booster], weights: Sequence[float]) -> lgb.Booster:
    if len(boosters) == 1:
        return boosters[0]
    return lgb.Booster(model_str=merge_models([booster.model_to_string() for booster in boosters], weights))


def _job(params: dict[str, Any], train: lgb.Dataset, progress: FitProgress) -> Callable[[StopFlag], lgb.Booster]:
    def fit(stop_flag: StopFlag) -> lgb.Booster:
        booster = make_booster(params, train)
        for done in range(params["num_iterations"]):
            if train_round_and_check(booster) and done:  # the same once more, without the round that spoiled it
                return _job(params | {"num_iterations": done}, train, progress)(stop_flag)
            stop_flag.raise_if_stopped()
            progress.advance()
        return add_start_to_first_tree(booster, train)

    return fit


def final_rounds(trial: FrozenTrial, rows: SplitRows, rounds_factor: float = 1.0) -> int:
    """Rounds for the final fit: the best round times the growth of the rows, and times the factor.

    dart, whose trees are weighed anew in each round, is trained just so far as its own best round says.
    """
    best_iteration: int = trial.user_attrs["best_iteration"]
    factor = 1.0 if is_dart(trial.params) else rounds_factor
    return max(1, round(best_iteration * factor * rows.growth))


def score_hold_out(model: FinalModel, data: Dataset, rows: SplitRows) -> dict[str, Any]:
    """Test score with its interval, and every naive baseline and the skill on the same rows.

    Intervals are those of `intervals`; that of the skill judges model and baseline together. An interval is None where
    the dates are too few for an honest one, and its note says why. Without a hold-out all of it is None or empty, never
    a score on rows that the model has seen.
    """
    if len(rows.test) == 0:
        return {
            "test_score": None, "test_interval": None, "test_interval_note": None, "baselines": {},
            "best_baseline": None, "skill": None, "skill_interval": None, "skill_interval_note": None,
        }  # fmt: skip
    metric, y = data.config.metric, data.y[rows.test]
    dates = None if data.dates is None else data.dates[rows.test]
    prediction = model.predict(data, rows.test)
    forecasts = naive_forecasts(data, rows.search, rows.test)
    baselines = {name: score(metric, y, forecast) for name, forecast in forecasts.items()}
    best_name, _ = best_baseline(metric, baselines)
    found = score_estimate(metric, y, prediction, dates)
    gained = skill_estimate(metric, y, prediction, forecasts[best_name], dates)  # None: nothing is left to gain
    return {
        "test_score": found.value,
        "test_interval": None if found.interval is None else list(found.interval),
        "test_interval_note": found.note,
        "baselines": baselines,
        "best_baseline": best_name,
        "skill": None if gained is None else gained.value,
        "skill_interval": None if gained is None or gained.interval is None else list(gained.interval),
        "skill_interval_note": None if gained is None else gained.note,
    }


def score_validation(value: float | None, data: Dataset, rows: SplitRows) -> dict[str, Any]:
    """The model's validation score beside the baselines on the same rows, averaged over folds as the score is.

    Trials and members were chosen on these very rows, so the score flatters the model.

    Args:
        value: the registered model's validation score; None where there is none.
        data: the whole table.
        rows: which rows are which.
    """
    metric = data.config.metric
    per_fold = [score_baselines(data, fold.train, fold.valid) for fold in rows.folds]
    baselines = {name: float(np.mean([scores[name] for scores in per_fold])) for name in per_fold[0]}
    best_name, best_score = best_baseline(metric, baselines)
    return {
        "validation_score": value,
        "validation_baselines": baselines,
        "validation_best_baseline": best_name,
        "validation_skill": None if value is None else skill(metric, value, best_score),
    }
