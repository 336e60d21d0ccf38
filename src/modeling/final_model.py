"""Best trial → final fit → scores on days that the search never saw.

The final model is trained on training and validation rows together. More rows bear more rounds, so the best round of
the trial is scaled by the growth of the rows; dart, like the others, is trained just so far. How far the members of an
ensemble are trained is measured (see `member_rounds`).
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np
from optuna.trial import FrozenTrial

from src.data.encoding import encode, learn_levels
from src.data.table import Dataset
from src.modeling.baselines import best_baseline, judge_baselines, naive_forecasts
from src.modeling.binned_folds import make_lightgbm_dataset
from src.modeling.brake import Brake
from src.modeling.dart import complete, is_dart, is_stuck, make_booster
from src.modeling.fit_progress import FitProgress
from src.modeling.intervals import score_estimate, skill_estimate
from src.modeling.rows import Rows
from src.modeling.scoring import score, skill
from src.modeling.search_space import lightgbm_params
from src.modeling.threads import run_in_threads

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Member:
    """A trial in an ensemble.

    Attributes:
        trial: its number.
        weight: its share of the mean raw score.
        value: its own validation score.
        best_iteration: rounds of its final fit.
        hyperparameters: as drawn by the trial.
        anchor: whether it is a known configuration, which has its share whatever it scored (see `anchors`).
    """

    trial: int
    weight: float
    value: float
    best_iteration: int
    hyperparameters: dict[str, Any]
    anchor: bool = False


@dataclass(frozen=True)
class Ensemble:
    """What a final model of several trials is made of.

    Attributes:
        members: the best trial first.
        score: the validation score that it was selected by.
        stretch: by what the rounds of the members that are not dart were multiplied (see `member_rounds`).
    """

    members: tuple[Member, ...]
    score: float
    stretch: float = 1.0


@dataclass(frozen=True)
class FinalModel:
    """A trained model and what it was trained with.

    Attributes:
        booster: features by position, as `encode` lays them out; an ensemble is one booster too.
        levels: category levels learned on the final training rows.
        rounds: trees of the model; LightGBM may stop before it has trained as many rounds as it was asked for.
        hyperparameters: as drawn by the (best) trial.
        ensemble: None when the model is one trial's.
    """

    booster: lgb.Booster
    levels: dict[str, list[str]]
    rounds: int
    hyperparameters: dict[str, Any]
    ensemble: Ensemble | None = None

    def predict(self, data: Dataset, rows: np.ndarray) -> np.ndarray:
        """Predictions for some rows: (len(rows),), a probability for a binary target."""
        features = data.features.iloc[rows]
        return np.asarray(self.booster.predict(encode(features, self.levels), num_threads=1))


def train_final_model(trial: FrozenTrial, data: Dataset, rows: Rows, seed: int) -> FinalModel:
    """Fits the trial's parameters on all rows that the search saw.

    Args:
        trial: with `best_iteration` among its user attributes.
        data: the whole table.
        rows: which rows are which.
        seed: LightGBM's.
    """
    return train_final_models([trial], [final_rounds(trial, rows)], data, rows, seed)[0]


def train_final_models(
    trials: Sequence[FrozenTrial], rounds: Sequence[int], data: Dataset, rows: Rows, seed: int, n_parallel: int = 1
) -> list[FinalModel]:
    """As `train_final_model` for several trials, which share what is binned; the models are the same to the bit.

    LightGBM uses one thread for each fit, as in the search, so that the same parameters give the same model.

    Args:
        trials: whose parameters are fitted.
        rounds: of each fit.
        data: the whole table.
        rows: which rows are which.
        seed: LightGBM's.
        n_parallel: fits at once.
    """
    levels = learn_levels(data.features, data.categorical, rows.search)
    matrix = encode(data.features, levels)
    each_params = [lightgbm_params(trial.params, data.config, seed, num_threads=1) for trial in trials]
    binned = {
        max_bin: make_lightgbm_dataset(data, matrix, rows.search, max_bin, num_threads=1).construct()
        for max_bin in dict.fromkeys(params["max_bin"] for params in each_params)
    }
    with FitProgress(f"final fit of {data.target}", sum(rounds)) as progress:
        fits = [
            _fit(params, binned[params["max_bin"]], n, progress) for params, n in zip(each_params, rounds, strict=True)
        ]
        boosters = run_in_threads(fits, n_parallel)
    return [FinalModel(b, levels, b.num_trees(), dict(t.params)) for b, t in zip(boosters, trials, strict=True)]


def _fit(
    params: dict[str, Any], train: lgb.Dataset, rounds: int, progress: FitProgress
) -> Callable[[Brake], lgb.Booster]:
    def fit(brake: Brake) -> lgb.Booster:
        booster = make_booster(params | {"num_iterations": rounds}, train)
        for done in range(rounds):
            if is_stuck(booster) and done:
                return _fit(params, train, done, progress)(brake)  # the same once more, as far as it was whole
            brake.check()
            progress.advance()
        return complete(booster, train)

    return fit


def final_rounds(trial: FrozenTrial, rows: Rows, stretch: float = 1.0) -> int:
    """Rounds for the final fit: the best round times the growth of the rows, and times the stretch.

    dart, whose trees are weighed anew in each round, is trained just so far as its own best round says.
    """
    best_iteration: int = trial.user_attrs["best_iteration"]
    factor = 1.0 if is_dart(trial.params) else stretch
    return max(1, round(best_iteration * factor * rows.growth))


def judge(model: FinalModel, data: Dataset, rows: Rows) -> dict[str, Any]:
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


def judge_validation(trial: FrozenTrial, data: Dataset, rows: Rows, ensemble: Ensemble | None = None) -> dict[str, Any]:
    """The best trial's validation score beside the baselines on the same rows, averaged over folds as the score is.

    An ensemble's stands beside it: its members were selected on these very rows, so it flatters more than the trial's,
    which was the best of many on them.
    """
    metric, value = data.config.metric, trial.value
    per_fold = [judge_baselines(data, fold.train, fold.valid) for fold in rows.folds]
    baselines = {name: float(np.mean([scores[name] for scores in per_fold])) for name in per_fold[0]}
    best_name, best_score = best_baseline(metric, baselines)
    found = {
        "validation_score": value,
        "validation_baselines": baselines,
        "validation_best_baseline": best_name,
        "validation_skill": None if value is None else skill(metric, value, best_score),
    }
    return found if ensemble is None else found | {"validation_score_ensemble": ensemble.score}
