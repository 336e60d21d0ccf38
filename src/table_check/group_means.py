"""Features that are means of the target over groups of rows, the row itself included.

The groups are the rows with the same value of the feature. What was known before the day differs from the target's
means over these rows by chance, and the means of two halves of each group tell by how much. A target encoding that was
fitted on all rows does not differ at all, or by less than chance allows (the lower tail of an F test).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from src.table_check.history import Floats, Indices, scaled

LEAST_EXACT = (2, 50)
"""Groups of 4 rows or more that are compared, and the rows that two of them need if all values are whole numbers: means
of a few counts are whole by chance."""
LEAST_SMOOTHED = 5
"""Groups that show a smoothed mean, whose two constants are fitted."""
LEAST_GROUPS = 8
"""Groups that the F test needs."""
MOST_RATIO = 0.2
"""Largest variance ratio: a mean over the first 80 % of the rows has 0.25, one over earlier rows 1 or more."""
LEAST_SHARE = 0.75
"""Share of the variance between group means that the feature has to explain."""
_EXACT = 1e-6
_LARGE = 100_000
_ODD = np.uint64(0x9E3779B97F4A7C15)
"""Spreads the bits of a number over the upper ones of a product."""


@dataclass(frozen=True)
class GroupMeans:
    """How close a feature is to the target's means by its own values.

    Attributes:
        n_groups: groups compared.
        exact: whether it equals the means of all groups, perhaps shrunk to a common mean, up to rounding.
        ratio: variance of the group means around the line through the feature, over that expected by chance.
        p_value: of a ratio that small, if the feature was known before.
        share: of the variance between the group means that the feature explains.
    """

    n_groups: int
    exact: bool
    ratio: float = 1.0
    p_value: float = 1.0
    share: float = 0.0

    def is_too_close(self, level: float) -> bool:
        """Whether the feature is closer to the means than chance allows."""
        close = self.ratio <= MOST_RATIO and self.share >= LEAST_SHARE and self.p_value <= level
        return self.exact or close


def compare_with_group_means(feature: Floats, y: Floats, change: Floats) -> GroupMeans | None:
    """Compares a feature with the target's means over the rows of equal value; None if hardly a value is repeated.

    Args:
        feature: (n_rows,) numbers in the order of the dates, NaN where missing.
        y: (n_rows,) the target.
        change: (n_rows,) the target less that of the account's row before, NaN where there is none.
    """
    given = ~np.isnan(feature)
    if _hardly_repeats(feature[given]):
        return None
    values, codes, counts = np.unique(feature[given], return_inverse=True, return_counts=True)
    repeated = counts >= 2
    if len(values) < 2 or counts[repeated].sum() * 2 < given.sum():
        return None
    y, change = y[given], change[given]
    means = np.bincount(codes, y) / counts
    if np.ptp(means) == 0:
        return None
    exact = _is_mean(values, means, counts)
    within = np.bincount(codes, (y - means[codes]) ** 2).sum()
    if within <= _EXACT * ((y - y.mean()) ** 2).sum():  # a rule of the feature: `explained` measures those
        return GroupMeans(len(values), False)
    if exact or np.count_nonzero(counts >= 4) < LEAST_GROUPS:
        return GroupMeans(len(values), exact)
    return _f_test(_Groups(codes, values, means, counts), y, change)


def _hardly_repeats(feature: Floats) -> bool:
    """Whether most values occur once, judged in a large table by a 64th of the values with all their rows."""
    if len(feature) < _LARGE:
        return False
    bits = (feature + 0.0).view(np.uint64) * _ODD  # + 0.0 turns -0.0 into 0.0
    some = feature[bits >> np.uint64(58) == 0]
    _, counts = np.unique(some, return_counts=True)
    return len(some) > _LARGE // 1000 and counts[counts >= 2].sum() * 4 < len(some)


def _is_mean(values: Floats, means: Floats, counts: Indices) -> bool:
    """Whether the values are the means, or the means shrunk by m rows of a common mean c.

    value (count + m) = count mean + m c, so that count (mean - value) = m value - m c is a line in the value.
    """
    if np.all(np.abs(means - values) <= _EXACT * np.ptp(means)):
        few = np.count_nonzero(counts >= LEAST_EXACT[1]) < 2 and bool(np.all(values == np.round(values)))
        return not few and int(np.count_nonzero(counts >= 4)) >= LEAST_EXACT[0]
    if len(values) < LEAST_SMOOTHED:
        return False
    surplus = counts * (means - values)
    slope, intercept = np.polyfit(values - values.mean(), surplus, 1)
    rest = surplus - intercept - slope * (values - values.mean())
    return bool(slope > 0 and np.all(np.abs(rest) <= _EXACT * np.ptp(counts * (means - means.mean()))))


@dataclass(frozen=True)
class _Groups:
    """Code of each row, and value, mean target and number of rows of each group."""

    codes: Indices
    values: Floats
    means: Floats
    counts: Indices


def _f_test(groups: _Groups, y: Floats, change: Floats) -> GroupMeans:
    from scipy.special import fdtr

    kept = groups.counts >= 4
    weights = groups.counts[kept].astype(np.float64)
    x, m = groups.values[kept], groups.means[kept]
    x, m = x - np.average(x, weights=weights), m - np.average(m, weights=weights)
    if not np.ptp(x):
        return GroupMeans(len(x), False)
    x = scaled(x)
    rest = m - x * (weights @ (x * m)) / (weights @ x**2)
    # A lasting level of an account is known before the day and is not chance; the change since the row before lacks it.
    in_groups = kept[groups.codes]
    noises = [_noise(groups.codes[in_groups], y[in_groups])]
    changed = in_groups & ~np.isnan(change)
    if changed.sum() * 2 > in_groups.sum():
        noises.append(_noise(groups.codes[changed], change[changed]) / 2)
    noise, between, n = min(noises), float(weights @ m**2), len(x)
    if noise <= 0 or between <= 0:
        return GroupMeans(n, False)
    ratio = float(weights @ rest**2) / (n - 2) / noise
    p_value = float(fdtr(n - 2, n - 1, ratio))
    return GroupMeans(n, False, ratio, p_value, 1 - float(weights @ rest**2) / between)


def _noise(codes: Indices, values: Floats) -> float:
    """Variance of a group's mean times its rows, from the difference between the means of halves of each group.

    The smaller one of two ways to halve: earlier and later rows, every second row.
    """
    counts = np.bincount(codes)
    order = np.argsort(codes, kind="stable")
    place = np.empty(len(codes), dtype=np.int64)
    place[order] = np.arange(len(codes)) - np.repeat(np.cumsum(counts) - counts, counts)
    return min(_half_noise(first, codes, values) for first in (place * 2 < counts[codes], place % 2 == 0))


def _half_noise(first: NDArray[np.bool_], codes: Indices, values: Floats) -> float:
    n_1, n_2 = np.bincount(codes, first), np.bincount(codes, ~first)
    halved = (n_1 > 0) & (n_2 > 0)
    n_1, n_2 = n_1[halved], n_2[halved]
    sum_1, sum_2 = np.bincount(codes, first * values)[halved], np.bincount(codes, ~first * values)[halved]
    difference, weight = sum_1 / n_1 - sum_2 / n_2, n_1 * n_2 / (n_1 + n_2)
    difference = difference - np.average(difference, weights=weight)  # what all groups share does not tell them apart
    return float(weight @ difference**2) / max(1, len(weight) - 1)
