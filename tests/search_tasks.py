"""Searches of the small table."""

from pathlib import Path
from typing import Any

import optuna

from src.config import DataSettings, RunSettings, SearchSettings, SplitSettings, TableConfig
from src.data.split_rows import make_split_rows
from src.data.table import load_dataset
from src.search.search_task import SearchTask
from tests.small_table import small_table

NAME = "net_profit_20240101_120000"


def make_task(folder: Path, target: str = "net_profit", **changes: Any) -> SearchTask:
    """Changes of: frame, table, source, split, seed, n_trials, objective."""
    frame = changes.get("frame", small_table())
    data = load_dataset(frame, changes.get("table", TableConfig()), target, changes.get("source", "table.parquet"))
    split = changes.get("split", SplitSettings())
    search = SearchSettings(
        n_trials=changes.get("n_trials", 2), seed=changes.get("seed", 42), study_name=NAME, storage_dir=folder
    )
    settings = RunSettings(DataSettings(table=changes.get("table", TableConfig())), split, search)
    return SearchTask(data, make_split_rows(data, split), settings, changes.get("objective"))


def uniform(trial: optuna.Trial, *_: Any) -> float:
    return trial.suggest_float("x", 0, 1)
