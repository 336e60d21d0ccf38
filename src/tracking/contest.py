"""Champion against challenger: both judged on the same rows, which neither has learned from."""

from dataclasses import dataclass

import numpy as np

from src.data.table import Dataset
from src.modeling.intervals import Estimate, difference_estimate
from src.tracking.honest_rows import honest_rows
from src.tracking.registry import Comparison, compare_predictions
from src.tracking.served_model import load_served, predict_rows, served_metadata


@dataclass(frozen=True)
class Contest:
    """What was found.

    Attributes:
        target: the registered name.
        comparison: both scores on the judged rows.
        dates: first and last judged day; None for a table without dates.
        n_dates: how many days; 0 without dates.
        data_digest: of the table that the rows are from.
        difference: challenger's score minus champion's, with its interval, in the metric's unit.
        confidence: one-sided, 0 to 1, that the challenger is better; None where the dates are too few to say.
    """

    target: str
    comparison: Comparison
    dates: tuple[str, str] | None
    n_dates: int
    data_digest: str
    difference: Estimate
    confidence: float | None


def judge_contenders(data: Dataset, uris: tuple[str, str], test_fraction: float, purge_days: int) -> Contest:
    """Judges champion and challenger by the target's metric on the last dates that are new to both.

    Args:
        data: the target's table.
        uris: champion's and challenger's, `models:/<name>/<version>`.
        test_fraction: see `honest_rows`.
        purge_days: see `honest_rows`.

    Raises:
        UserError: a model does not exist, or no row can judge both.
        DataError: the rows do not fit a model, or cannot be judged by the metric.
        TrackingError: MLflow or its artifact store cannot be reached.
    """
    models = [load_served(uri) for uri in uris]
    trainings = {uri: served_metadata(model) for uri, model in zip(uris, models, strict=True)}
    rows = honest_rows(data, trainings, test_fraction, purge_days)
    features, y = data.features.iloc[rows], data.y[rows]
    champion, challenger = (predict_rows(model, features) for model in models)
    comparison = compare_predictions(uris, (champion, challenger), y, data.config.metric)
    dates = None if data.dates is None else data.dates[rows]
    difference = difference_estimate(comparison.metric, y, challenger, champion, dates)
    days = [] if dates is None else np.unique(dates).tolist()
    span = (str(days[0]), str(days[-1])) if days else None
    confidence = _confidence(comparison, difference)
    return Contest(data.target, comparison, span, len(days), data.digest, difference, confidence)


def _confidence(comparison: Comparison, difference: Estimate) -> float | None:
    """That the challenger is better: the difference above zero for AUC, below it for errors."""
    above = difference.confidence_above(0.0)
    return above if comparison.metric == "auc" or above is None else 1 - above
