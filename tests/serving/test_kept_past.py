import numpy as np
import pandas as pd
import pytest

from src.data.sources.blocks import FrameBlocks
from src.errors import DataError
from src.serving.kept_past import KeptPast, is_sorted_by_date
from tests.bare_table import bare_table

HISTORY = {"account": "account_id", "date": "date"}
FRAME = bare_table(20, 4).sort_values("date", kind="stable", ignore_index=True)


def test_the_last_rows_of_each_account_and_the_last_dates_are_kept() -> None:
    gone = FRAME[(FRAME["account_id"] != "A01") | (FRAME["date"] < FRAME["date"].unique()[5])]
    past = KeptPast(HISTORY, 3)
    seen = pd.DataFrame()
    for start in range(0, len(gone), 7):
        block = gone.iloc[start : start + 7].reset_index(drop=True)
        longer, first = past.extend(block, start)
        pd.testing.assert_frame_equal(longer.iloc[first:].reset_index(drop=True), block)
        seen = pd.concat([seen, block], ignore_index=True)
        last = seen["date"].isin(sorted(seen["date"].unique())[-4:])
        expected = seen[last | seen.index.isin(seen.groupby("account_id").tail(3).index)]
        assert past.frame is not None
        pd.testing.assert_frame_equal(past.frame.reset_index(drop=True), expected.reset_index(drop=True))
    assert past.frame is not None
    assert len(past.frame[past.frame["account_id"] == "A01"]) == 3, "an account that has gone"
    assert np.array_equal(past.dates, np.unique(gone["date"].to_numpy().astype("datetime64[D]")))


def test_a_block_before_the_former_ones_is_refused() -> None:
    past = KeptPast(HISTORY | {"account": None}, 3)
    past.extend(FRAME.tail(4), 0)
    with pytest.raises(DataError, match=r"not sorted by date: 2024-01-01 comes after 2024-01-26; sort it by date"):
        past.extend(FRAME.head(4), 4)
    with pytest.raises(DataError, match="'soon' in row 9 is not a date"):
        past.extend(FRAME.head(1).assign(date="soon"), 8)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (FRAME, True),
        (FRAME.head(0), True),
        (FRAME.iloc[::-1], False),
        (pd.concat([FRAME.iloc[5:0:-1], FRAME.iloc[6:]]), True),  # within a block
        (FRAME.sort_values(["account_id", "date"]), False),
    ],
)
def test_order_of_dates(frame: pd.DataFrame, expected: bool) -> None:
    assert is_sorted_by_date(FrameBlocks(frame), "date", 6) is expected
