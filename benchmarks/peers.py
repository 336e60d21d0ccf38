"""Alternatives to this project, used as in their documentation, each in a separate process.

    python -m benchmarks.peers NAME PROBLEM_FOLDER ANSWER_FOLDER

`defaults`      LightGBM's default parameters, early stopping on the validation rows
`tuner`         optuna-integration's LightGBMTuner, stepwise, with its `time_budget`
`flaml`         FLAML's AutoML with only `lgbm`, its own split, its own final fit
`plain`         a plain script: Optuna over the same ranges, a Dataset per trial, MedianPruner, one process

All use the last 20 % of their rows for validation if they need it. All except FLAML fit again on all rows with 1.25
times the rounds, because the rounds were found with 80 % of the rows; `tuner` and `plain` search for 90 % of the time
and leave the rest to this fit. FLAML's budget includes its own final fit.
"""

import argparse
import logging
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd

from benchmarks.problem import Answer, Floats, Problem, read_problem, write_answer
from benchmarks.tables import split_valid

ROUNDS, PATIENCE = 1000, 50
SEARCH_SHARE = 0.9
"""Part of the seconds that a search gets whose author has to leave time for the final fit."""
MORE_ROWS = 1.25
OBJECTIVE = {"mae": "regression_l1", "rmse": "regression", "auc": "binary"}
METRIC = {"mae": "l1", "rmse": "rmse", "auc": "auc"}
FLAML_METRIC = {"mae": "mae", "rmse": "rmse", "auc": "roc_auc"}


@dataclass(frozen=True, eq=False)
class Rows:
    """A problem's rows for the peers, with pandas categories whose levels come from the search rows.

    Attributes:
        problem: the problem.
        x: (n_search_rows, n_features), ordered by date, or shuffled.
        y: (n_search_rows,).
        n_train: number of rows before the validation rows.
        x_test: (n_test_rows, n_features).
    """

    problem: Problem
    x: pd.DataFrame
    y: Floats
    n_train: int
    x_test: pd.DataFrame

    @property
    def params(self) -> dict[str, Any]:
        """LightGBM's required parameters, without tuned ones."""
        return {
            "objective": OBJECTIVE[self.problem.metric],
            "metric": METRIC[self.problem.metric],
            "num_threads": self.problem.cores,
            "seed": self.problem.seed,
            "verbosity": -1,
        }

    def datasets(self) -> tuple[lgb.Dataset, lgb.Dataset]:
        """Training and validation rows, not yet binned."""
        n = self.n_train
        train = lgb.Dataset(self.x.iloc[:n], self.y[:n])
        return train, lgb.Dataset(self.x.iloc[n:], self.y[n:], reference=train)


def make_rows(problem: Problem, search: pd.DataFrame, test: pd.DataFrame) -> Rows:
    """Converts text columns to categories of the search rows; a new category in the test rows is missing."""
    names = [name for name in search.columns if name not in (problem.target, problem.date)]
    x, x_test = search[names].copy(), test[names].copy()
    for name in names:
        if isinstance(x[name].dtype, pd.StringDtype):
            levels = pd.CategoricalDtype(sorted(x[name].dropna().unique()))
            x[name] = x[name].astype(levels)
            x_test[name] = x_test[name].where(x_test[name].isin(levels.categories)).astype(levels)
    n_train = len(split_valid(search, problem.date)[0])
    return Rows(problem, x, search[problem.target].to_numpy(), n_train, x_test)


def defaults(rows: Rows) -> Answer:
    """LightGBM's default parameters."""
    began = time.monotonic()
    train, valid = rows.datasets()
    stop = lgb.early_stopping(PATIENCE, verbose=False)
    booster = lgb.train(rows.params, train, ROUNDS, valid_sets=[valid], callbacks=[stop])
    return refit(rows, rows.params, booster.best_iteration, time.monotonic() - began, 1)


def tuner(rows: Rows) -> Answer:
    """LightGBMTuner: feature_fraction, num_leaves, bagging, regularisation, one after the other."""
    import optuna
    from optuna_integration.lightgbm import LightGBMTuner

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    began = time.monotonic()
    train, valid = rows.datasets()
    study = optuna.create_study(direction="maximize" if rows.problem.metric == "auc" else "minimize")
    search = LightGBMTuner(
        rows.params,
        train,
        ROUNDS,
        valid_sets=[valid],
        callbacks=[lgb.early_stopping(PATIENCE, verbose=False)],
        time_budget=round(SEARCH_SHARE * rows.problem.seconds),
        study=study,
        show_progress_bar=False,
        optuna_seed=rows.problem.seed,
    )
    search.run()
    searched = time.monotonic() - began
    params = rows.params | search.best_params
    return refit(rows, params, search.get_best_booster().best_iteration, searched, len(study.trials))


def flaml(rows: Rows) -> Answer:
    """FLAML's AutoML (CFO, Wu et al. 2021) with LightGBM only; it splits and refits by itself."""
    from flaml import AutoML

    problem, automl = rows.problem, AutoML()
    began = time.monotonic()
    automl.fit(
        X_train=rows.x,
        y_train=rows.y,
        task="classification" if problem.task == "binary" else "regression",
        metric=FLAML_METRIC[problem.metric],
        estimator_list=["lgbm"],
        time_budget=problem.seconds,
        split_type="time" if problem.date else "auto",
        n_jobs=problem.cores,
        seed=problem.seed,
        verbose=0,
    )
    total, refitted = time.monotonic() - began, float(automl.best_config_train_time)
    found = automl.predict_proba(rows.x_test)[:, 1] if problem.task == "binary" else automl.predict(rows.x_test)
    n_trials = int(automl._track_iter) + 1  # no public attribute has this count
    return Answer(np.asarray(found, dtype=np.float64), total - refitted, refitted, n_trials)


def plain(rows: Rows) -> Answer:
    """A plain script, after Optuna's documentation: in memory, one process, all cores for each fit.

    Optuna's timeout does not end a running trial, which may take minutes here; a callback does, so that the time holds.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    began = time.monotonic()
    study = optuna.create_study(
        direction="maximize" if rows.problem.metric == "auc" else "minimize",
        sampler=optuna.samplers.TPESampler(seed=rows.problem.seed),
        pruner=optuna.pruners.MedianPruner(10, 50),
    )
    seconds = SEARCH_SHARE * rows.problem.seconds
    study.optimize(lambda trial: plain_trial(trial, rows, began + seconds), timeout=seconds)
    best = study.best_trial
    return refit(
        rows, best.user_attrs["params"], best.user_attrs["rounds"], time.monotonic() - began, len(study.trials)
    )


def plain_trial(trial: Any, rows: Rows, end: float) -> float:
    """One trial of `plain`: new Datasets, because max_bin differs, and dart without early stopping.

    Args:
        trial: Optuna's.
        rows: of the problem.
        end: `time.monotonic()` at which the trial is pruned; the first one, which is needed, ends there.
    """
    from optuna_integration import LightGBMPruningCallback

    params = rows.params | plain_space(trial)
    train, valid = rows.datasets()
    name = METRIC[rows.problem.metric]
    callbacks = [lgb.early_stopping(PATIENCE, verbose=False), LightGBMPruningCallback(trial, name)]
    callbacks.append(lambda env: end_trial(trial, env, end))
    booster = lgb.train(params, train, ROUNDS, valid_sets=[valid], callbacks=callbacks)
    trial.set_user_attr("params", params)
    trial.set_user_attr("rounds", booster.best_iteration if booster.best_iteration > 0 else booster.current_iteration())
    return float(booster.best_score["valid_0"][name])


def end_trial(trial: Any, env: Any, end: float) -> None:
    """Ends a trial's training after the end of the search; LightGBM's callback."""
    import optuna

    if time.monotonic() > end:
        raise (
            optuna.TrialPruned if trial.number else lgb.EarlyStopException(env.iteration, env.evaluation_result_list)
        )


def plain_space(trial: Any) -> dict[str, Any]:
    """The ranges of the contract, written out as in a script, without this project's refinements."""
    boosting = trial.suggest_categorical("boosting_type", ["gbdt", "dart", "goss"])
    params = {
        "boosting_type": boosting,
        "num_leaves": trial.suggest_int("num_leaves", 10, 200),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.3, log=True),
        "feature_fraction": trial.suggest_float("feature_fraction", 0.5, 1.0),
        "min_child_samples": trial.suggest_int("min_child_samples", 5, 100),
        "lambda_l1": trial.suggest_float("lambda_l1", 1e-8, 10.0, log=True),
        "lambda_l2": trial.suggest_float("lambda_l2", 1e-8, 10.0, log=True),
        "max_depth": trial.suggest_int("max_depth", 3, 12),
        "min_gain_to_split": trial.suggest_float("min_gain_to_split", 0.0, 1.0),
        "max_bin": trial.suggest_int("max_bin", 32, 512),
    }
    if boosting != "goss":
        params["bagging_fraction"] = trial.suggest_float("bagging_fraction", 0.5, 1.0)
        params["bagging_freq"] = trial.suggest_int("bagging_freq", 1, 10)
    if boosting == "dart":
        params["drop_rate"] = trial.suggest_float("drop_rate", 0.0, 0.2)
        params["max_drop"] = trial.suggest_int("max_drop", 3, 50)
        params["skip_drop"] = trial.suggest_float("skip_drop", 0.0, 1.0)
    return params


def refit(rows: Rows, params: dict[str, Any], rounds: int, search_seconds: float, trials: int) -> Answer:
    """The final fit on all search rows, and its predictions."""
    began = time.monotonic()
    booster = lgb.train(params, lgb.Dataset(rows.x, rows.y), max(1, round(rounds * MORE_ROWS)))
    fitted = time.monotonic() - began
    return Answer(np.asarray(booster.predict(rows.x_test)), search_seconds, fitted, trials)


PEERS: Mapping[str, Callable[[Rows], Answer]] = MappingProxyType(
    {"defaults": defaults, "tuner": tuner, "flaml": flaml, "plain": plain}
)
NEEDED: Mapping[str, str] = MappingProxyType(
    {"tuner": "optuna_integration", "flaml": "flaml", "plain": "optuna_integration"}
)
"""The additional package that a peer needs."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one peer."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", choices=list(PEERS))
    parser.add_argument("problem", type=Path, help="folder to read")
    parser.add_argument("answer", type=Path, help="folder to write to")
    args = parser.parse_args(argv)
    # The peers' own warnings: deprecated names, no early stopping for dart, a missing extra.
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    write_answer(args.answer, PEERS[args.name](make_rows(*read_problem(args.problem))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
