"""The past of a table: accounts, dates, and values that are known only when the day is over.

Features are derived from it by `src/features`. All rows belong to the past, also those without the target that is
searched: a served model sees them too.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.config import TableConfig
from src.data.columns import Columns
from src.data.encoding import texts_of
from src.data.keys import check_one_row_per_day, parse_accounts, parse_days
from src.data.target import read_target
from src.data.values import decimal_mark_of, is_boolean_text, kind_of, to_feature
from src.errors import DataError
from src.suggest import listing

MIN_DATES = 6
"""Dates that a table needs at least: the shortest window has five."""


@dataclass(frozen=True, eq=False)
class History:
    """What features are derived from, in the order of the table as it was read.

    Attributes:
        account_column: None where all rows belong to one account.
        date_column: the name of the date column.
        accounts: (n_rows,) text, as objects.
        dates: (n_rows,) datetime64[D].
        past: (n_rows,) float64 by column: the targets of the table and `known_after`; missing values are NaN.
        groups: (n_rows,) text by peer group column, None where it is missing.
        booleans: names of the past columns that hold booleans as text.
        decimal_marks: decimal mark by past column, for texts that are formatted numbers.
        calendar: exchange calendar, or None.
        warnings: one line per possible mistake of the user.
    """

    account_column: str | None
    date_column: str
    accounts: NDArray[np.object_]
    dates: NDArray[np.datetime64]
    past: Mapping[str, NDArray[np.float64]]
    groups: Mapping[str, NDArray[np.object_]]
    booleans: tuple[str, ...] = ()
    decimal_marks: Mapping[str, str] = field(default_factory=dict)
    calendar: str | None = None
    warnings: tuple[str, ...] = ()


def read_history(frame: pd.DataFrame, table: TableConfig, columns: Columns) -> History:
    """Reads the past of a whole table.

    Args:
        frame: (n_rows, n_columns) as it was read, with text column names.
        table: roles of the columns.
        columns: names of the account and date columns.

    Raises:
        DataError: an account has two rows for one date, a column of the past is not numeric, a peer group has no
            peers, or there are too few dates.
    """
    rows = np.arange(len(frame))
    assert columns.date is not None  # `choose_columns` refuses derived features without dates
    dates = parse_days(frame[columns.date], rows)
    accounts = np.full(len(frame), "", dtype=object)
    if columns.account is not None:
        accounts = parse_accounts(frame[columns.account], rows)
    check_one_row_per_day(dates, accounts)
    n_dates = len(np.unique(dates))
    if n_dates < MIN_DATES:
        raise DataError(
            f"the table has {n_dates} dates: features of past rows need {MIN_DATES} or more; give more history, or "
            "use --features own"
        )
    past, booleans, marks = _read_past(frame, table, columns.target)
    groups = {name: _group_texts(frame[name], name) for name in table.groups}
    warnings = [
        *_short_accounts(accounts),
        *(line for name in groups for line in _lonely(name, groups[name], accounts)),
    ]
    return History(
        columns.account, columns.date, accounts, dates, past, groups, booleans, marks, table.calendar, tuple(warnings)
    )


def _read_past(
    frame: pd.DataFrame, table: TableConfig, target: str
) -> tuple[dict[str, NDArray[np.float64]], tuple[str, ...], dict[str, str]]:
    """Values of the targets and of `known_after`, names of the boolean columns, and decimal marks.

    Of a target under `drop` only the predicted one is read.
    """
    used = [name for name in table.targets if name == target or name not in table.drop]
    targets = [name for name in used if name in frame.columns and not frame[name].isna().all()]
    past = {name: read_target(frame[name], name, table) for name in targets}
    booleans = [name for name in targets if _is_boolean_text(frame[name])]
    marks = {name: mark for name in targets if (mark := _decimal_mark(frame[name], name, table)) is not None}
    for name in table.known_after:
        if name in past:
            continue
        if frame[name].isna().all():
            raise DataError(f"column {name!r} (known_after:) has no value: remove it from known_after: in --config")
        feature = to_feature(frame[name], name, np.arange(len(frame)), table)
        if feature.kind == "category":
            raise DataError(
                f"column {name!r} (known_after:) holds texts, and past values must be numbers: give numbers, or name "
                "the column under drop: in --config"
            )
        past[name] = feature.values.to_numpy(dtype=np.float64)
        booleans += [name] if feature.kind == "boolean" else []
        marks |= {name: feature.decimal_mark} if feature.decimal_mark else {}
    return past, tuple(booleans), marks


def _is_boolean_text(column: pd.Series) -> bool:
    return kind_of(column) in ("text", "category") and is_boolean_text(column.dropna().unique())


def _decimal_mark(column: pd.Series, name: str, table: TableConfig) -> str | None:
    is_text = kind_of(column) in ("text", "category")
    return decimal_mark_of(column, name, table) if is_text and name in table.numbers else None


def _group_texts(column: pd.Series, name: str) -> NDArray[np.object_]:
    try:
        texts = texts_of(column)
    except ValueError as error:  # lists, bytes
        raise DataError(f"column {name!r} (groups:) cannot be a group: {error}: remove it from groups:") from error
    return texts.astype(object).where(texts.notna(), None).to_numpy()


def _short_accounts(accounts: NDArray[np.object_]) -> list[str]:
    """A warning for accounts with one row, whose derived features are mostly missing.

    Raises:
        DataError: every account has one row only.
    """
    codes, names = pd.factorize(accounts)
    single = np.bincount(codes) == 1
    if single.all():
        raise DataError(
            f"each of the {len(names)} accounts has one row: features of past rows need accounts with several dates; "
            "name the right account column with account: in --config"
        )
    if not single.any():
        return []
    return [f"{np.count_nonzero(single)} accounts have one row, so no past of their own: {listing(names[single])}"]


def _lonely(name: str, groups: NDArray[np.object_], accounts: NDArray[np.object_]) -> list[str]:
    """A warning for peer groups with one account.

    Raises:
        DataError: every group has one account only, or the column has no value.
    """
    pairs = pd.DataFrame({"group": groups, "account": accounts}).dropna().drop_duplicates()
    sizes = pairs["group"].value_counts()
    if sizes.empty:
        raise DataError(f"column {name!r} (groups:) has no value: remove it from groups: in --config")
    single = sorted(sizes.index[sizes == 1])
    if len(single) == len(sizes):
        raise DataError(
            f"column {name!r} (groups:) has {len(sizes)} groups of one account: peers need groups of two or more; "
            "remove it from groups: in --config"
        )
    if not single:
        return []
    return [f"column {name!r} (groups:) has {len(single)} groups of one account, without peers: {listing(single)}"]
