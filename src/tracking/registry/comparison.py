"""Compares champion and challenger on the same rows, which neither model was trained on.

Dates that judged an earlier contest are left out where enough later ones exist: `MIN_NEW_DATES`, and an interval (see
`src.evaluation.intervals`). Otherwise all dates are compared, and `contests` raises the bar.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.config import Metric, TableConfig
from src.data.table import Dataset
from src.evaluation.intervals import Estimate, difference_estimate
from src.evaluation.unseen_rows import unseen_rows
from src.tracking.registry.model_versions import ScoreComparison, compare_predictions
from src.tracking.registry.served_model import served_metadata
from src.tracking.registry.served_rows import predict_rows, unseen_warnings

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

    LoadedModel = tuple[str, PyFuncModel]

log = logging.getLogger(__name__)

MIN_NEW_DATES = 125
"""Fewest dates after the last contest that are compared alone: half a year of trading. With fewer ones, all dates and a
higher bar find more of the better challengers."""
ASSUMED_AUTOCORRELATION = 0.94
"""Of the dates' differences. With it, equal challengers pass with the stated probability at 0 to 0.95; the loss of
power is small from a year of dates on (`benchmarks/promotion.py`, docs/evaluation.md)."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What both models predict on the same rows; arrays are (n_rows,).

    Attributes:
        target: the registered name.
        metric: the metric to score by.
        uris: `models:/<name>/<version>` of champion and challenger.
        champion, challenger: their predictions.
        y: true values.
        dates: None for a table without dates.
        data_digest: digest of the table that holds the rows.
    """

    target: str
    metric: Metric
    uris: tuple[str, str]
    champion: NDArray[Any]
    challenger: NDArray[Any]
    y: NDArray[Any]
    dates: NDArray[Any] | None
    data_digest: str

    def after(self, date: str | None) -> "Predictions | None":
        """The rows after a date; None if they are too few to be compared alone, or no date is given."""
        if date is None or self.dates is None:
            return None
        rows = self.dates > np.datetime64(date, "D")
        if np.unique(self.dates[rows]).size < MIN_NEW_DATES:
            return None
        if self.metric == "auc" and np.unique(self.y[rows]).size < 2:
            return None
        kept = {name: getattr(self, name)[rows] for name in ("champion", "challenger", "y", "dates")}
        return replace(self, **kept)


@dataclass(frozen=True)
class ModelComparison:
    """The result of a comparison.

    Attributes:
        target: the registered name.
        comparison: both scores on the compared rows.
        dates: first and last compared day; None for a table without dates.
        n_dates: number of days; 0 without dates.
        data_digest: digest of the table that holds the rows.
        difference: challenger's score minus champion's, with its interval, in the metric's unit.
        confidence: one-sided, 0 to 1, that the challenger is better; None with too few dates.
    """

    target: str
    comparison: ScoreComparison
    dates: tuple[str, str] | None
    n_dates: int
    data_digest: str
    difference: Estimate
    confidence: float | None


def with_column_types_of_models(
    table: TableConfig, names: Sequence[str], trainings: Sequence[Mapping[str, Any]]
) -> TableConfig:
    """The table settings with the column types of these models, so that no type is inferred from the new rows.

    Args:
        table: settings of the table.
        names: columns of the table.
        trainings: the models' metadata.
    """
    features = dict.fromkeys(name for metadata in trainings for name in metadata.get("feature_names", ()))
    categories = {name for metadata in trainings for name in metadata.get("categorical_levels", {})}
    marks = {name: mark for metadata in trainings for name, mark in metadata.get("decimal_marks", {}).items()}
    use = tuple(name for name in features if name in names and name not in table.targets)
    only_derived = not use and any("derived_features" in metadata for metadata in trainings)
    # Models derive features themselves; a table without other columns would be refused in mode own.
    return replace(
        table,
        use=use or None,
        features="own" if use else "derived" if only_derived else None,
        known_after=(),
        groups=(),
        calendar=None,
        categories=tuple(name for name in use if name in categories),
        numbers={name: mark for name, mark in marks.items() if name in use} | dict(table.numbers),
    )


def compare_models(
    data: Dataset,
    frame: pd.DataFrame,
    models: "Sequence[LoadedModel]",
    test_fraction: float,
    purge_days: int,
    judged_until: str | None = None,
) -> ModelComparison:
    """Scores champion and challenger by the target's metric on the last dates that are new to both.

    Args:
        data: the target's table.
        frame: the same table before preparation: each model encodes the rows as in its training.
        models: (URI, model) of champion and challenger; the URI is `models:/<name>/<version>`.
        test_fraction: see `unseen_rows`.
        purge_days: see `unseen_rows`.
        judged_until: see `judge`.

    Raises:
        UserError: no row is new to both models.
        DataError: the rows do not fit a model, or the metric is undefined on them.
        TrackingError: MLflow or its artifact store cannot be reached.
    """
    trainings = {uri: served_metadata(model) for uri, model in models}
    rows = unseen_rows(data, trainings, test_fraction, purge_days)
    assert data.positions is not None
    positions, y = data.positions[rows], data.y[rows]
    champion, challenger = (predict_rows(model, frame, positions) for _, model in models)
    unseen = frame.iloc[positions]
    for warning in dict.fromkeys(text for metadata in trainings.values() for text in unseen_warnings(unseen, metadata)):
        log.warning("%s", warning)
    (first, _), (second, _) = models
    dates = None if data.dates is None else data.dates[rows]
    predictions = Predictions(
        data.target, data.config.metric, (first, second), champion, challenger, y, dates, data.digest
    )
    return judge(predictions, judged_until)


def judge(predictions: Predictions, judged_until: str | None = None) -> ModelComparison:
    """Compares two models by their predictions.

    Args:
        predictions: on rows that are new to both models.
        judged_until: last date of earlier contests; later dates are compared alone if they are enough. None without
            an earlier contest.

    Raises:
        DataError: the metric is undefined on the rows.
    """
    new = predictions.after(judged_until)
    if new is not None:
        result = _judge(new)
        if result.difference.interval is not None:
            return result
    return _judge(predictions)


def _judge(of: Predictions) -> ModelComparison:
    comparison = compare_predictions(of.uris, (of.champion, of.challenger), of.y, of.metric)
    difference = difference_estimate(of.metric, of.y, of.challenger, of.champion, of.dates)
    days = [] if of.dates is None else np.unique(of.dates).tolist()
    first_last = (str(days[0]), str(days[-1])) if days else None
    confidence = _confidence(comparison, difference)
    return ModelComparison(of.target, comparison, first_last, len(days), of.data_digest, difference, confidence)


def _confidence(comparison: ScoreComparison, difference: Estimate) -> float | None:
    """Confidence that the challenger is better: a difference above zero for AUC, below zero for errors."""
    above = difference.confidence_above(0.0, ASSUMED_AUTOCORRELATION)
    return above if comparison.metric == "auc" or above is None else 1 - above
