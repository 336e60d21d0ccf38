"""Thresholds that keep the rate of false alarms of a whole run, over all statistics together.

Every statistic of a block is standardised by its mean and standard deviation over the blocks that do not overlap it,
and the largest one of each block is kept: the maximum over all statistics has one distribution, whatever their
correlation (max-T; P. H. Westfall and S. S. Young, "Resampling-based multiple testing", 1993). The run's threshold is
the upper prediction bound of the next such maximum.

The blocks overlap, so `n_independent` of them count. From 1 / rate - 1 on their order statistic bounds the next one
exactly (a conformal bound); it is never less than Student's prediction bound of the logarithm, which alone is used
with fewer blocks.

An outage in the training period would widen the thresholds of everything. So blocks in which a statistic lies `GROSS`
standard deviations out do not count for it: when such a thing happens again, it is an alarm.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from src.evaluation.scoring import Floats
from src.monitoring.periods import Blocks
from src.monitoring.statistics import SMALLEST_SCALE, Statistic

MIN_INDEPENDENT = 6.0
"""Fewest blocks without overlap: with fewer, the spread of the statistics between periods is unknown."""
GROSS = 15.0
"""Standard deviations between blocks from which on a block of the reference period is an incident."""
USUAL_SHARE = 0.75
"""Smallest share of the blocks that an incident leaves untouched."""
NORMAL_MAD = 0.6745
"""Median absolute deviation of a normal distribution, in standard deviations."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """The thresholds of a run.

    Attributes:
        thresholds: (n_statistics,) in the statistics' own units.
        standardised: (n_statistics,) of the new period, in standard deviations between blocks.
        bound: of the largest standardised statistic; above it the run rings.
        incidents: statistics that were far out of the ordinary in some blocks, which do not count for them.
    """

    thresholds: Floats
    standardised: Floats
    bound: float
    incidents: tuple[Statistic, ...] = ()


def calibrate(statistics: Sequence[Statistic], blocks: Blocks, rate: float) -> Calibration | None:
    """The thresholds; None if the reference period is too short for the new one.

    Args:
        statistics: at least one.
        blocks: those of the statistics.
        rate: chance of an alarm in a run without drift, above 0 and below 1.
    """
    if blocks.n_independent < MIN_INDEPENDENT:
        return None
    values = np.stack([_scaled(statistic.measure, statistic.values) for statistic in statistics], axis=1)
    floor = np.array([SMALLEST_SCALE[statistic.measure] for statistic in statistics])
    resampled, new = values[:-1], values[-1]
    starts = blocks.block[:-1, 0]
    n_new = blocks.block[0, 1] - blocks.block[0, 0]
    distance = np.abs(starts[:, None] - starts)
    apart = (distance >= n_new).astype(np.float64)
    kept = _without_incidents(resampled, distance < n_new, floor)
    largest = np.where(kept > 0, _standardised(resampled, resampled, apart, kept, floor), -np.inf).max(axis=1)
    bound = _prediction_bound(largest[np.isfinite(largest)], blocks.n_independent, rate)
    everything = np.ones((1, len(starts)))
    mean, scale = _mean_and_scale(resampled, everything, kept, floor)
    limits = (mean + bound * scale)[0]
    thresholds = np.array([_unscaled(s.measure, limit) for s, limit in zip(statistics, limits, strict=True)])
    standardised = _standardised(new[None], resampled, everything, kept, floor)[0]
    incidents = [statistic for statistic, column in zip(statistics, kept.T, strict=True) if not column.all()]
    return Calibration(thresholds, standardised, bound, tuple(incidents))


def _without_incidents(resampled: Floats, overlaps: NDArray[np.bool_], floor: Floats) -> Floats:
    """1 for the blocks of a statistic that count, 0 for those that touch a block far out of the ordinary.

    Far out by the median absolute deviation, which the incident itself does not widen. If it touches more than a
    quarter of the blocks it is no incident: the statistic varies so, and all its blocks count.
    """
    median = np.median(resampled, axis=0)
    scale = np.maximum(np.median(np.abs(resampled - median), axis=0) / NORMAL_MAD, floor)
    far_out = (resampled - median) / scale > GROSS
    kept = (overlaps.astype(np.float64) @ far_out) == 0
    kept[:, kept.mean(axis=0) < USUAL_SHARE] = True
    counted: Floats = kept.astype(np.float64)
    return counted


ROOTS = ("psi", "outside", "unseen")
"""Measures whose root is standardised: an index grows with the square of a distance, and rare rows are skewed."""


def _scaled(measure: str, values: Floats) -> Floats:
    return np.sqrt(np.maximum(values, 0)) if measure in ROOTS else values


def _unscaled(measure: str, value: float) -> float:
    return value * value if measure in ROOTS else value


def _mean_and_scale(resampled: Floats, weights: Floats, kept: Floats, floor: Floats) -> tuple[Floats, Floats]:
    """Means and standard deviations over weighted blocks that count, (n_weightings, n_statistics)."""
    total = np.maximum(weights @ kept, 1)
    mean = weights @ (resampled * kept) / total
    variance = np.maximum(weights @ (resampled**2 * kept) / total - mean**2, 0)
    return mean, np.maximum(np.sqrt(variance), floor)


def _standardised(values: Floats, resampled: Floats, weights: Floats, kept: Floats, floor: Floats) -> Floats:
    mean, scale = _mean_and_scale(resampled, weights, kept, floor)
    return (values - mean) / scale


def _prediction_bound(largest: Floats, n_independent: float, rate: float) -> float:
    """Upper bound of the next value, given overlapping earlier ones.

    Args:
        largest: (n_blocks,).
        n_independent: number of blocks that do not overlap.
        rate: chance that the next value is larger.
    """
    logs = np.log(np.maximum(largest, 0.1))
    reach = stdtrit(n_independent - 1, 1 - rate) * logs.std(ddof=1) * math.sqrt(1 + 1 / n_independent)
    bound = math.exp(float(logs.mean() + reach))
    level = (1 - rate) * (1 + 1 / n_independent)
    return bound if level > 1 else max(bound, float(np.quantile(largest, level)))
