"""Scores of predictions, in numpy alone.

Search, final model, baselines and promotion all call `score`, so that their numbers are comparable.
"""

import math

import numpy as np
import numpy.typing as npt

from src.config import Metric

Floats = npt.NDArray[np.float64]


def score(metric: Metric, y: Floats, prediction: Floats) -> float:
    """The score of a prediction.

    Args:
        metric: `mae` and `rmse` are in the target's unit, `auc` lies in [0, 1].
        y: true values, shape (n_rows,), without NaN; 0 or 1 for `auc`.
        prediction: forecasts, shape (n_rows,), without NaN; any increasing scale for `auc`.

    Raises:
        ValueError: no rows, shapes that differ, a NaN, or only one class for `auc`.
    """
    check_rows(y, prediction)
    if metric == "auc":
        return _auc(y, prediction)
    error = prediction - y
    if metric == "mae":
        return float(np.mean(np.abs(error)))
    return float(np.sqrt(np.mean(error * error)))


def is_better(metric: Metric, a: float, b: float) -> bool:
    """Whether score `a` is better than score `b`; False for equal scores and NaN."""
    return a > b if metric == "auc" else a < b


def skill(metric: Metric, value: float, reference: float) -> float | None:
    """Skill score: 1 is perfect, 0 is as good as the reference, negative is worse.

    `1 - value / reference` for errors, `(value - reference) / (1 - reference)` for AUC.

    Returns:
        None if the reference is perfect, or a score is not finite.
    """
    shortfall = 1 - reference if metric == "auc" else reference
    if shortfall == 0 or not (math.isfinite(value) and math.isfinite(reference)):
        return None
    gain = value - reference if metric == "auc" else reference - value
    return gain / shortfall


def check_rows(y: Floats, prediction: Floats) -> None:
    """Refuses input that no metric can score.

    Raises:
        ValueError: no rows, shapes that differ, or a NaN.
    """
    if y.shape != prediction.shape or y.ndim != 1:
        raise ValueError(f"y {y.shape} and prediction {prediction.shape} must be two vectors of the same length")
    if y.size == 0:
        raise ValueError("a score needs at least one row, got none")
    if np.isnan(y).any() or np.isnan(prediction).any():
        raise ValueError("a score needs numbers, got NaN: drop or fill those rows first")


def _auc(y: Floats, prediction: Floats) -> float:
    """Area under the ROC curve as the Mann-Whitney statistic; tied predictions get their mean rank."""
    positive = y == 1
    n_positive = int(positive.sum())
    n_negative = y.size - n_positive
    if n_positive == 0 or n_negative == 0:
        raise ValueError("auc needs rows of both classes, got one: score more rows")
    _, group, counts = np.unique(prediction, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    rank_sum = float(mean_rank[group[positive]].sum())
    return (rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)
