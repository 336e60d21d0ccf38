from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.config import SplitSettings, TableConfig, TargetConfig
from src.data.split_rows import make_split_rows, split_record
from src.data.table import Dataset, load_dataset
from src.errors import ConfigError
from src.evaluation.unseen_rows import unseen_rows
from tests.small_table import small_table

TABLE = small_table(n_days=40, n_accounts=3)
UNDATED = TableConfig(account=None, date=None)
DAY_0 = np.datetime64("2024-01-01")


def dataset_on(days: list[int]) -> Dataset:
    dates = DAY_0 + np.array(sorted(days))
    y = np.zeros(len(days))
    return Dataset(
        "y", TargetConfig("regression", "mae"), pd.DataFrame({"x": y}), y, dates, None, (), "t.csv", "digest", ()
    )


def until(day: int) -> dict[str, Any]:
    return {"split": {"search_dates": [str(DAY_0 - 100), str(DAY_0 + day)]}}


def metadata_of(data: Dataset, split: SplitSettings) -> dict[str, Any]:
    """As a training writes it."""
    return {"split": split_record(data, make_split_rows(data, split), split), "data_digest": data.digest}


@given(
    days=st.lists(st.integers(0, 60), min_size=1, max_size=80),
    borders=st.tuples(st.integers(-5, 65), st.integers(-5, 65)),
    fraction=st.floats(0.01, 1),
    purge=st.integers(0, 4),
)
def test_no_row_was_trained_on(days: list[int], borders: tuple[int, int], fraction: float, purge: int) -> None:
    data = dataset_on(days)
    trainings = {f"models:/y/{i}": until(border) for i, border in enumerate(borders)}
    distinct = sorted(set(days))
    asked = set(distinct[-max(1, round(len(distinct) * fraction)) :])
    new = [day for day in distinct if day > max(borders)]
    expected = [row for row, day in enumerate(sorted(days)) if day in asked and day in new[purge:]]
    if not new[purge:]:
        with pytest.raises(ConfigError, match="is new to the models"):
            unseen_rows(data, trainings, fraction, purge)
        return
    assert unseen_rows(data, trainings, fraction, purge).tolist() == expected != []


@pytest.mark.parametrize("table", [TableConfig(), UNDATED], ids=["dated", "undated"])
@pytest.mark.parametrize("use_cv", [True, False])
def test_a_trainings_own_table_gives_its_own_test_rows(table: TableConfig, use_cv: bool) -> None:
    data = load_dataset(TABLE.drop(columns=["account_id", "date"]) if table is UNDATED else TABLE, table, "net_profit")
    first, second = (SplitSettings(use_cv=cv, n_folds=3, seed=7) for cv in (use_cv, False))
    trainings = {"models:/y/1": metadata_of(data, first), "models:/y/2": metadata_of(data, second)}
    rows = unseen_rows(data, trainings, 0.2, 1)
    assert np.array_equal(rows, make_split_rows(data, second).test)
    assert not set(rows) & set(make_split_rows(data, first).search)


def test_says_from_which_date_on_rows_are_needed() -> None:
    trainings = {"models:/y/1": until(3), "models:/y/2": until(9)}
    with pytest.raises(ConfigError) as caught:
        unseen_rows(dataset_on([0, 5, 10]), trainings, 0.2, 1)
    assert str(caught.value) == (
        "no row of t.csv is new to the models: models:/y/2 was trained up to 2024-01-10, the table ends at "
        "2024-01-11: give --data with more than 1 date(s) from 2024-01-11 on"
    )


def test_a_shorter_window_gives_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert len(unseen_rows(dataset_on(list(range(10))), {"models:/y/1": until(6)}, 0.5, 1)) == 2
    assert "compared from 2024-01-09 on, not from 2024-01-06: models:/y/1 was trained up to" in caplog.text


@pytest.mark.parametrize("metadata", [{}, {"split": None}, {"split": "by date"}])
def test_a_model_without_a_record_is_refused(metadata: Mapping[str, Any]) -> None:
    with pytest.raises(ConfigError, match="model models:/y/1 has no record of its training rows"):
        unseen_rows(dataset_on([1, 2]), {"models:/y/1": metadata}, 0.2, 1)


def test_a_model_trained_without_dates_is_refused_for_a_table_with_dates() -> None:
    undated = load_dataset(TABLE.drop(columns=["account_id", "date"]), UNDATED, "net_profit")
    trainings = {"models:/y/1": until(0), "models:/y/2": metadata_of(undated, SplitSettings())}
    with pytest.raises(ConfigError, match="model models:/y/2 was trained on a table without dates"):
        unseen_rows(dataset_on([1, 2]), trainings, 0.2, 1)


@pytest.mark.parametrize(
    ("frame", "other", "message"),
    [
        (TABLE.head(90), SplitSettings(), r"is not the table that models:/y/1 was trained on \(digest"),
        (TABLE, SplitSettings(seed=7), r"held out different rows .*models:/y/2 with 0.2 and 7"),
        (TABLE, SplitSettings(test_fraction=0.3), "held out different rows"),
    ],
    ids=["another table", "another seed", "another fraction"],
)
def test_undated_rows_must_be_held_out_by_both(frame: pd.DataFrame, other: SplitSettings, message: str) -> None:
    trained, given_ = (
        load_dataset(f.drop(columns=["account_id", "date"]), UNDATED, "net_profit") for f in (TABLE, frame)
    )
    trainings = {"models:/y/1": metadata_of(trained, SplitSettings()), "models:/y/2": metadata_of(trained, other)}
    with pytest.raises(ConfigError, match=message):
        unseen_rows(given_, trainings, 0.2, 1)


def test_undated_without_a_holdout() -> None:
    data = load_dataset(TABLE.drop(columns=["account_id", "date"]), UNDATED, "net_profit")
    with pytest.raises(ConfigError, match="held out no rows"):
        unseen_rows(data, {"models:/y/1": metadata_of(data, SplitSettings(test_fraction=0))}, 0.2, 1)
