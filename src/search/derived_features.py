"""Adds features of past rows to a table.

A derived feature of a row depends on rows before it alone, so it is computed once for the whole table, the hold-out
included: no split can change it, and none is looked at.
"""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.history import History
from src.data.table import Dataset
from src.errors import DataError
from src.features.catalogue import Feature, candidates, longest_history
from src.features.derive import derive
from src.features.panel import make_panel
from src.features.raw_rows import needed_columns
from src.search.calendar_sessions import read_sessions
from src.suggest import listing

log = logging.getLogger(__name__)

EXAMPLE_ROWS = 5
FEATURES_ATTR = "derived_features"
"""Study attribute with the derived features of all its trials; each process that works on the study reads it."""


@dataclass(frozen=True)
class DerivedFeatures:
    """The derived features of a study.

    Attributes:
        features: those that trials use.
        sessions: exchange sessions as ISO dates, if the table has a calendar; kept because a calendar package may
            change them later.
        considered: number of candidates.
        choice: how they were chosen (see `feature_choice`), as JSON values.
    """

    features: tuple[Feature, ...]
    sessions: tuple[str, ...] = ()
    considered: int = 0
    choice: dict[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON values, for the study and the metadata."""
        return asdict(self) | {"features": [feature.to_dict() for feature in self.features]}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "DerivedFeatures":
        """What `to_json` wrote.

        Raises:
            DataError: it is of a later version: a feature of an unknown kind, or another form.
        """
        try:
            features = tuple(Feature.from_dict(values) for values in stored["features"])
            return cls(features, tuple(stored["sessions"]), stored["considered"], stored["choice"])
        except ValueError as error:  # its message names the feature and the remedy
            raise DataError(f"the derived features cannot be computed: {error}") from error
        except (KeyError, TypeError) as error:  # names are missing, or a value is of another type
            raise DataError(
                "the record of derived features has a form that this version does not know: use the version that "
                "made it"
            ) from error


def all_candidates(data: Dataset) -> DerivedFeatures:
    """Every feature that can be derived from a table's past.

    Raises:
        DataError: a derived feature would have the name of a column of the table.
        ConfigError: there is no such exchange calendar.
    """
    history = _history(data)
    sessions = read_sessions(history.calendar, history.dates) if history.calendar else ()
    try:
        features = candidates(list(history.past), list(history.groups), bool(sessions))
    except ValueError as error:  # two features would have one name
        raise DataError(f"features cannot be derived: {error}") from error
    taken = {*data.features.columns, *history.past, *history.groups, history.account_column, history.date_column}
    if both := [feature.name for feature in features if feature.name in taken]:
        raise DataError(
            f"columns {listing(both)} have the names of derived features: rename them, or use --features own"
        )
    return DerivedFeatures(tuple(features), sessions, len(features))


def add_derived_features(data: Dataset, derived: DerivedFeatures) -> Dataset:
    """The table with these features after its own; a table that has them already is returned unchanged."""
    names = [feature.name for feature in derived.features]
    if not names or set(names) <= set(data.features.columns):
        return data
    history = _history(data)
    assert data.positions is not None
    groups = {name: np.asarray(pd.factorize(texts)[0], dtype=np.int64) for name, texts in history.groups.items()}
    panel, order = make_panel(history.accounts, history.dates, history.past, groups)
    sessions = np.array(derived.sessions, dtype="datetime64[D]") if derived.sessions else None
    matrix = derive(panel, derived.features, sessions)
    rows = _inverse(order)[data.positions]
    columns = {name: matrix[rows, position] for position, name in enumerate(names)}
    return replace(data, features=pd.concat([data.features, pd.DataFrame(columns)], axis=1))


def keep_features(data: Dataset, derived: DerivedFeatures, names: Sequence[str]) -> tuple[Dataset, DerivedFeatures]:
    """The table and its derived features without those that are not named; own columns stay."""
    kept = tuple(feature for feature in derived.features if feature.name in set(names))
    left_out = [feature.name for feature in derived.features if feature not in kept]
    return replace(data, features=data.features.drop(columns=left_out)), replace(derived, features=kept)


def describe_features(data: Dataset, derived: DerivedFeatures | None) -> dict[str, Any]:
    """The metadata of a model's features: where they come from, and what is needed to derive them again.

    Args:
        data: the table, with its derived features.
        derived: the study's; None in mode `own`.
    """
    record: dict[str, Any] = {"feature_mode": data.mode, "feature_mode_reason": data.mode_reason, "history_rows": 0}
    if derived is None or not derived.features:
        return record
    history = _history(data)
    past = {feature.column for feature in derived.features} | {data.target}
    groups = {feature.group for feature in derived.features}
    needed = {
        "account": history.account_column,
        "date": history.date_column,
        "target": data.target,
        "past": [name for name in history.past if name in past],
        "groups": [name for name in history.groups if name in groups],
        "booleans": [name for name in history.booleans if name in past],
        "decimal_marks": {name: mark for name, mark in history.decimal_marks.items() if name in past},
    }
    own = list(data.features.columns[: -len(derived.features)])
    return record | {
        "history_rows": longest_history(derived.features),
        "input_columns": list(dict.fromkeys([*own, *needed_columns(needed)])),
        "derived_features": derived.to_json() | {"history": needed},
    }


def input_example(data: Dataset, rows: NDArray[np.int64], n_past: int) -> pd.DataFrame:
    """The last rows of the search as a request: own features, or the past of an account and a row to predict.

    Args:
        data: the table.
        rows: positions of the rows of the search, by date.
        n_past: number of past rows that the model needs; 0 without derived features.
    """
    if data.history is None or not n_past:
        return data.features.iloc[rows[-EXAMPLE_ROWS:]]
    assert data.accounts is not None or data.history.account_column is None
    if data.accounts is not None:
        rows = rows[data.accounts[rows] == data.accounts[rows[-1]]]
    history, last = data.history, rows[-n_past - 1 :]
    assert data.positions is not None
    places = data.positions[last]
    example = data.features.iloc[last].reset_index(drop=True)
    columns: dict[str, Any] = {history.date_column: history.dates[places].astype(str)}
    if history.account_column is not None:
        columns[history.account_column] = history.accounts[places]
    for name, values in history.past.items():
        columns[name] = np.where(np.arange(len(places)) < len(places) - 1, values[places], np.nan)
    columns |= {name: texts[places] for name, texts in history.groups.items()}
    return example.assign(**columns)


def _history(data: Dataset) -> History:
    if data.history is None:
        raise DataError(f"no features can be derived from {data.source!r}: it was read without its past")
    return data.history


def _inverse(order: NDArray[np.int64]) -> NDArray[np.int64]:
    places = np.empty(len(order), dtype=np.int64)
    places[order] = np.arange(len(order))
    return places
