"""Category levels that appear or disappear from month to month."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.table import Dataset
from src.suggest import listing
from src.table_check.findings import Finding
from src.table_check.months import LEAST_MONTHS, Months

CHECK = "levels"
LEAST_SHARE = 0.01
"""Share of the rows of its months that a level needs to be named."""
RECURRING = 0.5
"""Share of a month's rows with a level of the month before, below which a column is a key rather than a category."""
REPLACED = 0.9
"""Share of the rows before, and after, a month whose levels do not occur on the other side of it."""


def check_levels(data: Dataset, months: Months) -> list[Finding]:
    """A finding per category whose levels change for good."""
    n_months = len(months.names)
    if not data.categorical or n_months < 2 * LEAST_MONTHS:
        return []
    findings = []
    for name in data.categorical:
        findings += _findings(name, data.features[name], months)
    return findings or [Finding("ok", CHECK, "", f"{len(data.categorical)} categories keep their levels")]


@dataclass(frozen=True)
class _Lives:
    """Rows per level and month, (n_levels, n_months), with the first and the last month of each level."""

    labels: NDArray[np.object_]
    rows: NDArray[np.float64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


def _findings(name: str, column: pd.Series, months: Months) -> list[Finding]:
    lives = _lives(column, months)
    n_months = len(months.names)
    if _recurring(lives) < RECURRING:
        text = f"hardly one of its {len(lives.labels)} levels recurs from month to month: if it is a key, drop: it"
        return [Finding("note", CHECK, name, text)]
    if month := _replaced(lives):
        old, new = lives.labels[lives.last < month], lives.labels[lives.first >= month]
        text = (
            f"nearly all levels are others from {months.names[month]} on ({listing(old[:3])} before, "
            f"{listing(new[:3])} after): give both periods the same names"
        )
        return [Finding("suspicious", CHECK, name, text)]
    shares = lives.rows / np.maximum(lives.rows.sum(axis=0), 1)
    mean = np.array([shares[i, lives.first[i] : lives.last[i] + 1].mean() for i in range(len(shares))])
    appear = np.flatnonzero((lives.first >= LEAST_MONTHS) & (mean >= LEAST_SHARE))
    disappear = np.flatnonzero((lives.last < n_months - LEAST_MONTHS) & (mean >= LEAST_SHARE))
    found = []
    for verb, levels, when, at in (
        ("appear", appear, "in", lives.first),
        ("disappear", disappear, "after", lives.last),
    ):
        if len(levels):
            shown = listing(f"{lives.labels[i]} {when} {months.names[at[i]]}" for i in levels)
            text = f"{len(levels)} of {len(shares)} levels {verb} ({shown}): check that they were not renamed"
            found.append(Finding("note", CHECK, name, text))
    return found


def _lives(column: pd.Series, months: Months) -> _Lives:
    used = (months.codes >= 0) & column.notna().to_numpy()
    codes, labels = pd.factorize(column[used])
    rows = np.zeros((len(labels), len(months.names)))
    np.add.at(rows, (codes, months.codes[used]), 1)
    first = np.argmax(rows > 0, axis=1)
    last = rows.shape[1] - 1 - np.argmax(rows[:, ::-1] > 0, axis=1)
    return _Lives(np.asarray(labels, dtype=object), rows, first, last)


def _recurring(lives: _Lives) -> float:
    """Share of a month's rows whose level had rows in the month before; the median month."""
    before = lives.rows[:, :-1] > 0
    shares = (lives.rows[:, 1:] * before).sum(axis=0) / np.maximum(lives.rows[:, 1:].sum(axis=0), 1)
    return float(np.median(shares))


def _replaced(lives: _Lives) -> int:
    """The month from which on nearly all rows have levels that were not there before, and the other way round; or 0."""
    n_months = lives.rows.shape[1]
    for month in range(LEAST_MONTHS, n_months - LEAST_MONTHS + 1):
        gone, new = lives.rows[lives.last < month].sum(), lives.rows[lives.first >= month].sum()
        before, after = lives.rows[:, :month].sum(), lives.rows[:, month:].sum()
        if min(before, after) > 0 and gone >= REPLACED * before and new >= REPLACED * after:
            return month
    return 0
