"""The derived features once more, as queries of DuckDB over a table `t` (account, date, desk, x, y)."""

from collections.abc import Callable

import duckdb
import numpy as np
import pandas as pd

from src.features.catalogue import Feature
from tests.features.random_tables import SESSIONS

NUMBERED = """CREATE TEMP TABLE r AS SELECT *,
    row_number() OVER (PARTITION BY account ORDER BY date) AS n,
    dense_rank() OVER (ORDER BY date) AS d
FROM t"""
"""`n` numbers the rows of an account, `d` the dates of the table; both from 1."""

SHARE = "avg(CASE WHEN {x} > 0 THEN 1.0 WHEN {x} <= 0 THEN 0.0 END)"
WINDOWED = {
    "mean": "avg({x})",
    "std": "stddev_samp({x})",
    "min": "min({x})",
    "max": "max({x})",
    "share_positive": SHARE,
    "quantile": "quantile_cont({x}, {parameter})",
}
"""Aggregates over the window's rows."""


def oracle(table: pd.DataFrame, features: list[Feature]) -> pd.DataFrame:
    """The features by account and date, in double precision."""
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.register("given", table)
        # pandas' NaN is a value in DuckDB, and not a missing one.
        columns = ", ".join(f"CASE WHEN isnan({name}) THEN NULL ELSE {name} END AS {name}" for name in ("x", "y"))
        connection.execute(f"CREATE TEMP TABLE t AS SELECT account, date::DATE AS date, desk, {columns} FROM given")
        connection.execute(NUMBERED)
        connection.register("given_sessions", pd.DataFrame({"session": SESSIONS}))
        connection.execute("CREATE TEMP TABLE s AS SELECT session::DATE AS session FROM given_sessions")
        found = {feature.name: _column(connection, feature) for feature in features}
    return pd.DataFrame(found)


def _column(connection: duckdb.DuckDBPyConnection, feature: Feature) -> "pd.Series[float]":
    query = QUERIES.get(feature.family, _windowed)(feature)
    rows = connection.execute(f"SELECT account, date, value::DOUBLE AS value FROM ({query})").df()
    return rows.set_index(["account", "date"])["value"]


def _over(window: int) -> str:
    return f"OVER (PARTITION BY account ORDER BY date ROWS BETWEEN {window} PRECEDING AND 1 PRECEDING)"


def _windowed(feature: Feature) -> str:
    aggregate = WINDOWED[feature.statistic].format(x=feature.column, parameter=feature.parameter)
    return f"SELECT account, date, {aggregate} {_over(feature.window)} AS value FROM r"


def _lag(feature: Feature) -> str:
    lag = f"lag({feature.column}, {feature.window}) OVER (PARTITION BY account ORDER BY date)"
    return f"SELECT account, date, {lag} AS value FROM r"


def _joined(feature: Feature, value: str) -> str:
    """An aggregate over the window's rows `o` of the row `r`."""
    return f"""SELECT r.account, r.date, {value} AS value
    FROM r LEFT JOIN r AS o ON o.account = r.account AND o.n BETWEEN r.n - {feature.window} AND r.n - 1
    GROUP BY r.account, r.date, r.n"""


def _exponential(feature: Feature) -> str:
    x, weight = f"o.{feature.column}", f"pow(0.5, (r.n - 1 - o.n) / {feature.parameter})"
    return _joined(feature, f"sum({x} * {weight}) / sum(CASE WHEN {x} IS NOT NULL THEN {weight} END)")


def _streak(feature: Feature) -> str:
    x, broken = f"o.{feature.column}", "SELECT max(b.n) FROM r AS b WHERE b.account = r.account"
    inside = f"b.n BETWEEN r.n - {feature.window} AND r.n - 1"
    up, down = (
        f"count({x}) FILTER (o.n > coalesce(({broken} AND {inside} AND b.{feature.column} {other} 0), 0))"
        for other in ("<=", ">=")
    )
    return _joined(feature, f"CASE WHEN count({x}) > 0 THEN {up} - {down} END")


def _drawdown(feature: Feature) -> str:
    """The sum up to the row before the window counts as a peak too."""
    x, window = feature.column, feature.window
    return f"""SELECT account, date, CASE WHEN count({x}) {_over(window)} > 0 THEN
        greatest(max(total) {_over(window + 1)}, CASE WHEN n <= {window + 1} THEN 0 ELSE -1e300 END)
        - lag(total) OVER (PARTITION BY account ORDER BY date) END AS value
    FROM (SELECT *, sum(coalesce({x}, 0)) OVER (PARTITION BY account ORDER BY date) AS total FROM r)"""


def _ratio(feature: Feature) -> str:
    x, over = feature.column, _over(feature.window)
    return f"""SELECT account, date, CASE WHEN min({x}) {over} < max({x}) {over} THEN
        (avg({x}) {_over(5)} - avg({x}) {over}) / stddev_samp({x}) {over} END AS value FROM r"""


def _rank(feature: Feature) -> str:
    return f"""WITH m AS (SELECT *, avg({feature.column}) OVER (
        PARTITION BY account ORDER BY date ROWS BETWEEN {feature.window - 1} PRECEDING AND CURRENT ROW) AS mean FROM r),
    own AS (SELECT *, lag(mean) OVER (PARTITION BY account ORDER BY date) AS past FROM m)
    SELECT own.account, own.date, CASE WHEN any_value(past) IS NOT NULL THEN
        (count(*) FILTER (m.mean < past) + 0.5 * count(*) FILTER (m.mean = past)) / nullif(count(m.mean), 0)
        END AS value
    FROM own LEFT JOIN m ON m.d = own.d - 1 GROUP BY own.account, own.date"""


def _peers(feature: Feature) -> str:
    """The mean over dates of statistics over the rows of a date; `desk` is 0 for the market."""
    key = feature.group or "0"
    aggregate = WINDOWED[feature.statistic].format(x=feature.column)
    return f"""WITH daily AS (SELECT {key} AS peers, d, {aggregate} AS of_date FROM r GROUP BY ALL)
    SELECT account, date, avg(of_date) AS value
    FROM (SELECT *, {key} AS peers FROM r) AS own
    LEFT JOIN daily ON daily.peers = own.peers AND daily.d BETWEEN own.d - {feature.window} AND own.d - 1
    GROUP BY account, date"""


def _gaps(feature: Feature) -> str:
    days = "date - lag(date) OVER (PARTITION BY account ORDER BY date)"
    value = "n - 1" if feature.statistic == "rows_so_far" else days
    return f"SELECT account, date, CASE WHEN v > 60 THEN 60 ELSE v END AS value FROM (SELECT *, {value} AS v FROM r)"


WEEKDAYS = """(SELECT count(*)
    FROM range({low}::TIMESTAMP + INTERVAL 1 DAY, {high}::TIMESTAMP, INTERVAL 1 DAY) AS days(day)
    WHERE isodow(day) <= 5)"""
"""How many days from Monday to Friday lie between two dates."""
BOUNDS = "(SELECT min(session) FROM s) AS first, (SELECT max(session) FROM s) AS last"
NEIGHBOURS = f"""SELECT account, date, {BOUNDS}, (SELECT max(session) FROM s WHERE session < date) AS previous,
    (SELECT min(session) FROM s WHERE session > date) AS following FROM r"""
CALENDAR = {
    "weekday": "isodow(date) - 1",
    "month": "month(date)",
    "day_of_month": "day(date)",
    "days_left_in_month": "last_day(date) - date",
    "after_holiday": "CASE WHEN previous IS NOT NULL AND date <= last THEN ("
    + WEEKDAYS.format(low="previous", high="date")
    + " > 0)::INT END",
    "before_holiday": "CASE WHEN following IS NOT NULL AND date >= first THEN ("
    + WEEKDAYS.format(low="date", high="following")
    + " > 0)::INT END",
    "sessions_left_in_month": "CASE WHEN date >= first AND last_day(date) < last THEN "
    "(SELECT count(*) FROM s WHERE session > date AND session <= last_day(date)) END",
}


def _calendar(feature: Feature) -> str:
    return f"SELECT account, date, {CALENDAR[feature.statistic]} AS value FROM ({NEIGHBOURS})"


QUERIES: dict[str, Callable[[Feature], str]] = {
    "lags": _lag,
    "exponential": _exponential,
    "streaks": _streak,
    "drawdown": _drawdown,
    "ratios": _ratio,
    "rank": _rank,
    "market": _peers,
    "groups": _peers,
    "gaps": _gaps,
    "calendar": _calendar,
}


def scale(table: pd.DataFrame, feature: Feature) -> float:
    """The largest value of the feature's column, which rounding errors are relative to."""
    if feature.column is None or not table[feature.column].notna().any():
        return 1.0
    return float(np.nanmax(np.abs(table[feature.column])))
