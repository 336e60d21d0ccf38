"""Encoding of values: category levels as codes, numbers as floats. Training, prediction and serving share it.

Every registered model contains a copy of this file. It is all that the served code needs to read a row, so it imports
the standard library, numpy and pandas only. The encoding of a row does not depend on other rows:

- Training decides once which columns are categories or booleans, and which decimal mark a column has. The model's
  metadata records it.
- A value is missing if it is None, NaN, NaT, pandas.NA or blank text. In a column of numbers or booleans the texts of
  `MISSING_TEXTS` are missing too; in a category they are ordinary levels. The code of a missing value is NaN.
- The levels of a category are texts, sorted by code points. The code of a value is the position of its level. A text
  has the level with the same text. A number has the level with its own text (`text_of`: whole numbers have no `.0`),
  else the only level with the same number: 7 has level `7`, or `007` if no other level equals 7. The text `12.0`,
  which programs write for 12 in a column with a missing value, has level `12` if there is no level `12.0`.
- A value without a level has the code NaN, like a missing value.
"""

import datetime as dt
import math
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from decimal import Decimal
from numbers import Number
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
from numpy.typing import NDArray

MISSING_TEXTS = frozenset((
    "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA", "NULL",
    "NaN", "None", "n/a", "nan", "null", r"\N",
))  # fmt: skip
"""Missing in a column of numbers or booleans: the texts that pandas knows, and `\\N` of database dumps."""
BOOLEAN_TEXTS: Mapping[str, float] = {"true": 1.0, "True": 1.0, "TRUE": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0}

_PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_CODE = re.compile(r"[+-]?0[0-9]+")
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_LEVEL_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_WHOLE_WITH_ZERO = re.compile(r"-?[0-9]+\.0")
_CURRENCY = "[$€£¥₹]|AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HKD|HUF|INR|JPY|KRW|MXN|NOK|NZD|PLN|SEK|SGD|TRY|USD|ZAR"
_FORMATTED = re.compile(
    rf"(?P<first>[+-]?)\s*(?:{_CURRENCY})?\s*(?P<second>[+-]?)(?P<digits>[0-9.,'\u2019\s]*[0-9])\s*(?:{_CURRENCY})?"
    r"\s*(?P<percent>%?)(?P<last>-?)"
)
# Groups of thousands, by decimal mark; in India the groups before the last one have two digits.
_GROUPED = {
    mark: re.compile(rf"[0-9]{{1,3}}(?P<mark>[{other}'\u2019\s])(?:[0-9]{{2,3}}(?P=mark))*[0-9]{{3}}")
    for mark, other in ((".", ","), (",", "."))
}


class NotANumber(ValueError):
    """Values of a column are not numbers, or not booleans.

    Attributes:
        count: number of such values.
        row: position of the first one.
        shown: the first one, in at most 60 characters.
    """

    def __init__(self, column: pd.Series, name: str, bad: NDArray[np.bool_], wanted: str) -> None:
        self.count, self.row = int(np.count_nonzero(bad)), int(np.argmax(bad))
        self.shown = " ".join(str(column.iloc[self.row]).split())[:60]
        text = f"column {name!r} holds {self.count} values that are not {wanted}, the first {self.shown!r} in row "
        super().__init__(f"{text}{self.row + 1}: correct or empty them")


def learn_levels(features: pd.DataFrame, categorical: Sequence[str], rows: NDArray[np.int64]) -> dict[str, list[str]]:
    """The levels of each category column, from the given rows only.

    Args:
        features: (n_rows, n_features).
        categorical: names of the category columns.
        rows: positions of the training rows.
    """
    return {name: sorted(set(texts_of(features[name].iloc[rows]).dropna())) for name in categorical}


def encode(
    features: pd.DataFrame,
    levels: Mapping[str, Sequence[str]],
    booleans: Collection[str] = (),
    decimal_marks: Mapping[str, str] | None = None,
) -> NDArray[np.float64]:
    """The features as a matrix for LightGBM: categories as codes, booleans as 1 and 0, missing values as NaN.

    Args:
        features: (n_rows, n_features) of any types.
        levels: from `learn_levels`; a column without levels holds numbers or booleans.
        booleans: names of the boolean columns.
        decimal_marks: decimal mark by column, for texts that are formatted numbers (`read_number`).

    Returns:
        (n_rows, n_features), C-contiguous, columns in the order of `features`.

    Raises:
        ValueError: a value of a numeric column is not a number, or a category holds lists, bytes or similar values.
    """
    matrix = np.empty(features.shape, dtype=np.float64)
    for position, name in enumerate(features.columns):
        column = features.iloc[:, position]
        if name in levels:
            matrix[:, position] = level_codes(column, levels[name])
        else:
            mark = (decimal_marks or {}).get(name)
            matrix[:, position] = to_numbers(column, str(name), mark, boolean=name in booleans)
    return matrix


def text_of(value: Any) -> str:
    """The text of a value that is not missing: whole numbers without `.0`, dates without the time 00:00:00.

    Raises:
        ValueError: the value is a list, bytes or similar and cannot be a category level.
    """
    if isinstance(value, str | UUID):
        return str(value)
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, int | np.integer):
        return str(int(value))
    if isinstance(value, float | np.floating | Decimal):
        if math.isfinite(value) and value == int(value):
            return str(int(value))
        # The shortest text that parses to the same number, also for 32-bit floats.
        return f"{value:f}".rstrip("0") if isinstance(value, Decimal) else str(value)
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ").removesuffix(" 00:00:00")
    if isinstance(value, dt.date):
        return value.isoformat()
    raise ValueError(f"a value of type {type(value).__name__} cannot be a category level")


def texts_of(column: pd.Series) -> pd.Series:
    """A column as `str` with a new RangeIndex; missing and blank values are NaN.

    Raises:
        ValueError: a value cannot be a category level.
    """
    positions, values = distinct(column)
    texts = [text_of(value) for value in values]
    labels = np.array([*(text if text.strip() else None for text in texts), None], dtype=object)
    return pd.Series(labels[positions], dtype="str")


def distinct(column: pd.Series) -> tuple[NDArray[np.int64], list[Any]]:
    """Positions of the rows' values among the distinct values (-1 if missing), and these values, with their types."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return np.asarray(column.cat.codes, dtype=np.int64), list(column.cat.categories)
    if column.dtype != object:
        # A pandas index would turn a float32 into a float64 with more digits.
        codes, uniques = pd.factorize(column.to_numpy() if column.dtype.kind == "f" else column)
        return np.asarray(codes, dtype=np.int64), list(uniques)
    # factorize merges 1, 1.0 and True into one value; their texts differ.
    values, uniques_by_type = column.to_numpy(), list[Any]()
    position_of: dict[tuple[type, Any], int] = {}
    codes = np.full(len(values), -1, dtype=np.int64)
    for row in np.flatnonzero(~column.isna().to_numpy()).tolist():
        value = values[row]
        key = (type(value), value if isinstance(value, str | Number) else str(value))
        if key not in position_of:
            position_of[key] = len(uniques_by_type)
            uniques_by_type.append(value)
        codes[row] = position_of[key]
    return codes, uniques_by_type


def level_codes(column: pd.Series, levels: Sequence[str]) -> NDArray[np.float64]:
    """The positions of the values' levels as (n_rows,) floats; NaN for a missing value and for one without a level.

    Raises:
        ValueError: a value is a list, bytes or similar.
    """
    code_of = {level: float(code) for code, level in enumerate(levels)}
    by_number = _codes_by(levels, lambda level: Decimal(level) if _LEVEL_NUMBER.fullmatch(level) else None)
    by_whole = _codes_by(levels, without_zero)

    def code(value: Any) -> float:
        text = text_of(value)
        if text in code_of:
            return code_of[text]
        if isinstance(value, str):
            return by_whole.get(without_zero(text), math.nan)
        # Compared as decimal text, because the float 0.1 is not exactly 0.1; a boolean is not a number here.
        is_number = isinstance(value, Number) and not isinstance(value, bool)
        return by_number.get(Decimal(text), math.nan) if is_number else math.nan

    positions, values = distinct(column)
    # Missing values have position -1, which indexes the NaN at the end.
    return np.array([*(code(value) for value in values), np.nan])[positions]


def to_numbers(
    column: pd.Series, name: str, decimal_mark: str | None = None, *, boolean: bool = False
) -> NDArray[np.float64]:
    """Numbers and booleans, also as text, as (n_rows,) floats; missing values are NaN.

    Raises:
        NotANumber: a value is neither.
    """
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype):
        numbers = np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
        bad = ~np.isin(numbers, (0, 1)) & ~np.isnan(numbers) if boolean else np.zeros(len(numbers), dtype=bool)
    else:
        fast = plain_numbers(column) if not boolean and decimal_mark is None else None
        if fast is not None:
            return fast
        positions, values = distinct(column)
        parsed = [_number_of(value, decimal_mark, boolean) for value in values]
        numbers = np.array([*(math.nan if number is None else number for number in parsed), np.nan])[positions]
        bad = np.array([*(number is None for number in parsed), False])[positions]
    if bad.any():
        raise NotANumber(column, name, bad, "true, false, 1 or 0" if boolean else "numbers")
    return numbers


def read_number(text: str, decimal_mark: str | None = None) -> float | None:
    """Parses a number: NaN for a missing value, None for a text that is not a number.

    Args:
        text: such as `-1.5e3` or `inf`. `007` is a code, not a number.
        decimal_mark: `.` or `,`, for formatted numbers: `12,345.67`, `3.2%`, `$1,234`, `(1,234.00)`, `12-`. Thousands
            may be separated by the other mark, a space or an apostrophe; 3.2% is 0.032; parentheses or a trailing
            minus sign mean a negative number.
    """
    text = text.strip().replace("\u2212", "-")
    if not text or text in MISSING_TEXTS:
        return math.nan
    if _INFINITE.fullmatch(text):
        return float(text)
    if decimal_mark == ",":
        return _formatted_number(text, ",")
    if _PLAIN.fullmatch(text):
        return None if _CODE.fullmatch(text) else float(text)
    return None if decimal_mark is None else _formatted_number(text, ".")


def _formatted_number(text: str, mark: str) -> float | None:
    in_parentheses = text.startswith("(") and text.endswith(")")
    match = _FORMATTED.fullmatch(text[1:-1].strip() if in_parentheses else text)
    if match is None or _CODE.fullmatch(match["digits"]):
        return None
    whole, separator, fraction = match["digits"].partition(mark)
    is_whole = not whole or whole.isdecimal() or _GROUPED[mark].fullmatch(whole)
    signs = [match["first"], match["second"], match["last"], "-" if in_parentheses else ""]
    if not is_whole or (separator and not fraction.isdecimal()) or sum(map(bool, signs)) > 1:
        return None
    number = float(re.sub("[^0-9]", "", whole) + "." + (fraction or "0"))
    return (-1 if "-" in signs else 1) * (number / 100 if match["percent"] else number)


def _number_of(value: Any, decimal_mark: str | None, boolean: bool) -> float | None:
    if boolean and isinstance(value, str) and value.strip() in BOOLEAN_TEXTS:
        return BOOLEAN_TEXTS[value.strip()]
    if isinstance(value, str):
        number = read_number(value, decimal_mark)
    elif isinstance(value, Number | np.bool_) and not isinstance(value, complex | np.complexfloating):
        try:
            number = float(value)  # type: ignore[arg-type]  # the real ones among Number have a float
        except OverflowError:  # an integer above 1e308
            return None
    else:
        return None
    return None if boolean and number not in (None, 0, 1) and not math.isnan(number or 0) else number


def plain_numbers(column: pd.Series) -> NDArray[np.float64] | None:
    """Fast path for a `str` column of plain numbers, parsed by Arrow; None if the column may hold something else.

    Arrow accepts the same numbers as `read_number`, and codes such as 007, which are excluded here.
    """
    is_arrow = isinstance(column.dtype, pd.StringDtype) and column.dtype.storage == "pyarrow"
    if not is_arrow or column.str.fullmatch(_CODE.pattern).any():
        return None
    try:
        numbers = np.asarray(column.astype("Float64").to_numpy(na_value=np.nan), dtype=np.float64)
    except ValueError:  # a text is not a number
        return None
    return None if np.isnan(numbers[column.notna()]).any() else numbers


def without_zero(text: str) -> str:
    """`12.0` as `12`; other texts unchanged."""
    return text[:-2] if _WHOLE_WITH_ZERO.fullmatch(text) else text


def _codes_by(levels: Sequence[str], key: Callable[[str], Any]) -> dict[Any, float]:
    """Codes by a key of the levels; NaN for a key that several levels share."""
    codes: dict[Any, float] = {}
    for code, value in enumerate(map(key, levels)):
        codes[value] = math.nan if value in codes else float(code)
    return codes
