"""Trains the registered model: fits trials on all rows of the search, merges them to a weighted mean, and scores it.

The final model is trained on training and validation rows together. More rows allow more rounds, so the best round of a
trial is multiplied by the growth of the rows, also for dart. Members of an ensemble get a further, measured factor (see
`member_rounds`).

`train_fits` takes only LightGBM's parameters and weights. The metadata stores both, so the same function trains a
registered model again (see `retrain`).
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import lightgbm as lgb
import numpy as np
from optuna.trial import FrozenTrial
from tqdm import tqdm

from src.data.encoding import encode, learn_levels
from src.data.split_rows import SplitRows
from src.data.table import Dataset
from src.evaluation.baselines import best_baseline, naive_forecasts, score_baselines
from src.evaluation.intervals import score_estimate, skill_estimate
from src.evaluation.scoring import score, skill
from src.final.merged_model import merge_models
from src.final.threads import run_in_threads
from src.search.binned_folds import make_lightgbm_dataset
from src.search.dart import add_start_to_first_tree, is_dart, make_booster, train_round_and_check
from src.search.device import CPU, for_any_machine, used_params
from src.search.measures import rounds_of_final_fit
from src.search.progress import fit_bar
from src.search.search_space import lightgbm_params
from src.search.stop_flag import StopFlag
from src.workers.cpus import available_cpus

log = logging.getLogger(__name__)

MANY_ROWS = 10_000
"""Rows from which predictions use several threads: at this number one thread takes a second for a large ensemble."""


@dataclass(frozen=True)
class Fit:
    """One LightGBM training run of a model.

    Attributes:
        params: all parameters of LightGBM, including `num_iterations`.
        weight: weight of its raw scores in the model; the weights of a model add up to 1.
    """

    params: dict[str, Any]
    weight: float = 1.0


@dataclass(frozen=True)
class Member:
    """A trial that is a member of the final model.

    Attributes:
        trial: number of the trial.
        value: validation score of the trial; None if it has none.
        hyperparameters: hyperparameters of the trial.
        fit: parameters and weight of its final fit.
        is_fixed_config: whether it is one of the fixed configurations (see `fixed_configs`).
    """

    trial: int
    value: float | None
    hyperparameters: dict[str, Any]
    fit: Fit
    is_fixed_config: bool = False


@dataclass(frozen=True)
class TrainedModel:
    """A booster and the encoding of its rows.

    Attributes:
        booster: takes features by position, as encoded by `encode`; the mean of several fits is one booster too.
        levels: category levels of the training rows.
        rounds: number of trees per fit; LightGBM stops before `num_iterations` if no leaf can be split.
    """

    booster: lgb.Booster
    levels: dict[str, list[str]]
    rounds: tuple[int, ...] = ()

    def predict(self, data: Dataset, rows: np.ndarray) -> np.ndarray:
        """Predictions for the given rows, shape (len(rows),); probabilities for a binary target."""
        features = data.features.iloc[rows]
        # A prediction does not depend on the number of threads; on a busy machine a second one pays for many rows only.
        n_threads = available_cpus() if len(rows) >= MANY_ROWS else 1
        return np.asarray(self.booster.predict(encode(features, self.levels), num_threads=n_threads))


@dataclass(frozen=True)
class FinalModel(TrainedModel):
    """The registered model and its members.

    Attributes:
        members: the trials, best first.
        validation_score: score of the members' weighted mean, with members trained without the validation rows.
        rounds_factor: factor of the rounds of all members except dart (see `member_rounds`).
        cuts: sentences on what a time limit has cut (see `fit_budget`).
        measures: by name (see `src.model_settings.QUANTITIES`); the time only if a constraint limits it.
        monotone: the record of `check_monotone`, by feature.
    """

    members: tuple[Member, ...] = ()
    validation_score: float | None = None
    rounds_factor: float = 1.0
    cuts: tuple[str, ...] = ()
    measures: Mapping[str, float] = field(default_factory=dict)
    monotone: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    _kept: list[np.ndarray] = field(default_factory=list, init=False, repr=False, compare=False)

    def predict_test(self, data: Dataset, rows: SplitRows) -> np.ndarray:
        """Predictions of the test rows of the model's own split, computed once: scores and report both need them."""
        if not self._kept:
            self._kept.append(self.predict(data, rows.test))
        return self._kept[0]

    @property
    def heaviest(self) -> Member:
        """The member with the largest weight; the first one if several are equal."""
        return max(self.members, key=lambda member: member.fit.weight)


def make_member(
    trial: FrozenTrial, data: Dataset, seed: int, rounds: int, weight: float = 1.0, device: str = CPU
) -> Member:
    """Makes a member from a trial.

    LightGBM uses one thread per fit, as in the search, so that the same parameters give the same model.

    Args:
        trial: a complete trial.
        data: the table: task, metric and monotone features of the target.
        seed: LightGBM's seed.
        rounds: number of boosting rounds.
        weight: weight of its raw scores.
        device: of the fit.
    """
    params = lightgbm_params(used_params(trial), data.config, seed, 1, data.signs, device)
    return Member(trial.number, trial.value, dict(trial.params), Fit(params | {"num_iterations": rounds}, weight))


def train_final_model(trial: FrozenTrial, data: Dataset, rows: SplitRows, seed: int, device: str = CPU) -> FinalModel:
    """Fits one trial's parameters on all rows of the search.

    Args:
        trial: a trial with the user attribute `best_iteration`.
        data: the whole table.
        rows: the split of the rows.
        seed: LightGBM's seed.
        device: of the fit.
    """
    member = make_member(trial, data, seed, final_rounds(trial, rows), device=device)
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
        members: members of the model, best trial first.
        data: the whole table.
        rows: the split of the rows.
        validation_score: see `FinalModel`.
        rounds_factor: see `FinalModel`; the members' `num_iterations` contain it already.
        n_parallel: number of fits that run at the same time.
    """
    trained = train_fits([member.fit for member in members], data, rows, n_parallel)
    return FinalModel(trained.booster, trained.levels, trained.rounds, tuple(members), validation_score, rounds_factor)


def train_fits(fits: Sequence[Fit], data: Dataset, rows: SplitRows, n_parallel: int = 1) -> TrainedModel:
    """Trains a model from LightGBM's parameters and weights alone; the same input gives the same model to the bit.

    Args:
        fits: at least one, all for the same device; fits with the same `max_bin` share a binned Dataset.
        data: the whole table.
        rows: the split of the rows; `rows.search` are the training rows.
        n_parallel: number of fits that run at the same time.
    """
    levels = learn_levels(data.features, data.categorical, rows.search)
    matrix = encode(data.features, levels)
    bins = list(dict.fromkeys(fit.params["max_bin"] for fit in fits))
    device = fits[0].params.get("device_type", CPU)
    bin_jobs = [_bin_job(data, matrix, rows, max_bin, device) for max_bin in bins]
    binned = dict(zip(bins, run_in_threads(bin_jobs, n_parallel), strict=True))
    total = sum(fit.params["num_iterations"] for fit in fits)
    with fit_bar(f"final fit of {data.target}", total) as progress:
        jobs = [_job(fit.params, binned[fit.params["max_bin"]], progress) for fit in fits]
        boosters = run_in_threads(jobs, n_parallel)
    merged = for_any_machine(_weighted_mean(boosters, [fit.weight for fit in fits]), device)
    return TrainedModel(merged, levels, tuple(booster.num_trees() for booster in boosters))


def _weighted_mean(boosters: Sequence[lgb.Booster], weights: Sequence[float]) -> lgb.Booster:
    if len(boosters) == 1:
        return boosters[0]
    return lgb.Booster(model_str=merge_models([booster.model_to_string() for booster in boosters], weights))


def _bin_job(
    data: Dataset, matrix: np.ndarray, rows: SplitRows, max_bin: int, device: str
) -> Callable[[StopFlag], lgb.Dataset]:
    def construct(_: StopFlag) -> lgb.Dataset:
        return make_lightgbm_dataset(data, matrix, rows.search, max_bin, 1, device).construct()

    return construct


def _job(params: dict[str, Any], train: lgb.Dataset, progress: "tqdm[Any]") -> Callable[[StopFlag], lgb.Booster]:
    def fit(stop_flag: StopFlag) -> lgb.Booster:
        booster = make_booster(params, train)
        for done in range(params["num_iterations"]):
            if train_round_and_check(booster) and done:  # trained again without the round that failed the check
                return _job(params | {"num_iterations": done}, train, progress)(stop_flag)
            stop_flag.raise_if_stopped()
            progress.update()
        return add_start_to_first_tree(booster, train)

    return fit


def final_rounds(trial: FrozenTrial, rows: SplitRows, rounds_factor: float = 1.0) -> int:
    """Rounds of the final fit: the best round times the growth of the rows times the factor.

    dart ignores the factor, because each of its rounds changes the weights of earlier trees.
    """
    best_iteration: int = trial.user_attrs["best_iteration"]
    factor = 1.0 if is_dart(trial.params) else rounds_factor
    return rounds_of_final_fit(best_iteration * factor, rows.growth)


def score_hold_out(model: FinalModel, data: Dataset, rows: SplitRows) -> dict[str, Any]:
    """Test score with its interval, and all naive baselines and the skill on the same rows.

    Intervals come from `intervals`; the interval of the skill compares model and baseline on paired rows. With too few
    dates an interval is None, and its note gives the reason. Without a hold-out all values are None or empty: scores on
    training rows are never reported.
    """
    if len(rows.test) == 0:
        return {
            "test_score": None, "test_interval": None, "test_interval_note": None, "baselines": {},
            "best_baseline": None, "skill": None, "skill_interval": None, "skill_interval_note": None,
        }  # fmt: skip
    metric, y = data.config.metric, data.y[rows.test]
    dates = None if data.dates is None else data.dates[rows.test]
    prediction = model.predict_test(data, rows)
    forecasts = naive_forecasts(data, rows.search, rows.test)
    baselines = {name: score(metric, y, forecast) for name, forecast in forecasts.items()}
    best_name, _ = best_baseline(metric, baselines)
    test = score_estimate(metric, y, prediction, dates)
    gain = skill_estimate(metric, y, prediction, forecasts[best_name], dates)  # None: the baseline is perfect
    return {
        "test_score": test.value,
        "test_interval": None if test.interval is None else list(test.interval),
        "test_interval_note": test.note,
        "baselines": baselines,
        "best_baseline": best_name,
        "skill": None if gain is None else gain.value,
        "skill_interval": None if gain is None or gain.interval is None else list(gain.interval),
        "skill_interval_note": None if gain is None else gain.note,
    }


def score_validation(value: float | None, data: Dataset, rows: SplitRows) -> dict[str, Any]:
    """The model's validation score and the baselines on the same rows, both averaged over folds.

    Trials and members were selected on these rows, so the score is optimistic.

    Args:
        value: the registered model's validation score; None if there is none.
        data: the whole table.
        rows: the split of the rows.
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
