"""Best trial → final fit → scores on days that the search never saw.

The final model is trained on training and validation rows together. More rows bear more rounds, so the best round of
the trial is scaled by the ratio of rows; dart, like the others, is trained just so far.
"""

import logging
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
from optuna.trial import FrozenTrial

from src.data.encoding import encode, learn_levels
from src.data.table import Dataset
from src.modeling.baselines import best_baseline, judge_baselines, naive_forecasts
from src.modeling.binned_folds import make_lightgbm_dataset
from src.modeling.bootstrap import bootstrap_interval, bootstrap_skill_interval
from src.modeling.rows import Rows
from src.modeling.scoring import score, skill
from src.modeling.search_space import lightgbm_params

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinalModel:
    """A trained model and what it was trained with.

    Attributes:
        booster: features by position, as `encode` lays them out.
        levels: category levels learned on the final training rows.
        rounds: boosting rounds trained.
        hyperparameters: as drawn by the trial.
    """

    booster: lgb.Booster
    levels: dict[str, list[str]]
    rounds: int
    hyperparameters: dict[str, Any]

    def predict(self, data: Dataset, rows: np.ndarray) -> np.ndarray:
        """Predictions for some rows: (len(rows),), a probability for a binary target."""
        features = data.features.iloc[rows]
        return np.asarray(self.booster.predict(encode(features, self.levels), num_threads=1))


def train_final_model(trial: FrozenTrial, data: Dataset, rows: Rows, seed: int, num_threads: int = 1) -> FinalModel:
    """Fits the trial's parameters on all rows that the search saw.

    Args:
        trial: with `best_iteration` among its user attributes.
        data: the whole table.
        rows: which rows are which.
        seed: LightGBM's.
        num_threads: LightGBM's; as in the search, so that the same parameters give the same model.
    """
    levels = learn_levels(data.features, data.categorical, rows.search)
    params = lightgbm_params(trial.params, data.config, seed, num_threads)
    rounds = scaled_rounds(trial.user_attrs["best_iteration"], rows)
    matrix = encode(data.features, levels)
    train = make_lightgbm_dataset(data, matrix, rows.search, params["max_bin"], num_threads)
    booster = lgb.train(params, train, num_boost_round=rounds)
    return FinalModel(booster, levels, rounds, dict(trial.params))


def scaled_rounds(best_iteration: int, rows: Rows) -> int:
    """Rounds for the final fit: the best round times final rows over a fold's mean training rows."""
    return max(1, round(best_iteration * len(rows.search) / rows.mean_train_rows))


def judge(model: FinalModel, data: Dataset, rows: Rows, seed: int) -> dict[str, Any]:
    """Test score with its interval, and every naive baseline and the skill on the same rows.

    The interval is a block bootstrap over dates; that of the skill resamples model and baseline together. Without a
    hold-out all of it is None or empty, never a score on rows that the model has seen.
    """
    if len(rows.test) == 0:
        return {
            "test_score": None, "test_interval": None, "baselines": {}, "best_baseline": None,
            "skill": None, "skill_interval": None,
        }  # fmt: skip
    metric, y = data.config.metric, data.y[rows.test]
    prediction = model.predict(data, rows.test)
    value = score(metric, y, prediction)
    forecasts = naive_forecasts(data, rows.search, rows.test)
    baselines = {name: score(metric, y, forecast) for name, forecast in forecasts.items()}
    best_name, best_score = best_baseline(metric, baselines)
    dates = None if data.dates is None else data.dates[rows.test]
    interval = bootstrap_interval(metric, y, prediction, dates, seed)
    gained = skill(metric, value, best_score)
    skill_interval = None
    if gained is not None:  # a baseline without error leaves nothing to gain, in no resample either
        found = bootstrap_skill_interval(metric, y, prediction, forecasts[best_name], dates, seed)
        skill_interval = [found.low, found.high]
    return {
        "test_score": value,
        "test_interval": [interval.low, interval.high],
        "baselines": baselines,
        "best_baseline": best_name,
        "skill": gained,
        "skill_interval": skill_interval,
    }


def judge_validation(trial: FrozenTrial, data: Dataset, rows: Rows) -> dict[str, Any]:
    """The trial's validation score beside the baselines on the same rows, averaged over folds as the score is."""
    metric = data.config.metric
    per_fold = [judge_baselines(data, fold.train, fold.valid) for fold in rows.folds]
    baselines = {name: float(np.mean([scores[name] for scores in per_fold])) for name in per_fold[0]}
    best_name, best_score = best_baseline(metric, baselines)
    return {
        "validation_score": trial.value,
        "validation_baselines": baselines,
        "validation_best_baseline": best_name,
        "validation_skill": None if trial.value is None else skill(metric, trial.value, best_score),
    }
