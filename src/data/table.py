"""Checks a table and prepares it for training."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.config import NET_PROFIT, TableConfig, TargetConfig
from src.data.columns import choose_columns, drop_nameless_counters
from src.data.encoding import NotANumber, to_numbers, without_zero
from src.data.history import History, read_history
from src.data.keys import Keys, RowIndices, sort_by_keys
from src.data.sources.files import UNTYPED
from src.data.target import check_target, likely_leaks, read_target
from src.data.values import FeatureColumn, kind_of, to_feature
from src.errors import DataError
from src.secrets import mask_url
from src.suggest import listing


@dataclass(frozen=True, eq=False)
class Dataset:
    """One target of a table and its features, sorted by (date, account).

    Attributes:
        target: the predicted column.
        config: its task and metric.
        features: (n_rows, n_features) with a RangeIndex. Numbers are int or float, missing ones NaN; booleans are bool,
            or float 1, 0 and NaN if some are missing; categories are `str`, missing ones NaN.
        y: (n_rows,) float64 without NaN.
        dates: (n_rows,) datetime64[D], non-decreasing; None for a table without dates.
        accounts: (n_rows,) text, as objects; None when rows belong to no account.
        categorical: names of the category columns.
        booleans: names of the boolean columns, also where some values are missing.
        decimal_marks: decimal mark by column, for texts that are formatted numbers.
        source: where the table comes from, without a password.
        digest: 16 hexadecimal digits of the content; independent of row order and file format.
        warnings: one line per possible mistake of the user.
        net_profit: (n_rows,) profit of each row, NaN if unknown; None if the table has no such column. Only the report
            reads it, after training; it is never a feature, and not part of the digest.
        positions: (n_rows,) positions of the rows in the input frame.
        mode: `own`, `derived` or `both` (see `Columns`), and `mode_reason` why.
        history: all rows of the input frame, where features are derived from them; None in mode `own`. Derived
            features are added when the study says which (see `src/search/derived_features.py`).
        monotone: 1 or -1 by feature: predictions must never fall, or never rise, when the feature rises.
    """

    target: str
    config: TargetConfig
    features: pd.DataFrame
    y: NDArray[np.float64]
    dates: NDArray[np.datetime64] | None
    accounts: NDArray[np.object_] | None
    categorical: tuple[str, ...]
    source: str
    digest: str
    warnings: tuple[str, ...]
    net_profit: NDArray[np.float64] | None = None
    positions: RowIndices | None = None
    booleans: tuple[str, ...] = ()
    decimal_marks: Mapping[str, str] = field(default_factory=dict)
    mode: str = "own"
    mode_reason: str = ""
    history: History | None = None
    monotone: Mapping[str, int] = field(default_factory=dict)

    @property
    def signs(self) -> tuple[int, ...]:
        """LightGBM's `monotone_constraints`: 1, -1 or 0 per feature; empty if there is none."""
        signs = tuple(self.monotone.get(name, 0) for name in self.features.columns)
        return signs if any(signs) else ()


def load_dataset(frame: pd.DataFrame, table: TableConfig, target: str, source: str = "") -> Dataset:
    """Checks a table and extracts one target and its features; the frame is not changed.

    Args:
        frame: (n_rows, n_columns) as it was read; its index is ignored.
        table: roles of the columns. The optional columns of a `FileTableConfig` may be missing.
        target: one of `table.targets`.
        source: where the frame comes from.

    Raises:
        DataError: nothing can be learned from the table; says why and what to change.
    """
    _refuse_empty(frame)
    frame, left_out = drop_nameless_counters(frame.set_axis([str(name) for name in frame.columns], axis=1), table)
    columns = choose_columns(list(frame.columns), table, target)
    history = None if columns.mode == "own" else read_history(frame, table, columns)
    frame, y, rows = _rows_with_target(frame, target, table, left_out)
    keys = sort_by_keys(_column(frame, columns.date), _column(frame, columns.account), rows)
    read = _read_features(frame, columns.features, rows, table)
    features = _in_order(read, keys.order)
    y, categorical = y[keys.order], _of_kind(read, "category")
    warnings = [*columns.warnings, *left_out, *keys.warnings, *_feature_warnings(read, frame, table)]
    warnings += [*(history.warnings if history else ()), *_leak_warnings(features, categorical, y, target)]
    return Dataset(
        target,
        table.targets[target],
        features,
        y,
        keys.dates,
        keys.accounts,
        categorical,
        mask_url(source),
        _digest(features, y, keys, target, history),
        tuple(warnings),
        net_profit=_net_profit(frame, columns.features, keys.order, table),
        positions=rows[keys.order],
        booleans=_of_kind(read, "boolean"),
        decimal_marks={name: feature.decimal_mark for name, feature in read.items() if feature.decimal_mark},
        mode=columns.mode,
        mode_reason=columns.reason,
        history=history,
    )


def _refuse_empty(frame: pd.DataFrame) -> None:
    if frame.shape[1] == 0 or len(frame) == 0:
        raise DataError(f"the table is empty, it has no {'rows' if frame.shape[1] else 'columns'}: give another table")


def _rows_with_target(
    frame: pd.DataFrame, target: str, table: TableConfig, left_out: list[str]
) -> tuple[pd.DataFrame, NDArray[np.float64], RowIndices]:
    """The rows that have a target, their targets, and their positions; adds a warning if others are left out."""
    y = read_target(frame[target], target, table)
    rows = np.flatnonzero(~np.isnan(y))
    check_target(y[rows], target, table.targets[target])
    if len(rows) == len(frame):
        return frame, y, rows
    left_out.append(f"{len(frame) - len(rows)} of {len(frame)} rows have no target {target!r}: they are left out")
    return frame.iloc[rows], y[rows], rows


def _leak_warnings(
    features: pd.DataFrame, categorical: tuple[str, ...], y: NDArray[np.float64], target: str
) -> list[str]:
    leaks = likely_leaks(features, categorical, y)
    return [f"feature {name!r} is a copy of the target {target!r}: likely a leak" for name in leaks]


def _net_profit(
    frame: pd.DataFrame, features: tuple[str, ...], order: RowIndices, table: TableConfig
) -> NDArray[np.float64] | None:
    """The profit of each row, in the final order.

    None if the table has no such numeric column, or uses it as a feature, so that it is known before the day.
    """
    if (
        NET_PROFIT not in frame.columns
        or NET_PROFIT in features
        or kind_of(frame[NET_PROFIT]) not in ("number", "text")
    ):
        return None
    try:
        earned = to_numbers(frame[NET_PROFIT], NET_PROFIT, table.numbers.get(NET_PROFIT))[order]
    except NotANumber:  # the target is another column, so this is not an error
        return None
    return np.where(np.isfinite(earned), earned, np.nan)


def _feature_warnings(read: Mapping[str, FeatureColumn], frame: pd.DataFrame, table: TableConfig) -> list[str]:
    warnings = [warning for feature in read.values() for warning in feature.warnings]
    if frame.attrs.get(UNTYPED):
        return warnings
    numbers = [name for name, feature in read.items() if feature.kind == "number" and name not in table.numbers]
    return warnings + [
        f"feature {name!r} holds numbers as text: they are read as numbers; name it under categories: in --config if "
        "they are names"
        for name in numbers
        if kind_of(frame[name]) == "text"
    ]


def _column(frame: pd.DataFrame, name: str | None) -> pd.Series | None:
    return None if name is None else frame[name]


def _read_features(
    frame: pd.DataFrame, names: tuple[str, ...], rows: RowIndices, table: TableConfig
) -> dict[str, FeatureColumn]:
    empty = [name for name in names if frame[name].isna().all()]
    if empty:
        raise DataError(f"features without any value: {listing(map(repr, empty))}: name them under drop: in --config")
    return {name: to_feature(frame[name], name, rows, table) for name in names}


def _in_order(read: Mapping[str, FeatureColumn], order: RowIndices) -> pd.DataFrame:
    is_sorted = bool(np.all(order == np.arange(len(order))))
    columns = {name: feature.values if is_sorted else feature.values.iloc[order] for name, feature in read.items()}
    reset = {name: column.reset_index(drop=True) for name, column in columns.items()}
    return pd.DataFrame(reset, index=pd.RangeIndex(len(order)))


def _of_kind(read: Mapping[str, FeatureColumn], kind: str) -> tuple[str, ...]:
    return tuple(name for name, feature in read.items() if feature.kind == kind)


def _digest(features: pd.DataFrame, y: NDArray[np.float64], keys: Keys, target: str, history: History | None) -> str:
    """Hashes values, not dtypes: the same integers may be 32-bit, 64-bit or floats in another file format."""
    columns: dict[str, object] = {f"feature {name}": _hashable(features[name]) for name in features.columns}
    columns["target"] = y
    if keys.dates is not None:
        columns["date"] = keys.dates.astype(np.int64)
    if keys.accounts is not None:
        columns["account"] = pd.Series(keys.accounts, dtype="str")
    hasher = hashlib.sha256("\0".join([target, *columns]).encode())
    hasher.update(pd.util.hash_pandas_object(pd.DataFrame(columns), index=False).to_numpy().tobytes())
    if history is not None:
        _hash_history(hasher, history)
    return hasher.hexdigest()[:16]


def _hash_history(hasher: "hashlib._Hash", history: History) -> None:
    """Adds the past, in the order of dates and accounts, so that the order of the rows does not matter."""
    columns: dict[str, object] = {f"past {name}": values for name, values in history.past.items()}
    columns |= {f"group {name}": pd.Series(texts, dtype="str") for name, texts in history.groups.items()}
    columns |= {"date": history.dates.astype(np.int64), "account": pd.Series(history.accounts, dtype="str")}
    order = np.lexsort((pd.factorize(history.accounts, sort=True)[0], history.dates))
    hasher.update("\0".join([*columns, history.calendar or ""]).encode())
    hasher.update(pd.util.hash_pandas_object(pd.DataFrame(columns).iloc[order], index=False).to_numpy().tobytes())


def _hashable(column: pd.Series) -> pd.Series:
    """Numbers as floats, category texts without `.0`: both depend on the file format."""
    if not isinstance(column.dtype, pd.StringDtype):
        return column.astype(np.float64)
    codes, texts = pd.factorize(column)
    return pd.Series(np.array([*map(without_zero, texts), None], dtype=object)[codes], dtype="str")
