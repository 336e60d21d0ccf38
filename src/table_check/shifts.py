"""Numeric features whose level or unit changes from one month to the next, and stays changed."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.table import Dataset
from src.table_check.findings import Finding
from src.table_check.months import LEAST_MONTHS, Months

CHECK = "level shifts"
UNIT = 8.0
"""Ratio of a feature's usual size after and before a month that means another unit, such as cents for dollars."""
SAME_ACCOUNTS = 0.8
"""Share of the accounts on both sides of the month that have to show it."""
SHIFT = 3.0
"""Distance between the medians of months, in interquartile ranges within a month, that is a shift."""


def check_shifts(data: Dataset, months: Months) -> list[Finding]:
    """A finding per numeric feature with a lasting jump."""
    if len(months.names) < 2 * LEAST_MONTHS:
        return []
    others = {*data.categorical, *data.booleans}
    numeric = [name for name in map(str, data.features.columns) if name not in others]
    findings = [finding for name in numeric if (finding := _finding(name, data, months))]
    return findings or [
        Finding("ok", CHECK, "", f"{len(numeric)} numeric features keep their level from month to month")
    ]


def _finding(name: str, data: Dataset, months: Months) -> Finding | None:
    values = data.features[name].to_numpy(dtype=np.float64)
    size = months.quantiles(np.abs(values))
    if (month := _jump_of_size(size)) is not None and _in_most_accounts(np.abs(values), month, data, months):
        before, after = np.nanmedian(size[:month]), np.nanmedian(size[month:])
        text = (
            f"is about {max(before, after) / min(before, after):.3g} times as {'large' if after > before else 'small'} "
            f"from {months.names[month]} on (median size {after:.4g}, before {before:.4g}): check its unit"
        )
        return Finding("suspicious", CHECK, name, text)
    median = months.quantiles(values)
    spread = months.quantiles(values, 0.75) - months.quantiles(values, 0.25)
    month = _jump_of_level(median, spread)
    if month is None:
        return None
    text = (
        f"its monthly median stays at {np.nanmedian(median[month:]):.4g} from {months.names[month]} on, before "
        f"{np.nanmedian(median[:month]):.4g}: check whether its meaning changed"
    )
    return Finding("note", CHECK, name, text)


def _splits(n_months: int) -> range:
    return range(LEAST_MONTHS, n_months - LEAST_MONTHS + 1)


def _jump_of_size(size: NDArray[np.float64]) -> int | None:
    """The month from which on all months are larger, or all smaller, than those before, with a jump between two."""
    if np.isnan(size).any() or np.any(size <= 0):
        return None
    for month in _splits(len(size)):
        step = size[month] / size[month - 1]
        before, after = size[:month], size[month:]
        apart = after.min() / before.max() if step > 1 else before.min() / after.max()
        if max(step, 1 / step) >= UNIT and apart >= UNIT / 2:
            return month
    return None


def _in_most_accounts(size: NDArray[np.float64], month: int, data: Dataset, months: Months) -> bool:
    """Whether accounts that exist on both sides jump too, so that it is no change of the accounts."""
    if data.accounts is None:
        return True
    frame = pd.DataFrame({"size": size, "account": data.accounts, "after": months.codes >= month})[months.codes >= 0]
    medians = frame.groupby(["account", "after"])["size"].median().unstack().dropna()
    if medians.shape[1] < 2 or not len(medians):
        return False
    ratio = np.log(np.maximum(medians[True], 1e-300) / np.maximum(medians[False], 1e-300))
    return bool(max(np.mean(ratio > np.log(UNIT / 2)), np.mean(ratio < -np.log(UNIT / 2))) >= SAME_ACCOUNTS)


def _jump_of_level(median: NDArray[np.float64], spread: NDArray[np.float64]) -> int | None:
    """The month from which on all medians are farther from those before than `SHIFT` spreads, in one step."""
    if np.isnan(median).any():
        return None
    for month in _splits(len(median)):
        usual = float(np.median(spread))
        before, after = median[:month], median[month:]
        gap = max(after.min() - before.max(), before.min() - after.max())
        drift = max(np.ptp(before), np.ptp(after))  # what the feature moves anyway
        if usual > 0 and gap > SHIFT * usual and gap > drift:
            return month
    return None
