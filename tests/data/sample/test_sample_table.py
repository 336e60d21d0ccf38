"""The sample table: what it holds, that it never changes, and that it never looks ahead."""

import gzip
import hashlib
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from src.data.sample.sample_table import PRICES_FILE, TARGETS, load_prices, make_sample, sample_table
from src.errors import DataError

KEYS = ["account_id", "date"]
PRICE_COLUMNS = ["open", "high", "low", "close", "volume"]
SESSIONS = 260
"""Longer than the longest window (200 sessions), short enough to be made many times."""


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return sample_table()


@pytest.fixture(scope="module")
def prices() -> pd.DataFrame:
    return load_prices()


@pytest.fixture(scope="module")
def short_prices(prices: pd.DataFrame) -> pd.DataFrame:
    return prices.groupby("symbol").tail(SESSIONS).reset_index(drop=True)


@pytest.fixture(scope="module")
def short_table(short_prices: pd.DataFrame) -> pd.DataFrame:
    return make_sample(short_prices)


def features(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.drop(columns=list(TARGETS))


def change_from(prices: pd.DataFrame, day: pd.Timestamp, seed: int) -> pd.DataFrame:
    """Other bars from `day` on: another level, other moves, high and low still the extremes."""
    rng = np.random.default_rng(seed)
    changed = prices.astype(dict.fromkeys(PRICE_COLUMNS, "float64"))
    later = changed["date"] >= day
    noise = rng.uniform(0.2, 5.0) * rng.lognormal(0.0, 0.2, size=(int(later.sum()), len(PRICE_COLUMNS)))
    changed.loc[later, PRICE_COLUMNS] *= noise
    four = changed[["open", "high", "low", "close"]]
    changed["high"], changed["low"] = four.max(axis=1), four.min(axis=1)
    return changed


# An example remakes the table and a seed does not get simpler: shrinking would only make a failure slow.
@pytest.mark.slow
@settings(max_examples=8, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(session=st.integers(0, SESSIONS - 2), seed=st.integers(0, 2**32 - 1))
def test_prices_from_a_day_on_change_no_feature_up_to_that_day(
    short_prices: pd.DataFrame, short_table: pd.DataFrame, session: int, seed: int
) -> None:
    day = pd.Timestamp(np.sort(short_prices["date"].unique())[session])
    changed = make_sample(change_from(short_prices, day, seed))

    until, before = short_table["date"] <= day, short_table["date"] < day
    pd.testing.assert_frame_equal(features(changed[until]), features(short_table[until]), check_exact=True)
    pd.testing.assert_frame_equal(changed[before], short_table[before], check_exact=True)
    # The test can fail: what comes later does change, features included.
    assert not changed.loc[~before, "gross_profit"].equals(short_table.loc[~before, "gross_profit"])
    assert not features(changed[~until]).equals(features(short_table[~until]))


@pytest.mark.parametrize("session", [30, 120, 230])
def test_later_days_change_nothing(short_prices: pd.DataFrame, short_table: pd.DataFrame, session: int) -> None:
    day = np.sort(short_prices["date"].unique())[session]
    known = make_sample(short_prices[short_prices["date"] <= day])
    pd.testing.assert_frame_equal(known, short_table[short_table["date"] <= day], check_exact=True)


def test_prices_in_any_order_give_the_same_table(short_prices: pd.DataFrame, short_table: pd.DataFrame) -> None:
    shuffled = short_prices.sample(frac=1.0, random_state=3)
    before = shuffled.copy()
    pd.testing.assert_frame_equal(make_sample(shuffled), short_table, check_exact=True)
    pd.testing.assert_frame_equal(shuffled, before)


def test_table_has_its_size_keys_and_order(table: pd.DataFrame) -> None:
    assert len(table) == 65_180
    assert features(table).shape[1] - len(KEYS) == 52
    assert list(table.columns[:7]) == [*KEYS, *TARGETS]
    assert table["account_id"].nunique() == 26
    assert not table.duplicated(KEYS).any()
    pd.testing.assert_frame_equal(table, table.sort_values(["date", "account_id"], ignore_index=True))


def test_columns_have_the_types_that_the_contract_names(table: pd.DataFrame) -> None:
    assert pd.api.types.is_datetime64_dtype(table["date"])
    strings = [name for name in table if pd.api.types.is_string_dtype(table[name])]
    assert strings == ["account_id", "style", "symbol", "sector"]
    booleans = set(table.select_dtypes("bool"))
    assert booleans == {"can_short", "holds_overnight", "will_trade", "is_month_start", "is_month_end"}
    assert pd.api.types.is_integer_dtype(table["num_trades"])


def test_features_are_finite_filled_and_varied(table: pd.DataFrame) -> None:
    numbers = table.select_dtypes("number")
    assert not np.isinf(numbers.to_numpy(dtype="float64")).any()
    assert not table[[*KEYS, *TARGETS]].isna().any().any()
    shown = features(table).drop(columns=KEYS)
    assert (shown.nunique() > 1).all()
    assert 0 < shown.isna().mean().max() < 0.1


def test_missing_values_lie_at_the_beginning_of_an_account(table: pd.DataFrame) -> None:
    late = table.groupby("account_id").cumcount() >= 200
    assert not table[late].isna().any().any()


def test_no_feature_is_a_target_of_the_same_day(table: pd.DataFrame) -> None:
    numbers = features(table).drop(columns=KEYS).select_dtypes(["number", "bool"]).astype("float64")
    for target in TARGETS:
        correlation = numbers.corrwith(table[target].astype("float64")).abs()
        assert correlation.max() < 0.98, (target, correlation.idxmax())


def test_profits_and_trades_agree(table: pd.DataFrame) -> None:
    idle = table["num_trades"] == 0
    assert (table["net_profit"] <= table["gross_profit"]).all()
    assert (table.loc[~idle, "net_profit"] < table.loc[~idle, "gross_profit"]).all()
    assert (table.loc[idle, ["net_profit", "gross_profit"]] == 0).all().all()
    assert (table["num_trades"] >= 0).all()
    assert (idle == ~table["will_trade"]).all()


def test_binary_targets_follow_from_the_profit_of_the_day(table: pd.DataFrame) -> None:
    net = table["net_profit"]
    assert (table["is_profitable"] == (net > 0)).all()
    assert (table["is_highly_profitable"] == (net > 0.003 * table["capital"])).all()
    assert 0.1 < table["is_highly_profitable"].mean() < 0.2


def test_each_year_has_both_classes(table: pd.DataFrame) -> None:
    years = table.groupby(table["date"].dt.year)[["is_profitable", "is_highly_profitable"]]
    assert (years.nunique() == 2).all().all()


def test_own_past_is_the_past_of_the_same_account(table: pd.DataFrame) -> None:
    # A shift that ran across accounts would show in an account's first rows.
    for account in ("acct-01", "acct-26"):
        rows = table[table["account_id"] == account].reset_index(drop=True)
        assert np.isnan(rows["profit_lag_1"][0])
        for day in (1, 25, 1000, len(rows) - 1):
            window = rows["net_profit"].iloc[max(0, day - 20) : day]
            assert rows["profit_lag_1"][day] == rows["net_profit"][day - 1]
            if day >= 20:
                assert rows["profit_mean_20"][day] == pytest.approx(sum(window) / 20, abs=1e-6)
                assert rows["win_rate_20"][day] == pytest.approx(sum(window > 0) / 20)


def test_market_features_agree_with_the_price_file(table: pd.DataFrame, prices: pd.DataFrame) -> None:
    rows = table[table["account_id"] == "acct-01"].set_index("date")
    bars = prices[prices["symbol"] == "AAPL"].reset_index(drop=True)
    for day in (500, 1500, 3000):
        row = rows.loc[bars["date"][day]]
        assert row["return_5"] == pytest.approx(np.log(bars["close"][day - 1] / bars["close"][day - 6]))
        assert row["gap_1"] == pytest.approx(bars["open"][day - 1] / bars["close"][day - 2] - 1)
        mean = bars["close"].iloc[day - 200 : day].mean()
        assert row["sma_distance_200"] == pytest.approx(bars["close"][day - 1] / mean - 1)
        month = bars["volume"].iloc[day - 20 : day]
        assert row["volume_ratio"] == pytest.approx(month.iloc[-1] / month.mean())


def test_calendar_features_agree_with_the_calendar(table: pd.DataFrame) -> None:
    days = table.drop_duplicates("date").set_index("date")
    assert days.loc["2012-08-31", "is_month_end"]
    assert days.loc["2012-09-28", "is_month_end"], "a Friday whose next weekday is in October"
    assert not days.loc["2012-09-27", "is_month_end"]
    assert days.loc["2012-09-04", "is_month_start"], "the first session after a holiday"
    assert days.loc["2012-09-04", "days_since_session"] == 4


@pytest.mark.slow
def test_every_process_makes_the_same_table(table: pd.DataFrame) -> None:
    code = (
        "import pandas as pd; from src.data.sample.sample_table import sample_table;"
        "print(pd.util.hash_pandas_object(sample_table()).sum())"
    )
    # String hashes differ between processes: nothing may depend on the order of a set.
    environment = os.environ | {"PYTHONHASHSEED": "1234"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(pd.util.hash_pandas_object(table).sum())


def test_prices_are_the_ones_attributed() -> None:
    packed = PRICES_FILE.read_bytes()
    attribution = PRICES_FILE.with_name("prices.ATTRIBUTION.md").read_text()
    assert hashlib.sha256(gzip.decompress(packed)).hexdigest() in attribution
    assert packed[4:8] == bytes(4), "a time in the header would make the file another one with each making"
    assert len(packed) < 1_000_000


def test_prices_have_no_split_left_in_them(prices: pd.DataFrame) -> None:
    assert list(prices.columns) == ["symbol", "date", *PRICE_COLUMNS]
    assert not prices.duplicated(["symbol", "date"]).any()
    four = prices[["open", "high", "low", "close"]]
    assert (four.max(axis=1) == prices["high"]).all()
    assert (four.min(axis=1) == prices["low"]).all()
    assert (prices[PRICE_COLUMNS] > 0).all().all()
    jumps = prices[prices.groupby("symbol")["close"].pct_change().abs() > 0.25]
    # A profit warning, not a split: Apple did lose half its value in that night.
    assert jumps[["symbol", "date"]].values.tolist() == [["AAPL", pd.Timestamp("2000-09-29")]]


def test_prices_without_a_column_name_it(short_prices: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="'volume'"):
        make_sample(short_prices.drop(columns="volume"))


def test_prices_too_short_for_any_account_say_so(short_prices: pd.DataFrame) -> None:
    with pytest.raises(DataError, match="20 sessions"):
        make_sample(short_prices.groupby("symbol").head(20))
