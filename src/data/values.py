"""What the values of a column are, and the columns as a model can take them.

A message names a row by its place in the table as it was read, counted from 1.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from numbers import Number
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.errors import DataError
from src.suggest import one_line

Kind = Literal["number", "boolean", "text", "category", "other"]
MOSTLY_NUMBERS = 0.9
"""From this share of numbers on, a text column is a numeric one with bad rows, not a category."""
MANY_LEVELS = 1000

_KIND_OF_OBJECTS: dict[str, Kind] = {
    "string": "text",
    "boolean": "boolean",
    "integer": "number",
    "floating": "number",
    "mixed-integer-float": "number",
    "decimal": "number",
    "empty": "number",
}
_CODE = re.compile(r"0\d+")


@dataclass(frozen=True)
class FeatureColumn:
    """A feature in its final form.

    Attributes:
        values: (n_rows,) int, float (missing is NaN), bool without missing values, or `str` for a category.
        is_category: whether its values are levels.
        warning: what the user may not have meant, or None.
    """

    values: pd.Series
    is_category: bool = False
    warning: str | None = None


def kind_of(column: pd.Series) -> Kind:
    """What a column holds, by its dtype, and by its values where the dtype says nothing."""
    dtype = column.dtype
    if isinstance(dtype, pd.CategoricalDtype):
        return "category"
    if pd.api.types.is_object_dtype(dtype):
        return _kind_of_objects(column)
    if pd.api.types.is_bool_dtype(dtype):
        return "boolean"
    if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_complex_dtype(dtype):
        return "number"
    return "text" if pd.api.types.is_string_dtype(dtype) else "other"


def to_floats(column: pd.Series, what: str) -> NDArray[np.float64]:
    """Numbers, booleans and Decimals as (n_rows,) floats, missing ones as NaN.

    Raises:
        DataError: a number is too large for a float.
    """
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except OverflowError as error:  # a Python integer beyond 1e308
        raise DataError(f"{what} holds a number too large for a float: correct it") from error


def texts_to_floats(column: pd.Series) -> NDArray[np.float64]:
    """Texts as (n_rows,) numbers; what is missing, blank or no number is NaN."""
    codes, texts = pd.factorize(to_texts(column))
    numbers = np.asarray(pd.to_numeric(pd.Series(texts, dtype=object), errors="coerce"), dtype=np.float64)
    return np.append(numbers, np.nan)[codes]


def to_texts(column: pd.Series) -> pd.Series:
    """A column as `str`, missing values as NaN; a number among texts becomes its text."""
    if isinstance(column.dtype, pd.StringDtype) and column.dtype.na_value is not pd.NA:
        return column
    codes, values = pd.factorize(column)
    # What factorize takes for equal (1, 1.0, True) is written as what came first: a mix is no category to rely on.
    labels = np.array([*(str(value) for value in values), None], dtype=object)
    return pd.Series(labels[codes], dtype="str")


def type_of_first(column: pd.Series) -> str:
    """The type that a column of neither numbers nor texts holds, for messages."""
    if not pd.api.types.is_object_dtype(column.dtype):
        return str(column.dtype)
    odd = next((value for value in column.dropna() if not isinstance(value, str | Number)), None)
    return type(odd).__name__


def to_feature(column: pd.Series, name: str, rows: NDArray[np.int64]) -> FeatureColumn:
    """Brings a column into the form that a Dataset holds.

    Args:
        column: (n_rows,) the raw values.
        name: what messages call it.
        rows: (n_rows,) where each value stands in the table as it was read.

    Raises:
        DataError: the values are dates, lists, bytes or the like, infinite, or numbers with some texts between.
    """
    kind = kind_of(column)
    if kind == "other":
        raise DataError(
            f"feature {name!r} holds values of type {type_of_first(column)}, which no model can take: "
            "turn it into numbers or texts, or name it under drop: in --config"
        )
    if kind == "category":
        return FeatureColumn(to_texts(column), is_category=True)
    if kind == "text":
        return _text_feature(column, name, rows)
    return FeatureColumn(_numeric_values(column, kind, name, rows))


def check_finite(values: NDArray[Any], what: str, rows: NDArray[np.int64]) -> None:
    """Refuses infinite values.

    Raises:
        DataError: there are some; says how many, and where the first stands.
    """
    infinite = np.isinf(values)
    if infinite.any():
        first = rows[np.argmax(infinite)] + 1
        raise DataError(
            f"{what} holds {np.count_nonzero(infinite)} infinite values, the first in row {first}: "
            "replace them, by missing ones if they are unknown"
        )


def _kind_of_objects(column: pd.Series) -> Kind:
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    if inferred in _KIND_OF_OBJECTS:
        return _KIND_OF_OBJECTS[inferred]
    types = {type(value) for value in column.dropna()}
    if not all(issubclass(kind, str | int | float | Decimal | np.number | np.bool_) for kind in types):
        return "other"
    return "text" if any(issubclass(kind, str) for kind in types) else "number"


def _numeric_values(column: pd.Series, kind: Kind, name: str, rows: NDArray[np.int64]) -> pd.Series:
    complete = not column.isna().any()
    if kind == "boolean" and complete:
        return pd.Series(column.to_numpy(dtype=bool))
    if isinstance(column.dtype, np.dtype) and column.dtype != object:
        values: NDArray[Any] = column.to_numpy()
    elif complete and pd.api.types.is_signed_integer_dtype(column.dtype):  # of pandas' own or Arrow's integers
        values = column.to_numpy(dtype=np.int64)
    else:
        values = to_floats(column, f"feature {name!r}")
    check_finite(values, f"feature {name!r}", rows)
    return pd.Series(values)


def _text_feature(column: pd.Series, name: str, rows: NDArray[np.int64]) -> FeatureColumn:
    texts = to_texts(column)
    counts = texts.value_counts()
    levels = [level for level in counts.index if level.strip()]
    numbers = texts_to_floats(texts)
    given = int(counts[levels].sum())
    share = np.count_nonzero(~np.isnan(numbers)) / given if given else 0.0
    # "007" is a code: as a number it would be another thing.
    if share < MOSTLY_NUMBERS or any(_CODE.fullmatch(level) for level in levels):
        many = len(levels) > max(MANY_LEVELS, len(texts) // 2)
        warning = f"feature {name!r} has {len(levels)} different texts: likely an identifier, name it under drop:"
        return FeatureColumn(texts, is_category=True, warning=warning if many else None)
    if share < 1:
        bad = np.isnan(numbers) & (texts.notna() & (texts.str.strip() != "")).to_numpy(dtype=bool)
        first = int(np.argmax(bad))
        shown = one_line(texts.iloc[first], 60)
        raise DataError(
            f"feature {name!r} is numeric but for {np.count_nonzero(bad)} values, the first {shown!r} in row "
            f"{rows[first] + 1}: correct or empty them, or name the column under drop: in --config"
        )
    check_finite(numbers, f"feature {name!r}", rows)
    return FeatureColumn(
        pd.Series(numbers), warning=f"feature {name!r} holds numbers as text: they are read as numbers"
    )
