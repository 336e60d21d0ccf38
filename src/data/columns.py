"""The roles of a table's columns: target, account, date, features."""

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
"""pandas' names for a CSV column without a name, and for an index that was written with the table."""


@dataclass(frozen=True)
class Columns:
    """Column names by role.

    Attributes:
        target: the predicted column.
        account: None when rows belong to no account.
        date: None when the table has no dates.
        features: columns of the table that are used as features of their own day; never a target, and empty where only
            derived features are used.
        mode: `own`, `derived` or `both`.
        reason: why this mode, in one line.
        warnings: one line per possible mistake of the user.
    """

    target: str
    account: str | None
    date: str | None
    features: tuple[str, ...]
    mode: str
    reason: str
    warnings: tuple[str, ...]


def choose_columns(names: Sequence[str], table: TableConfig, target: str) -> Columns:
    """Finds the configured columns, and decides which other columns are features.

    Args:
        names: all columns of the table, as text.
        table: the configured roles.
        target: one of `table.targets`.

    Raises:
        DataError: a name occurs twice, a configured column is missing, the target is not configured, no feature is
            left, or features cannot be derived without dates.
    """
    _check_unique(names)
    if target not in table.targets:
        close = did_you_mean(target, table.targets)
        raise DataError(f"target {target!r} is not configured{close}: use {listing(table.targets)}")
    _require(target, "the target", names, "choose another target, or name it under targets: in --config")
    warnings: list[str] = []
    account = _key("account", table.account, names, table, warnings)
    date = _key("date", table.date, names, table, warnings)
    for key in ("drop", "categories", "numbers", "known_after", "groups"):
        for name in getattr(table, key):
            _require(name, f"{key}:", names, "correct the name in --config")
    if table.use is not None:
        features = _used(table.use, table, names)
    else:
        taken = {account, date, *table.targets, *table.drop, *table.known_after}
        features = _remaining_columns(names, taken, warnings)
    mode, reason = _feature_mode(table, features, date)
    _check_mode(mode, table, features, date, names)
    if mode == "own":
        warnings += _unused_keys(table)
    return Columns(target, account, date, () if mode == "derived" else features, mode, reason, tuple(warnings))


def _feature_mode(table: TableConfig, features: Sequence[str], date: str | None) -> tuple[str, str]:
    """The mode and its reason. A table whose only other columns are peer groups has no feature columns."""
    if table.features is not None:
        return table.features, f"--features {table.features}, or features: in --config"
    own = [name for name in features if name not in table.groups]
    if own or date is None:
        return "own", f"the table has {len(features)} feature columns"
    return "derived", "the table has no feature columns"


def _check_mode(mode: str, table: TableConfig, features: Sequence[str], date: str | None, names: Sequence[str]) -> None:
    """Refuses a mode that leaves no feature."""
    if mode != "own" and date is None:
        raise DataError(
            f"features {mode!r} needs dates, and the table has no date column: name it with date: in --config, or use "
            "--features own"
        )
    if mode != "derived" and not features:
        remedy = "add columns, shorten drop: in --config" + (
            "" if date is None else ", or use --features derived, which needs account, date and target only"
        )
        raise DataError(f"no column is left as a feature, the table has {listing(names)}: {remedy}")


def _unused_keys(table: TableConfig) -> list[str]:
    unused = [key for key in ("groups", "calendar") if getattr(table, key)]
    if not unused:
        return []
    return [f"{' and '.join(unused)} of --config have no effect on own features: use --features both or derived"]


def drop_nameless_counters(frame: pd.DataFrame, table: TableConfig) -> tuple[pd.DataFrame, list[str]]:
    """Removes columns without a name that only number the rows, such as the index that `to_csv()` writes, or are empty.

    Returns:
        The frame without them, and a warning for each column of row numbers.
    """
    named = {
        *(table.use or ()), *table.drop, *table.categories, *table.numbers, *table.known_after, *table.groups
    }  # fmt: skip
    once = frame.columns[~frame.columns.duplicated(keep=False)]
    nameless = [name for name in once if _NAMELESS.fullmatch(name) and name not in named]
    counters = [name for name in nameless if _counts_rows(frame[name])]
    empty = [name for name in nameless if frame[name].isna().all()]
    warnings = [f"column {name!r} has no name and holds row numbers only: it is left out" for name in counters]
    return frame.drop(columns=[*counters, *empty]), warnings


def _counts_rows(column: pd.Series) -> bool:
    """Whether the values are distinct whole numbers: row numbers, perhaps after sorting or removing rows."""
    try:
        numbers = to_numbers(column, str(column.name))
    except NotANumber:
        return False
    return bool(len(numbers) and np.all(numbers == np.floor(numbers)) and len(np.unique(numbers)) == len(numbers))


def _check_unique(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        twice = list(dict.fromkeys(name for name in names if names.count(name) > 1))
        raise DataError(f"column names occur more than once: {listing(map(repr, twice))}: rename the columns")


def _require(name: str, role: str, names: Sequence[str], remedy: str) -> None:
    if name not in names:
        close = did_you_mean(name, names)
        raise DataError(f"column {name!r} ({role}) is missing{close}: the table has {listing(names)}; {remedy}")


def _key(role: str, name: str | None, names: Sequence[str], table: TableConfig, warnings: list[str]) -> str | None:
    """The account or date column; a default that `--config` does not name may be missing."""
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
            raise DataError(f"target {name!r} is in use: of --config: remove it, a target is no feature")
    return tuple(use)


def _remaining_columns(names: Sequence[str], taken: set[str | None], warnings: list[str]) -> tuple[str, ...]:
    """All columns without another role; a column named like a target of the sample would most likely be a leak."""
    left_out = [name for name in names if name in MODEL_CONFIGS and name not in taken]
    if left_out:
        warnings.append(
            f"not used as a feature, because its name is that of a daily target: {listing(left_out)}; "
            "name it under use: in --config if its value is known before the day"
        )
    return tuple(name for name in names if name not in taken and name not in MODEL_CONFIGS)
