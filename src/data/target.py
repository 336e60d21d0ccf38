"""Checks of the target: does it fit its task, and is a feature a copy of it?"""

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.config import TableConfig, TargetConfig
from src.data.encoding import NotANumber, to_numbers
from src.data.values import check_finite, decimal_mark_of, is_boolean_text, kind_of, to_floats, type_of_first
from src.errors import DataError
from src.suggest import listing

_SAMPLE = 1000
_TOLERANCE = 1e-6
"""Share of the target's range; larger than the rounding of a copy in 32-bit floats."""


def read_target(column: pd.Series, name: str, table: TableConfig) -> NDArray[np.float64]:
    """The target as (n_rows,) floats, NaN where it is missing.

    Args:
        column: (n_rows,) raw values: numbers or booleans, also as text.
        name: of the column, for messages.
        table: says whether the texts are formatted numbers.

    Raises:
        DataError: a value is not a number, or infinite.
    """
    kind = kind_of(column)
    if kind == "other":
        raise DataError(
            f"target {name!r} is not numeric: it holds values of type {type_of_first(column)}: give numbers"
        )
    if kind in ("text", "category"):
        mark = decimal_mark_of(column, name, table) if name in table.numbers else None
        try:
            y = to_numbers(column, name, mark, boolean=is_boolean_text(column.dropna().unique()))
        except NotANumber as error:
            raise DataError(
                f"target {name!r} is not numeric: {error.shown!r} in row {error.row + 1}: give numbers, or name it "
                "under numbers: in --config if they are written like 12,345.67 or 3.2%"
            ) from error
    else:
        y = to_floats(column, f"target {name!r}")
    check_finite(y, f"target {name!r}", np.arange(len(y)))
    return y


def check_target(y: NDArray[np.float64], name: str, config: TargetConfig) -> None:
    """Refuses a target from which nothing can be learned.

    Args:
        y: (n_rows,) without missing values.
        name: of the column, for messages.
        config: its task.

    Raises:
        DataError: the target has no value, is constant, or is binary and has other values than 0 and 1.
    """
    if not len(y):
        raise DataError(f"target {name!r} is missing in every row: choose another target")
    values = np.unique(y)
    if config.task == "binary" and not np.isin(values, (0, 1)).all():
        shown = listing(f"{value:g}" for value in values[:5]) + (", …" if len(values) > 5 else "")
        raise DataError(f"binary target {name!r} has the values {shown}: use 0 and 1, or task: regression in --config")
    if len(values) == 1 and config.task == "binary":
        raise DataError(f"binary target {name!r} is {values[0]:g} in all {len(y)} rows: both classes are needed")
    if len(values) == 1:
        raise DataError(
            f"target {name!r} is {values[0]:g} in all {len(y)} rows: nothing can be learned from a constant"
        )


def likely_leaks(features: pd.DataFrame, categorical: Collection[str], y: NDArray[np.float64]) -> list[str]:
    """Names of the features that equal the target: a linear copy, or a category with one level per class.

    Features with mostly missing values are not checked, nor tables of a few rows, where this happens by chance.
    """
    if len(y) < 5:
        return []
    sample = np.unique(np.linspace(0, len(y) - 1, min(len(y), _SAMPLE)).astype(np.int64))
    leaks = []
    for name in features.columns:
        column = features[name]
        if name in categorical:
            if _is_renamed(column.iloc[sample], y[sample], may_be_part=True) and _is_renamed(column, y):
                leaks.append(str(name))
            continue
        x = column.to_numpy(dtype=np.float64)
        if _is_linear_copy(x[sample], y[sample], may_be_part=True) and _is_linear_copy(x, y):
            leaks.append(str(name))
    return leaks


def _is_linear_copy(x: NDArray[np.float64], y: NDArray[np.float64], may_be_part: bool = False) -> bool:
    """Whether y = a + b x in all rows, for the line through the lowest and the highest x.

    With `may_be_part` the rows are a sample, which may be constant although the whole column is not.
    """
    given = ~np.isnan(x)
    x, y = x[given], y[given]
    if len(x) * 2 < len(given) or not len(x):
        return may_be_part
    low, high = np.argmin(x), np.argmax(x)
    spread = y.max() - y.min()
    if x[low] == x[high] or spread == 0:
        return may_be_part and x[low] == x[high] and spread == 0
    with np.errstate(all="ignore"):  # numbers near 1e308 overflow, and then do not count as a copy
        line = y[low] + (x - x[low]) * ((y[high] - y[low]) / (x[high] - x[low]))
        return bool(np.all(np.abs(y - line) <= _TOLERANCE * spread))


def _is_renamed(labels: pd.Series, y: NDArray[np.float64], may_be_part: bool = False) -> bool:
    """Whether a category has exactly one level per value of a target with two values."""
    codes, uniques = pd.factorize(labels)
    given = codes >= 0
    codes, y = codes[given], y[given]
    if len(uniques) != 2 or len(codes) * 2 < len(given):
        return may_be_part and len(uniques) < 2
    first, second = y[codes == 0], y[codes == 1]
    return bool(first.min() == first.max() != second.min() == second.max())
