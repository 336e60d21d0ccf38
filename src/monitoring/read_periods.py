"""Reads the reference and the new rows of a table as the model reads them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.encoding import NotANumber, level_codes, texts_of, to_numbers
from src.data.keys import parse_accounts, parse_days
from src.data.values import is_boolean_text, kind_of
from src.errors import ConfigError, DataError
from src.evaluation.scoring import Floats
from src.monitoring.periods import Column, Kind, Periods, Positions


@dataclass(frozen=True, eq=False)
class KeyedTable:
    """A table and its dates.

    Attributes:
        frame: (n_rows, n_columns) with text column names.
        days: (n_rows,) datetime64[D].
        source: where it comes from, for messages.
    """

    frame: pd.DataFrame
    days: NDArray[np.datetime64]
    source: str


@dataclass(frozen=True, eq=False)
class Chosen:
    """The rows of both periods, as positions in their tables, sorted by date."""

    reference: Positions
    new: Positions


def keyed_table(frame: pd.DataFrame, date: str | None, source: str) -> KeyedTable:
    """Reads the dates of a table.

    Raises:
        ConfigError: no date column is configured.
        DataError: the table has no such column, or a date cannot be read.
    """
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    if date is None:
        raise ConfigError("monitor needs dates: name the column with date: in --config")
    if date not in frame.columns:
        raise DataError(f"{source} has no column {date!r} (the date): name it with date: in --config")
    return KeyedTable(frame, parse_days(frame[date], np.arange(len(frame))), source)


def choose_rows(reference: KeyedTable, new: KeyedTable, metadata: Mapping[str, Any], uri: str) -> Chosen:
    """The training rows in one table and the later rows in the other (or the same).

    Args:
        reference: the table with the training rows.
        new: the table with newer rows.
        metadata: of the model.
        uri: of the model, for messages.

    Raises:
        ConfigError: the model has no record of its training dates, or there are no rows of one of the periods.
    """
    span = (metadata.get("split") or {}).get("search_dates")
    if not span:
        raise ConfigError(f"model {uri} has no record of its training dates: train it again on a table with dates")
    first, last = (np.datetime64(day, "D") for day in span)
    old = np.flatnonzero((reference.days >= first) & (reference.days <= last))
    later = np.flatnonzero(new.days > last)
    if not len(old):
        raise ConfigError(
            f"{reference.source} has no row from {first} to {last}, the training dates of {uri}: give the training "
            "table as --reference-data"
        )
    if not len(later):
        raise ConfigError(
            f"{new.source} has no row after {last}, the last training date of {uri}: give newer rows as --data"
        )
    by_date = [rows[np.argsort(table.days[rows], kind="stable")] for rows, table in ((old, reference), (later, new))]
    return Chosen(by_date[0], by_date[1])


def read_periods(
    reference: KeyedTable, new: KeyedTable, chosen: Chosen, metadata: Mapping[str, Any], account: str | None
) -> Periods:
    """The monitored columns: the model's own features, what derived features come from, and the accounts.

    Args:
        reference: the table with the training rows.
        new: the table with newer rows; has the model's columns, as the reference does.
        chosen: rows of both.
        metadata: of the model.
        account: name of the account column; None, or a missing column, means that there are no accounts.

    Raises:
        DataError: a number cannot be read.
    """
    pairs = ((reference.frame, chosen.reference), (new.frame, chosen.new))
    columns = []
    for name, kind in _columns_of(metadata):
        parts = [frame[name].iloc[rows] for frame, rows in pairs]
        columns.append(Column(name, kind, _values(name, kind, parts, metadata)))
    if account is not None and all(account in frame.columns for frame, _ in pairs):
        labels = np.concatenate([parse_accounts(frame[account].iloc[rows], rows) for frame, rows in pairs])
        columns.append(Column(account, "account", pd.factorize(labels)[0].astype(np.float64)))
    days = np.concatenate([reference.days[chosen.reference], new.days[chosen.new]])
    dates, row_day = np.unique(days, return_inverse=True)
    old, first_new = np.unique(reference.days[chosen.reference]), new.days[chosen.new[0]]
    between = reference.days[(reference.days > old[-1]) & (reference.days < first_new)]
    return Periods(tuple(columns), dates, row_day.astype(np.int64), len(old), len(np.unique(between)))


def _columns_of(metadata: Mapping[str, Any]) -> list[tuple[str, Kind]]:
    """Names and kinds of the columns of a model, without its derived features."""
    derived = metadata.get("derived_features", {})
    computed = {feature["name"] for feature in derived.get("features", ())}
    levels = metadata.get("categorical_levels", {})
    found: dict[str, Kind] = {
        name: "category" if name in levels else "number" for name in metadata["feature_names"] if name not in computed
    }
    history = derived.get("history", {})
    past: dict[str, Kind] = dict.fromkeys(history.get("past", ()), "past")
    groups: dict[str, Kind] = dict.fromkeys(history.get("groups", ()), "category")
    return list((groups | past | found).items())


def _values(name: str, kind: Kind, parts: Sequence[pd.Series], metadata: Mapping[str, Any]) -> Floats:
    if kind == "category":
        return _codes(parts, metadata.get("categorical_levels", {}).get(name, ()))
    history = metadata.get("derived_features", {}).get("history", {})
    marks = {**history.get("decimal_marks", {}), **metadata.get("decimal_marks", {})}
    booleans = {*history.get("booleans", ()), *metadata.get("boolean_features", ())}
    try:
        read = [
            to_numbers(part, name, marks.get(name), boolean=name in booleans or _is_boolean(part)) for part in parts
        ]
    except NotANumber as error:
        raise DataError(f"the rows do not fit the model: {error}") from error
    values = np.concatenate(read)
    return np.where(np.isfinite(values), values, np.nan)


def _is_boolean(part: pd.Series) -> bool:
    """Whether texts are booleans; models of earlier versions do not record it."""
    return kind_of(part) == "text" and is_boolean_text(part.dropna().unique())


def _codes(parts: Sequence[pd.Series], levels: Sequence[str]) -> Floats:
    """Codes of the model's levels, then of all other texts; NaN where the value is missing."""
    known = np.concatenate([level_codes(part, levels) for part in parts])
    texts = pd.concat([texts_of(part) for part in parts], ignore_index=True)
    other, _ = pd.factorize(texts.where(np.isnan(known)))
    return np.where(np.isnan(known), np.where(other < 0, np.nan, len(levels) + other), known)
