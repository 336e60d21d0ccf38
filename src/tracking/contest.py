"""Champion against challenger: both judged on the same rows, which neither has learned from."""

from dataclasses import dataclass

import numpy as np

from src.data.table import Dataset
from src.errors import DataError
from src.modeling.bootstrap import Interval, block_length, bootstrap_scores, percentile_interval
from src.modeling.scoring import Floats
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
        interval: of the difference, challenger minus champion, in the metric's unit.
        probability: share of the resamples in which the challenger is strictly better.
    """

    target: str
    comparison: Comparison
    dates: tuple[str, str] | None
    n_dates: int
    interval: Interval
    probability: float


def judge_contenders(data: Dataset, uris: tuple[str, str], test_fraction: float, purge_days: int, seed: int) -> Contest:
    """Judges champion and challenger by the target's metric on the last dates that are new to both.

    Args:
        data: the target's table.
        uris: champion's and challenger's, `models:/<name>/<version>`.
        test_fraction: see `honest_rows`.
        purge_days: see `honest_rows`.
        seed: of the resamples.

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
    scores = bootstrap_scores(comparison.metric, y, [champion, challenger], dates, seed)
    days = [] if dates is None else np.unique(dates).tolist()
    interval, probability = _paired(comparison, scores, block_length(len(days)) if len(days) > 1 else 0)
    span = (str(days[0]), str(days[-1])) if days else None
    return Contest(data.target, comparison, span, len(days), interval, probability)


def _paired(comparison: Comparison, scores: Floats, block_days: int) -> tuple[Interval, float]:
    """Interval of the difference and share of resamples won: what a day does to both models cancels out."""
    differences = scores[1] - scores[0]
    try:
        interval = percentile_interval(differences, block_days)
    except ValueError as error:  # no resample of so few dates has both classes
        raise DataError(
            f"the difference of {comparison.metric} on {comparison.n_rows} rows has no interval: {error}"
        ) from error
    gains = differences if comparison.metric == "auc" else -differences
    return interval, float(np.mean(gains[~np.isnan(gains)] > 0))
