"""Small tables of accounts and days for tests of reading and refusing tables."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from src.config import TableConfig, TargetConfig
from src.data.table import load_dataset
from src.errors import DataError

N = 12
PNL = {"pnl": TargetConfig("regression", "mae"), "win": TargetConfig("binary", "auc")}
BARE = TableConfig(account=None, date=None, targets=PNL)


def table(**columns: Any) -> pd.DataFrame:
    """Two accounts, six days, a noisy target; the columns given replace or add to it, None takes one away."""
    noise = np.random.default_rng(0).normal(size=N)
    base: dict[str, Any] = {
        "account_id": ["a", "b"] * 6,
        "date": np.repeat(pd.date_range("2024-01-01", periods=6), 2),
        "x": np.arange(N) % 5 + 0.5,
        "c": pd.Series(["u", "v", None] * 4, dtype="str"),
        "net_profit": noise,
        "is_profitable": (noise > 0).astype(int),
    }
    return pd.DataFrame({name: values for name, values in (base | columns).items() if values is not None})


def one_column(values: Any, **columns: Any) -> pd.DataFrame:
    """A table whose only feature is `x`."""
    return table(x=values, c=None, **columns)


def feature(values: Any) -> pd.Series:
    return load_dataset(one_column(values), TableConfig(), "net_profit").features["x"]


def refused(frame: pd.DataFrame, config: TableConfig | None = None, target: str = "net_profit") -> str:
    with pytest.raises(DataError) as caught:
        load_dataset(frame, config or TableConfig(), target)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    return message
