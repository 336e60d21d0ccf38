"""Agreement of several models and the net profit of their top predictions, from test predictions by account and day.

Pure functions of the saved predictions. Predictions of different targets have different units, so only their order is
compared: ranks, and which rows are in the top tenth. Rows tied at the border of the top tenth share its last places,
so that the order of the table does not matter for a constant prediction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from src.config import NET_PROFIT
from src.evaluation.intervals import mean_estimate
from src.reporting.comparison.numbers import TOP_SHARE, ComparedStudy

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from numpy.typing import NDArray

MIN_ROWS = 20
"""With fewer rows, a tenth is less than two rows."""
MIN_PER_DAY = 5
MEAN_RANK = "all models, by mean rank"


@dataclass(frozen=True)
class ModelPair:
    """Two models on the account-days that both predicted; None if a prediction is constant.

    Attributes:
        labels: of the two models.
        n_rows: account-days in common.
        n_days: days in common.
        correlation: Spearman's, over all rows.
        within_day: Spearman's over the accounts of one day, mean over the days with at least five rows.
        same_days: share of days on which both models' daily mean prediction is on the same side of its median.
        top_shared: share of one model's top tenth that is also in the other's; 10 % by chance.
    """

    labels: tuple[str, str]
    n_rows: int
    n_days: int
    correlation: float | None
    within_day: float | None
    same_days: float | None
    top_shared: float


@dataclass(frozen=True)
class EarnedProfit:
    """Realised net profit of each model's top tenth, on the rows that all models predicted.

    Attributes:
        n_rows: account-days in common.
        n_days: days in common.
        mean_of_all: mean net profit of an account-day over all common rows.
        rows: (label, mean net profit of an account-day in that model's top tenth, bounds of its 95 % interval).
    """

    n_rows: int
    n_days: int
    mean_of_all: float
    rows: tuple[tuple[str, float, tuple[float, float] | None], ...]


def without_predictions(items: Sequence[ComparedStudy]) -> list[str]:
    """Labels of the studies without saved test predictions that can be paired by account and day."""
    return [item.label for item in items if _keyed(item) is None]


def agreement(items: Sequence[ComparedStudy]) -> list[ModelPair]:
    """Every two models that have at least 20 account-days in common."""
    known = [(item.label, kept) for item in items if (kept := _keyed(item)) is not None]
    pairs = []
    for (a, left), (b, right) in combinations(known, 2):
        both = left["prediction"].to_frame("a").join(right["prediction"].rename("b"), how="inner")
        if len(both) >= MIN_ROWS:
            pairs.append(_pair((a, b), both["a"], both["b"]))
    return pairs


def earned_profit(items: Sequence[ComparedStudy]) -> EarnedProfit | None:
    """Net profit of each model's top tenth; None without a model of `net_profit`, which has the realised values."""
    known = {item.label: kept for item in items if (kept := _keyed(item)) is not None}
    paid = next(
        (item.label for item in items if item.metadata.get("target") == NET_PROFIT and item.label in known), None
    )
    if paid is None:
        return None
    rows = known[paid][["y"]]
    for label, kept in known.items():
        rows = rows.join(kept["prediction"].rename(f"prediction {label}"), how="inner")
    if len(rows) < MIN_ROWS:
        return None
    rankings = {label: rows[f"prediction {label}"].rank() for label in known}
    if len(known) > 1:
        rankings[MEAN_RANK] = sum(rankings.values()) / len(rankings)  # type: ignore[assignment]
    days = rows.index.get_level_values("date")
    profit = rows["y"].to_numpy(float)
    earned = tuple(_earned(label, profit, _in_top(rank), days.to_numpy()) for label, rank in rankings.items())
    return EarnedProfit(len(rows), int(days.nunique()), float(profit.mean()), earned)


def _keyed(item: ComparedStudy) -> "pd.DataFrame | None":
    """The predictions indexed by account and day; None if there are none or the index is not unique."""
    kept = item.predictions
    if kept is None or kept[["account", "date"]].isna().any(axis=None):
        return None
    keyed = kept[["account", "date", "y", "prediction"]].astype({"account": "str"}).set_index(["account", "date"])
    return keyed.sort_index() if keyed.index.is_unique else None


def _pair(labels: tuple[str, str], a: "pd.Series", b: "pd.Series") -> ModelPair:
    import numpy as np

    tops = [_in_top(values) for values in (a, b)]
    days = [values.groupby(level="date").mean() for values in (a, b)]
    sides = [np.sign(day - day.median()) for day in days]
    constant = any(day.nunique() < 2 for day in days)
    return ModelPair(
        labels,
        len(a),
        len(days[0]),
        _correlation(a.rank(), b.rank()),
        _within_day(a, b),
        None if constant else float((sides[0] == sides[1]).mean()),
        float(tops[0] @ tops[1] / tops[0].sum()),
    )


def _correlation(a: "pd.Series", b: "pd.Series") -> float | None:
    """Pearson's correlation; of ranks it is Spearman's, tied rows have their mean rank."""
    return None if a.nunique() < 2 or b.nunique() < 2 else float(a.corr(b))


def _within_day(a: "pd.Series", b: "pd.Series") -> float | None:
    import pandas as pd

    ranks = pd.DataFrame({"a": a, "b": b}).groupby(level="date").rank()
    centred = ranks - ranks.groupby(level="date").transform("mean")
    sums = pd.DataFrame({"ab": centred["a"] * centred["b"], "aa": centred["a"] ** 2, "bb": centred["b"] ** 2, "n": 1.0})
    by_day = sums.groupby(level="date").sum()
    usable = by_day[(by_day["n"] >= MIN_PER_DAY) & (by_day["aa"] > 0) & (by_day["bb"] > 0)]
    correlations = usable["ab"] / (usable["aa"] * usable["bb"]) ** 0.5
    return float(correlations.mean()) if len(correlations) else None


def _in_top(values: "pd.Series") -> "NDArray[np.float64]":
    """Weight of each row in the top tenth: 1, 0, or its share of the last places; the sum is a tenth of the rows."""
    import numpy as np

    x = values.to_numpy(float)
    n_top = max(1, round(TOP_SHARE * len(x)))
    border = np.partition(x, len(x) - n_top)[len(x) - n_top]
    above, tied = x > border, x == border
    weights: NDArray[np.float64] = above + tied * ((n_top - above.sum()) / tied.sum())
    return weights


def _earned(
    label: str, profit: "NDArray[np.float64]", weight: "NDArray[np.float64]", days: "NDArray[np.datetime64]"
) -> tuple[str, float, tuple[float, float] | None]:
    estimate = mean_estimate(profit, days, weight)
    return label, estimate.value, estimate.interval
