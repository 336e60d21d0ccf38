"""Gaps and irregular dates, against the weekdays on which the table usually has rows."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.table import Dataset
from src.table_check.findings import Finding, Severity

CHECK = "dates"
USUAL = 0.5
"""Share of the weeks in which a usual weekday has rows."""
RARE = 0.1
LONG_GAP, LONGEST_GAP = 5, 10
"""Usual dates missing in a row: from a week on a note, from two weeks on suspicious."""
THIN_DAY = 0.5
"""Rows of a date, as a share of the median of the dates around it, below which rows seem to be missing."""
_AROUND = 10
_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def check_dates(data: Dataset) -> list[Finding]:
    """Findings on the dates of a table that has them."""
    assert data.dates is not None
    dates, rows = np.unique(data.dates, return_counts=True)
    present = _weekday_shares(dates)
    usual = np.flatnonzero(present >= USUAL)
    findings = _odd_weekdays(dates, present)
    if len(dates) >= 10 and len(usual):
        findings += _gaps(dates, usual)
    findings += _thin_days(dates, rows)
    if findings:
        return findings
    named = ", ".join(_NAMES[day] for day in usual) or "no weekday regularly"
    return [Finding("ok", CHECK, "", f"{len(dates)} dates from {dates[0]} to {dates[-1]}; usual: {named}; no long gap")]


def _weekdays(dates: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """0 for Monday to 6 for Sunday."""
    return (dates.astype("datetime64[D]").astype(np.int64) + 3) % 7


def _weekday_shares(dates: NDArray[np.datetime64]) -> NDArray[np.float64]:
    """Share of the weeks of the table in which each weekday occurs, shape (7,)."""
    days = np.arange(dates[0], dates[-1] + 1)
    possible = np.bincount(_weekdays(days), minlength=7)
    return np.bincount(_weekdays(dates), minlength=7) / np.maximum(possible, 1)


def _odd_weekdays(dates: NDArray[np.datetime64], present: NDArray[np.float64]) -> list[Finding]:
    findings = []
    if len(dates) < 20:
        return []
    for day in np.flatnonzero((present > 0) & (present < RARE)):
        odd = dates[_weekdays(dates) == day]
        text = (
            f"{len(odd)} of {len(dates)} dates are a {_NAMES[day]}, which usually has no rows; the first is {odd[0]}: "
            "check the time zone, or whether the rows belong to another date"
        )
        findings.append(Finding("note", CHECK, str(odd[0]), text))
    return findings


def _gaps(dates: NDArray[np.datetime64], usual: NDArray[np.int64]) -> list[Finding]:
    """Runs of usual dates without any row."""
    days = np.arange(dates[0], dates[-1] + 1)
    expected = days[np.isin(_weekdays(days), usual)]
    missing = ~np.isin(expected, dates)
    edges = np.diff(np.concatenate([[0], missing.astype(np.int64), [0]]))
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    findings = []
    for start, end in zip(starts, ends, strict=True):
        if end - start >= LONG_GAP:
            severity: Severity = "suspicious" if end - start >= LONGEST_GAP else "note"
            first, last = expected[start], expected[end - 1]
            text = f"no rows on {end - start} usual dates from {first} to {last}: load them if the market was open"
            findings.append(Finding(severity, CHECK, str(first), text))
    return findings


def _thin_days(dates: NDArray[np.datetime64], rows: NDArray[np.int64]) -> list[Finding]:
    around = pd.Series(rows).rolling(2 * _AROUND + 1, center=True, min_periods=_AROUND).median().to_numpy()
    thin = np.flatnonzero((rows < THIN_DAY * around) & (around >= 6))
    if not len(thin):
        return []
    first = thin[0]
    text = (
        f"{len(thin)} of {len(dates)} dates have less than half the rows of the dates around them; the first is "
        f"{dates[first]} with {rows[first]} instead of about {around[first]:.0f}: check that they were loaded whole"
    )
    return [Finding("note", CHECK, str(dates[first]), text)]
