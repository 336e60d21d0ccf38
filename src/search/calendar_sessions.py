"""The sessions of an exchange calendar, by the package exchange-calendars."""

import numpy as np
from numpy.typing import NDArray

from src.errors import ConfigError
from src.suggest import did_you_mean

MARGIN = np.timedelta64(40, "D")
"""Days before the table's first date: its month and the holiday before it."""


def read_sessions(code: str, dates: NDArray[np.datetime64]) -> tuple[str, ...]:
    """Sessions from before the first of the dates up to the last one that the calendar knows, about a year from now.

    Args:
        code: such as XNYS.
        dates: (n_rows,) datetime64[D].

    Returns:
        ISO dates, ascending.

    Raises:
        ConfigError: there is no such calendar, or it has no session among the dates.
    """
    import exchange_calendars
    from exchange_calendars.errors import CalendarError

    try:
        calendar = exchange_calendars.get_calendar(code, start=str(dates.min() - MARGIN))
    except (CalendarError, ValueError) as error:  # an unknown code; a start before the calendar's first session
        known = exchange_calendars.get_calendar_names(include_aliases=True)
        reason = f"is unknown{did_you_mean(code, known)}" if code not in known else f"cannot be used: {error}"
        raise ConfigError(f"calendar: {code!r} of --config {reason}: use an exchange's code, such as XNYS") from error
    days = calendar.sessions.to_numpy().astype("datetime64[D]")
    if not np.isin(dates, days).any():
        raise ConfigError(
            f"calendar: {code!r} has no session on any date of the table ({dates.min()} to {dates.max()}): "
            "correct it, or remove it from --config"
        )
    return tuple(days.astype(str).tolist())
