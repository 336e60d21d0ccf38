"""Kinds of columns, and their conversion to features.

Messages number rows as in the table that was read, from 1.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from numbers import Number
from typing import Any, Literal
from uuid import UUID

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.config import TableConfig
from src.data.encoding import (
    BOOLEAN_TEXTS,
    MISSING_TEXTS,
    NotANumber,
    distinct,
    plain_numbers,
    read_number,
    texts_of,
    to_numbers,
    without_zero,
)
from src.data.formatted_numbers import decide_decimal_mark
from src.data.suspicious_texts import check_texts
from src.errors import DataError

Kind = Literal["number", "boolean", "text", "category", "other"]

_KIND_OF_OBJECTS: dict[str, Kind] = {
    "string": "text",
    "boolean": "boolean",
    "integer": "number",
    "floating": "number",
    "mixed-integer-float": "number",
    "decimal": "number",
    "empty": "number",
}


@dataclass(frozen=True)
class FeatureColumn:
    """A feature in its final form.

    Attributes:
        values: (n_rows,) int, float (missing is NaN), bool without missing values, or `str` for a category.
        kind: `boolean` also where the values are floats because some are missing.
        decimal_mark: of texts that are formatted numbers; None for plain numbers.
        warnings: one line per possible mistake of the user.
    """

    values: pd.Series
    kind: Literal["number", "boolean", "category"]
    decimal_mark: str | None = None
    warnings: tuple[str, ...] = ()


def kind_of(column: pd.Series) -> Kind:
    """What a column holds, by its dtype, or by its values where the dtype is object."""
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
    """Numbers, booleans and Decimals as (n_rows,) floats; missing values are NaN.

    Raises:
        DataError: a number is too large for a float.
    """
    try:
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    except OverflowError as error:  # a Python integer above 1e308
        raise DataError(f"{what} holds a number too large for a float: correct it") from error


def type_of_first(column: pd.Series) -> str:
    """The first type in a column that is neither number nor text, for messages."""
    if not pd.api.types.is_object_dtype(column.dtype):
        return str(column.dtype)
    odd = next((value for value in column.dropna() if not isinstance(value, str | Number)), None)
    return type(odd).__name__


def to_feature(column: pd.Series, name: str, rows: NDArray[np.int64], table: TableConfig) -> FeatureColumn:
    """Converts a column to the form that a Dataset holds.

    Args:
        column: (n_rows,) raw values.
        name: of the column, for messages.
        rows: (n_rows,) positions of the values in the table as it was read.
        table: declares categories and numbers; the kind of other columns is decided here.

    Raises:
        DataError: the values are dates, lists, bytes or similar, infinite, numbers mixed with texts, or texts that are
            most likely numbers or dates.
    """
    kind = kind_of(column)
    if name in table.categories or kind == "category":
        return FeatureColumn(_category(column, name), "category")
    if name in table.numbers:
        mark = decimal_mark_of(column, name, table)
        values = read_numbers(column, f"feature {name!r}", rows, mark)
        return FeatureColumn(pd.Series(values), "number", mark)
    if kind == "other":
        raise DataError(
            f"feature {name!r} holds values of type {type_of_first(column)}, which cannot be features: "
            "convert it to numbers or texts, or name it under drop: in --config"
        )
    if kind == "text":
        return _text_feature(column, name, rows)
    return FeatureColumn(_numeric_values(column, kind, name, rows), kind)


def read_numbers(
    column: pd.Series, what: str, rows: NDArray[np.int64], decimal_mark: str | None, boolean: bool = False
) -> NDArray[np.float64]:
    """Finite numbers of any type or as text, as (n_rows,) floats; missing values are NaN.

    Raises:
        DataError: a value is not a number, or infinite; names the first one.
    """
    try:
        values = to_numbers(column, what, decimal_mark, boolean=boolean)
    except NotANumber as error:
        notation = f", with {decimal_mark!r} as the decimal mark" if decimal_mark else ""
        raise DataError(
            f"{what} is numeric except for {error.count} values, the first {error.shown!r} in row "
            f"{rows[error.row] + 1}{notation}: correct them, leave them empty, or change --config"
        ) from error
    check_finite(values, what, rows)
    return values


def check_finite(values: NDArray[Any], what: str, rows: NDArray[np.int64]) -> None:
    """Refuses infinite values.

    Raises:
        DataError: a value is infinite; gives their number and the row of the first one.
    """
    infinite = np.isinf(values)
    if infinite.any():
        first = rows[np.argmax(infinite)] + 1
        raise DataError(
            f"{what} holds {np.count_nonzero(infinite)} infinite values, the first in row {first}: "
            "replace them, or leave them empty if they are unknown"
        )


def decimal_mark_of(column: pd.Series, name: str, table: TableConfig) -> str | None:
    """The decimal mark of a column under `numbers:`, as declared there or detected from its texts.

    Raises:
        DataError: the texts contradict each other or are ambiguous.
    """
    try:
        texts = (value for value in distinct(column)[1] if isinstance(value, str))
        return table.numbers[name] or decide_decimal_mark(texts)
    except ValueError as error:
        raise DataError(
            f'column {name!r} has no clear decimal mark: {error}: write `numbers: {{{name}: "."}}` in --config, or ","'
        ) from error


def is_boolean_text(values: Iterable[Any]) -> bool:
    """Whether all values are texts of booleans, apart from missing values."""
    given = {value.strip() if isinstance(value, str) else "" for value in values} - MISSING_TEXTS - {""}
    return bool(given) and given <= BOOLEAN_TEXTS.keys()


def _kind_of_objects(column: pd.Series) -> Kind:
    inferred = pd.api.types.infer_dtype(column, skipna=True)
    if inferred in _KIND_OF_OBJECTS:
        return _KIND_OF_OBJECTS[inferred]
    types = {type(value) for value in column.dropna()}
    if not all(issubclass(kind, str | UUID | int | float | Decimal | np.number | np.bool_) for kind in types):
        return "other"
    return "text" if any(issubclass(kind, str | UUID) for kind in types) else "number"


def _category(column: pd.Series, name: str) -> pd.Series:
    try:
        return _whole_numbers(texts_of(column))
    except ValueError as error:  # lists, bytes
        raise DataError(
            f"feature {name!r} cannot be a category: {error}: convert it to texts, or name it under drop: in --config"
        ) from error


def _whole_numbers(texts: pd.Series) -> pd.Series:
    """Removes `.0`, which programs add to codes where some are missing; unchanged if `1.0` and `1.1` both occur."""
    numbers = [text for text in texts.dropna().unique() if read_number(text) is not None]
    if not numbers or any(without_zero(text) == text for text in numbers):
        return texts
    return texts.map(without_zero, na_action="ignore").astype("str")


def _numeric_values(column: pd.Series, kind: Kind, name: str, rows: NDArray[np.int64]) -> pd.Series:
    complete = not column.isna().any()
    if kind == "boolean" and complete:
        return pd.Series(column.to_numpy(dtype=bool))
    if isinstance(column.dtype, np.dtype) and column.dtype != object:
        values: NDArray[Any] = column.to_numpy()
    elif complete and pd.api.types.is_signed_integer_dtype(column.dtype):  # pandas' nullable or Arrow integers
        values = column.to_numpy(dtype=np.int64)
    else:
        values = to_floats(column, f"feature {name!r}")
    check_finite(values, f"feature {name!r}", rows)
    return pd.Series(values)


def _text_feature(column: pd.Series, name: str, rows: NDArray[np.int64]) -> FeatureColumn:
    """A text column that `--config` does not declare: numbers or booleans if all texts are, else a category."""
    fast = plain_numbers(column)
    if fast is not None and not np.isnan(fast).all():
        check_finite(fast, f"feature {name!r}", rows)
        return FeatureColumn(pd.Series(fast), "number")
    texts = texts_of(column)
    values = texts.dropna().unique()
    if is_boolean_text(values):
        flags = to_numbers(column, name, boolean=True)
        return FeatureColumn(pd.Series(flags if np.isnan(flags).any() else flags.astype(bool)), "boolean")
    given = [text for text in values if text.strip() not in MISSING_TEXTS]
    if given and all(read_number(text) is not None for text in given):
        return FeatureColumn(pd.Series(read_numbers(column, f"feature {name!r}", rows, None)), "number")
    return FeatureColumn(texts, "category", warnings=tuple(check_texts(name, texts, rows)))
