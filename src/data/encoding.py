"""What a value means: category levels as codes, numbers as floats. The same in training, prediction and a request.

A copy of this file travels with every registered model and is all that the served code needs to read a row, so it
imports the standard library, numpy and pandas only. Nothing about a row is guessed from the rows beside it:

- Which columns are categories or booleans, and which decimal mark the texts of a column have, is decided once, in
  training, and stands in the model's metadata.
- A value is missing if it is None, NaN, NaT, pandas.NA or blank text. In a column of numbers or booleans the texts of
  `MISSING_TEXTS` are missing too; in a category they are text like any other. The code of a missing value is NaN.
- The levels of a category are texts, sorted by code points. The code of a value is the position of its level. A text
  belongs to the level of exactly the same text. A number belongs to the level of its own text (`text_of`: whole
  numbers have no `.0`), else to the one level of equal number: 7 to `7`, or to `007` if no other level equals 7. The
  text `12.0`, which programs write for a 12 in a column with a blank, belongs to `12` where there is no level `12.0`.
- What belongs to no level has the code NaN, as if it were missing.
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
"""Missing in a column of numbers or booleans: pandas' own marks, and the one of database dumps."""
BOOLEAN_TEXTS: Mapping[str, float] = {"true": 1.0, "True": 1.0, "TRUE": 1.0, "false": 0.0, "False": 0.0, "FALSE": 0.0}

_PLAIN = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_CODE = re.compile(r"[+-]?0[0-9]+")
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
_LEVEL_NUMBER = re.compile(r"-?[0-9]+(?:\.[0-9]+)?")
_WHOLE_WITH_ZERO = re.compile(r"-?[0-9]+\.0")
_CURRENCY = "[$€£¥₹]|AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HKD|HUF|INR|JPY|KRW|MXN|NOK|NZD|PLN|SEK|SGD|TRY|USD|ZAR"
_WRITTEN = re.compile(
    rf"(?P<first>[+-]?)\s*(?:{_CURRENCY})?\s*(?P<second>[+-]?)(?P<digits>[0-9.,'\u2019\s]*[0-9])\s*(?:{_CURRENCY})?"
    r"\s*(?P<percent>%?)(?P<last>-?)"
)
# Groups of thousands, by decimal mark; those before the last have two digits in India.
_GROUPED = {
    mark: re.compile(rf"[0-9]{{1,3}}(?P<mark>[{other}'\u2019\s])(?:[0-9]{{2,3}}(?P=mark))*[0-9]{{3}}")
    for mark, other in ((".", ","), (",", "."))
}


class NotANumber(ValueError):
    """Values of a column are no numbers, or neither true nor false.

    Attributes:
        count: how many.
        row: position of the first.
        shown: the first, in at most 60 characters.
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
    """The features as LightGBM takes them: categories as codes, booleans as 1 and 0, missing values as NaN.

    Args:
        features: (n_rows, n_features) of any types.
        levels: what `learn_levels` gave; a column without levels holds numbers or booleans.
        booleans: names of the columns that hold booleans.
        decimal_marks: the decimal mark of each column whose texts are numbers as people write them (`read_number`).

    Returns:
        (n_rows, n_features), C-contiguous, columns in the order of `features`.

    Raises:
        ValueError: a value is no number where there has to be one, or a category holds lists, bytes or the like.
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
    """The text of one value that is not missing: of a whole number without `.0`, of a day without its midnight.

    Raises:
        ValueError: the value is a list, bytes or the like, which has no text of its own.
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
        # The shortest text that reads back as the same number, in 32 bits too.
        return f"{value:f}".rstrip("0") if isinstance(value, Decimal) else str(value)
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ").removesuffix(" 00:00:00")
    if isinstance(value, dt.date):
        return value.isoformat()
    raise ValueError(f"a value of type {type(value).__name__} cannot be a category's level")


def texts_of(column: pd.Series) -> pd.Series:
    """A column as `str` under a fresh index; missing and blank values are NaN.

    Raises:
        ValueError: a value has no text of its own.
    """
    positions, values = distinct(column)
    texts = [text_of(value) for value in values]
    labels = np.array([*(text if text.strip() else None for text in texts), None], dtype=object)
    return pd.Series(labels[positions], dtype="str")


def distinct(column: pd.Series) -> tuple[NDArray[np.int64], list[Any]]:
    """Each row's position among the distinct values, -1 where it is missing; and these values, each with its type."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return np.asarray(column.cat.codes, dtype=np.int64), list(column.cat.categories)
    if column.dtype != object:
        # An index of pandas would give a float32 out as a longer float.
        codes, uniques = pd.factorize(column.to_numpy() if column.dtype.kind == "f" else column)
        return np.asarray(codes, dtype=np.int64), list(uniques)
    # factorize takes 1, 1.0 and True for one value; their texts differ.
    values, found = column.to_numpy(), list[Any]()
    place: dict[tuple[type, Any], int] = {}
    codes = np.full(len(values), -1, dtype=np.int64)
    for row in np.flatnonzero(~column.isna().to_numpy()).tolist():
        value = values[row]
        key = (type(value), value if isinstance(value, str | Number) else str(value))
        if key not in place:
            place[key] = len(found)
            found.append(value)
        codes[row] = place[key]
    return codes, found


def level_codes(column: pd.Series, levels: Sequence[str]) -> NDArray[np.float64]:
    """The position of each value's level as (n_rows,) floats, NaN for what is missing or belongs to none.

    Raises:
        ValueError: a value is a list, bytes or the like.
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
        # By its text, because 0.1 is not exactly a tenth; a boolean is not a number here.
        is_number = isinstance(value, Number) and not isinstance(value, bool)
        return by_number.get(Decimal(text), math.nan) if is_number else math.nan

    positions, values = distinct(column)
    # Missing values have position -1, which is the NaN at the end.
    return np.array([*(code(value) for value in values), np.nan])[positions]


def to_numbers(
    column: pd.Series, name: str, decimal_mark: str | None = None, *, boolean: bool = False
) -> NDArray[np.float64]:
    """Numbers, booleans and texts of them as (n_rows,) floats, missing ones as NaN.

    Raises:
        NotANumber: a value is none of these.
    """
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column.dtype):
        numbers = np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
        bad = ~np.isin(numbers, (0, 1)) & ~np.isnan(numbers) if boolean else np.zeros(len(numbers), dtype=bool)
    else:
        fast = plain_numbers(column) if not boolean and decimal_mark is None else None
        if fast is not None:
            return fast
        positions, values = distinct(column)
        read = [_number_of(value, decimal_mark, boolean) for value in values]
        numbers = np.array([*(math.nan if number is None else number for number in read), np.nan])[positions]
        bad = np.array([*(number is None for number in read), False])[positions]
    if bad.any():
        raise NotANumber(column, name, bad, "true, false, 1 or 0" if boolean else "numbers")
    return numbers


def read_number(text: str, decimal_mark: str | None = None) -> float | None:
    """A text as a number: NaN for a missing one, None for one that is no number.

    Args:
        text: `-1.5e3`, `inf`. `007` is a code, no number.
        decimal_mark: `.` or `,`, for numbers as people write them: `12,345.67`, `3.2%`, `$1,234`, `(1,234.00)`, `12-`.
            Thousands may then be separated by the other mark, a space or an apostrophe; 3.2% is 0.032, parentheses
            and a minus sign at the end say that the number is negative.
    """
    text = text.strip().replace("\u2212", "-")
    if not text or text in MISSING_TEXTS:
        return math.nan
    if _INFINITE.fullmatch(text):
        return float(text)
    if decimal_mark == ",":
        return _written_number(text, ",")
    if _PLAIN.fullmatch(text):
        return None if _CODE.fullmatch(text) else float(text)
    return None if decimal_mark is None else _written_number(text, ".")


def _written_number(text: str, mark: str) -> float | None:
    in_parentheses = text.startswith("(") and text.endswith(")")
    match = _WRITTEN.fullmatch(text[1:-1].strip() if in_parentheses else text)
    if match is None or _CODE.fullmatch(match["digits"]):
        return None
    whole, found, fraction = match["digits"].partition(mark)
    is_whole = not whole or whole.isdecimal() or _GROUPED[mark].fullmatch(whole)
    signs = [match["first"], match["second"], match["last"], "-" if in_parentheses else ""]
    if not is_whole or (found and not fraction.isdecimal()) or sum(map(bool, signs)) > 1:
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
        except OverflowError:  # a whole number beyond 1e308
            return None
    else:
        return None
    return None if boolean and number not in (None, 0, 1) and not math.isnan(number or 0) else number


def plain_numbers(column: pd.Series) -> NDArray[np.float64] | None:
    """A `str` column of nothing but plain numbers, many times as fast as one by one; None where that cannot be told.

    Arrow reads the same numbers as `read_number` does and refuses the rest, apart from codes such as 007.
    """
    is_arrow = isinstance(column.dtype, pd.StringDtype) and column.dtype.storage == "pyarrow"
    if not is_arrow or column.str.fullmatch(_CODE.pattern).any():
        return None
    try:
        numbers = np.asarray(column.astype("Float64").to_numpy(na_value=np.nan), dtype=np.float64)
    except ValueError:  # some text is no number
        return None
    return None if np.isnan(numbers[column.notna()]).any() else numbers


def without_zero(text: str) -> str:
    """`12.0` as `12`, any other text as it is."""
    return text[:-2] if _WHOLE_WITH_ZERO.fullmatch(text) else text


def _codes_by(levels: Sequence[str], key: Callable[[str], Any]) -> dict[Any, float]:
    """Codes by a key of the levels; a key that several levels share says nothing."""
    found: dict[Any, float] = {}
    for code, value in enumerate(map(key, levels)):
        found[value] = math.nan if value in found else float(code)
    return found
