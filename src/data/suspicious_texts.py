"""Warns of text columns that are probably not categories: formatted numbers, dates, identifiers.

A model learns nothing from a category with hundreds of levels of one row, and the user would not notice.
"""

import re

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.encoding import MISSING_TEXTS
from src.data.formatted_numbers import looks_like_date, looks_like_number
from src.errors import DataError
from src.suggest import examples

NEARLY_ALL = 0.9
"""From this share of rows on, a column of numbers or dates is refused: a few values are wrong, it is no category."""
MOST = 0.5
MANY_LEVELS = 1000
MIN_LEVELS = 20
"""With fewer levels, distinct texts are no sign of an identifier: a small table has few repetitions."""
_CODE = re.compile(r"[+-]?0[0-9]+")


def check_texts(name: str, texts: pd.Series, rows: NDArray[np.int64]) -> list[str]:
    """Checks the texts of a column that `--config` does not declare as a category.

    Args:
        name: of the feature.
        texts: (n_rows,) `str`, missing values as NaN.
        rows: (n_rows,) positions of the values in the table as it was read.

    Returns:
        Warnings, with the column, up to three values, and the key of `--config` to use.

    Raises:
        DataError: nearly all rows hold formatted numbers or dates, which have to be declared.
    """
    counts = texts.value_counts()
    values = counts[[text.strip() not in MISSING_TEXTS for text in counts.index]]
    warnings = _missing_marks(name, counts)
    # One value with leading zeros ("007") means that all values of the column are codes, "123" too.
    is_code = any(_CODE.fullmatch(text) for text in values.index)
    for what, looks_like, keys in (
        ("numbers", looks_like_number, "numbers: in --config to read them, under drop: or under categories:"),
        ("dates", looks_like_date, "drop: in --config, or under categories:"),
    ):
        looks = np.array([looks_like(text) for text in values.index], dtype=bool)
        share = float(values[looks].sum() / max(1, values.sum()))
        if share <= MOST or (is_code and what == "numbers"):
            continue
        shown = examples(values.index[looks])
        text = f"feature {name!r} holds texts, {100 * share:.3g} % of which look like {what} ({shown})"
        if share < NEARLY_ALL:
            return [*warnings, f"{text}: they are read as a category; name the column under {keys} to keep it"]
        odd = values.index[~looks]
        besides = (
            f", the first that does not is {examples(odd[:1])} in row {_first_row(texts, odd, rows)}"
            if len(odd)
            else ""
        )
        correct = "correct or empty these, or " if len(odd) else ""
        raise DataError(f"{text}{besides}: {correct}name the column under {keys} to keep them as texts")
    return [*warnings, *_identifiers(name, values)]


def _first_row(texts: pd.Series, wanted: pd.Index, rows: NDArray[np.int64]) -> int:
    return int(rows[np.argmax(texts.isin(wanted))]) + 1


def _identifiers(name: str, values: pd.Series) -> list[str]:
    nearly_distinct = len(values) >= max(MIN_LEVELS, NEARLY_ALL * values.sum())
    if not nearly_distinct and len(values) <= max(MANY_LEVELS, values.sum() // 2):
        return []
    return [
        f"feature {name!r} has {len(values)} different texts in {values.sum()} rows ({examples(values.index)}) and is "
        "likely an identifier: name it under drop: in --config, or under categories: to keep it"
    ]


def _missing_marks(name: str, counts: pd.Series) -> list[str]:
    """Warns of texts that programs write for a missing value; `NA` and `None` may be meant as names."""
    marks = [text for text in counts.index if text.strip() in MISSING_TEXTS - {"NA", "None"}]
    if not marks:
        return []
    return [
        f"feature {name!r} has the text {marks[0]!r} in {counts[marks].sum()} rows, which is an ordinary category "
        "level: leave the field empty where the value is missing"
    ]
