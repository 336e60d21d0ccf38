from typing import Any

import numpy as np
import pytest

from src.features.panel import Panel, make_panel

DAYS = np.array(["2024-01-02", "2024-01-01", "2024-01-02", "2024-01-05"], "datetime64[D]")


def panel(**changed: Any) -> tuple[Panel, np.ndarray]:
    given: dict[str, Any] = {
        "accounts": np.array(["b", "b", "B", "a10"], object),
        "dates": DAYS,
        "past": {"x": np.array([1, 2, 3, 4])},
        "groups": {"desk": np.array([0, 1, -3, 0])},
    }
    return make_panel(**(given | changed))


def test_rows_are_sorted_by_the_text_of_the_account_and_the_date() -> None:
    made, order = panel()
    assert order.tolist() == [2, 3, 1, 0]
    assert made.accounts.tolist() == [0, 1, 2, 2]
    assert made.dates.tolist() == DAYS[order].tolist()
    assert made.past["x"].tolist() == [3.0, 4.0, 2.0, 1.0]
    assert made.groups["desk"].tolist() == [-1, 0, 1, 0]
    assert made.positions.tolist() == [0, 0, 0, 1]
    assert made.date_codes.tolist() == [1, 2, 0, 1]
    assert made.distinct_dates.tolist() == sorted(set(DAYS.tolist()))


def test_there_is_no_negative_zero() -> None:
    made, _ = panel(past={"x": np.array([-0.0, 0.0, np.nan, -1.0])})
    assert np.signbit(made.past["x"]).tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"accounts": np.array(["b", None, "B", "a"], object)}, "the account of row 1 is missing"),
        ({"dates": np.array([*DAYS[:2], "NaT", DAYS[3]], "datetime64[D]")}, "the date of row 2 is missing"),
        ({"dates": DAYS[[0, 0, 2, 3]]}, "account 'b' has two rows of 2024-01-02"),
        ({"past": {"x": np.array([1.0, 2.0, -np.inf, 4.0])}}, "'x' is infinite in row 2"),
        ({"past": {"x": np.ones(3)}}, "'x' has 3 rows, the accounts have 4"),
        ({"groups": {"desk": np.zeros(5, np.int64)}}, "'desk' has 5 rows, the accounts have 4"),
    ],
)
def test_rows_that_are_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        panel(**changed)
