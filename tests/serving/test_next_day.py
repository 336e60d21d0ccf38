import datetime as dt
import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.errors import ConfigError, DataError
from src.serving.next_day import add_next_day, next_trading_day
from tests.bare_table import bare_table

METADATA: dict[str, Any] = {
    "feature_names": ["net_profit_lag_1"],
    "derived_features": {
        "features": [{"name": "net_profit_lag_1"}],
        "sessions": [],
        "history": {"account": "account_id", "date": "date", "past": ["net_profit", "fees"]},
    },
}
FRAME = bare_table(10, 3).assign(fees=1, desk=["u", "v", "u"] * 10)
"""Until Friday, 12 January 2024."""
MONDAY = dt.date(2024, 1, 15)


def days(start: str, count: int, kind: str = "bdate") -> np.ndarray:
    made = pd.bdate_range(start, periods=count) if kind == "bdate" else pd.date_range(start, periods=count)
    return made.to_numpy().astype("datetime64[D]")


def test_one_row_per_account_without_what_is_known_later() -> None:
    gone = FRAME.drop(FRAME.index[-1]).sample(frac=1, random_state=0)  # the last row of A02
    longer, positions = add_next_day(gone, METADATA)
    new = longer.iloc[positions]
    assert sorted(new["account_id"]) == ["A00", "A01", "A02"]
    assert set(new["date"]) == {pd.Timestamp(MONDAY)}
    assert new[["net_profit", "fees"]].isna().all(axis=None)
    assert dict(zip(new["account_id"], new["desk"], strict=True)) == {"A00": "u", "A01": "v", "A02": "u"}
    pd.testing.assert_frame_equal(longer.iloc[: len(gone)], gone.reset_index(drop=True), check_dtype=False)


def test_a_table_without_accounts_gets_one_row() -> None:
    frame = FRAME[FRAME["account_id"] == "A01"].drop(columns="account_id")
    history = METADATA["derived_features"]["history"] | {"account": None}
    metadata = METADATA | {"derived_features": METADATA["derived_features"] | {"history": history}}
    longer, positions = add_next_day(frame, metadata)
    assert positions.tolist() == [10]
    assert longer["date"].iloc[-1] == pd.Timestamp(MONDAY)


@pytest.mark.parametrize(
    ("dates", "expected"),
    [
        (FRAME["date"], pd.Timestamp(MONDAY)),
        (FRAME["date"] + pd.Timedelta(hours=16), pd.Timestamp(MONDAY)),
        (FRAME["date"].dt.tz_localize("America/New_York"), pd.Timestamp(MONDAY, tz="America/New_York")),
        (FRAME["date"].dt.strftime("%Y-%m-%d"), "2024-01-15"),
        (FRAME["date"].dt.strftime("%Y-%m-%d").astype("category"), "2024-01-15"),
        (FRAME["date"].dt.strftime("%Y-%m-%d").astype(object), "2024-01-15"),
        (FRAME["date"].dt.strftime("%Y%m%d").astype(int), 20240115),
        (FRAME["date"].dt.strftime("%Y%m%d").astype(float), 20240115),
        (FRAME["date"].dt.date, MONDAY),
        (pd.Series(FRAME["date"].dt.to_pydatetime(), dtype=object), dt.datetime(2024, 1, 15)),
        (
            pd.Series([value.replace(tzinfo=dt.UTC) for value in FRAME["date"].dt.to_pydatetime()], dtype=object),
            dt.datetime(2024, 1, 15, tzinfo=dt.UTC),
        ),
    ],
    ids=["dates", "times", "zone", "text", "category", "object", "integer", "float", "date", "datetime", "with zone"],
)
def test_the_day_is_written_as_the_column_writes_dates(dates: pd.Series, expected: Any) -> None:
    longer, positions = add_next_day(FRAME.assign(date=dates), METADATA)
    assert list(longer["date"].iloc[positions]) == [expected] * 3
    again, later = add_next_day(longer, METADATA)
    assert len(again) == len(longer) + 3, "the longer table can be read again"
    assert set(again["date"].iloc[later]) != {expected}


def test_a_day_that_begins_after_midnight() -> None:
    """In Havana clocks were set forward at midnight of 10 March 2024."""
    dates = pd.Series(pd.date_range("2024-02-29", "2024-03-09", tz="America/Havana"))
    frame = pd.DataFrame({"account_id": "A", "date": dates, "net_profit": 1.0, "fees": 1.0})
    longer, _ = add_next_day(frame, METADATA)
    assert longer["date"].iloc[-1].isoformat() == "2024-03-10T01:00:00-04:00"


@pytest.mark.parametrize(
    ("table", "sessions", "expected"),
    [
        (days("2024-01-01", 9), [], "2024-01-12"),
        (days("2024-01-01", 10), [], "2024-01-15"),
        (days("2024-01-01", 10, "all"), [], "2024-01-11"),
        (np.append(days("2024-01-01", 200), np.datetime64("2024-01-06")), [], "2024-10-07"),
        (np.append(days("2024-01-01", 20), np.datetime64("2024-01-27")), [], "2024-01-29"),
        (days("2024-01-01", 1), [], "2024-01-08"),
        (days("2024-03-18", 9), ["2024-03-28", "2024-04-01"], "2024-04-01"),
        (days("2024-03-18", 4), ["2024-03-20", "2024-03-26", "2024-04-01"], "2024-03-26"),
    ],
    ids=["weekday", "weekend", "every day", "one Saturday in 200 days", "Saturday", "one date", "holiday", "sessions"],
)
def test_the_next_trading_day(table: np.ndarray, sessions: list[str], expected: str) -> None:
    assert str(next_trading_day(table[::-1], sessions)) == expected


def test_an_exchange_calendar_that_has_ended(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert str(next_trading_day(days("2024-01-01", 10), ["2024-01-11", "2024-01-12"])) == "2024-01-15"
    assert caplog.messages == ["the model's exchange calendar ends on 2024-01-12: the next weekday is used"]


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        (
            {"feature_names": ["x", "y"]},
            "--next-day cannot fill in the columns of the predicted day that the model uses (x, y)",
        ),
        (
            METADATA | {"feature_names": ["x", "net_profit_lag_1"]},
            "that the model uses (x): add rows of that day to the",
        ),
        ({}, "that the model uses: add rows of that day to the table, with these columns, and give --from"),
    ],
)
def test_columns_of_the_day_itself_cannot_be_filled_in(metadata: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        add_next_day(FRAME, metadata)
    assert said in str(caught.value)


def test_a_table_without_rows_has_no_next_day() -> None:
    with pytest.raises(DataError, match="the table has no rows"):
        add_next_day(FRAME.head(0), METADATA)
