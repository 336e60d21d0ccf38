"""Accounts that come and go, that have few rows, or gaps of their own."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.table import Dataset
from src.suggest import listing
from src.table_check.findings import Finding

CHECK = "accounts"
FEW_ROWS = 20
EARLY_DATES = 10
"""Dates before the table's last one from which on an account has ended."""
GAPS = 0.1
"""Share of the dates between an account's first and last row that it lacks, from which on it is named."""
SURVIVORS = (20, 250)
"""Accounts and dates from which on it is striking that no account ever ends."""


@dataclass(frozen=True)
class _Lives:
    """Per account: its label, its number of rows, and the positions of its first and last date among all dates."""

    labels: NDArray[np.object_]
    rows: NDArray[np.int64]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    dates: NDArray[np.datetime64]


def check_accounts(data: Dataset) -> list[Finding]:
    """Findings on the accounts of a table that has accounts and dates."""
    lives = _lives(data)
    findings = [*_few_rows(lives), *_ended(lives), *_started(lives), *_gaps(lives)]
    if findings:
        return findings
    text = f"{len(lives.labels)} accounts with {lives.rows.min()} to {lives.rows.max()} rows, none with gaps"
    return [Finding("ok", CHECK, "", text)]


def _lives(data: Dataset) -> _Lives:
    assert data.dates is not None and data.accounts is not None
    dates, positions = np.unique(data.dates, return_inverse=True)
    codes, labels = pd.factorize(data.accounts, sort=True)
    first, last = np.full(len(labels), len(dates)), np.zeros(len(labels), dtype=np.int64)
    np.minimum.at(first, codes, positions)
    np.maximum.at(last, codes, positions)
    return _Lives(np.asarray(labels, dtype=object), np.bincount(codes), first, last, dates)


def _few_rows(lives: _Lives) -> list[Finding]:
    few = np.flatnonzero(lives.rows < FEW_ROWS)
    if not len(few) or len(lives.dates) < FEW_ROWS:
        return []
    fewest = few[np.argmin(lives.rows[few])]
    text = (
        f"{len(few)} of {len(lives.labels)} accounts have fewer than {FEW_ROWS} rows ({listing(lives.labels[few])}): "
        "nothing can be learned about them alone"
    )
    return [Finding("note", CHECK, str(lives.labels[fewest]), text)]


def _ended(lives: _Lives) -> list[Finding]:
    n_accounts, n_dates = len(lives.labels), len(lives.dates)
    ended = np.flatnonzero(lives.last < n_dates - EARLY_DATES)
    if not len(ended):
        if n_accounts < SURVIVORS[0] or n_dates < SURVIVORS[1]:
            return []
        text = (
            f"all {n_accounts} accounts last to the end of the table: if closed accounts were removed, results look "
            "better than they are"
        )
        return [Finding("note", CHECK, "", text)]
    ends, counts = np.unique(lives.last[ended], return_counts=True)
    day, together = lives.dates[ends[np.argmax(counts)]], int(counts.max())
    if together >= 3 and together * 2 >= n_accounts:
        text = f"{together} of {n_accounts} accounts end on the same day, {day}: check that later rows were loaded"
        return [Finding("suspicious", CHECK, str(day), text)]
    shown = listing(f"{lives.labels[i]} on {lives.dates[lives.last[i]]}" for i in ended[:10])
    more = " and more" if len(ended) > 10 else ""
    text = f"{len(ended)} of {n_accounts} accounts end early ({shown}{more}): check that they were closed then"
    return [Finding("note", CHECK, str(lives.labels[ended[0]]), text)]


def _started(lives: _Lives) -> list[Finding]:
    late = np.flatnonzero(lives.first > max(EARLY_DATES, len(lives.dates) // 20))
    if not len(late):
        return []
    first = late[np.argmin(lives.first[late])]
    text = (
        f"{len(late)} of {len(lives.labels)} accounts start later than the table, the first on "
        f"{lives.dates[lives.first[first]]}: the model has less of their past"
    )
    return [Finding("note", CHECK, str(lives.labels[first]), text)]


def _gaps(lives: _Lives) -> list[Finding]:
    span = lives.last - lives.first + 1
    lacking = 1 - lives.rows / span
    gappy = np.flatnonzero((lacking > GAPS) & (span >= FEW_ROWS))
    if not len(gappy):
        return []
    worst = gappy[np.argmax(lacking[gappy])]
    text = (
        f"{len(gappy)} of {len(lives.labels)} accounts lack more than {100 * GAPS:.0f} % of the dates between their "
        f"first and last row, most of all {lives.labels[worst]} with {100 * lacking[worst]:.0f} %: days without trades "
        "need rows too, if they are to be predicted"
    )
    return [Finding("note", CHECK, str(lives.labels[worst]), text)]
