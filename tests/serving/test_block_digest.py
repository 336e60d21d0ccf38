import datetime as dt
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from src.serving.block_digest import extend_digest

COLUMNS = {
    "integers": pd.Series([1, 2, 3]),
    "floats": pd.Series([1.5, np.nan, 3]),
    "booleans": pd.Series([True, False, False]),
    "texts": pd.Series(["a", None, "ö"], dtype="str"),
    "nullable": pd.Series([1, None, 3], dtype="Int64"),
    "nullable booleans": pd.Series([True, None, False], dtype="boolean"),
    "times": pd.Series(pd.to_datetime(["2024-01-01", "NaT", "2024-01-03"])),
    "zone": pd.Series(pd.date_range("2024-01-01", periods=3, tz="Asia/Tokyo")),
    "categories": pd.Series(["u", "v", None], dtype="category"),
    "objects": pd.Series([1, "1", Decimal("1.5")], dtype=object),
    "dates": pd.Series([dt.date(2024, 1, 1), None, dt.date(2024, 1, 3)], dtype=object),
}


@pytest.mark.parametrize("name", COLUMNS)
def test_every_value_counts_and_nothing_else(name: str) -> None:
    frame = pd.DataFrame({"c": COLUMNS[name]})
    whole = extend_digest("", frame)
    padded = pd.concat([frame, frame], ignore_index=True).iloc[3:]
    longer = pd.concat([frame] * 100, ignore_index=True).iloc[:3]
    assert extend_digest("", longer) == whole, "later rows in the same memory"
    assert extend_digest("", padded.reset_index(drop=True)) == whole
    assert extend_digest("", padded) == whole, "other rows in the same memory"
    others = [frame.iloc[[1, 0, 2]], frame.head(2), frame.rename(columns={"c": "d"}), frame.iloc[[0, 1, 0]]]
    assert len({whole, *(extend_digest("", other) for other in others)}) == 5
    assert extend_digest("x", frame) != whole


def test_a_chain_depends_on_all_blocks() -> None:
    one, two = pd.DataFrame({"c": [1]}), pd.DataFrame({"c": [2]})
    assert extend_digest(extend_digest("", one), two) != extend_digest(extend_digest("", two), two)
