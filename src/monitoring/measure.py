"""Everything that `monitor` measures of one model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from src.config import Metric
from src.errors import ConfigError
from src.evaluation.intervals import MIN_UNITS
from src.evaluation.scoring import Floats
from src.monitoring.drift import measure_drift, with_predictions
from src.monitoring.periods import Periods, default_window
from src.monitoring.result import Monitored, Span
from src.monitoring.score_over_time import ScoreOverTime, measure_score


@dataclass(frozen=True)
class Limits:
    """When an alarm rings.

    Attributes:
        rate: chance that a run without drift rings, above 0 and at most 0.5.
        window: newest dates whose drift is judged; None for `default_window`.

    Raises:
        ConfigError: a value is out of range.
    """

    rate: float = 0.05
    window: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 0.5:
            raise ConfigError(f"--false-alarm-rate {self.rate} is out of range: use more than 0, up to 0.5")
        if self.window is not None and self.window < 1:
            raise ConfigError(f"--window {self.window} is too short: use 1 or more dates")


def measure(
    uri: str,
    metadata: Mapping[str, Any],
    periods: Periods,
    predictions: Floats,
    labels: tuple[Metric, Floats] | None,
    limits: Limits,
) -> Monitored:
    """Drift of columns and predictions, and the score where the new rows have a target.

    Where the score is judged, it gets half of the rate, and everything else the other half.

    Args:
        uri: `models:/<name>/<version>`.
        metadata: of the model.
        periods: the rows of both periods.
        predictions: (n_rows,) in the order of the rows.
        labels: metric, and target of the new rows, NaN where it is missing; None if there are none.
        limits: rate of false alarms, and window.
    """
    is_new = periods.row_day >= periods.n_reference
    score = (
        None
        if labels is None
        else _score(labels, predictions[is_new], _dates(periods)[is_new], metadata, limits.rate / 2)
    )
    judged = () if score is None or score.line is None else (score.line,)
    window = min(limits.window or default_window(periods.n_reference, periods.n_new), periods.n_new)
    rate = limits.rate / 2 if judged else limits.rate
    drift = measure_drift(with_predictions(periods, predictions), rate, window)
    lines = sorted((*judged, *drift.lines), key=lambda line: not line.alarm)
    notes = (*drift.notes, *(() if score is None else score.notes))
    target = uri.removeprefix("models:/").partition("/")[0]
    is_judged = periods.row_day >= len(periods.dates) - window
    spans = (_span(periods, ~is_new), _span(periods, is_new), _span(periods, is_judged))
    return Monitored(target, uri, *spans, limits.rate, tuple(lines), score, notes, _daily(periods, predictions))


def _dates(periods: Periods) -> Any:
    return periods.dates[periods.row_day]


def _score(
    labels: tuple[Metric, Floats], predictions: Floats, dates: Any, metadata: Mapping[str, Any], rate: float
) -> ScoreOverTime | None:
    metric, y = labels
    known = ~np.isnan(y)
    if len(np.unique(dates[known])) < MIN_UNITS:
        return None
    return measure_score(metric, y[known], predictions[known], dates[known], metadata, rate)


def _span(periods: Periods, rows: Any) -> Span:
    days = periods.row_day[rows]
    first, last = periods.dates[days[0]], periods.dates[days[-1]]
    return Span(str(first), str(last), len(np.unique(days)), len(days))


def _daily(periods: Periods, predictions: Floats) -> tuple[tuple[str, int, float], ...]:
    rows = np.bincount(periods.row_day, minlength=len(periods.dates))
    sums = np.bincount(periods.row_day, predictions, minlength=len(periods.dates))
    new = range(periods.n_reference, len(periods.dates))
    return tuple((str(periods.dates[day]), int(rows[day]), float(sums[day] / rows[day])) for day in new)
