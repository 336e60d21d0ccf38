"""Features that equal a mean of the target that includes the row's own day or later ones, recomputed here.

For each way to group the rows (by account, by each category, all rows) three means are computed: over all rows, over
all other rows, and over the rows up to and including the day. A feature that equals one of them in nearly all rows is
that mean. The same means over earlier days only differ from all three, so that an honest encoding is not named.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.table import Dataset
from src.table_check.history import Floats, Indices

LEAST_EQUAL = 0.95
_MOST_KEYS = 20
_MOST_LEVELS = 5000
_TOLERANCE = 1e-6
_SAMPLE = 500


def recomputed_means(data: Dataset) -> Mapping[str, Floats]:
    """The means by description, each (n_rows,), NaN where undefined."""
    means: dict[str, Floats] = {}
    for key, codes in _keys(data):
        means |= {words.format(key): values for words, values in _means(codes, data)}
    return means


def equal_mean(feature: Floats, means: Mapping[str, Floats]) -> str | None:
    """Which of the means the feature equals, such as `over all rows of its desk`; None if there is none."""
    given = np.flatnonzero(~np.isnan(feature))
    if len(given) < _SAMPLE // 10 or np.ptp(feature[given]) == 0:
        return None
    sample = given[np.unique(np.linspace(0, len(given) - 1, _SAMPLE).astype(np.int64))]
    for description, values in means.items():
        likely = _share_equal(feature[sample], values[sample]) >= LEAST_EQUAL - 0.05
        if likely and _share_equal(feature[given], values[given]) >= LEAST_EQUAL:
            return description
    return None


def _share_equal(feature: Floats, values: Floats) -> float:
    return float(np.mean(np.abs(feature - values) <= _TOLERANCE * np.ptp(feature)))


def _keys(data: Dataset) -> Iterator[tuple[str, Indices]]:
    """Ways to group the rows, with a code per row."""
    n = len(data.y)
    yield "the table", np.zeros(n, dtype=np.int64)
    if data.accounts is not None:
        yield "its account", pd.factorize(data.accounts)[0]
    columns = [name for name in data.features if name in data.categorical or _is_code(data.features[name])]
    for name in columns[:_MOST_KEYS]:
        codes = pd.factorize(data.features[name], use_na_sentinel=False)[0]
        if 1 < codes.max() + 1 <= min(_MOST_LEVELS, n // 2):
            yield f"its {name}", codes


def _is_code(column: pd.Series) -> bool:
    return column.dtype.kind in "bi"


def _means(codes: Indices, data: Dataset) -> Iterator[tuple[str, Floats]]:
    y, n_groups = data.y, int(codes.max()) + 1
    count, total = np.bincount(codes, minlength=n_groups), np.bincount(codes, y, minlength=n_groups)
    with np.errstate(invalid="ignore", divide="ignore"):  # 0/0 in a group of one row, which has no other rows
        if n_groups > 1:
            yield "over all rows of {}", (total / count)[codes]
        yield "over all other rows of {}", (total[codes] - y) / (count[codes] - 1)
    if data.dates is not None:
        yield "over the rows of {} up to and including the day", _mean_to_day(codes, y, data.dates)


def _mean_to_day(codes: Indices, y: Floats, dates: NDArray[np.datetime64]) -> Floats:
    order = np.lexsort((dates, codes))
    sorted_codes, sorted_dates = codes[order], dates[order]
    new_group = np.append(True, np.diff(sorted_codes) != 0)
    start = np.maximum.accumulate(np.where(new_group, np.arange(len(order)), 0))
    total = np.cumsum(y[order])
    before = np.where(start > 0, total[start - 1], 0.0)
    last_of_day = np.append(new_group[1:] | (np.diff(sorted_dates).astype(np.int64) != 0), True)
    end = np.flatnonzero(last_of_day)[np.searchsorted(np.flatnonzero(last_of_day), np.arange(len(order)))]
    result = np.empty(len(order))
    result[order] = (total[end] - before) / (end - start + 1)
    return result
