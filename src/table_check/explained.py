"""How much of the target a feature explains that the target's own past leaves open.

The past is a linear regression on earlier rows of the account. A feature (its value and the value of the row before)
is added, and the two sums of squared residuals are compared in groups of consecutive dates. A feature that is known
before the day leaves much of the target open; one that contains the target leaves nearly nothing.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from src.table_check.history import Floats, History, Indices, scaled

MOST_SHIFT = 5
"""Rows by which a feature may look ahead."""
WINDOWS = (*range(8, 23), 30, 40, 42, 50, 60, 63, 90, 100, 120, 126, 180, 200, 250, 252)
"""Windows of rolling means that are longer than the lags in the regression on the past."""
MOST_GROUPS = 10
LEAST_ROWS = 60
_FLOOR = 1e-6
"""Smallest ratio of residuals: below it is rounding."""
_MOST_BINS = 60


@dataclass(frozen=True)
class Explained:
    """What one feature explains beyond the past.

    Attributes:
        share: of the squared residuals of the regression on the past that it removes; 1 means all.
        at_least: lower confidence bound of the share.
        shift: rows by which the feature is ahead: its value of the row `shift` rows earlier explains this row's target.
        how: `value`, `change`, `all rows` (their mean) or `N rows` (rolling mean).
        n_rows: rows compared.
        lagged: the largest share of the same feature one row later; it is low where the feature tells of one day alone.
    """

    share: float
    at_least: float
    shift: int
    how: str
    n_rows: int
    lagged: float = 0.0


class Residuals:
    """The target's residuals given its past, on the rows with enough history; computed once per target."""

    def __init__(self, history: History) -> None:
        self.history = history = replace(history, y=scaled(history.y))
        self.past = history.past("values")
        self.ranked_past = history.past("ranks")
        self.has_past = ~np.isnan(self.past).any(axis=1)
        self._fits: dict[bytes, PastFit] = {}

    def of_rows(self, rows: Indices) -> "PastFit":
        """The regressions on the past, fitted on some rows; kept, because most features have the same rows."""
        key = hashlib.sha256(rows.tobytes()).digest()
        if key not in self._fits:
            self._fits[key] = PastFit(self, rows)
        return self._fits[key]


class PastFit:
    """Regressions on the past, on the rows where a feature has values.

    Attributes:
        rows: (n,) row indices into the history.
        groups: (n,) group of consecutive dates of each row.
    """

    def __init__(self, residuals: Residuals, rows: Indices) -> None:
        self.rows = rows
        history = residuals.history
        self.groups = _date_groups(rows, history)
        self.base, self.y, self.rest = _fit(residuals.past[rows], history.y[rows])
        ranked_base, self.ranked_y, self.ranked_rest = _fit(residuals.ranked_past[rows], history.ranked_y[rows])
        self.width = ranked_base.shape[1]

    def compare(self, after: Floats, ranked: bool) -> tuple[float, float, float]:
        """Mean log ratio of the residuals' squares after and before, its standard error, and the ratio of the sums."""
        before = self.ranked_rest if ranked else self.rest
        n = int(self.groups.max()) + 1
        old = np.bincount(self.groups, before**2, minlength=n)
        new = np.bincount(self.groups, after**2, minlength=n)
        usable = old > 1e-12 * (before**2).sum()
        if usable.sum() < 2:
            return 0.0, np.inf, 1.0
        logs = np.log(np.clip(new[usable] / old[usable], _FLOOR, None))
        return float(logs.mean()), float(logs.std(ddof=1) / np.sqrt(len(logs))), float(new.sum() / old.sum())


def _fit(past: Floats, y: Floats) -> tuple[Floats, Floats, Floats]:
    base = _orthonormal(past)
    return base, y, y - base @ (base.T @ y)


def _orthonormal(columns: Floats) -> Floats:
    """An orthonormal basis of the columns; nearly dependent ones are left out."""
    scale = np.sqrt((columns**2).mean(axis=0))
    scaled = columns[:, scale > 0] / scale[scale > 0]
    u, s, _ = np.linalg.svd(scaled, full_matrices=False)
    return np.asarray(u[:, s > 1e-9 * s[0]])


def _date_groups(rows: Indices, history: History) -> Indices:
    """Groups of consecutive dates with about the same number of rows; without dates, of consecutive rows."""
    n_groups = int(np.clip(len(rows) // 30, 2, MOST_GROUPS))
    if history.dates is None:
        return np.asarray(np.arange(len(rows)) * n_groups // len(rows))
    days = history.dates[rows].astype(np.int64)
    edges = np.quantile(days, np.linspace(0, 1, n_groups + 1)[1:-1])
    return np.searchsorted(edges, days, side="left").astype(np.int64)


def explained_by(residuals: Residuals, feature: NDArray[np.float64], level: float) -> Explained | None:
    """The strongest relation of a feature to the target beyond the past; None with too few rows.

    Args:
        residuals: of the target.
        feature: (n_rows,) in the order of the history, NaN where missing.
        level: error probability of the lower bound, one-sided.
    """
    history, feature = residuals.history, scaled(feature)
    most = min(MOST_SHIFT, history.n_lags) if history.dates is not None else -1
    lags = [history.lag(feature, k) for k in range(most + 2)]
    usable = residuals.has_past & ~np.isnan(lags[-1] if most < 0 else np.sum(lags, axis=0))
    rows = np.flatnonzero(usable)
    if len(rows) < LEAST_ROWS:
        return None
    fit = residuals.of_rows(rows)
    found = []
    for shift in range(max(most, 0) + 1):
        now = lags[shift][rows]
        if now.max() == now.min():
            continue
        found.append(_bound(fit, _after_bins(fit, now), True, shift, "value", level))
        if most >= 0:
            before = lags[shift + 1][rows]
            found.append(_bound(fit, _after_line(fit, [now, before]), False, shift, "change", level))
    if most >= 0:
        count = history.position[rows] + 1.0
        now, before = lags[0][rows], lags[1][rows]
        so_far = count * now - (count - 1) * before
        found.append(_bound(fit, _after_line(fit, [so_far]), False, 0, "all rows", level))
        found += _rolling(residuals, feature, level)
    if not found:
        return None
    # A value that is ahead is also among the two values of the shift before: of equal bounds the larger shift is right.
    best = max(found, key=lambda each: (round(each.at_least, 3), each.shift * (each.at_least > 0.5), each.share))
    return replace(best, lagged=max((each.share for each in found if each.shift == best.shift + 1), default=0.0))


def _bound(fit: PastFit, after: Floats, ranked: bool, shift: int, how: str, level: float) -> Explained:
    from scipy.special import stdtrit

    mean, error, ratio = fit.compare(after, ranked)
    n_groups = int(fit.groups.max()) + 1
    worst = mean + stdtrit(max(1, n_groups - 1), 1 - level) * error if np.isfinite(error) else 0.0
    return Explained(1 - ratio, 1 - float(np.exp(min(worst, 0.0))), shift, how, len(fit.rows))


def _after_line(fit: PastFit, columns: list[Floats]) -> Floats:
    """Residuals of the target given the past and further columns, linearly."""
    raw = np.column_stack(columns)
    raw = raw - raw.mean(axis=0)
    size = np.sqrt((raw**2).mean(axis=0))
    raw = raw[:, size > 0] / size[size > 0]
    new = raw - fit.base @ (fit.base.T @ raw)
    left = np.sqrt((new**2).mean(axis=0))
    new = new[:, left > 1e-7]  # what the past determines is rounding
    if not new.shape[1]:
        return fit.rest
    u, s, _ = np.linalg.svd(new, full_matrices=False)
    u = u[:, s > 1e-7 * np.sqrt(len(new))]
    return np.asarray(fit.rest - u @ (u.T @ fit.rest))


def _after_bins(fit: PastFit, values: Floats) -> Floats:
    """Residuals of the target's normal scores given the feature alone, by quantile bins, for any function of it."""
    codes = bins_of(values)
    counts = np.bincount(codes)
    means = np.bincount(codes, fit.ranked_y) / np.maximum(counts, 1)
    n, used = len(values), int(np.count_nonzero(counts))
    return np.asarray((fit.ranked_y - means[codes]) * np.sqrt(n / max(1, n - used)))


def bins_of(values: Floats) -> Indices:
    """Codes of up to 60 quantile bins with about 12 rows or more; a frequent value has a bin of its own."""
    n_bins = int(np.clip(len(values) // 12, 2, _MOST_BINS))
    edges = np.unique(np.quantile(values, np.linspace(0, 1, n_bins + 1)[1:-1]))
    return np.searchsorted(edges, values, side="left") + np.searchsorted(edges, values, side="right")


def _rolling(residuals: Residuals, feature: Floats, level: float) -> list[Explained]:
    """A rolling mean that includes the row: target = window · change + target of `window` rows before."""
    history = residuals.history
    change = feature - history.lag(feature, 1)
    window, best = 0, 0.9
    for candidate in WINDOWS:
        difference = history.y - history.lag(history.y, candidate)
        both = np.flatnonzero(~np.isnan(change + difference) & residuals.has_past)[:4000]
        if len(both) < LEAST_ROWS or np.ptp(change[both]) == 0 or np.ptp(difference[both]) == 0:
            continue
        related = abs(float(np.corrcoef(change[both], difference[both])[0, 1]))
        if related > best:
            window, best = candidate, related
    if not window:
        return []
    old = history.lag(history.y, window)
    rows = np.flatnonzero(~np.isnan(change + old) & residuals.has_past)
    fit = residuals.of_rows(rows)
    after = _after_line(fit, [change[rows], old[rows]])
    return [_bound(fit, after, False, 0, f"{window} rows", level)]
