"""Runs all checks of a table: what the reader checks first, then dates, accounts, changes over time, and leaks."""

from collections.abc import Sequence

from src.data.table import Dataset
from src.table_check.accounts import check_accounts
from src.table_check.dates import check_dates
from src.table_check.findings import Finding
from src.table_check.leaks import find_leaks
from src.table_check.levels import check_levels
from src.table_check.missing_values import check_missing_values
from src.table_check.months import months_of
from src.table_check.shifts import check_shifts

READER = "reader"
COPIES = "is a copy of the target"
"""Part of the reader's warning of a feature that the leak probe names too."""


def check_table(datasets: Sequence[Dataset], seed: int) -> list[Finding]:
    """All findings, in the order of the checks.

    Args:
        datasets: the same table, once per target; not empty.
        seed: of the sample of accounts in a large table.
    """
    data = max(datasets, key=lambda each: len(each.y))  # rows without a target are left out
    return [*_from_reader(datasets), *_over_time(data), *find_leaks(datasets, seed)]


def _from_reader(datasets: Sequence[Dataset]) -> list[Finding]:
    warnings = dict.fromkeys(warning for data in datasets for warning in data.warnings if COPIES not in warning)
    if warnings:
        return [Finding("note", READER, "", warning) for warning in warnings]
    data = datasets[0]
    return [Finding("ok", READER, "", f"{len(data.y)} rows, {data.features.shape[1]} features, no warning")]


def _over_time(data: Dataset) -> list[Finding]:
    if data.dates is None:
        text = "the table has no dates, so that changes over time cannot be checked: name the date column in --config"
        return [Finding("note", "dates", "", text)]
    months = months_of(data)
    accounts = [] if data.accounts is None else check_accounts(data)
    changes = [*check_missing_values(data, months), *check_levels(data, months), *check_shifts(data, months)]
    return [*check_dates(data), *accounts, *changes]
