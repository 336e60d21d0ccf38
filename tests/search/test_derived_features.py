from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.config import TableConfig
from src.data.table import Dataset, load_dataset
from src.errors import ConfigError, DataError
from src.features.catalogue import candidates
from src.search.derived_features import (
    DerivedFeatures,
    add_derived_features,
    all_candidates,
    describe_features,
    input_example,
    keep_features,
)
from tests.bare_table import PEERS, bare_table, with_peers

FRAME = with_peers(bare_table(15, 4))
BOTH = replace(PEERS, features="both")


def loaded(frame: pd.DataFrame = FRAME, table: TableConfig = PEERS) -> Dataset:
    return load_dataset(frame, table, "net_profit")


def with_all(data: Dataset) -> tuple[Dataset, DerivedFeatures]:
    derived = all_candidates(data)
    return add_derived_features(data, derived), derived


def test_candidates_come_from_all_past_columns_and_groups() -> None:
    derived = all_candidates(loaded())
    assert list(derived.features) == candidates(["net_profit", "volume"], ["desk"], calendar=False)
    assert (derived.considered, derived.sessions, derived.choice) == (len(derived.features), (), None)
    dated = all_candidates(loaded(table=replace(PEERS, calendar="XNYS")))
    assert dated.considered == derived.considered + 3
    assert "2024-01-02" in dated.sessions


def test_rows_get_their_own_features_whatever_the_order_of_the_table() -> None:
    data, derived = with_all(loaded())
    assert list(data.features) == [feature.name for feature in derived.features]
    own = FRAME[FRAME["account_id"] == "A02"].reset_index(drop=True)
    found = data.features[data.accounts == "A02"]
    np.testing.assert_array_equal(found["net_profit_lag_2"], own["net_profit"].shift(2).astype("float32"))
    market = FRAME.groupby("date")["net_profit"].mean().shift(1).astype("float32")
    np.testing.assert_allclose(found["market_net_profit_mean_1"], market, rtol=1e-6)
    shuffled, _ = with_all(loaded(FRAME.sample(frac=1, random_state=0)))
    pd.testing.assert_frame_equal(shuffled.features, data.features, check_exact=True)


def test_rows_without_the_target_have_no_features_but_are_the_past_of_others() -> None:
    frame = FRAME.copy()
    frame.loc[frame.index[8:12], "net_profit"] = np.nan  # the third day
    data, _ = with_all(loaded(frame))
    assert len(data.features) == len(data.y) == len(FRAME) - 4
    fourth = data.features[data.dates == np.datetime64("2024-01-04")]
    assert fourth["net_profit_lag_1"].isna().all()
    np.testing.assert_array_equal(fourth["net_profit_lag_2"], frame["net_profit"].iloc[4:8].astype("float32"))
    np.testing.assert_array_equal(fourth["volume_lag_1"], frame["volume"].iloc[8:12].astype("float32"))


def test_own_features_stay_before_derived_ones() -> None:
    data, derived = with_all(loaded(table=BOTH))
    assert data.features.columns[0] == "desk"
    kept_data, kept = keep_features(data, derived, ["net_profit_lag_5", "net_profit_lag_1"])
    assert list(kept_data.features) == ["desk", "net_profit_lag_1", "net_profit_lag_5"]
    assert [feature.name for feature in kept.features] == ["net_profit_lag_1", "net_profit_lag_5"]
    assert add_derived_features(kept_data, kept) is kept_data, "they are there already"
    again = add_derived_features(loaded(table=BOTH), DerivedFeatures.from_json(kept.to_json()))
    pd.testing.assert_frame_equal(again.features, kept_data.features, check_exact=True)


def test_json_keeps_everything() -> None:
    derived = replace(all_candidates(loaded(table=replace(PEERS, calendar="XNYS"))), choice={"set": "all"})
    assert DerivedFeatures.from_json(derived.to_json()) == derived


def test_a_feature_of_a_later_version_is_refused() -> None:
    stored = all_candidates(loaded()).to_json()
    stored["features"][0] |= {"statistic": "kurtosis"}
    with pytest.raises(DataError, match="which this version does not know"):
        DerivedFeatures.from_json(stored)
    with pytest.raises(DataError, match="a form that this version does not know"):
        DerivedFeatures.from_json({"features": []})


@pytest.mark.parametrize(
    ("frame", "table", "said"),
    [
        (
            FRAME.assign(net_profit_lag_1=1.5 * np.arange(60)),
            BOTH,
            "columns net_profit_lag_1 have the names of derived",
        ),
        (
            FRAME.rename(columns={"desk": "weekday"}),
            replace(PEERS, groups=("weekday",)),
            "columns weekday have the names",
        ),
        (
            FRAME.assign(market=FRAME["desk"]),
            replace(PEERS, groups=("market", "desk")),
            "two derived features would have the name 'market_net_profit_mean_1': rename a column or a group",
        ),
    ],
)
def test_names_that_occur_already_are_refused(frame: pd.DataFrame, table: TableConfig, said: str) -> None:
    with pytest.raises(DataError, match=said) as caught:
        all_candidates(loaded(frame, table))
    assert len(str(caught.value).splitlines()) == 1


def test_an_unknown_calendar_is_refused() -> None:
    with pytest.raises(ConfigError, match="calendar: 'XNYC' of --config is unknown"):
        all_candidates(loaded(table=replace(PEERS, calendar="XNYC")))


def test_metadata_of_own_features() -> None:
    data = loaded(FRAME.assign(x=np.arange(60)))
    assert describe_features(data, None) == {
        "feature_mode": "own", "feature_mode_reason": "the table has 2 feature columns", "history_rows": 0,
    }  # fmt: skip


def test_metadata_says_what_is_needed_to_derive_the_features_again() -> None:
    frame = FRAME.assign(is_profitable=np.where(FRAME["net_profit"] > 0, "True", "False"))
    data, derived = keep_features(*with_all(loaded(frame, BOTH)), ["desk_volume_mean_5", "net_profit_lag_3"])
    record = describe_features(data, derived)
    assert record["feature_mode"] == "both"
    assert record["history_rows"] == 5
    assert record["input_columns"] == ["desk", "account_id", "date", "net_profit", "volume"]
    stored = record["derived_features"]
    assert [feature["name"] for feature in stored["features"]] == ["net_profit_lag_3", "desk_volume_mean_5"]
    assert (stored["considered"], stored["sessions"]) == (len(all_candidates(loaded(frame, BOTH)).features), ())
    assert stored["history"] == {
        "account": "account_id", "date": "date", "target": "net_profit", "past": ["net_profit", "volume"],
        "groups": ["desk"], "booleans": [], "decimal_marks": {},
    }  # fmt: skip
    data, derived = keep_features(*with_all(loaded(frame)), ["is_profitable_mean_5"])
    history = describe_features(data, derived)["derived_features"]["history"]
    assert history["past"] == ["net_profit", "is_profitable"], "the target says which rows are to be predicted"
    assert history["booleans"] == ["is_profitable"]


@pytest.mark.parametrize("changes", [{}, {"account": None, "groups": (), "features": "derived"}])
def test_the_example_is_the_past_of_one_account_and_a_row_to_predict(changes: dict[str, Any]) -> None:
    frame = FRAME[FRAME["account_id"] == "A01"] if changes else FRAME
    data, _ = with_all(loaded(frame, replace(PEERS, **changes)))
    rows = np.arange(len(data.y) - 8)
    example = input_example(data, rows, 3)
    assert example["date"].tolist() == sorted(example["date"]) and len(example) == 4
    assert example["date"].iloc[-1] == str(data.dates[rows[-1]])  # type: ignore[index]
    assert example["net_profit"].isna().tolist() == [False, False, False, True]
    assert example["volume"].isna().iloc[-1]
    if not changes:
        assert set(example["account_id"]) == {data.accounts[rows[-1]]}  # type: ignore[index]


def test_the_example_of_own_features_is_five_rows() -> None:
    data = loaded(FRAME.assign(x=np.arange(60)))
    pd.testing.assert_frame_equal(input_example(data, np.arange(40), 0), data.features.iloc[35:40])
