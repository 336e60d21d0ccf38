"""The cost of a parameter set with LightGBM alone, the reference of all contenders."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.synthetic import TARGET
from src.config import EARLY_STOPPING_ROUNDS, MAX_ROUNDS, MODEL_CONFIGS, SplitSettings, TableConfig

if TYPE_CHECKING:
    import lightgbm as lgb
    import numpy as np

SEED = 42
METRIC = "rmse"


@dataclass(frozen=True)
class Fold:
    """One chronological split as matrices, with Datasets constructed once per `max_bin`."""

    x_train: "np.ndarray"
    y_train: "np.ndarray"
    x_valid: "np.ndarray"
    y_valid: "np.ndarray"

    def bin(self, max_bin: int, threads: int = 1) -> tuple["lgb.Dataset", "lgb.Dataset"]:
        """Training and validation Dataset, constructed."""
        import lightgbm as lgb

        params = {"max_bin": max_bin, "feature_pre_filter": False, "verbosity": -1, "num_threads": threads}
        train = lgb.Dataset(self.x_train, self.y_train, params=params)
        valid = lgb.Dataset(self.x_valid, self.y_valid, reference=train, params=params)
        return train.construct(), valid.construct()


def load_fold(path: Path) -> Fold:
    """The training and validation rows of this project's default split."""
    import pandas as pd

    from src.data.split_rows import make_split_rows
    from src.data.table import load_dataset

    data = load_dataset(pd.read_parquet(path), TableConfig(), TARGET)
    fold = make_split_rows(data, SplitSettings()).folds[0]
    x = data.features.to_numpy("float64")
    return Fold(x[fold.train], data.y[fold.train], x[fold.valid], data.y[fold.valid])


def params_of(trial_params: dict[str, Any], threads: int = 1) -> dict[str, Any]:
    """LightGBM's parameters of one set, which is as recorded in a study."""
    import optuna

    from src.search.search_space import lightgbm_params, suggest_hyperparameters

    hyperparameters = suggest_hyperparameters(optuna.trial.FixedTrial(trial_params))
    return lightgbm_params(hyperparameters, MODEL_CONFIGS[TARGET], SEED, threads)


class Trained(NamedTuple):
    """Wall time and CPU seconds of a fit, and its best validation score."""

    seconds: float
    cpu_seconds: float
    value: float


class PureLightGBM:
    """`lightgbm.train` on constructed Datasets, with a validation score after every round."""

    def __init__(self, fold: Fold, threads: int = 1) -> None:
        import lightgbm  # noqa: F401 - imported here, so that its time does not count as binning

        self.fold = fold
        self.threads = threads
        self.binning_seconds = 0.0
        self._binned: dict[int, tuple[lgb.Dataset, lgb.Dataset]] = {}

    def datasets(self, max_bin: int) -> tuple["lgb.Dataset", "lgb.Dataset"]:
        """The pair for this `max_bin`; the time of constructing it is recorded separately."""
        if max_bin not in self._binned:
            before = time.perf_counter()
            self._binned[max_bin] = self.fold.bin(max_bin, self.threads)
            self.binning_seconds += time.perf_counter() - before
        return self._binned[max_bin]

    def train(self, trial_params: dict[str, Any], rounds: int) -> Trained:
        """Trains one set.

        Args:
            trial_params: as recorded in a study.
            rounds: number of rounds; early stopping is on too (LightGBM turns it off for dart).
        """
        import lightgbm as lgb

        params = params_of(trial_params, self.threads)
        train, valid = self.datasets(trial_params["max_bin"])
        curve: dict[str, dict[str, list[float]]] = {}
        watch = [lgb.record_evaluation(curve)]
        if params["boosting_type"] != "dart":
            watch.append(lgb.early_stopping(EARLY_STOPPING_ROUNDS, verbose=False))
        before, cpu_before = time.perf_counter(), time.process_time()
        # Without the copy of the model through text at the end, which a trial does not need.
        lgb.train(params, train, rounds, valid_sets=[valid], callbacks=watch, keep_training_booster=True)
        seconds, cpu_seconds = time.perf_counter() - before, time.process_time() - cpu_before
        return Trained(seconds, cpu_seconds, min(curve["valid_0"][METRIC]))

    def rounds_needed(self, trial_params: dict[str, Any]) -> int:
        """Rounds until the score has not improved for `EARLY_STOPPING_ROUNDS`, also for dart."""
        import lightgbm as lgb

        train, valid = self.datasets(trial_params["max_bin"])
        booster = lgb.Booster(params_of(trial_params, self.threads), train)
        booster.add_valid(valid, "valid")
        best, best_round = float("inf"), 0
        for number in range(1, MAX_ROUNDS + 1):
            if booster.update() and trial_params["boosting_type"] == "dart" and best_round:
                return number - 1  # damaged: LightGBM leaves the dropped trees with inverted signs (issue 5405)
            value = booster.eval_valid()[0][2]
            if best_round == 0 or value < best:
                best, best_round = value, number
            if number - best_round >= EARLY_STOPPING_ROUNDS:
                return number
        return MAX_ROUNDS


def nearest(seconds: Sequence[float], target: float, n: int) -> list[int]:
    """Positions, ascending, of the `n` durations whose ratio to the target is closest to 1."""
    by_ratio = sorted(range(len(seconds)), key=lambda i: max(seconds[i] / target, target / max(seconds[i], 1e-9)))
    return sorted(by_ratio[:n])
