"""The search space: a function from a trial to hyperparameters.

There are two steps: `suggest_hyperparameters` draws hyperparameters, and `lightgbm_params` turns them into parameters
of LightGBM. The final fit needs only the second step, with the recorded hyperparameters.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna

from src.config import TargetConfig

MAX_BIN_STEP = 96
"""A Dataset is binned once per value of `max_bin`: 32, 128, 224 (1 byte per value), 320, 416, 512 (2 bytes)."""

OBJECTIVE_OF_METRIC = {"mae": "regression_l1", "rmse": "regression", "auc": "binary"}
METRIC_NAME = {"mae": "l1", "rmse": "rmse", "auc": "auc"}


def suggest_hyperparameters(trial: optuna.trial.BaseTrial) -> dict[str, Any]:
    """Draws hyperparameters; those that do not apply to the boosting type are not drawn."""
    boosting = trial.suggest_categorical("boosting_type", ["gbdt", "dart", "goss"])
    params: dict[str, Any] = {
        "boosting_type": boosting,
        "max_depth": trial.suggest_int(
            "max_depth", 3, 12
        ),  # before num_leaves, which it bounds: see DepthLimitedSampler
        "num_leaves": trial.suggest_int("num_leaves", 10, 200),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.5, 1.0),
        "min_child_samples": trial.suggest_int("min_child_samples", 5, 100),
        "lambda_l1": trial.suggest_float("lambda_l1", 1e-8, 10.0, log=True),
        "lambda_l2": trial.suggest_float("lambda_l2", 1e-8, 10.0, log=True),
        "min_gain_to_split": trial.suggest_float("min_gain_to_split", 0.0, 1.0),
        "max_bin": trial.suggest_int("max_bin", 32, 512, step=MAX_BIN_STEP),
    }
    if boosting != "goss":  # goss samples rows itself; LightGBM refuses bagging with it
        params["bagging_fraction"] = trial.suggest_float("bagging_fraction", 0.5, 1.0)
        params["bagging_freq"] = trial.suggest_int("bagging_freq", 1, 10)
    if boosting == "dart":
        params["drop_rate"] = trial.suggest_float("drop_rate", 0.0, 0.2)
        params["max_drop"] = trial.suggest_int("max_drop", 3, 50)
        params["skip_drop"] = trial.suggest_float("skip_drop", 0.0, 1.0)
    return params


def lightgbm_params(
    hyperparameters: Mapping[str, Any],
    config: TargetConfig,
    seed: int,
    num_threads: int = 1,
    signs: Sequence[int] = (),
) -> dict[str, Any]:
    """Turns hyperparameters into the parameters of a LightGBM booster.

    With `deterministic` and a fixed histogram layout, the score depends to the bit only on data, parameters, seed and
    number of threads, not on the process; no cost was measured. Another number of threads sums in another order (the
    last digits differ), and on larger tables goss then draws another sample.

    `signs` are the monotone constraints, one per feature; empty without any.
    """
    params = dict(hyperparameters)
    if params.get("boosting_type") == "goss":  # since LightGBM 4 goss is a sampling strategy
        params["boosting_type"] = "gbdt"
        params["data_sample_strategy"] = "goss"
    if signs:  # `basic`, because `advanced` violates its constraints or crashes (LightGBM 4.7)
        params |= {"monotone_constraints": list(signs), "monotone_constraints_method": "basic"}
    return params | {
        "objective": OBJECTIVE_OF_METRIC[config.metric],
        "metric": METRIC_NAME[config.metric],
        "seed": seed,
        "num_threads": num_threads,
        "deterministic": True,
        "force_row_wise": True,
        "feature_pre_filter": False,  # else binning would filter features by the first trial's min_child_samples
        "verbosity": -1,
    }
