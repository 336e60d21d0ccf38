"""A small final model and its table, trained in milliseconds."""

from dataclasses import dataclass
from functools import cache

import lightgbm as lgb
import pandas as pd

from src.config import SplitSettings, TableConfig
from src.data.encoding import encode, learn_levels
from src.data.split_rows import SplitRows, make_split_rows
from src.data.table import Dataset, load_dataset
from src.final.final_model import FinalModel
from tests.small_table import small_table

NO_KEYS = TableConfig(account=None, date=None, drop=("account_id", "date"))


@dataclass(frozen=True, eq=False)
class Trained:
    """A model of one target, its table, and which rows are which."""

    model: FinalModel
    data: Dataset
    rows: SplitRows


def train(
    target: str = "net_profit",
    frame: pd.DataFrame | None = None,
    table: TableConfig | None = None,
    split: SplitSettings | None = None,
    rounds: int = 15,
) -> Trained:
    """Fits the rows of the search; no `rounds` make a model without a split."""
    data = load_dataset(small_table() if frame is None else frame, table or TableConfig(), target)
    rows = make_split_rows(data, split or SplitSettings())
    levels = learn_levels(data.features, data.categorical, rows.search)
    matrix = encode(data.features, levels)[rows.search]
    objective = "binary" if data.config.task == "binary" else "regression"
    parameters = {"objective": objective, "num_leaves": 7, "num_threads": 1, "verbosity": -1, "seed": 1}
    parameters |= {} if rounds else {"min_gain_to_split": 1e15}
    part = lgb.Dataset(matrix, data.y[rows.search], params={"verbosity": -1})
    booster = lgb.train(parameters, part, max(1, rounds))
    return Trained(FinalModel(booster, levels), data, rows)


@cache
def trained(target: str = "net_profit") -> Trained:
    """The model of the small table, made once."""
    return train(target)
