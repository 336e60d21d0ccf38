"""Scores over time and by account: is the model good everywhere, or was it lucky somewhere?"""

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from src.modeling.bootstrap import Interval, block_length, bootstrap_scores, percentile_interval
from src.modeling.scoring import Floats, score, skill
from src.reporting.hold_out import MIN_DAYS, HoldOut
from src.reporting.model_numbers import Groups, GroupScore
from src.reporting.words import format_number

MAX_PERIODS = 36
MAX_ACCOUNTS = 30
SIZE_GROUPS = 5
RESAMPLES = 400
"""Of each group: there are many, and their bounds are read off a figure."""
AUC_WORK = 20_000_000
"""Rows times resamples that AUC intervals may cost, about a second; errors are added up by date and cost far less."""
MIN_RESAMPLES = 100
NEW = "not seen before"
Labels = npt.NDArray[np.object_]


def score_periods(tested: HoldOut) -> Groups | None:
    """Scores by month; by quarter or year where there would be more than 36 of them. None without dates."""
    if tested.dates is None:
        return None
    months = tested.dates.astype("datetime64[M]").astype(np.int64)
    for kind, length in (("month", 1), ("quarter", 3), ("year", 12)):
        periods = months // length
        if len(np.unique(periods)) <= MAX_PERIODS or kind == "year":
            break
    labels = np.array([_period_name(kind, int(period)) for period in periods], dtype=object)
    return Groups(kind, f"one {kind} after the other", _score_all(tested, labels, sorted(set(labels))))


def _period_name(kind: str, period: int) -> str:
    """`2024-03`, `2024 Q1`, `2024`; periods are counted from 1970."""
    if kind == "month":
        return str(np.datetime64(period, "M"))
    return f"{1970 + period // 4} Q{period % 4 + 1}" if kind == "quarter" else str(1970 + period)


def score_accounts(tested: HoldOut, sizes: "AccountSizes") -> Groups | None:
    """Scores by account, or by five groups of accounts where there are more than 30. None without accounts."""
    if tested.accounts is None:
        return None
    distinct = sorted(set(tested.accounts))
    if len(distinct) <= MAX_ACCOUNTS:
        return Groups("account", "each account by itself", _score_all(tested, tested.accounts, distinct))
    group_of, names = sizes.group(distinct)
    labels = np.array([group_of[account] for account in tested.accounts], dtype=object)
    rule = f"{len(distinct)} accounts in {SIZE_GROUPS} groups of nearly equal number by {sizes.what}"
    return Groups("group of accounts", rule, _score_all(tested, labels, names))


class AccountSizes:
    """How large accounts are, by what was known before the test.

    Args:
        accounts: (n_rows,) of the search rows.
        amounts: (n_rows,) net profit, or the target; NaN where unknown.
        what: what is averaged, in words.
    """

    def __init__(self, accounts: Labels, amounts: Floats, what: str) -> None:
        self.what = f"the mean {what} a day before the test"
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


def _score_all(tested: HoldOut, labels: Labels, names: list[str]) -> tuple[GroupScore, ...]:
    codes = pd.Index(names).get_indexer(pd.Index(labels))
    order = np.argsort(codes, kind="stable")
    ends = np.searchsorted(codes[order], np.arange(len(names) + 1))
    groups = [order[start:stop] for start, stop in pairwise(ends)]
    return tuple(_score_group(name, tested.take(rows)) for name, rows in zip(names, groups, strict=True))


def _score_group(name: str, tested: HoldOut) -> GroupScore:
    rows, days, metric = len(tested.y), tested.n_days, tested.metric
    if metric == "auc" and len(np.unique(tested.y)) < 2:
        return GroupScore(name, rows, days)
    value, reference = (score(metric, tested.y, p) for p in (tested.prediction, tested.baseline))
    gained = skill(metric, value, reference)
    if days is None or days < MIN_DAYS:
        return GroupScore(name, rows, days, value, baseline=reference, skill=gained)
    both = [tested.prediction, tested.baseline]
    scores = bootstrap_scores(metric, tested.y, both, tested.dates, tested.seed, _n_resamples(tested))
    of_score = _interval(scores[0], days)
    of_skill = _interval(np.array([skill(metric, a, b) for a, b in scores.T.tolist()], np.float64), days)
    return GroupScore(
        name, rows, days, value, *of_score, reference, gained, *(of_skill if gained is not None else (None, None))
    )


def _n_resamples(tested: HoldOut) -> int:
    return max(MIN_RESAMPLES, min(RESAMPLES, AUC_WORK // tested.total)) if tested.metric == "auc" else RESAMPLES


def _interval(values: Floats, days: int) -> tuple[float | None, float | None]:
    """Both bounds; none where not one resample has a value."""
    if np.isnan(values).all():
        return None, None
    found: Interval = percentile_interval(values, block_length(days))
    return found.low, found.high
