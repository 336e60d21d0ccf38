"""Features of the row's own date, which is known in advance."""

import numpy as np

from .panel import Dates, Floats, Integers


def calendar_values(statistic: str, dates: Dates, sessions: Dates | None) -> Floats:
    """One calendar feature.

    Args:
        statistic: one of `DAILY`, or one of `WITH_SESSIONS` of the catalogue.
        dates: datetime64[D], (n_dates,).
        sessions: the exchange's sessions, datetime64[D], in any order; only the second kind needs them.

    Returns:
        By date, (n_dates,). Of the second kind NaN where the sessions do not say: before the first and after the last
        of them, and where the needed neighbour, or a session of a later month, is not among them.

    Raises:
        ValueError: the feature needs sessions, and there are none.
    """
    if statistic in _DAILY:
        return _DAILY[statistic](dates).astype(np.float64)
    if sessions is None or not len(sessions):
        raise ValueError(f"the feature {statistic!r} needs the sessions of an exchange: give them, or leave it out")
    return _WITH_SESSIONS[statistic](dates, np.unique(sessions.astype("datetime64[D]")))


def _weekday(dates: Dates) -> Integers:
    """0 is Monday; day 0 of the epoch was a Thursday."""
    return (dates.astype(np.int64) + 3) % 7


def _month(dates: Dates) -> Integers:
    return dates.astype("datetime64[M]").astype(np.int64) % 12 + 1


def _day_of_month(dates: Dates) -> Integers:
    return (dates - _month_starts(dates, 0)).astype(np.int64) + 1


def _days_left_in_month(dates: Dates) -> Integers:
    """0 on the month's last calendar day."""
    return (_month_starts(dates, 1) - dates).astype(np.int64) - 1


def _month_starts(dates: Dates, months_later: int) -> Dates:
    starts: Dates = (dates.astype("datetime64[M]") + months_later).astype("datetime64[D]")
    return starts


def _after_holiday(dates: Dates, sessions: Dates) -> Floats:
    """1 if a weekday without a session lies between the previous session and the date, else 0."""
    place = np.searchsorted(sessions, dates, side="left")
    known = (place > 0) & (dates <= sessions[-1])
    previous = sessions[np.maximum(place - 1, 0)]
    return np.where(known, np.busday_count(previous + 1, dates) > 0, np.nan)


def _before_holiday(dates: Dates, sessions: Dates) -> Floats:
    """1 if a weekday without a session lies between the date and the next session, else 0."""
    place = np.searchsorted(sessions, dates, side="right")
    known = (place < len(sessions)) & (dates >= sessions[0])
    following = sessions[np.minimum(place, len(sessions) - 1)]
    return np.where(known, np.busday_count(dates + 1, following) > 0, np.nan)


def _sessions_left_in_month(dates: Dates, sessions: Dates) -> Floats:
    """How many sessions of the date's month come after it."""
    next_month = _month_starts(dates, 1)
    left = np.searchsorted(sessions, next_month, side="left") - np.searchsorted(sessions, dates, side="right")
    return np.where((dates >= sessions[0]) & (next_month <= sessions[-1]), left, np.nan)


_DAILY = {
    "weekday": _weekday,
    "month": _month,
    "day_of_month": _day_of_month,
    "days_left_in_month": _days_left_in_month,
}
_WITH_SESSIONS = {
    "after_holiday": _after_holiday,
    "before_holiday": _before_holiday,
    "sessions_left_in_month": _sessions_left_in_month,
}
