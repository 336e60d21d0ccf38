from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.errors import ConfigError, DataError
from src.monitoring.periods import Periods
from src.monitoring.read_periods import choose_rows, keyed_table, read_periods
from tests.bare_table import PEERS, bare_table, with_peers
from tests.derived_model import trained

METADATA: dict[str, Any] = {
    "feature_names": ["style", "ret", "open"],
    "categorical_levels": {"style": ["7", "a"]},
    "boolean_features": ["open"],
    "split": {"search_dates": ["2024-01-02", "2024-01-04"]},
}


def table(**columns: Any) -> pd.DataFrame:
    """Two accounts on 2024-01-01 to 01-06, the newest rows first."""
    days = pd.date_range("2024-01-01", periods=6)
    frame = pd.DataFrame({"date": np.repeat(days, 2), "account": ["B", "A"] * 6, "ret": np.arange(12.0)})
    styles = pd.Series(["a", 7.0] * 5 + [None, "new"], dtype=object)
    frame = frame.assign(style=styles, open=["true", "false"] * 6, **columns)
    return frame.iloc[::-1].reset_index(drop=True)


def read(frame: pd.DataFrame, newer: pd.DataFrame | None = None, metadata: dict[str, Any] = METADATA) -> Periods:
    old = keyed_table(frame, "date", "old.csv")
    new = old if newer is None else keyed_table(newer, "date", "new.csv")
    return read_periods(old, new, choose_rows(old, new, metadata, "models:/x/1"), metadata, "account")


def test_training_rows_are_the_reference_and_later_rows_are_new() -> None:
    periods = read(table())
    assert (periods.n_reference, periods.n_new, periods.n_between) == (3, 2, 0)
    assert periods.row_day.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert str(periods.dates[0]) == "2024-01-02" and str(periods.dates[-1]) == "2024-01-06"
    ret = next(column for column in periods.columns if column.name == "ret")
    assert sorted(ret.values) == list(range(2, 12)) and set(ret.values[:2]) == {2, 3}


def test_values_are_read_as_the_model_reads_them() -> None:
    columns = {column.name: column for column in read(table()).columns}
    assert {name: column.kind for name, column in columns.items()} == {
        "style": "category", "ret": "number", "open": "number", "account": "account",
    }  # fmt: skip
    assert set(columns["open"].values) == {0, 1}
    assert set(columns["style"].values[:8]) == {0, 1}
    unseen, missing = columns["style"].values[8:]
    assert unseen >= 2 and np.isnan(missing)


def test_newer_rows_may_come_from_another_table() -> None:
    frame = table()
    newer = frame[frame["date"] >= "2024-01-06"]
    periods = read(frame, newer)
    assert (periods.n_reference, periods.n_new, periods.n_between) == (3, 1, 1)


def test_a_table_without_accounts_has_no_account_column() -> None:
    assert "account" not in [column.name for column in read(table().drop(columns="account")).columns]


@pytest.mark.parametrize(
    ("search_dates", "said"),
    [(None, "no record of its training dates"), (["2023-01-01", "2023-02-01"], "--reference-data"),
     (["2024-01-01", "2024-01-06"], "newer rows")],
)  # fmt: skip
def test_periods_without_rows_are_a_mistake(search_dates: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(table(), metadata=METADATA | {"split": {"search_dates": search_dates}})


def test_a_table_without_dates_or_with_texts_in_a_number_is_a_mistake() -> None:
    with pytest.raises(ConfigError, match="needs dates"):
        keyed_table(table(), None, "old.csv")
    with pytest.raises(DataError, match="no column 'day'"):
        keyed_table(table(), "day", "old.csv")
    with pytest.raises(DataError, match="do not fit the model"):
        read(table().assign(ret="much"))


def test_a_model_with_derived_features_is_monitored_by_its_past_columns(tmp_path: Path) -> None:
    frame = with_peers(bare_table())
    metadata = trained(frame, PEERS, "net_profit", tmp_path).served.metadata
    given = keyed_table(frame, "date", "history.csv")
    days = np.unique(given.days)
    metadata = metadata | {"split": {"search_dates": [str(days[0]), str(days[-4])]}}
    periods = read_periods(given, given, choose_rows(given, given, metadata, "m"), metadata, "account_id")
    kinds = {column.name: column.kind for column in periods.columns}
    assert kinds == {"net_profit": "past", "volume": "past", "desk": "category", "account_id": "account"}
    assert periods.n_new == 3
