"""The closed set of derived features."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from types import MappingProxyType
from typing import Any, Final

LAGS: Final = (1, 2, 3, 5)
WINDOWS: Final = (5, 20, 60)
LONGEST_WINDOW: Final = 60
"""No feature needs more rows of an account, or more dates of the table."""
QUANTILES: Final = (0.1, 0.5, 0.9)
QUANTILE_WINDOW: Final = 20
DECAYS: Final[Mapping[int, float]] = MappingProxyType({2: 0.7071067811865476, 7: 0.9057236642639067})
"""0.5 ** (1 / half-life) for each half-life in rows; as literals, so that every machine has the same bits."""
HALF_LIVES_KEPT: Final = 8
DRAWDOWN_WINDOWS: Final = (20, 60)
RANK_WINDOW: Final = 20
PEER_WINDOWS: Final = (5, 20)
MOST_DAYS: Final = 60
"""Calendar days since the account's last row are capped here."""

DAILY: Final = ("weekday", "month", "day_of_month", "days_left_in_month")
WITH_SESSIONS: Final = ("after_holiday", "before_holiday", "sessions_left_in_month")
FAMILIES: Final = (
    *("lags", "means", "dispersion", "extremes", "shares", "quantiles", "exponential", "streaks", "drawdown"),
    *("ratios", "rank", "market", "groups", "calendar", "gaps"),
)
STATISTICS: Final = (
    *("lag", "mean", "std", "min", "max", "share_positive", "quantile", "exponential_mean", "streak", "drawdown"),
    *("ratio", "rank", "days_since_last_row", "rows_so_far", *DAILY, *WITH_SESSIONS),
)


@dataclass(frozen=True)
class Feature:
    """One derived feature of a row, from rows or dates strictly before it, or from its own date alone.

    Attributes:
        name: of the column of the result, such as `net_profit_mean_20`.
        family: one of `FAMILIES`: features that are switched on or off together.
        statistic: one of `STATISTICS`.
        column: whose past is used; None for families `calendar` and `gaps`.
        window: how many rows of the account are used (a lag's is its number); dates of the table for families
            `market` and `groups`. Family `rank` uses rows of all accounts that have a row on the previous date.
        group: the column of peer groups; None outside the family `groups`.
        parameter: the quantile's level, or the half-life in rows.
    """

    name: str
    family: str
    statistic: str
    column: str | None = None
    window: int = 0
    group: str | None = None
    parameter: float | None = None

    def __post_init__(self) -> None:
        if self.family not in FAMILIES or self.statistic not in STATISTICS:
            raise ValueError(
                f"feature {self.name!r} is of family {self.family!r} and statistic {self.statistic!r}, which this "
                "version does not know: use the version that made it"
            )
        if self.statistic == "exponential_mean" and self.parameter not in DECAYS:
            raise ValueError(f"feature {self.name!r} has the half-life {self.parameter}: use one of {list(DECAYS)}")

    @property
    def history(self) -> int:
        """How many past rows of each account, and past dates of the table, the feature needs."""
        return self.window

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, `history` among them."""
        return asdict(self) | {"history": self.history}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Feature":
        """The feature that `to_dict` described; a ValueError if it is of a kind that this version does not know."""
        known = {field.name for field in fields(cls)}
        unknown = [name for name in values if name not in known | {"history"}]
        missing = [name for name in ("name", "family", "statistic") if name not in values]
        if unknown or missing:
            raise ValueError(
                f"the description of feature {values.get('name')!r} has unknown keys {unknown} and lacks {missing}: "
                "use the version that made it"
            )
        return cls(**{name: value for name, value in values.items() if name in known})


def candidates(columns: Sequence[str], groups: Sequence[str], calendar: bool) -> list[Feature]:
    """All features that can be derived.

    Args:
        columns: numeric columns that are known only when their day is over.
        groups: columns of peer groups.
        calendar: whether the sessions of an exchange are known.

    Returns:
        The features with distinct names, always in the same order.

    Raises:
        ValueError: two features would have the same name.
    """
    found = [feature for column in columns for feature in (*_own(column), *_peers(column, "market", None))]
    found += [feature for group in groups for column in columns for feature in _peers(column, group, group)]
    found += [Feature(name, "calendar", name) for name in (*DAILY, *(WITH_SESSIONS if calendar else ()))]
    found += [
        Feature("days_since_last_row", "gaps", "days_since_last_row", window=1),
        Feature("rows_so_far", "gaps", "rows_so_far", window=LONGEST_WINDOW),
    ]
    names = [feature.name for feature in found]
    if len(set(names)) < len(names):
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two derived features would have the name {repeated!r}: rename a column or a group")
    return found


def longest_history(features: Sequence[Feature]) -> int:
    """How many past rows of each account, and past dates of the table, all of these features need."""
    return max((feature.history for feature in features), default=0)


def _own(column: str) -> Iterator[Feature]:
    """Features of an account from its own past of one column, and its rank among all accounts."""
    for lag in LAGS:
        yield Feature(f"{column}_lag_{lag}", "lags", "lag", column, lag)
    families = {"mean": "means", "std": "dispersion", "min": "extremes", "max": "extremes", "share_positive": "shares"}
    for statistic, family in families.items():
        for window in WINDOWS:
            yield Feature(f"{column}_{statistic}_{window}", family, statistic, column, window)
    for level in QUANTILES:
        name = f"{column}_q{round(100 * level)}_{QUANTILE_WINDOW}"
        yield Feature(name, "quantiles", "quantile", column, QUANTILE_WINDOW, parameter=level)
    for half_life in DECAYS:
        name, window = f"{column}_exponential_mean_{half_life}", HALF_LIVES_KEPT * half_life
        yield Feature(name, "exponential", "exponential_mean", column, window, parameter=half_life)
    yield Feature(f"{column}_streak", "streaks", "streak", column, LONGEST_WINDOW)
    for window in DRAWDOWN_WINDOWS:
        yield Feature(f"{column}_drawdown_{window}", "drawdown", "drawdown", column, window)
    yield Feature(f"{column}_ratio_{WINDOWS[0]}_{WINDOWS[-1]}", "ratios", "ratio", column, WINDOWS[-1])
    yield Feature(f"{column}_rank_{RANK_WINDOW}", "rank", "rank", column, RANK_WINDOW)


def _peers(column: str, prefix: str, group: str | None) -> Iterator[Feature]:
    """Features from all accounts, or the peers of one group, on the table's last dates."""
    family = "market" if group is None else "groups"
    daily = [("mean", 1), ("std", 1), ("share_positive", 1)]
    for statistic, window in (*daily, *(("mean", window) for window in PEER_WINDOWS)):
        yield Feature(f"{prefix}_{column}_{statistic}_{window}", family, statistic, column, window, group)
