"""The leak probe: features that know the target of their own row, or of a later one.

Three families of signs, strongest first:

- The values themselves: the feature is a copy of the target, equals it in part of the rows, moves towards it as a mean
  does that includes the row, or equals the target's means over groups of rows (`own_row`, `group_means`).
- What it explains beyond the target's past, also when it is a few rows ahead (`explained`): a feature that is known
  before the day is assumed to explain at most `HONEST` of that.
- Strong, but possible: reported as a note if the relation vanishes when the feature is lagged by one row.

`LEVEL` is the probability of a false alarm per table and target, divided by the number of features.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from src.data.table import Dataset
from src.data.target import likely_leaks
from src.table_check.explained import Explained, Residuals, explained_by
from src.table_check.findings import Finding
from src.table_check.group_means import GroupMeans, compare_with_group_means
from src.table_check.history import Floats, History, change_since_last, make_history
from src.table_check.own_row import (
    LEAST_AUC,
    LEAST_EQUAL,
    LEAST_TOWARDS,
    rows_with_own_target,
    share_equal,
    share_towards,
    side_auc,
)
from src.table_check.recomputed import equal_mean, recomputed_means

CHECK = "leaks"
HONEST = {"regression": 0.9, "binary": 0.75}
"""Share of what the past leaves open that a feature known before the day explains at most. For a 0/1 target it is
lower: a feature that explains 90 % of a normal variable explains 71 % of whether it is positive."""
WORTH_A_NOTE = 0.5
COLLAPSED = 0.5
"""Share of the relation that may be left when the feature is lagged by one row, for a note."""
LEVEL = 0.01
LEAST_LEVEL_ROWS = 12
LEAST_COPY_ROWS, LEAST_COPY_VALUES = 30, 5
"""Rows or distinct target values of a copy that is no coincidence."""


@dataclass(frozen=True)
class Sign:
    """One reason to suspect a feature.

    Attributes:
        feature: its name.
        target: the target that it is related to.
        rank: the more certain the lower; the lowest of a feature is reported.
        text: one line with figures.
        suspicious: whether it is more than a note.
    """

    feature: str
    target: str
    rank: int
    text: str
    suspicious: bool = True


def find_leaks(datasets: Sequence[Dataset], seed: int) -> list[Finding]:
    """At most one finding per feature, from all targets of the table.

    Args:
        datasets: one per target; the features of each are probed.
        seed: of the sample of accounts in a large table.
    """
    signs: dict[str, list[Sign]] = {}
    for data in datasets:
        for sign in _signs(data, seed):
            signs.setdefault(sign.feature, []).append(sign)
    findings = [_finding(name, found) for name, found in signs.items()]
    n_features = len({name for data in datasets for name in data.features.columns})
    if not findings:
        targets = ", ".join(data.target for data in datasets)
        return [Finding("ok", CHECK, "", f"{n_features} features compared with {targets}: none knows its own day")]
    return findings


def _finding(name: str, signs: Sequence[Sign]) -> Finding:
    first = min(signs, key=lambda sign: (not sign.suspicious, sign.rank))
    others = sorted({sign.target for sign in signs if sign.suspicious == first.suspicious} - {first.target})
    also = f" (likewise for {', '.join(others)})" if others else ""
    remedy = (
        "leave it out with drop:, or compute it from earlier rows only"
        if first.suspicious
        else "fine if it is known before the day, otherwise name it under drop:"
    )
    return Finding("suspicious" if first.suspicious else "note", CHECK, name, f"{first.text}{also}: {remedy}")


def _signs(data: Dataset, seed: int) -> Iterable[Sign]:
    copies = likely_leaks(data.features, data.categorical, data.y)
    history = make_history(data, seed)
    residuals, change, recomputed = Residuals(history), change_since_last(data), recomputed_means(data)
    level, own_rows = LEVEL / max(1, data.features.shape[1]), rows_with_own_target(data.y)
    relations: dict[str, Explained] = {}
    for name in map(str, data.features.columns):
        if name in copies:
            certain = len(data.y) >= LEAST_COPY_ROWS or len(np.unique(data.y)) >= LEAST_COPY_VALUES
            yield Sign(name, data.target, 0, f"is a copy of the target {data.target}", certain)
            continue
        values = _numbers(data, name)
        equal = share_equal(values, data.y, own_rows)
        if equal >= LEAST_EQUAL:
            text = f"equals {data.target} in {100 * equal:.3g} % of the rows, although its values hardly ever repeat"
            yield Sign(name, data.target, 1, text)
        if data.dates is not None:
            yield from _signs_in_history(name, data.target, values[history.order], history)
        if (rows := equal_mean(values, recomputed)) is not None:
            yield Sign(name, data.target, 2, f"equals the mean of {data.target} {rows}")
        means = None if name in data.categorical else compare_with_group_means(values, data.y, change)
        if means is not None and means.is_too_close(level):
            yield Sign(name, data.target, 2, _text_of_means(data.target, means))
        if (explained := explained_by(residuals, values[history.order], level)) is not None:
            relations[name] = explained
    yield from _signs_of_relations(data, relations)


def _numbers(data: Dataset, name: str) -> Floats:
    """The feature as floats; a category as codes, its rare levels as one."""
    column = data.features[name]
    if name not in data.categorical:
        return column.to_numpy(dtype=np.float64)
    counts = column.value_counts()
    codes = {level: float(code) for code, level in enumerate(counts.index[counts >= LEAST_LEVEL_ROWS])}
    return np.where(column.isna(), np.nan, column.map(codes).fillna(-1.0).to_numpy(dtype=np.float64))


def _signs_in_history(name: str, y: str, values: Floats, history: History) -> Iterable[Sign]:
    auc, border = side_auc(history, values)
    if auc >= LEAST_AUC:
        yield Sign(name, y, 3, f"tells without error whether {y} is above {border:.4g} (AUC {auc:.4f})")
    towards = share_towards(history, values)
    if towards >= LEAST_TOWARDS:
        rows = f"{100 * towards:.4g} % of the rows"
        yield Sign(name, y, 3, f"moves towards {y} of its own row in {rows}, as a mean does that includes the row")


def _text_of_means(target: str, means: GroupMeans) -> str:
    what = f"the mean of {target} over the rows of each of its {means.n_groups} values, the row itself and later ones"
    if means.exact:
        return f"equals {what} included"
    return (
        f"is closer to {what} included than chance allows (variance ratio {means.ratio:.2g}, p = {means.p_value:.1g})"
    )


def _signs_of_relations(data: Dataset, relations: Mapping[str, Explained]) -> Iterable[Sign]:
    usual = float(np.median([explained.share for explained in relations.values()])) if relations else 0.0
    for name, explained in relations.items():
        text = _text_of_relation(data.target, explained)
        if explained.at_least >= HONEST[data.config.task]:
            yield Sign(name, data.target, 4, text)
        elif explained.at_least >= WORTH_A_NOTE and explained.lagged <= COLLAPSED * explained.share:
            beside = f" (lagged by one row {_percent(explained.lagged)}, the median feature {_percent(usual)})"
            yield Sign(name, data.target, 5, text + beside, suspicious=False)


def _text_of_relation(target: str, explained: Explained) -> str:
    shift = explained.shift
    ahead = f"is {shift} row{'s' * (shift > 1)} ahead: it " if shift else ""
    how = {"value": "", "change": ", taken with the value of the row before it"}
    taken = how.get(explained.how, f", as a mean of {explained.how} up to its own")
    return f"{ahead}explains {_percent(explained.share)} of what the past of {target} leaves open{taken}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %" if share >= 0.001 else "0 %"
