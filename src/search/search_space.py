"""The whole search space on one screen: a trial goes in, a set of hyperparameters comes out.

Two steps are kept apart: `suggest_hyperparameters` draws what the contract lists, and `lightgbm_params` turns such a
set, from a trial or from a record, into what LightGBM takes. The final fit needs only the record.
"""

from collections.abc import Mapping
from typing import Any

import optuna

from src.config import TargetConfig

MAX_BIN_STEP = 96
"""A Dataset is binned once per `max_bin` value: 32, 128, 224 (a byte a value), 320, 416, 512 (two bytes)."""

OBJECTIVE_OF_METRIC = {"mae": "regression_l1", "rmse": "regression", "auc": "binary"}
METRIC_NAME = {"mae": "l1", "rmse": "rmse", "auc": "auc"}


def suggest_hyperparameters(trial: optuna.trial.BaseTrial) -> dict[str, Any]:
    """Draws one set of hyperparameters, named as in the contract; those that do not apply are not drawn."""
    boosting = trial.suggest_categorical("boosting_type", ["gbdt", "dart", "goss"])
    params: dict[str, Any] = {
        "boosting_type": boosting,
        "max_depth": trial.suggest_int("max_depth", 3, 12),  # before num_leaves, which it bounds: see TiedSampler
        "num_leaves": trial.suggest_int("num_leaves", 10, 200),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.5, 1.0),
        "min_child_samples": trial.suggest_int("min_child_samples", 5, 100),
        "lambda_l1": trial.suggest_float("lambda_l1", 1e-8, 10.0, log=True),
        "lambda_l2": trial.suggest_float("lambda_l2", 1e-8, 10.0, log=True),
        "min_gain_to_split": trial.suggest_float("min_gain_to_split", 0.0, 1.0),
        "max_bin": trial.suggest_int("max_bin", 32, 512, step=MAX_BIN_STEP),
    }
    if boosting != "goss":  # goss draws its own sample of rows; LightGBM refuses both at once
        params["bagging_fraction"] = trial.suggest_float("bagging_fraction", 0.5, 1.0)
        params["bagging_freq"] = trial.suggest_int("bagging_freq", 1, 10)
    if boosting == "dart":
        params["drop_rate"] = trial.suggest_float("drop_rate", 0.0, 0.2)
        params["max_drop"] = trial.suggest_int("max_drop", 3, 50)
        params["skip_drop"] = trial.suggest_float("skip_drop", 0.0, 1.0)
    return params


def lightgbm_params(
    hyperparameters: Mapping[str, Any], config: TargetConfig, seed: int, num_threads: int = 1
) -> dict[str, Any]:
    """Turns a set of hyperparameters into the parameters of one LightGBM booster.

    `deterministic` with a fixed histogram layout makes the score a function of data, parameters, seed and number of
    threads, to the bit, whatever process trains it; measured, it costs nothing. Another number of threads adds up a
    score in another order (its last digits differ), and on larger tables goss then draws another sample.
    """
    params = dict(hyperparameters)
    if params.get("boosting_type") == "goss":  # since LightGBM 4 goss is a way to sample, not to boost
        params["boosting_type"] = "gbdt"
        params["data_sample_strategy"] = "goss"
    return params | {
        "objective": OBJECTIVE_OF_METRIC[config.metric],
        "metric": METRIC_NAME[config.metric],
        "seed": seed,
        "num_threads": num_threads,
        "deterministic": True,
        "force_row_wise": True,
        "feature_pre_filter": False,  # fixed at binning otherwise, with the first trial's min_child_samples
        "verbosity": -1,
    }
