import re

import numpy as np
import pytest

from src.errors import ConfigError
from src.search.calendar_sessions import read_sessions


def days(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[D]")


def test_sessions_reach_from_before_the_table_into_the_future() -> None:
    found = read_sessions("XNYS", days("2024-01-02", "2024-03-28"))
    assert found[0] == "2023-11-24"
    assert list(found) == sorted(set(found))
    assert {"2023-12-29", "2024-01-02", "2024-03-28", "2024-04-01"} <= set(found)
    assert not {"2023-12-25", "2024-01-01", "2024-03-29", "2024-03-30"} & set(found)
    assert np.datetime64(found[-1]) > np.datetime64("today"), "tomorrow is known"


@pytest.mark.parametrize(
    ("code", "dates", "said"),
    [
        (
            "XNYC",
            days("2024-01-02"),
            "calendar: 'XNYC' of --config is unknown (did you mean 'XNYS'?): use an exchange's",
        ),
        ("no", days("2024-01-02"), "calendar: 'no' of --config is unknown"),
        (
            "XNYS",
            days("2024-01-06", "2024-01-07"),
            "has no session on any date of the table (2024-01-06 to 2024-01-07)",
        ),
        ("XNYS", days("1492-10-12"), "calendar: 'XNYS'"),
        ("XNYS", days("2400-10-12"), "calendar: 'XNYS'"),
        ("XKRX", days("1950-10-12"), "calendar: 'XKRX' of --config cannot be used: "),
    ],
)
def test_a_calendar_that_does_not_fit_is_refused(code: str, dates: np.ndarray, said: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        read_sessions(code, dates)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert len(message) <= 500
    assert "--config" in message
