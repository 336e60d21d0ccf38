"""Categories as numbers, by levels learned on training rows only.

The rule is simple enough to be written a second time inside the served model, which knows nothing of this module:

- A value is missing if it is None, NaN, NaT or pandas.NA. Its code is NaN.
- The level of any other value is `str(value)`; levels are compared exactly, case and spaces included.
- The levels of a column are those of the training rows, sorted by code points. The code of a value is the position
  of its level among them, as a float; a level that is not among them has the code NaN, as if it were missing.
- In a column without levels a boolean is 1 or 0, a number itself, a missing value NaN.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray


def learn_levels(features: pd.DataFrame, categorical: Sequence[str], rows: NDArray[np.int64]) -> dict[str, list[str]]:
    """The levels of each category column, from the given rows only.

    Args:
        features: (n_rows, n_features).
        categorical: names of the category columns.
        rows: positions of the training rows.

    Returns:
        For each column its levels, sorted; an empty list if every training value is missing.
    """
    return {name: sorted(_labels(features[name].iloc[rows])[1]) for name in categorical}


def encode(features: pd.DataFrame, levels: Mapping[str, Sequence[str]]) -> NDArray[np.float64]:
    """The features as LightGBM takes them: categories as codes, booleans as 1 and 0, missing values as NaN.

    Args:
        features: (n_rows, n_features); a column that has no levels is numeric or boolean.
        levels: what `learn_levels` gave.

    Returns:
        (n_rows, n_features), C-contiguous, columns in the order of `features`.

    Raises:
        ValueError: a column that has no levels holds text.
    """
    matrix = np.empty(features.shape, dtype=np.float64)
    for position, name in enumerate(features.columns):
        column = features[name]
        if name in levels:
            matrix[:, position] = _codes(column, levels[name])
        else:
            matrix[:, position] = column.to_numpy(dtype=np.float64, na_value=np.nan)
    return matrix


def _codes(column: pd.Series, levels: Sequence[str]) -> NDArray[np.float64]:
    codes, labels = _labels(column)
    code_of = {level: float(code) for code, level in enumerate(levels)}
    # Missing values have position -1, which is the NaN at the end.
    lookup = np.array([*(code_of.get(label, np.nan) for label in labels), np.nan])
    return lookup[codes]


def _labels(column: pd.Series) -> tuple[NDArray[np.int64], list[str]]:
    """Each row's position in the labels that occur, -1 where the value is missing, and these labels."""
    if not isinstance(column.dtype, pd.StringDtype):
        # factorize takes 1, 1.0 and True for one value, `str` does not.
        texts = [None if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]
        column = pd.Series(texts, dtype="str")
    codes, uniques = pd.factorize(column)
    return codes, [str(label) for label in uniques]
