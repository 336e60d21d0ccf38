"""The choice of derived features uses rows of the search alone, and prefers what predicts."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.config import SplitSettings, TableConfig, TargetConfig
from src.data.split_rows import SplitRows, make_split_rows
from src.data.table import Dataset, load_dataset
from src.search import feature_choice
from src.search.derived_features import add_derived_features, all_candidates
from src.search.feature_choice import better_sets, choose_features
from tests.bare_table import bare_table

FRAME = bare_table(60, 12)
ONE_WINDOW, PLAIN = SplitSettings(), TableConfig()
SETS = {"all", "five lags", "lags", "account", "filtered", "filtered account"}


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables are compared too."""
    monkeypatch.setattr(feature_choice, "MIN_ROWS", 50)
    monkeypatch.setattr(feature_choice, "MAX_ROUNDS", 30)


def chosen(
    frame: pd.DataFrame, split: SplitSettings = ONE_WINDOW, table: TableConfig = PLAIN, target: str = "net_profit"
) -> tuple[list[str], dict[str, Any], Dataset, SplitRows]:
    data = load_dataset(frame, table, target)
    derived = all_candidates(data)
    data, rows = add_derived_features(data, derived), make_split_rows(data, split)
    names, record = choose_features(data, derived.features, rows, 42)
    return names, record, data, rows


def test_the_record_says_what_was_compared_and_kept() -> None:
    names, record, data, _ = chosen(FRAME)
    assert set(names) <= set(data.features) and names
    assert {"all", "five lags", "lags"} <= set(record["scores"]) <= SETS
    assert record["scores"][record["set"]] <= record["scores"]["all"]
    assert record["blocks"] == 3
    assert sum(counts["kept"] for counts in record["families"].values()) == len(names)
    assert sum(counts["candidates"] for counts in record["families"].values()) == data.features.shape[1]


ERRORS = st.lists(st.floats(0.01, 100), min_size=3, max_size=3)


@given(st.fixed_dictionaries({"all": ERRORS, "lags": ERRORS, "filtered": ERRORS}), st.sampled_from(["mae", "rmse"]))
def test_better_sets_are_better_in_every_block(scores: dict[str, list[float]], metric: Any) -> None:
    for name in better_sets(metric, scores):
        pairs = list(zip(scores[name], scores["all"], strict=True))
        assert all(of_set < of_all for of_set, of_all in pairs)
        assert np.mean([of_set / of_all for of_set, of_all in pairs]) <= 1 - feature_choice.MIN_GAIN + 1e-9


@pytest.mark.parametrize(
    ("metric", "scores", "expected"),
    [
        ("mae", {"all": [10.0, 20.0], "lags": [9.0, 18.0], "filtered": [9.5, 19.0]}, ["lags", "filtered"]),
        ("mae", {"all": [10.0, 20.0], "lags": [5.0, 20.5], "filtered": [9.5, 19.0]}, ["filtered"]),
        ("mae", {"all": [10.0, 20.0], "lags": [9.8, 19.6]}, []),
        ("mae", {"all": [0.0, 20.0], "lags": [0.0, 10.0]}, []),
        ("auc", {"all": [0.8, 0.6], "lags": [0.82, 0.62]}, ["lags"]),
        ("auc", {"all": [0.8, 0.6], "lags": [0.79, 0.7]}, []),
        ("mae", {}, []),
    ],
)
def test_better_sets_come_in_the_order_of_their_gains(
    metric: Any, scores: dict[str, list[float]], expected: list[str]
) -> None:
    assert better_sets(metric, scores) == expected


@pytest.mark.parametrize("confirmed", [True, False])
def test_a_smaller_set_has_to_be_confirmed_by_regularised_configurations(
    monkeypatch: pytest.MonkeyPatch, confirmed: bool
) -> None:
    compared: list[Mapping[str, Any]] = []

    def compare(metric: str, scores: Mapping[str, Any]) -> list[str]:
        compared.append(scores)
        return ["filtered", "lags"] if len(compared) == 1 else ["lags"] if confirmed and "lags" in scores else []

    monkeypatch.setattr(feature_choice, "better_sets", compare)
    names, record, _, _ = chosen(FRAME)
    assert record["set"] == ("lags" if confirmed else "all")
    assert all("_lag_" in name for name in names) == confirmed
    first, *later = compared
    assert [set(scores) for scores in later] == [{"all", "filtered"}, {"all", "lags"}]
    assert all(len(scores["all"]) == 3 and scores["all"] != first["all"] for scores in later)


def test_the_choice_is_repeatable() -> None:
    names, record, _, _ = chosen(FRAME)
    again, same, _, _ = chosen(FRAME.sample(frac=1, random_state=0))
    assert (again, same) == (names, record)


@pytest.mark.parametrize("split", [ONE_WINDOW, SplitSettings(use_cv=True, n_folds=3), SplitSettings(purge_days=0)])
def test_values_of_the_hold_out_change_nothing(split: SplitSettings) -> None:
    """Neither the choice nor a feature of a row of the search depends on the hold-out."""
    names, record, data, rows = chosen(FRAME, split)
    assert data.dates is not None
    changed = FRAME.copy()
    later = changed["date"] >= pd.Timestamp(str(data.dates[rows.test].min()))
    rng = np.random.default_rng(0)
    changed.loc[later, "net_profit"] = 1000 * rng.standard_cauchy(np.count_nonzero(later)) - 5e4
    other_names, other_record, other, other_rows = chosen(changed, split)
    assert (other_names, other_record) == (names, record)
    np.testing.assert_array_equal(other_rows.search, rows.search)
    pd.testing.assert_frame_equal(other.features.iloc[rows.search], data.features.iloc[rows.search], check_exact=True)
    assert not other.features.equals(data.features), "later features have changed"


@pytest.mark.parametrize("split", [ONE_WINDOW, SplitSettings(use_cv=True, n_folds=3)])
def test_values_from_a_validation_window_on_change_no_feature_of_its_training_rows(split: SplitSettings) -> None:
    _, _, data, rows = chosen(FRAME, split)
    assert data.dates is not None
    for fold in rows.folds:
        first = pd.Timestamp(str(data.dates[fold.valid].min()))
        changed = FRAME.assign(net_profit=FRAME["net_profit"].where(FRAME["date"] < first, -FRAME["net_profit"] * 7))
        other = load_dataset(changed, PLAIN, "net_profit")
        other = add_derived_features(other, all_candidates(other))
        at_first = np.flatnonzero(data.dates <= data.dates[fold.valid].min())
        assert len(at_first) > len(fold.train), "the first validation date too: its features are of the day before"
        pd.testing.assert_frame_equal(other.features.iloc[at_first], data.features.iloc[at_first], check_exact=True)


def test_the_rows_of_the_search_do_change_the_choice() -> None:
    """Else the tests above would pass for a choice that uses no rows."""
    _, record, data, rows = chosen(FRAME)
    assert data.dates is not None
    last = pd.Timestamp(str(data.dates[rows.search].max()))
    changed = FRAME.assign(net_profit=FRAME["net_profit"].where(FRAME["date"] != last, 0.0))
    assert chosen(changed)[1]["scores"] != record["scores"]


def test_noise_among_the_past_is_left_out_by_the_filter() -> None:
    rng = np.random.default_rng(3)
    frame = FRAME.assign(noise=rng.normal(size=len(FRAME)))
    data = load_dataset(frame, TableConfig(known_after=("noise",)), "net_profit")
    derived = all_candidates(data)
    data = add_derived_features(data, derived)
    (*_, fold) = feature_choice._scored_folds(data, make_split_rows(data, ONE_WINDOW).search, 42)
    n = len(derived.features)
    block = feature_choice._Block(data, fold, n, 42, lambda _: None)
    smaller = feature_choice._smaller_sets(derived.features, np.arange(n), "net_profit")
    columns, _ = feature_choice._compare(block, np.arange(n), smaller)["filtered"]
    kept = [derived.features[column].name for column in columns]
    assert any(name.startswith("net_profit") for name in kept)
    share = np.mean(["noise" in name for name in kept])
    assert share < np.mean(["noise" in feature.name for feature in derived.features])


def test_own_features_are_always_kept() -> None:
    frame = FRAME.assign(x=np.arange(len(FRAME)) % 7, style=["a", "b", "c"] * (len(FRAME) // 3))
    names, _, data, _ = chosen(frame, table=TableConfig(features="both"))
    assert not {"x", "style"} & set(names)
    assert set(names) <= set(data.features.columns[2:])


@pytest.mark.parametrize("n_days", [6, 10, 20])
def test_too_few_rows_keep_all_candidates(n_days: int) -> None:
    names, record, data, _ = chosen(bare_table(n_days, 4), SplitSettings(purge_days=0))
    assert (record["set"], record["scores"], record["blocks"]) == ("all", {}, 0)
    in_year = {"month", "day_of_month", "days_left_in_month"}
    assert names == [name for name in data.features if name not in in_year]


def test_the_position_in_the_year_is_used_where_the_search_covers_two_years() -> None:
    long = bare_table(60, 4).assign(date=np.repeat(pd.date_range("2018-01-31", periods=60, freq="ME"), 4))
    names, _, _, _ = chosen(long)
    assert {"month", "day_of_month", "days_left_in_month"} <= set(names)


def test_a_constant_block_is_not_compared() -> None:
    _, _, data, rows = chosen(FRAME)
    (*_, fold) = feature_choice._scored_folds(data, rows.search, 42)
    assert data.dates is not None
    constant = FRAME["date"].isin(data.dates[fold.valid])
    _, record, _, _ = chosen(FRAME.assign(net_profit=FRAME["net_profit"].mask(constant, 1.0)))
    assert record["blocks"] == 2


def test_a_binary_target_is_judged_by_auc() -> None:
    table = TableConfig(targets={"win": TargetConfig("binary", "auc")}, drop=("net_profit",))
    frame = FRAME.assign(win=(FRAME["net_profit"] > 0).astype(int))
    names, record, _, _ = chosen(frame, table=table, target="win")
    assert record["scores"][record["set"]] >= record["scores"]["all"] > 0.6
    assert any(name.startswith("win") for name in names)
