"""ROC and precision-recall curves of a binary model, downsampled for drawing; areas are those of the full curves."""

import numpy as np

from src.evaluation.scoring import Floats, score
from src.reporting.model.numbers import RankCurve, RankCurves

MAX_POINTS = 200


def rank_curves(y: Floats, prediction: Floats) -> RankCurves | None:
    """Both curves; None if a class is missing.

    The area under the precision-recall curve is the average precision: the sum over thresholds of precision times the
    gain in recall, as in scikit-learn's `average_precision_score`, without linear interpolation.

    Args:
        y: (n_rows,) 0 or 1.
        prediction: (n_rows,) on any increasing scale.
    """
    n_ones = float(y.sum())
    if n_ones in (0.0, float(y.size)):
        return None
    ones, zeros = _counts_above(y, prediction)
    recall, precision = ones / n_ones, ones / (ones + zeros)
    average = float(np.sum(np.diff(recall, prepend=0) * precision))
    false_alarms = np.r_[0.0, zeros / (y.size - n_ones)]
    roc = _downsample(false_alarms, np.r_[0.0, recall], score("auc", y, prediction))
    return RankCurves(roc, _downsample(recall, precision, average), n_ones / y.size)


def _counts_above(y: Floats, prediction: Floats) -> tuple[Floats, Floats]:
    """Numbers of ones and zeros at or above each distinct prediction, the highest first."""
    order = np.argsort(-prediction, kind="stable")
    last = np.flatnonzero(np.r_[np.diff(prediction[order]) != 0, True])
    ones = np.cumsum(y[order])[last]
    return ones, last + 1 - ones


def _downsample(x: Floats, y: Floats, area: float) -> RankCurve:
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_POINTS)).round().astype(np.int64))
    return RankCurve(tuple(x[kept].tolist()), tuple(y[kept].tolist()), area)
