"""Which column of a table is what: the target, the account, the date, the features."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from src.config import MODEL_CONFIGS, TableConfig
from src.config_file import FileTableConfig
from src.data.encoding import NotANumber, to_numbers
from src.errors import DataError
from src.suggest import did_you_mean, listing

_NAMELESS = re.compile(r"Unnamed: \d+|__index_level_\d+__|")
"""What pandas calls a column without a name: one of a CSV, and an index that was written with the table."""


@dataclass(frozen=True)
class Columns:
    """The part that each column plays.

    Attributes:
        target: what is predicted.
        account: None when rows belong to no account.
        date: None when the table has no dates.
        features: what it is predicted from; never a target.
        warnings: what the user may not have meant, a line each.
    """

    target: str
    account: str | None
    date: str | None
    features: tuple[str, ...]
    warnings: tuple[str, ...]


def choose_columns(names: Sequence[str], table: TableConfig, target: str) -> Columns:
    """Finds the columns that the configuration names, and decides which others are features.

    Args:
        names: every column of the table, as text.
        table: what the columns are called.
        target: one of `table.targets`.

    Raises:
        DataError: a name occurs twice, a named column is missing, the target is not configured, no feature is left.
    """
    _check_unique(names)
    if target not in table.targets:
        close = did_you_mean(target, table.targets)
        raise DataError(f"target {target!r} is not configured{close}: there are {listing(table.targets)}")
    _require(target, "the target", names, "choose another target, or name it under targets: in --config")
    warnings: list[str] = []
    account = _key("account", table.account, names, table, warnings)
    date = _key("date", table.date, names, table, warnings)
    for key, named in (("drop", table.drop), ("categories", table.categories), ("numbers", table.numbers)):
        for name in named:
            _require(name, f"{key}:", names, "correct the name in --config")
    if table.use is not None:
        features = _used(table.use, table, names)
    else:
        features = _left_over(names, {account, date, *table.targets, *table.drop}, warnings)
    if not features:
        raise DataError(
            f"no feature is left of the columns {listing(names)}: add columns, or shorten drop: in --config"
        )
    return Columns(target, account, date, features, tuple(warnings))


def drop_nameless_counters(frame: pd.DataFrame, table: TableConfig) -> tuple[pd.DataFrame, list[str]]:
    """Leaves out columns without a name that only count rows, such as the index that `to_csv()` writes; and empty ones.

    Returns:
        The frame without them, and a warning for each that counts.
    """
    named = {*(table.use or ()), *table.drop, *table.categories, *table.numbers}
    once = frame.columns[~frame.columns.duplicated(keep=False)]
    nameless = [name for name in once if _NAMELESS.fullmatch(name) and name not in named]
    counters = [name for name in nameless if _counts_rows(frame[name])]
    empty = [name for name in nameless if frame[name].isna().all()]
    warnings = [f"column {name!r} has no name and only counts rows: it is left out" for name in counters]
    return frame.drop(columns=[*counters, *empty]), warnings


def _counts_rows(column: pd.Series) -> bool:
    """Whole numbers, each once: counted from 0 or 1, or what is left of that after rows were sorted or taken away."""
    try:
        numbers = to_numbers(column, str(column.name))
    except NotANumber:
        return False
    return bool(len(numbers) and np.all(numbers == np.floor(numbers)) and len(np.unique(numbers)) == len(numbers))


def _check_unique(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        twice = list(dict.fromkeys(name for name in names if names.count(name) > 1))
        raise DataError(f"column names occur more than once: {listing(map(repr, twice))}: give each its own name")


def _require(name: str, role: str, names: Sequence[str], remedy: str) -> None:
    if name not in names:
        close = did_you_mean(name, names)
        raise DataError(f"column {name!r} ({role}) is missing{close}: the table has {listing(names)}; {remedy}")


def _key(role: str, name: str | None, names: Sequence[str], table: TableConfig, warnings: list[str]) -> str | None:
    """The account or date column; a default that the user did not name may be absent."""
    if name is None:
        return None
    if name not in names and isinstance(table, FileTableConfig) and name in table.optional:
        without = (
            "rows belong to no account" if role == "account" else "rows are shuffled with the seed, not split by date"
        )
        warnings.append(f"the table has no column {name!r} and --config names no {role}: {without}")
        return None
    _require(
        name, f"the {role}", names, f"name the right one with {role}: in --config, or {role}: null if there is none"
    )
    return name


def _used(use: Sequence[str], table: TableConfig, names: Sequence[str]) -> tuple[str, ...]:
    for name in use:
        _require(name, "use:", names, "correct the name in --config")
        if name in table.targets:
            raise DataError(f"target {name!r} stands in use: of --config: a target is never a feature, take it out")
    return tuple(use)


def _left_over(names: Sequence[str], taken: set[str | None], warnings: list[str]) -> tuple[str, ...]:
    """All columns with no other part; what bears the name of a target of ours would most likely be a leak."""
    left_out = [name for name in names if name in MODEL_CONFIGS and name not in taken]
    if left_out:
        warnings.append(
            f"left out of the features because a daily target has this name: {listing(left_out)}; "
            "write use: in --config if it is known before the day"
        )
    return tuple(name for name in names if name not in taken and name not in MODEL_CONFIGS)
