"""A small table of account-days for tests: quick to tune, with something to find in it."""

import numpy as np
import pandas as pd


def small_table(n_days: int = 60, n_accounts: int = 8, seed: int = 0) -> pd.DataFrame:
    """One row per account and day, sorted by date: two useful features, noise, a category and a boolean.

    Missing values in `signal`, all five targets of the contract.
    """
    rng = np.random.default_rng(seed)
    n = n_days * n_accounts
    signal, noise = rng.normal(size=n), rng.normal(size=n)
    style = rng.choice(["breakout", "momentum", "reversal"], size=n)
    gross = 100 * signal + 80 * (style == "momentum") + rng.normal(0, 60, n)
    trades = rng.poisson(np.exp(1 + 0.5 * signal))
    net = gross - 2.0 * trades
    return pd.DataFrame(
        {
            "account_id": np.tile([f"A{i:02d}" for i in range(n_accounts)], n_days),
            "date": np.repeat(pd.bdate_range("2024-01-01", periods=n_days), n_accounts),
            "net_profit": net,
            "gross_profit": gross,
            "num_trades": trades,
            "is_profitable": (net > 0).astype(int),
            "is_highly_profitable": (net > 120).astype(int),
            "signal": np.where(rng.random(n) < 0.05, np.nan, signal),
            "noise": noise,
            "style": style,
            "is_open": rng.random(n) < 0.5,
        }
    )
