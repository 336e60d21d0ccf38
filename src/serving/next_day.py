"""Rows of the next trading day, for models that need no more than the past."""

import datetime as dt
import logging
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data.keys import parse_accounts, parse_days
from src.errors import ConfigError, DataError
from src.suggest import listing

log = logging.getLogger(__name__)

RARE_WEEKDAY = 0.02
"""A weekday with a smaller share of the table's dates is no trading day."""


def check_next_day(metadata: Mapping[str, Any]) -> None:
    """Refuses a model that uses columns of the predicted day itself.

    Raises:
        ConfigError: the message names these columns.
    """
    derived = metadata.get("derived_features")
    own = [name for name in metadata.get("feature_names", ()) if name not in _names(derived)]
    if derived is None or own:
        shown = f" ({listing(own)})" if own else ""
        raise ConfigError(
            f"--next-day cannot fill in the columns of the predicted day that the model uses{shown}: add rows of that "
            "day to the table, with these columns, and give --from"
        )


def add_next_day(
    frame: pd.DataFrame, metadata: Mapping[str, Any], dates: NDArray[np.datetime64] | None = None
) -> tuple[pd.DataFrame, NDArray[np.int64]]:
    """A table with one more row per account, for the next trading day, without values that are known after it.

    Args:
        frame: (n_rows, at least the model's input columns).
        metadata: of a model with derived features.
        dates: of the whole table, where the frame has its last rows only; None means that the frame is the table.

    Returns:
        The longer table, and the positions of the new rows.

    Raises:
        ConfigError: the model uses columns of the predicted day itself.
        DataError: an account or a date is missing or cannot be read, or there are no rows.
    """
    check_next_day(metadata)
    derived = metadata["derived_features"]
    if not len(frame):
        raise DataError("--next-day needs the past of each account, and the table has no rows: give another table")
    history, rows = derived["history"], np.arange(len(frame))
    days = parse_days(frame[history["date"]], rows)
    accounts = np.full(len(frame), "", dtype=object)
    if history["account"] is not None:
        accounts = parse_accounts(frame[history["account"]], rows)
    last_of_account = pd.Series(rows[np.argsort(days, kind="stable")]).groupby(
        accounts[np.argsort(days, kind="stable")], sort=False
    )
    last = np.sort(last_of_account.last().to_numpy())
    day = next_trading_day(days if dates is None else dates, derived["sessions"])
    log.info("the next trading day is %s", day)
    new = frame.iloc[last].copy()
    new[history["date"]] = _as_in(frame[history["date"]], day)
    for name in history["past"]:
        new[name] = np.nan
    longer = pd.concat([frame, new], ignore_index=True)
    return longer, np.arange(len(frame), len(longer))


def next_trading_day(days: NDArray[np.datetime64], sessions: list[str]) -> np.datetime64:
    """The first session after the last date; without known sessions, the next of the weekdays of the table.

    Args:
        days: (n_rows,) datetime64[D].
        sessions: ISO dates of the model's exchange calendar, ascending; may end before the last date.
    """
    last = days.max()
    later = np.array(sessions, dtype="datetime64[D]")
    later = later[later > last]
    if len(later):
        return np.datetime64(later[0], "D")
    if sessions:
        log.warning("the model's exchange calendar ends on %s: the next weekday is used", sessions[-1])
    dates = np.unique(days)
    weekdays = (dates.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday, weekday 3
    usual = np.bincount(weekdays, minlength=7) >= RARE_WEEKDAY * len(dates)
    coming = last + np.arange(1, 8)
    return np.datetime64(coming[usual[(coming.astype(np.int64) + 3) % 7]][0], "D")


def _names(derived: Mapping[str, Any] | None) -> set[str]:
    return {feature["name"] for feature in (derived or {}).get("features", ())}


def _as_in(column: pd.Series, day: np.datetime64) -> Any:
    """The day as the column writes its dates: a time stamp, an integer such as 20240131, a date or an ISO text."""
    date = day.astype(dt.date)
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        # Where clocks are set forward at midnight, the day begins later.
        return pd.Timestamp(date).tz_localize(column.dt.tz, ambiguous=True, nonexistent="shift_forward")
    if pd.api.types.is_datetime64_dtype(column.dtype):
        return pd.Timestamp(date)
    if pd.api.types.is_numeric_dtype(column.dtype):
        return int(f"{date:%Y%m%d}")
    first = column.iloc[0]
    if isinstance(first, dt.datetime):
        return dt.datetime(date.year, date.month, date.day, tzinfo=first.tzinfo)
    return date if isinstance(first, dt.date) else date.isoformat()
