"""Tables without features of their own day: account, date, what the day brought, and what is known when it is over."""

import numpy as np
import pandas as pd

from src.config import TableConfig


def bare_table(n_days: int = 60, n_accounts: int = 8, seed: int = 0) -> pd.DataFrame:
    """One row per account and weekday, sorted by date; the next day's profit follows from the last ones."""
    rng = np.random.default_rng(seed)
    level, state = rng.normal(size=n_accounts), rng.normal(size=n_accounts)
    profits = []
    for _ in range(n_days):
        state = 0.8 * state + 0.6 * rng.normal(size=n_accounts)
        profits.append(np.round(50 * level + 40 * state, 2))
    return pd.DataFrame(
        {
            "account_id": np.tile([f"A{i:02d}" for i in range(n_accounts)], n_days),
            "date": np.repeat(pd.bdate_range("2024-01-01", periods=n_days), n_accounts),
            "net_profit": np.concatenate(profits),
        }
    )


def with_peers(frame: pd.DataFrame, seed: int = 1) -> pd.DataFrame:
    """The table with peer groups `desk` and the day's `volume`; both are missing in some rows."""
    rng = np.random.default_rng(seed)
    accounts = pd.factorize(frame["account_id"])[0]
    desks = np.array(["u", "v", "w"])[accounts % 3]
    volume = (rng.poisson(20, len(frame)) + frame["net_profit"].abs()).mask(rng.random(len(frame)) < 0.1)
    return frame.assign(desk=pd.Series(desks, frame.index).mask(rng.random(len(frame)) < 0.05), volume=volume)


PEERS = TableConfig(known_after=("volume",), groups=("desk",))
