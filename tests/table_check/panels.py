"""A plain panel for the checks of changes over time, and its reading."""

from dataclasses import replace

import numpy as np
import pandas as pd

from src.config import TableConfig, TargetConfig
from src.data.table import Dataset, load_dataset

TABLE = TableConfig(targets={"y": TargetConfig("regression", "mae")})


def panel(n_days: int = 260, n_accounts: int = 10) -> pd.DataFrame:
    """Business days, accounts with rows on each, a numeric feature and a category."""
    rng = np.random.default_rng(0)
    n = n_days * n_accounts
    return pd.DataFrame(
        {
            "date": np.repeat(pd.bdate_range("2023-01-02", periods=n_days), n_accounts),
            "account_id": np.tile([f"A{i}" for i in range(n_accounts)], n_days),
            "y": rng.normal(size=n),
            "size": np.exp(rng.normal(size=n)),
            "desk": rng.choice(["north", "south", "west"], n),
        }
    )


def read(frame: pd.DataFrame, without_accounts: bool = False) -> Dataset:
    """The panel as the reader reads it."""
    if without_accounts:
        return load_dataset(frame.drop(columns="account_id"), replace(TABLE, account=None), "y")
    return load_dataset(frame, TABLE, "y")
