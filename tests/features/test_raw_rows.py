"""Raw rows as a registered model gets them, and what it says of their past."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.data import encoding, key_values
from src.features.catalogue import Feature, candidates
from src.features.raw_rows import RawHistory, derived_matrix, history_warnings, needed_columns, read_rows
from tests.bare_table import bare_table, with_peers

RECORD: dict[str, Any] = {
    "account": "account_id", "date": "date", "target": "net_profit", "past": ["net_profit", "volume"],
    "groups": ["desk"], "booleans": [], "decimal_marks": {},
}  # fmt: skip
FRAME = with_peers(bare_table(30, 4))


def record_of(*features: Feature) -> dict[str, Any]:
    return {"features": [feature.to_dict() for feature in features], "sessions": [], "history": RECORD}


def lag(number: int) -> Feature:
    return Feature(f"net_profit_lag_{number}", "lags", "lag", "net_profit", number)


MARKET = Feature("market_net_profit_mean_1", "market", "mean", "net_profit", 1)


def read(frame: pd.DataFrame, **changes: Any) -> RawHistory:
    return read_rows(frame, RECORD | changes, encoding, key_values)


def unanswered(frame: pd.DataFrame, since: str) -> pd.DataFrame:
    return frame.assign(net_profit=frame["net_profit"].where(frame["date"] < since))


def test_needed_columns_have_one_order_and_no_missing_account() -> None:
    assert needed_columns(RECORD) == ["account_id", "date", "net_profit", "volume", "desk"]
    assert needed_columns(RECORD | {"account": None, "past": ["net_profit"], "groups": []}) == ["date", "net_profit"]


def test_the_matrix_is_in_the_order_of_the_frame() -> None:
    frame = FRAME.sample(frac=1, random_state=0)
    found = derived_matrix(read(frame), record_of(lag(2), MARKET))
    in_order = FRAME.assign(lag=FRAME.groupby("account_id")["net_profit"].shift(2))
    np.testing.assert_array_equal(found[:, 0], in_order["lag"].loc[frame.index].astype("float32"))


def test_values_are_read_as_in_training() -> None:
    texts = FRAME.assign(
        account_id=FRAME["account_id"].astype("category"),
        date=FRAME["date"].dt.strftime("%Y%m%d").astype(int),
        net_profit=[f"{value:,.2f}" for value in FRAME["net_profit"]],
        volume=FRAME["volume"].map(lambda value: "n/a" if np.isnan(value) else repr(value)),
    )
    features = candidates(["net_profit", "volume"], ["desk"], calendar=False)
    expected = derived_matrix(read(FRAME), record_of(*features))
    found = derived_matrix(read(texts, decimal_marks={"net_profit": "."}), record_of(*features))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"date": "soon"}, "column 'date' (the date): 'soon' in row 1 is not a date"),
        ({"account_id": None}, "column 'account_id' (the account) is missing in 120 rows, the first is row 1"),
        ({"account_id": "A"}, "account 'A' has two rows of 2024-01-01"),
        (
            {"net_profit": "much"},
            "column 'net_profit' holds 120 values that are not numbers, the first 'much' in row 1",
        ),
        (
            {"volume": np.inf},
            "column 'volume' holds 120 infinite values, the first in row 1: replace them, or leave them empty",
        ),
        ({"desk": [[1]] * 120}, "a value of type list cannot be a category level"),
    ],
)
def test_rows_that_cannot_be_read(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError) as caught:
        read(FRAME.assign(**changes))
    assert said in str(caught.value)


def test_an_infinite_value_is_named_by_its_row_in_the_frame() -> None:
    frame = FRAME.sample(frac=1, random_state=0).reset_index(drop=True)
    frame.loc[7, "volume"] = np.inf
    with pytest.raises(ValueError, match="column 'volume' holds 1 infinite values, the first in row 8"):
        read(frame)


def test_rows_without_a_target_are_to_be_predicted() -> None:
    frame = unanswered(FRAME, "2024-02-09").sample(frac=1, random_state=0)
    rows = read(frame)
    assert np.array_equal(frame["net_profit"].isna().to_numpy()[rows.order], rows.to_predict)
    assert rows.to_predict.sum() == 4


def warnings_of(frame: pd.DataFrame, *features: Feature, chosen: Any = None) -> list[str]:
    return history_warnings(read(frame), record_of(*features), chosen)


def test_a_whole_past_is_not_warned_of() -> None:
    assert warnings_of(unanswered(FRAME, "2024-02-09"), lag(5), MARKET) == []
    assert warnings_of(FRAME, lag(60)) == [], "nothing is to be predicted"


def test_a_short_history_is_warned_of() -> None:
    last = unanswered(FRAME, "2024-02-09")
    short = last[(last["account_id"] != "A02") | (last["date"] >= "2024-02-07")]
    assert warnings_of(short, lag(3)) == [
        "1 of 4 rows to predict have fewer than 3 earlier rows of their account (at least 2): give 3 rows where the "
        "account has them, else features of longer windows differ from training"
    ]
    assert warnings_of(short, lag(2)) == []


def test_an_unknown_previous_value_is_warned_of() -> None:
    said = (
        " rows to predict follow a row of their account without a target: their last known value is older than in "
        "training"
    )
    assert warnings_of(unanswered(FRAME, "2024-02-08"), lag(1)) == ["4" + said]
    frame = FRAME.copy()
    frame.loc[frame.index[[5, 9]], "net_profit"] = np.nan
    assert warnings_of(frame, lag(1), chosen=np.arange(len(frame) - 8, len(frame))) == [], "none of the chosen rows"
    assert warnings_of(frame, lag(1), chosen=np.array([9, 12])) == ["1" + said], "row 9 follows row 5"


def test_absent_peers_are_warned_of() -> None:
    frame = unanswered(FRAME, "2024-02-09")
    absent = frame[(frame["account_id"] != "A01") | (frame["date"] != "2024-02-08")]
    assert warnings_of(absent, lag(1), MARKET) == [
        "1 of 4 accounts with rows on the 5 dates before have none on 2024-02-08: features of all accounts for "
        "2024-02-09 use the others alone"
    ]
    assert warnings_of(absent, lag(1)) == [], "features of the account alone do not need the others"


def test_chosen_rows_are_warned_of_on_at_most_three_dates() -> None:
    frame = FRAME[(FRAME["account_id"] != "A01") | (np.arange(len(FRAME)) % 8 < 4) | (FRAME["date"] < "2024-01-20")]
    frame = frame.reset_index(drop=True)
    since = np.flatnonzero(frame["date"] >= "2024-01-15")
    found = warnings_of(frame, MARKET, chosen=since)
    assert len(found) == 3
    assert found[0].endswith("use the others alone")
    assert all("1 of 4 accounts" in line for line in found)
    assert warnings_of(frame, MARKET, chosen=since[:12]) == []
