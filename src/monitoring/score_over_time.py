"""The score on new rows that have a target, by 20 dates, beside the score at registration."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from src.config import Metric
from src.evaluation.influence import Dates
from src.evaluation.intervals import GROUPS, LEVEL, MIN_UNITS, Estimate, score_estimate
from src.evaluation.scoring import Floats
from src.monitoring.drift import ADVICE, Line

DATES_PER_PART = 20


@dataclass(frozen=True)
class Part:
    """The score of consecutive dates: first and last date, rows, score with its 95 % interval if there is one."""

    first: str
    last: str
    rows: int
    score: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class ScoreOverTime:
    """The score of the new rows.

    Attributes:
        metric: of the target.
        registered: test score of the model, None without a hold-out; `registered_interval` its 95 % interval.
        parts: by 20 dates, in their order; parts in which the metric is undefined are left out.
        line: the score of all new rows against the registered one; None if it cannot be judged.
        notes: why something is missing.
    """

    metric: Metric
    registered: float | None
    registered_interval: tuple[float, float] | None
    parts: tuple[Part, ...]
    line: Line | None
    notes: tuple[str, ...]


def measure_score(
    metric: Metric, y: Floats, prediction: Floats, dates: Dates, metadata: Mapping[str, Any], rate: float
) -> ScoreOverTime:
    """Scores rows with a target.

    Args:
        metric: of the target.
        y: (n_rows,) true values, at least one.
        prediction: (n_rows,).
        dates: (n_rows,), non-decreasing.
        metadata: of the model, with its test score.
        rate: chance of an alarm if the score is as at registration.
    """
    registered, notes = metadata.get("test_score"), []
    interval = metadata.get("test_interval")
    if not is_defined(metric, y):
        return ScoreOverTime(metric, registered, None, (), None, ("the new rows have one class only: no AUC",))
    estimate = score_estimate(metric, y, prediction, dates)
    line = None
    if registered is None:
        notes.append(
            "the model was registered without a test score: the score of the new rows is compared with nothing"
        )
    elif estimate.standard_error is None:
        notes.append(f"the score is not judged: {estimate.note}")
    else:
        line = _compare(metric, estimate, float(registered), interval, rate)
        notes += [estimate.note] if estimate.note else []
    span = (metadata.get("split") or {}).get("test_dates")
    if span and dates[0] <= np.datetime64(span[1], "D"):
        notes.append(f"the new rows include the test period of the model, up to {span[1]}, on which it was scored")
    shown = None if interval is None else (float(interval[0]), float(interval[1]))
    return ScoreOverTime(metric, registered, shown, score_parts(metric, y, prediction, dates), line, tuple(notes))


def is_defined(metric: Metric, y: Floats) -> bool:
    """Whether the metric has a value: an AUC needs both classes."""
    return metric != "auc" or len(np.unique(y)) == 2


def _compare(metric: Metric, new: Estimate, registered: float, interval: Any, rate: float) -> Line:
    """One-sided test of two independent scores by Student's t with the degrees of freedom of the new one."""
    assert new.standard_error is not None
    half = 0.0 if interval is None else (float(interval[1]) - float(interval[0])) / 2
    # More groups than there may have been: their smaller quantile makes the error larger.
    error = math.hypot(new.standard_error, half / float(stdtrit(GROUPS[1] - 1, (1 + LEVEL) / 2)))
    sign = -1 if metric == "auc" else 1
    reach = float(stdtrit(max(new.degrees, 1), 1 - rate)) * error
    worse = sign * (new.value - registered)
    distance = worse / error if error else math.copysign(math.inf, worse) if worse else 0.0
    finite = distance if math.isfinite(distance) else None
    threshold = registered + sign * reach
    return Line("score of the new rows", "score", metric.upper(), new.value, threshold, finite, worse > reach,
                ADVICE["score"])  # fmt: skip


def score_parts(
    metric: Metric, y: Floats, prediction: Floats, dates: Dates, all_dates: Dates | None = None
) -> tuple[Part, ...]:
    """The score by 20 dates; parts without rows, or in which the metric is undefined, are left out.

    Args:
        metric: of the target.
        y: (n_rows,) true values.
        prediction: (n_rows,).
        dates: (n_rows,).
        all_dates: they make the parts, so that those of several versions are the same; None means `dates`.
    """
    distinct = np.unique(dates if all_dates is None else all_dates)
    day = np.searchsorted(distinct, dates)
    n_parts = max(1, len(distinct) // DATES_PER_PART + (len(distinct) % DATES_PER_PART >= MIN_UNITS))
    part_of_day = np.minimum(np.arange(len(distinct)) // DATES_PER_PART, n_parts - 1)
    parts = []
    for number in range(n_parts):
        rows = part_of_day[day] == number
        if not rows.any() or not is_defined(metric, y[rows]):
            continue
        estimate = score_estimate(metric, y[rows], prediction[rows], dates[rows])
        first, last = distinct[part_of_day == number][[0, -1]]
        parts.append(Part(str(first), str(last), int(rows.sum()), estimate.value, estimate.low, estimate.high))
    return tuple(parts)
