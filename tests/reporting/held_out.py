"""Test rows made by hand or at random, without a model."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from src.reporting.model.hold_out import HoldOut

DAY_0 = np.datetime64("2024-01-01")


def held_out(y: Sequence[float], prediction: Sequence[float], **other: Any) -> HoldOut:
    """Rows with a baseline of 0, no keys and no money unless these are given; `days` are numbers of days."""
    floats = {name: np.array(other[name], np.float64) for name in ("baseline", "net_profit") if name in other}
    dates = {"dates": DAY_0 + np.array(other["days"], np.int64)} if "days" in other else {}
    accounts = {"accounts": np.array(other["accounts"], object)} if "accounts" in other else {}
    keywords: dict[str, Any] = {"baseline": np.zeros(len(y))} | floats | dates | accounts
    metric = other.get("metric", "mae")
    return HoldOut(metric, np.array(y, np.float64), np.array(prediction, np.float64), **keywords)


def random_rows(n_days: int = 60, n_accounts: int = 8, metric: str = "mae") -> HoldOut:
    """One row per day and account; predictions that are somewhat right, a baseline that is not."""
    rng = np.random.default_rng(3)
    n = n_days * n_accounts
    signal = rng.normal(size=n)
    earned = 50 * signal + rng.normal(0, 60, n)
    y = (earned > 0).astype(float) if metric == "auc" else earned
    return held_out(
        y.tolist(), (1 / (1 + np.exp(-signal)) if metric == "auc" else 40 * signal).tolist(),
        baseline=rng.normal(size=n), metric=metric, net_profit=earned,
        days=np.repeat(np.arange(n_days), n_accounts), accounts=[f"A{i}" for i in range(n_accounts)] * n_days,
    )  # fmt: skip
