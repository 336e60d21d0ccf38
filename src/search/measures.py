"""Measures of a model: its size, its prediction time, and its stability over folds.

A trial's measures are those that its final model will have: the final fit has more rounds than the trial, because it
has more rows. They are exact for trees, and estimates for leaves and time, so the final model is measured again.
"""

import time
from collections.abc import Sequence
from statistics import median

import lightgbm as lgb
import numpy as np

from src.config import Metric

PREDICTED_ROWS = 1000
REPEATS = 5
MAX_SECONDS = 1.0
"""A slow model is measured fewer than `REPEATS` times, at least twice."""


def rounds_of_final_fit(best_round: float, growth: float) -> int:
    """Rounds of the final fit of a trial.

    Args:
        best_round: of the trial.
        growth: training rows of the final fit per training row of a fold.
    """
    return max(1, round(best_round * growth))


def count_leaves(booster: lgb.Booster, rounds: int | None = None) -> int:
    """Number of leaves of the first trees; of all trees when None. A binary tree has one leaf more than splits."""
    n_trees = booster.num_trees() if rounds is None else min(rounds, booster.num_trees())
    return n_trees + int(booster.feature_importance("split", iteration=n_trees).sum())


def loss_of(metric: Metric, score: float) -> float:
    """A score as a loss: errors unchanged, AUC as 1 - AUC."""
    return 1 - score if metric == "auc" else score


def fold_spread(metric: Metric, scores: Sequence[float]) -> float:
    """The loss of the worst fold over the mean loss, minus 1; 0 with one fold, or if all losses are 0."""
    losses = [loss_of(metric, score) for score in scores]
    mean = sum(losses) / len(losses)
    return max(losses) / mean - 1 if mean and len(losses) > 1 else 0.0


def predict_ms_per_1000(booster: lgb.Booster, matrix: np.ndarray, rounds: int | None = None) -> float:
    """Milliseconds of one CPU that a prediction of 1,000 rows takes: the median of five predictions with one thread.

    The CPU's time is counted, not the clock's, so that other processes on the machine hardly matter. It still varies
    with the CPU's frequency and caches: beside busy processes by 7.5 % (standard deviation of eight measurements).

    Args:
        booster: the model.
        matrix: (n_rows, n_features) encoded rows; repeated if there are fewer than 1,000.
        rounds: number of trees to predict with; all when None.
    """
    rows = np.ascontiguousarray(matrix[np.arange(PREDICTED_ROWS) % len(matrix)])

    def predict() -> float:
        start = time.thread_time()
        booster.predict(rows, num_iteration=rounds, num_threads=1)
        return time.thread_time() - start

    first = predict()  # LightGBM prepares the model at the first prediction: not counted
    repeats = max(2, min(REPEATS, int(MAX_SECONDS / max(first, 1e-6))))
    return 1000 * median(predict() for _ in range(repeats))
