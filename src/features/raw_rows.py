"""Derives features from raw rows, as a registered model gets them.

The training record says which columns to read and how; values and keys are read by the same code as in training.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .catalogue import Feature, longest_history
from .derive import derive
from .panel import Panel, make_panel

RECENT_DATES = 5
MOST_LINES = 3
OF_OTHER_ACCOUNTS = ("market", "groups", "rank")


@dataclass(frozen=True, eq=False)
class RawHistory:
    """The rows of a request or a table: the past, and rows to predict.

    Attributes:
        panel: the rows, sorted.
        order: (n_rows,) position in the frame of each row of the panel.
        to_predict: (n_rows,) in the order of the panel: whether the row's target is missing.
    """

    panel: Panel
    order: NDArray[np.int64]
    to_predict: NDArray[np.bool_]


def needed_columns(record: Mapping[str, Any]) -> list[str]:
    """Columns that derived features are computed from, in the order account, date, past, groups."""
    keys = [record["account"], record["date"], *record["past"], *record["groups"]]
    return [name for name in dict.fromkeys(keys) if name is not None]


def read_rows(frame: pd.DataFrame, record: Mapping[str, Any], encoding: ModuleType, keys: ModuleType) -> RawHistory:
    """Reads raw rows.

    Args:
        frame: (n_rows, at least `needed_columns`) of any types.
        record: `history` of the training record: names of the account (or None) and date columns, of the past columns,
            of the peer groups and of the target; boolean columns and decimal marks.
        encoding: `src/data/encoding.py`.
        keys: `src/data/key_values.py`.

    Raises:
        ValueError: a value cannot be read, is infinite, or an account has two rows for one date.
    """
    dates = keys.read_days(frame[record["date"]])
    accounts = np.full(len(frame), "", dtype=object)
    if record["account"] is not None:
        accounts = keys.read_accounts(frame[record["account"]])
    past = {}
    for name in record["past"]:
        mark, is_boolean = record["decimal_marks"].get(name), name in record["booleans"]
        past[name] = _finite(encoding.to_numbers(frame[name], name, mark, boolean=is_boolean), name)
    groups = {name: pd.factorize(encoding.texts_of(frame[name]))[0].astype(np.int64) for name in record["groups"]}
    panel, order = make_panel(accounts, dates, past, groups)
    return RawHistory(panel, order, np.isnan(panel.past[record["target"]]))


def _finite(values: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    infinite = np.isinf(values)
    if infinite.any():
        raise ValueError(
            f"column {name!r} holds {np.count_nonzero(infinite)} infinite values, the first in row "
            f"{int(np.argmax(infinite)) + 1}: replace them, or leave them empty if they are unknown"
        )
    return values


def derived_matrix(rows: RawHistory, derived: Mapping[str, Any]) -> NDArray[np.float64]:
    """The derived features, (n_rows, n_features), in the order of the frame.

    Args:
        rows: the rows.
        derived: the training record: `features` and `sessions`.
    """
    features = [Feature.from_dict(values) for values in derived["features"]]
    sessions = np.array(derived["sessions"], dtype="datetime64[D]") if derived["sessions"] else None
    matrix = np.empty((len(rows.panel), len(features)), dtype=np.float64)
    matrix[rows.order] = derive(rows.panel, features, sessions)
    return matrix


def history_warnings(
    rows: RawHistory, derived: Mapping[str, Any], chosen: NDArray[np.int64] | None = None
) -> list[str]:
    """One line for each way in which the past of the rows to predict differs from that in training.

    Args:
        rows: the rows.
        derived: the training record.
        chosen: positions of the rows to predict in the frame; None means those without a target.
    """
    if chosen is not None:
        rows = replace(rows, to_predict=np.isin(rows.order, chosen))
    if not rows.to_predict.any():
        return []
    features = [Feature.from_dict(values) for values in derived["features"]]
    return [
        *_short_history(rows, longest_history(features)),
        *_unknown_previous(rows, derived["history"]["target"]),
        *(_absent_peers(rows) if any(feature.family in OF_OTHER_ACCOUNTS for feature in features) else ()),
    ]


def _short_history(rows: RawHistory, needed: int) -> Iterator[str]:
    panel = rows.panel
    short = rows.to_predict & (panel.positions < needed)
    if short.any():
        fewest = int(panel.positions[short].min())
        yield (
            f"{np.count_nonzero(short)} of {np.count_nonzero(rows.to_predict)} rows to predict have fewer than "
            f"{needed} earlier rows of their account (at least {fewest}): give {needed} rows where the account has "
            "them, else features of longer windows differ from training"
        )


def _unknown_previous(rows: RawHistory, target: str) -> Iterator[str]:
    """Rows to predict whose account's previous row has no target yet."""
    follows = np.zeros(len(rows.panel), dtype=bool)
    follows[1:] = np.isnan(rows.panel.past[target])[:-1]
    unknown = rows.to_predict & follows & (rows.panel.positions > 0)
    if unknown.any():
        yield (
            f"{np.count_nonzero(unknown)} rows to predict follow a row of their account without a target: their last "
            "known value is older than in training"
        )


def _absent_peers(rows: RawHistory) -> Iterator[str]:
    """Accounts that had rows on recent dates, and have none on the date before the predicted ones."""
    panel, n_lines = rows.panel, 0
    codes, dates = panel.date_codes, panel.distinct_dates
    accounts = panel.accounts[np.argsort(codes, kind="stable")]
    starts = np.searchsorted(np.sort(codes), np.arange(len(dates) + 1))
    for code in np.unique(codes[rows.to_predict & (codes > 0)]):
        recent = np.unique(accounts[starts[max(0, code - 1 - RECENT_DATES)] : starts[code - 1]])
        absent = np.setdiff1d(recent, accounts[starts[code - 1] : starts[code]])
        if len(absent) and n_lines < MOST_LINES:
            n_lines += 1
            yield (
                f"{len(absent)} of {len(recent)} accounts with rows on the {RECENT_DATES} dates before have none on "
                f"{dates[code - 1]}: features of all accounts for {dates[code]} use the others alone"
            )
