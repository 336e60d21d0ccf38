"""Scores by period and by account: is the model good in all of them or only in some?"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from src.evaluation.intervals import score_estimate, skill_estimate
from src.evaluation.scoring import Floats, score
from src.reporting.document.words import format_number
from src.reporting.model.hold_out import HoldOut
from src.reporting.model.numbers import Groups, GroupScore

MAX_PERIODS = 36
MAX_ACCOUNTS = 30
SIZE_GROUPS = 5
NEW = "not seen before"
Labels = npt.NDArray[np.object_]
Autocorrelations = tuple[float | None, float | None]
"""Of the score and of the skill, estimated from more rows than those of one group."""


def score_periods(tested: HoldOut) -> Groups | None:
    """Scores by month, or by quarter or year if there are more than 36 months or quarters. None without dates."""
    if tested.dates is None:
        return None
    months = tested.dates.astype("datetime64[M]").astype(np.int64)
    for kind, length in (("month", 1), ("quarter", 3), ("year", 12)):
        periods = months // length
        if len(np.unique(periods)) <= MAX_PERIODS or kind == "year":
            break
    labels = np.array([_period_name(kind, int(period)) for period in periods], dtype=object)
    # A month is too short to estimate the autocorrelation of its dates: the whole test period is used.
    known = _autocorrelations(tested)
    return Groups(kind, f"one {kind} after the other", _score_all(tested, labels, sorted(set(labels)), known))


def _period_name(kind: str, period: int) -> str:
    """`2024-03`, `2024 Q1`, `2024`; periods are counted from 1970."""
    if kind == "month":
        return str(np.datetime64(period, "M"))
    return f"{1970 + period // 4} Q{period % 4 + 1}" if kind == "quarter" else str(1970 + period)


def score_accounts(tested: HoldOut, sizes: "AccountSizes") -> Groups | None:
    """Scores by account, or by five groups of accounts if there are more than 30. None without accounts."""
    if tested.accounts is None:
        return None
    distinct = sorted(set(tested.accounts))
    if len(distinct) <= MAX_ACCOUNTS:
        return Groups("account", "each account by itself", _score_all(tested, tested.accounts, distinct))
    group_of, names = sizes.group(distinct)
    labels = np.array([group_of[account] for account in tested.accounts], dtype=object)
    rule = f"{len(distinct)} accounts in {SIZE_GROUPS} groups of nearly equal size by {sizes.what}"
    return Groups("group of accounts", rule, _score_all(tested, labels, names))


class AccountSizes:
    """Sizes of accounts, from the rows before the test period.

    Args:
        accounts: (n_rows,) of the search rows.
        amounts: (n_rows,) net profit, or the target; NaN if unknown.
        what: name of the averaged quantity.
    """

    def __init__(self, accounts: Labels, amounts: Floats, what: str) -> None:
        self.what = f"their mean {what} per day before the test period"
        self._size = pd.Series(np.abs(amounts)).groupby(accounts).mean().dropna()

    def group(self, accounts: list[str]) -> tuple[dict[str, str], list[str]]:
        """The group of each account, and the groups' names, the smallest accounts first and unknown ones last."""
        known = self._size[self._size.index.isin(accounts)].sort_values(kind="stable")
        group_of = dict.fromkeys(accounts, NEW)
        names = []
        for number, part in enumerate(np.array_split(np.arange(len(known)), SIZE_GROUPS), 1):
            if len(part):
                low, high = (format_number(float(known.iloc[at])) for at in (part[0], part[-1]))
                names.append(f"{number} ({low} to {high})")
                group_of |= dict.fromkeys(known.index[part], names[-1])
        return group_of, names + ([NEW] if len(known) < len(accounts) else [])


def _score_all(
    tested: HoldOut, labels: Labels, names: list[str], known: Autocorrelations = (None, None)
) -> tuple[GroupScore, ...]:
    codes = pd.Index(names).get_indexer(pd.Index(labels))
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(names) + 1))
    groups = [order[start:stop] for start, stop in pairwise(ends)]
    return tuple(_score_group(name, tested.take(rows), known) for name, rows in zip(names, groups, strict=True))


def _score_group(name: str, tested: HoldOut, known: Autocorrelations) -> GroupScore:
    rows, days = len(tested.y), tested.n_days
    if _has_one_class(tested):
        return GroupScore(name, rows, days)
    metric, y, dates = tested.metric, tested.y, tested.dates
    estimate = score_estimate(metric, y, tested.prediction, dates, known[0])
    gained = skill_estimate(metric, y, tested.prediction, tested.baseline, dates, known[1])
    of_skill = (None, None, None) if gained is None else (gained.value, gained.low, gained.high)
    reference = score(metric, y, tested.baseline)
    return GroupScore(name, rows, days, estimate.value, estimate.low, estimate.high, reference, *of_skill)


def _has_one_class(tested: HoldOut) -> bool:
    return tested.metric == "auc" and len(np.unique(tested.y)) < 2


def _autocorrelations(tested: HoldOut) -> Autocorrelations:
    if _has_one_class(tested):
        return None, None
    metric, y, dates = tested.metric, tested.y, tested.dates
    gained = skill_estimate(metric, y, tested.prediction, tested.baseline, dates)
    estimate = score_estimate(metric, y, tested.prediction, dates)
    return estimate.autocorrelation, None if gained is None else gained.autocorrelation
