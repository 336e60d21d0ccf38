"""ROC and precision-recall curves of a binary model, downsampled for drawing; areas are those of the full curves."""

import numpy as np

from src.evaluation.scoring import Floats, score
from src.reporting.model.numbers import RankCurve, RankCurves

MAX_POINTS = 200


def rank_curves(y: Floats, prediction: Floats) -> RankCurves | None:
    """Both curves; None if a class is missing.

    The area under the precision-recall curve is the average precision.

    Args:
        y: (n_rows,) 0 or 1.
        prediction: (n_rows,) on any increasing scale.
    """
    if y.min() == y.max():
        return None
    from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

    false_alarms, hits, _ = roc_curve(y, prediction, drop_intermediate=False)
    precision, recall, _ = precision_recall_curve(y, prediction)
    # scikit-learn adds a last point, recall 0, that no threshold gives.
    by_recall = _downsample(recall[-2::-1], precision[-2::-1], float(average_precision_score(y, prediction)))
    return RankCurves(_downsample(false_alarms, hits, score("auc", y, prediction)), by_recall, float(y.mean()))


def _downsample(x: Floats, y: Floats, area: float) -> RankCurve:
    kept = np.unique(np.linspace(0, len(x) - 1, min(len(x), MAX_POINTS)).round().astype(np.int64))
    return RankCurve(tuple(x[kept].tolist()), tuple(y[kept].tolist()), area)
