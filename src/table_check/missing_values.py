"""Features whose share of missing values changes from month to month."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.table import Dataset
from src.table_check.findings import Finding
from src.table_check.months import LEAST_MONTHS, Months

CHECK = "missing values"
UNUSUAL = 0.2
"""Difference to the median month from which on a month is named."""
STOPPED = 0.9
"""Share of missing values of a feature that is no longer delivered."""


def check_missing_values(data: Dataset, months: Months) -> list[Finding]:
    """A finding per feature with unusual months.

    Rows before an account's first value do not count: a window needs some past.
    """
    findings = []
    for name in map(str, data.features.columns):
        column = data.features[name]
        missing = _missing_again(column, data)
        if missing.any() and (finding := _finding(name, months.means(missing), months.means(column.isna()), months)):
            findings.append(finding)
    if findings:
        return findings
    share = float(data.features.isna().to_numpy().mean()) if data.features.shape[1] else 0.0
    return [Finding("ok", CHECK, "", f"{100 * share:.2g} % of the features' values are missing, in no month many more")]


def _missing_again(column: pd.Series, data: Dataset) -> pd.Series:
    given = column.notna()
    if given.all():
        return ~given
    seen = given.cummax() if data.accounts is None else given.groupby(data.accounts).cummax()
    return seen & ~given


def _finding(name: str, shares: NDArray[np.float64], with_start: NDArray[np.float64], months: Months) -> Finding | None:
    """What is unusual in the share of missing values per month, without and with the rows before a first value."""
    if not len(shares):
        return None
    usual = float(np.median(shares))
    odd = np.flatnonzero(shares > usual + UNUSUAL)
    stopped = next((i for i in range(len(shares) - 1) if np.all(shares[i:] >= STOPPED)), 0)  # two months at least
    if stopped >= LEAST_MONTHS and np.median(with_start[:stopped]) < STOPPED / 2:
        text = (
            f"is missing from {months.names[stopped]} on ({100 * shares[stopped:].mean():.0f} % of the rows, before "
            f"{100 * shares[:stopped].mean():.0f} %): restore its source, or name it under drop:"
        )
        return Finding("suspicious", CHECK, name, text)
    if not len(odd):
        return None
    worst = odd[np.argmax(shares[odd])]
    text = (
        f"is missing in {100 * shares[worst]:.0f} % of the rows of {months.names[worst]}, usually in "
        f"{100 * usual:.0f} % ({len(odd)} such months): check its source"
    )
    return Finding("note", CHECK, name, text)
