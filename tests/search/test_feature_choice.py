"""The choice of derived features uses rows of the search alone, and prefers what predicts."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.config import SplitSettings, TableConfig, TargetConfig
from src.data.split_rows import SplitRows, make_split_rows
from src.data.table import Dataset, load_dataset
from src.search import feature_choice
from src.search.derived_features import add_derived_features, all_candidates
from src.search.feature_choice import choose_features
from tests.bare_table import bare_table

FRAME = bare_table(60, 12)
ONE_WINDOW, PLAIN = SplitSettings(), TableConfig()
SETS = {"all", "lags", "filtered", "useful families"}


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables are compared too."""
    monkeypatch.setattr(feature_choice, "MIN_ROWS", 50)
    monkeypatch.setattr(feature_choice, "MAX_ROUNDS", 30)


def chosen(
    frame: pd.DataFrame, split: SplitSettings = ONE_WINDOW, table: TableConfig = PLAIN, **other: Any
) -> tuple[list[str], dict[str, Any], Dataset, SplitRows]:
    data = load_dataset(frame, table, other.get("target", "net_profit"))
    derived = all_candidates(data)
    data, rows = add_derived_features(data, derived), make_split_rows(data, split)
    names, record = choose_features(data, derived, rows, other.get("seed", 42))
    return names, record, data, rows


def test_the_record_says_what_was_compared_and_kept() -> None:
    names, record, data, _ = chosen(FRAME)
    assert set(names) <= set(data.features) and names
    assert {"all", "lags"} <= set(record["scores"]) <= SETS
    assert record["scores"][record["set"]] == min(record["scores"].values())
    assert record["reason"] == "best mae on the later rows"
    assert sum(counts["kept"] for counts in record["families"].values()) == len(names)
    assert sum(counts["candidates"] for counts in record["families"].values()) == data.features.shape[1]


def test_the_choice_is_repeatable() -> None:
    names, record, _, _ = chosen(FRAME)
    again, same, _, _ = chosen(FRAME.sample(frac=1, random_state=0))
    assert (again, same) == (names, record)


@pytest.mark.parametrize(
    "split", [ONE_WINDOW, SplitSettings(use_cv=True, n_folds=3), SplitSettings(test_fraction=0, purge_days=3)]
)
def test_values_from_the_first_judged_date_on_change_nothing(split: SplitSettings) -> None:
    """Neither the choice nor a feature of a training row depends on the last validation window or the hold-out."""
    names, record, data, rows = chosen(FRAME, split)
    assert data.dates is not None
    first = data.dates[rows.folds[-1].valid].min()
    changed = FRAME.copy()
    later = changed["date"] >= pd.Timestamp(first)
    rng = np.random.default_rng(0)
    changed.loc[later, "net_profit"] = 1000 * rng.standard_cauchy(np.count_nonzero(later)) - 5e4
    other_names, other_record, other, other_rows = chosen(changed, split)
    assert (other_names, other_record) == (names, record)
    train = rows.folds[-1].train
    np.testing.assert_array_equal(other_rows.folds[-1].train, train)
    pd.testing.assert_frame_equal(other.features.iloc[train], data.features.iloc[train], check_exact=True)
    assert not other.features.equals(data.features), "later features have changed"


def test_the_training_rows_do_change_the_choice() -> None:
    """Else the test above would pass for a choice that uses no rows."""
    _, record, data, rows = chosen(FRAME)
    changed = FRAME.copy()
    assert data.dates is not None
    changed.loc[changed["date"] <= pd.Timestamp(data.dates[rows.folds[-1].train].max()), "net_profit"] *= -2
    assert chosen(changed)[1]["scores"] != record["scores"]


def test_noise_among_the_past_is_left_out_by_the_filter() -> None:
    rng = np.random.default_rng(3)
    frame = FRAME.assign(noise=rng.normal(size=len(FRAME)))
    data = load_dataset(frame, TableConfig(known_after=("noise",)), "net_profit")
    derived = all_candidates(data)
    data = add_derived_features(data, derived)
    judge = feature_choice._Judge.of(data, make_split_rows(data, SplitSettings()), 42)
    assert judge is not None
    whole = judge.fit(np.arange(data.features.shape[1]))
    kept = data.features.columns[feature_choice._above_permuted(judge, whole, 0)]
    share = np.mean(["noise" in name for name in kept])
    assert any(name.startswith("net_profit") for name in kept)
    assert share < np.mean(["noise" in name for name in data.features.columns])


def test_own_features_are_always_kept() -> None:
    frame = FRAME.assign(x=np.arange(len(FRAME)) % 7, style=["a", "b", None] * (len(FRAME) // 3))
    names, _, data, _ = chosen(frame, table=TableConfig(features="both"))
    assert not {"x", "style"} & set(names)
    assert set(names) <= set(data.features.columns[2:])


@pytest.mark.parametrize(
    ("frame", "split"),
    [
        (FRAME.head(12 * 15), SplitSettings()),
        (FRAME.head(12 * 7), SplitSettings(test_fraction=0.2, purge_days=0)),
        (FRAME.assign(net_profit=FRAME["net_profit"].where(FRAME["date"] > "2024-02-22", 1.0)), SplitSettings()),
    ],
    ids=["few rows", "few dates", "constant"],
)
def test_too_few_rows_keep_all_candidates(frame: pd.DataFrame, split: SplitSettings) -> None:
    names, record, data, _ = chosen(frame, split)
    assert names == list(data.features)
    assert (record["set"], record["reason"]) == ("all", "too few rows to compare sets of features")
    assert record["scores"] == {}


def test_a_binary_target_is_judged_by_auc() -> None:
    table = TableConfig(targets={"win": TargetConfig("binary", "auc")}, drop=("net_profit",))
    frame = FRAME.assign(win=(FRAME["net_profit"] > 0).astype(int))
    names, record, _, _ = chosen(frame, table=table, target="win")
    assert record["reason"] == "best auc on the later rows"
    assert record["scores"][record["set"]] == max(record["scores"].values()) > 0.6
    assert any(name.startswith("win") for name in names)
