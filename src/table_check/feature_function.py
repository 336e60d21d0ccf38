"""Recomputes a user's own features on shorter histories, and names those that change.

The table is cut after a random date; a feature of a row up to the cut must be the same as from the whole table. In a
second run the targets of the cut's own date are replaced as well, so that a feature that uses them on their own day
changes too. The function gets copies, and is called once more on the whole table to see whether it is reproducible.
"""

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.keys import parse_days
from src.errors import ConfigError
from src.suggest import did_you_mean, one_line
from src.table_check.findings import Finding

FeatureFunction = Callable[[pd.DataFrame], pd.DataFrame]

CHECK = "feature function"
N_CUTS = 5
TOLERANCE = 1e-9
"""Of a column's largest value: sums in another order may differ in the last bits."""


@dataclass(frozen=True)
class RawTable:
    """A table as it was read.

    Attributes:
        frame: (n_rows, n_columns) with a RangeIndex.
        date: name of the date column.
        account: name of the account column, or None.
        outcomes: columns that are known only when the day is over.
    """

    frame: pd.DataFrame
    date: str
    account: str | None
    outcomes: tuple[str, ...]


def load_function(name: str) -> FeatureFunction:
    """The function that `module:function` names; modules of the working directory are found.

    Raises:
        ConfigError: the name has another form, the module cannot be imported, or has no such function.
    """
    module_name, _, function_name = name.partition(":")
    if not module_name or not function_name:
        raise ConfigError(f"--feature-function {name!r} is not of the form module:function: write my_features:make")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ConfigError(
            f"--feature-function {name}: module {module_name!r} cannot be imported: {_said(error)}; run the command in "
            "its folder, or set PYTHONPATH"
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        close = did_you_mean(function_name, vars(module))
        raise ConfigError(
            f"--feature-function {name}: module {module_name!r} has no function {function_name!r}{close}: correct it"
        )
    return function  # type: ignore[no-any-return]


def check_function(function: FeatureFunction, table: RawTable, seed: int) -> list[Finding]:
    """A finding per column that changes when later rows, or the targets of the day, are taken away.

    Raises:
        ConfigError: the function fails, or returns something else than a row of features per row of the table.
    """
    whole = _call(function, table, table.frame)
    again = _call(function, table, table.frame)
    if unstable := _changed(whole, again):
        return [_unstable(name, whole, again) for name in unstable]
    days = parse_days(table.frame[table.date], np.arange(len(table.frame)))
    cuts = _cuts(days, seed)
    found: dict[str, Finding] = {}
    for cut in cuts:
        rows = np.flatnonzero(days <= cut)
        for what, history in _histories(table, days[rows] == cut, rows, seed):
            part = _call(function, table, history)
            for name in _changed(whole.iloc[rows], part):
                found.setdefault(name, _finding(name, table, whole.iloc[rows], part, f"{what} {cut}"))
    if found:
        return list(found.values())
    text = f"{whole.shape[1]} features are the same on histories cut after {', '.join(map(str, cuts))}"
    return [Finding("ok", CHECK, "", text)]


def _cuts(days: NDArray[np.datetime64], seed: int) -> list[np.datetime64]:
    """Random dates of the table after its first fifth, ascending."""
    dates = np.unique(days)
    possible = dates[len(dates) // 5 : -1]
    if not len(possible):
        raise ConfigError(f"--feature-function needs a table with two dates or more, this one has {len(dates)}")
    drawn = np.random.default_rng(seed).choice(possible, min(N_CUTS, len(possible)), replace=False)
    return sorted(drawn)


def _histories(
    table: RawTable, is_today: NDArray[np.bool_], rows: NDArray[np.int64], seed: int
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The rows up to the cut; then the same with other values in the targets of the cut's own date."""
    history = table.frame.iloc[rows]
    yield "without the rows after", history
    replaced = history.copy()
    random, today = np.random.default_rng(seed), np.flatnonzero(is_today)
    for name in table.outcomes:
        values = history[name].array.copy()
        values[today] = values[random.integers(0, len(values), len(today))]
        replaced[name] = pd.Series(values, index=history.index)
    yield "with other targets on", replaced


def _call(function: FeatureFunction, table: RawTable, history: pd.DataFrame) -> pd.DataFrame:
    """The features of the rows of `history`, in its order; the function gets a copy with a fresh index.

    A result with another index is matched by its date and account columns.
    """
    given = history.reset_index(drop=True)
    try:
        features = function(given.copy(deep=True))
    except Exception as error:
        raise ConfigError(f"--feature-function failed on {len(given)} rows: {_said(error)}; correct it") from error
    if not isinstance(features, pd.DataFrame):
        kind = type(features).__name__
        raise ConfigError(f"--feature-function returned a {kind}: return a DataFrame with one row per row of the table")
    features = features.set_axis([str(name) for name in features.columns], axis=1)
    if not features.columns.is_unique:
        raise ConfigError("--feature-function returned a column name twice: rename one of the columns")
    keys = [table.date] if table.account is None else [table.date, table.account]
    if not features.index.is_unique or len(features) != len(given) or not given.index.isin(features.index).all():
        features = _by_keys(features, given, keys)
    own = [name for name in features.columns if name not in given.columns]
    return features.reindex(given.index)[own]


def _by_keys(features: pd.DataFrame, given: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    missing = [key for key in keys if key not in features.columns]
    indexed = None if missing else features.set_index(pd.MultiIndex.from_frame(_keys(features, keys)))
    if indexed is None or not indexed.index.is_unique:
        raise ConfigError(
            f"--feature-function returned {len(features)} rows for {len(given)}, with neither the table's index nor "
            f"unique keys {', '.join(keys)}: return one row per row of the table, with its index"
        )
    return indexed.reindex(pd.MultiIndex.from_frame(_keys(given, keys))).set_axis(given.index)


def _keys(frame: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """The key columns in one form, because the function may have converted them."""
    days = parse_days(frame[keys[0]], np.arange(len(frame)))
    return pd.DataFrame({keys[0]: days, **{key: frame[key].astype(str).to_numpy() for key in keys[1:]}})


def _changed(whole: pd.DataFrame, part: pd.DataFrame) -> list[str]:
    """Columns with a different value in some row; both frames have the same rows in the same order."""
    names = list(dict.fromkeys([*whole.columns, *part.columns]))
    return [name for name in names if len(_differences(whole, part, name))]


def _differences(whole: pd.DataFrame, part: pd.DataFrame, name: str) -> NDArray[np.int64]:
    """Positions of the rows in which a column differs; all rows if one of the two lacks it."""
    if name not in whole or name not in part:
        return np.arange(len(part))
    old, new = whole[name].reset_index(drop=True), part[name].reset_index(drop=True)
    if pd.api.types.is_numeric_dtype(old) and pd.api.types.is_numeric_dtype(new):
        a, b = old.to_numpy(dtype=np.float64, na_value=np.nan), new.to_numpy(dtype=np.float64, na_value=np.nan)
        finite = np.abs(a[np.isfinite(a)])
        same = np.isclose(a, b, rtol=0, atol=TOLERANCE * (finite.max() if len(finite) else 0.0), equal_nan=True)
    else:
        same = ((old.astype("object") == new.astype("object")) | (old.isna() & new.isna())).to_numpy(dtype=bool)
    return np.flatnonzero(~same)


def _finding(name: str, table: RawTable, whole: pd.DataFrame, part: pd.DataFrame, what: str) -> Finding:
    places = _differences(whole, part, name)
    if name not in part or name not in whole:
        text = f"column {name} exists only {'with' if name in whole else what + ', not with'} the whole table"
        return Finding("suspicious", CHECK, name, f"{text}: return the same columns for every history")
    last = places[-1]
    row = table.frame.loc[whole.index[last]]
    owner = "" if table.account is None else f", account {one_line(row[table.account], 40)}"
    new, old = _shown(part[name].iloc[last]), _shown(whole[name].iloc[last])
    text = (
        f"changes in {len(places)} rows {what}: on {str(row[table.date])[:10]}{owner} it is {new} instead of {old}: "
        "compute it from earlier rows only"
    )
    return Finding("suspicious", CHECK, name, text)


def _unstable(name: str, whole: pd.DataFrame, again: pd.DataFrame) -> Finding:
    rows = len(_differences(whole, again, name))
    text = f"differs in {rows} rows between two calls on the same table: give the function a fixed seed"
    return Finding("suspicious", CHECK, name, text)


def _shown(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float | np.floating) else one_line(value, 40)


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {one_line(error, 200)}".rstrip(": ")
