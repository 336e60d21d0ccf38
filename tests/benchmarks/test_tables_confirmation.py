"""Tables for confirmation: features come from before the target, and nothing is measured with it."""

import numpy as np
import pandas as pd

from benchmarks.tables_confirmation import loans, murders_ahead, sales_ahead, strikes, weather_ahead, women


def hourly(n: int) -> pd.DataFrame:
    when = pd.date_range("2013-01-01", periods=n, freq="h", tz="UTC")
    numbers = {name: np.arange(n) * 1.0 for name in ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip")}
    return pd.DataFrame({"origin": "JFK", "time_hour": when.astype(str), "pressure": 1000.0, "visib": 10.0, **numbers})


def test_temperature_is_predicted_from_the_hours_before() -> None:
    whole, short = weather_ahead(hourly(80)), weather_ahead(hourly(60))
    assert len(whole) == 56 and (whole["temp_in_24h"] - whole["temp"]).eq(24).all()
    assert (whole["temp"] - whole["temp_6h_ago"]).dropna().eq(6).all() and whole["temp_48h_ago"].notna().sum() == 8
    pd.testing.assert_frame_equal(whole.iloc[: len(short)], short)


def test_murders_are_predicted_from_the_counts_of_earlier_years() -> None:
    columns = [
        "density", "popul", "perc1019", "perc2029", "percblack", "percmale", "rpcincmaint", "rpcpersinc", "rpcunemins",
    ]  # fmt: skip
    years = pd.DataFrame(
        {"countyid": 7, "year": range(1980, 1986), "statefips": 1, "murders": range(6), "arrests": range(10, 16)}
    ).assign(**dict.fromkeys(columns, 1.0))
    made = murders_ahead(years)
    assert made["murders"].tolist() == [2, 3, 4, 5] and made["murders_1y_ago"].tolist() == [1, 2, 3, 4]
    assert made["arrests_2y_ago"].tolist() == [10, 11, 12, 13] and "arrests" not in made


def test_sales_are_predicted_from_the_months_before() -> None:
    months = pd.DataFrame(
        {"city": "A", "year": [2000] * 12 + [2001] * 12, "month": [*range(1, 13)] * 2, "sales": np.arange(24.0)}
    ).assign(volume=1.0, median=2.0, listings=3.0, inventory=4.0)
    made = sales_ahead(months)
    assert made["sales"].tolist() == list(range(12, 24)) and made["sales_12m_ago"].tolist() == list(range(12))
    assert (made["sales"] - made["sales_1m_ago"]).eq(1).all() and not {"volume", "median"} & set(made.columns)


def test_columns_that_tell_the_target_are_left_out() -> None:
    schema = pd.DataFrame({"grade": ["A"], "installment": 1.0, "paid_total": 2.0, "interest_rate": 5.0, "state": "NJ"})
    later = dict.fromkeys(("sub_grade", "issue_month", "loan_status", "initial_listing_status", "balance"), 1)
    made = loans(schema.assign(**later, emp_title="x", disbursement_method="Cash"))
    assert list(made.columns) == ["interest_rate", "state"]
    reports = pd.DataFrame({"opid": "A", "remarks": "AT 500 FT", "date": "9/30/1990 0:00:00", "height": [500.0, None]})
    assert strikes(reports).drop(columns="date").to_dict("list") == {"height": [500.0], "month": [9.0]}
    survey = pd.DataFrame({"idcode": 1, "year": [70], "ind_code": [6.0], "occ_code": [None], "ln_wage": [1.5]})
    woman = women(survey)
    assert woman["ind_code"].tolist() == ["6"] and woman["date"].tolist() == [pd.Timestamp("1970-12-31")]
    assert "idcode" not in woman
