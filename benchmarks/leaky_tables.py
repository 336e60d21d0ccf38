"""Tables without a leak, of many kinds, and the leaks that are planted into them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.config import TableConfig, TargetConfig
from src.data.table import Dataset, load_dataset

Floats = NDArray[np.float64]
Rng = np.random.Generator

SHAPES = ((8, 250), (40, 60), (2, 900), (150, 16), (1, 1200), (20, 120))
"""Accounts and days: few and many, short and long."""


def _panel(rng: Rng, n_accounts: int, n_days: int) -> pd.DataFrame:
    """Accounts and dates, sorted by date; some accounts begin later, some rows are missing."""
    dates = pd.bdate_range("2022-01-03", periods=n_days)
    frame = pd.DataFrame({"date": np.repeat(dates, n_accounts), "account_id": np.tile(np.arange(n_accounts), n_days)})
    begin = np.where(rng.random(n_accounts) < 0.2, n_days // 4, 0) * (n_accounts > 2)
    day = np.repeat(np.arange(n_days), n_accounts)
    kept = (day >= begin[frame["account_id"]]) & (rng.random(len(frame)) > 0.01)
    return frame[kept].reset_index(drop=True)


def by_account(frame: pd.DataFrame, values: object, function: Callable[[pd.Series], pd.Series]) -> Floats:
    """A function of each account's series, in the order of the frame."""
    series = pd.Series(np.asarray(values), index=frame.index)
    return series.groupby(frame["account_id"]).transform(function).to_numpy(np.float64)


def autoregressive(frame: pd.DataFrame, rng: Rng, phi: float) -> Floats:
    """A series per account with unit innovations; phi 1 is a random walk."""
    noise = rng.normal(size=len(frame))
    if phi == 1:
        return by_account(frame, noise, lambda s: s.cumsum())

    def walk(s: pd.Series) -> pd.Series:
        out, last = np.empty(len(s)), 0.0
        for i, value in enumerate(s.to_numpy()):
            last = phi * last + value
            out[i] = last
        return pd.Series(out, index=s.index)

    return by_account(frame, noise, walk)


def _explained(signal: Floats, r2: float, rng: Rng, df: float = np.inf) -> Floats:
    """A target of which `signal` explains the share `r2`."""
    noise = rng.normal(size=len(signal)) if np.isinf(df) else rng.standard_t(df, len(signal))
    return np.asarray(np.sqrt(r2) * signal / signal.std() + np.sqrt(1 - r2) * noise / noise.std())


def _noise(frame: pd.DataFrame, rng: Rng) -> Floats:
    return rng.standard_t(4, len(frame)) * np.exp(0.3 * rng.normal(size=len(frame)))


def _random_walk(frame: pd.DataFrame, rng: Rng) -> Floats:
    return 100 + autoregressive(frame, rng, 1.0)


def _autocorrelated(frame: pd.DataFrame, rng: Rng) -> Floats:
    return autoregressive(frame, rng, rng.choice([0.3, 0.6, 0.9, 0.98, -0.4]))


def _plan(frame: pd.DataFrame, rng: Rng) -> Floats:
    plan = np.exp(0.5 * rng.normal(size=len(frame)))
    frame["planned_volume"] = plan
    return _explained(plan, rng.choice([0.5, 0.7, 0.9]), rng)


def _persistent_plan(frame: pd.DataFrame, rng: Rng) -> Floats:
    plan = autoregressive(frame, rng, 0.95)
    frame["planned_volume"] = plan
    return _explained(plan, 0.8, rng, df=4)


def _counts(frame: pd.DataFrame, rng: Rng) -> Floats:
    orders = rng.poisson(4, len(frame)) * (rng.random(len(frame)) < 0.6)
    frame["planned_orders"] = orders
    frame["will_trade"] = orders > 0
    return np.asarray(orders + 2.0 * rng.poisson(0.7 * (orders > 0)))


def _leveraged(frame: pd.DataFrame, rng: Rng) -> Floats:
    """The plan decides the size of the profit, chance its sign."""
    leverage = rng.integers(0, 5, len(frame)) * np.exp(rng.normal(size=len(frame)) * 0.3)
    frame["planned_leverage"] = leverage
    shock = rng.standard_t(4, frame["date"].nunique())[pd.factorize(frame["date"])[0]]
    return np.asarray(leverage * (shock + rng.standard_t(4, len(frame))) - 0.1 * leverage)


def _accounts_differ(frame: pd.DataFrame, rng: Rng) -> Floats:
    level = 2 * rng.normal(size=frame["account_id"].max() + 1)[frame["account_id"]]
    frame["capital"] = np.exp(level) + 0.1
    frame["desk_level"] = np.round(level, 1)
    return np.asarray(level + rng.normal(size=len(frame)))


def _weekly(frame: pd.DataFrame, rng: Rng) -> Floats:
    weekday = frame["date"].dt.day_of_week.to_numpy()
    frame["promotion"] = rng.random(len(frame)) < 0.3
    season = np.array([3.0, 1.0, 0.0, 1.5, 4.0])[weekday] + 1.5 * frame["promotion"]
    return np.asarray(20 + season + autoregressive(frame, rng, 0.7) * 0.5)


CLEAN: dict[str, Callable[[pd.DataFrame, Rng], Floats]] = {
    "noise": _noise, "random walk": _random_walk, "autocorrelated": _autocorrelated, "plan": _plan,
    "persistent plan": _persistent_plan, "counts": _counts, "leveraged": _leveraged,
    "accounts differ": _accounts_differ, "weekly": _weekly,
}  # fmt: skip


def clean_table(kind: str, seed: int, shape: tuple[int, int] | None = None) -> pd.DataFrame:
    """A table whose features are all known before the day: target `y`, and for every second seed a 0/1 target."""
    rng = np.random.default_rng([seed, *map(ord, kind)])
    frame = _panel(rng, *(shape or SHAPES[seed % len(SHAPES)]))
    y = CLEAN[kind](frame, rng)
    if seed % 4 == 3:
        y = (y > np.quantile(y, rng.choice([0.5, 0.8]))).astype(np.float64)
    frame["y"] = y
    return _with_past(frame, rng)


def _with_past(frame: pd.DataFrame, rng: Rng) -> pd.DataFrame:
    """Lags, trailing and expanding means, honest encodings, persistent features, calendar."""
    new: dict[str, Any] = {}
    for k in (1, 2, 5):
        new[f"lag_{k}"] = by_account(frame, frame["y"], lambda s, k=k: s.shift(k))  # type: ignore[misc]
    past = by_account(frame, frame["y"], lambda s: s.shift(1))
    new["mean_5"] = by_account(frame, past, lambda s: s.rolling(5).mean())
    new["mean_20"] = by_account(frame, past, lambda s: s.rolling(20, min_periods=3).mean())
    new["std_10"] = by_account(frame, past, lambda s: s.rolling(10, min_periods=3).std())
    new["mean_so_far"] = by_account(frame, past, lambda s: s.expanding().mean())
    new["total_so_far"] = by_account(frame, past, lambda s: s.cumsum())
    new["ewm"] = by_account(frame, past, lambda s: s.ewm(halflife=5).mean())
    desk = rng.choice(list("abcdefgh"), len(frame))
    new["desk"] = desk
    daily = frame["y"].groupby([frame["date"], pd.Series(desk)]).agg(["sum", "count"]).unstack(fill_value=0).cumsum()
    daily = daily.shift(1)
    means = (daily["sum"] / daily["count"]).stack()
    new["desk_encoded"] = means.reindex(pd.MultiIndex.from_arrays([frame["date"], desk])).to_numpy()
    market = frame.groupby("date")["y"].mean().shift(1)
    new["market_yesterday"] = frame["date"].map(market).to_numpy()
    new["persistent"] = autoregressive(frame, rng, 0.99)
    new["walk"] = autoregressive(frame, rng, 1.0)
    new["fixed"] = rng.normal(size=frame["account_id"].max() + 1)[frame["account_id"]]
    new["weekday"], new["month"] = frame["date"].dt.day_of_week, frame["date"].dt.month
    new["flag"] = rng.random(len(frame)) < 0.3
    new["noise"] = rng.normal(size=len(frame))
    return frame.assign(**new)


def tomorrow(frame: pd.DataFrame, rng: Rng) -> Floats:
    """The target of the account's next row."""
    return by_account(frame, frame["y"], lambda s: s.shift(-1))


def gross_with_noise(noise: float) -> Callable[[pd.DataFrame, Rng], Floats]:
    """The day's profit before fees, with noise of a share of the standard deviation of what is new each day."""

    def planted(frame: pd.DataFrame, rng: Rng) -> Floats:
        y = frame["y"].to_numpy()
        new = min(y.std(), np.nanstd(by_account(frame, y, lambda s: s.diff())))
        fees = 0.03 * new * rng.random(len(y))
        return np.asarray(y + fees + noise * new * rng.normal(size=len(y)))

    return planted


def mean_with_today(frame: pd.DataFrame, rng: Rng) -> Floats:
    """The mean of the account's rows so far, today included."""
    return by_account(frame, frame["y"], lambda s: s.expanding().mean())


def encoding_of_all_rows(groups: int, smoothing: float = 0.0) -> Callable[[pd.DataFrame, Rng], Floats]:
    """The target's mean per level of a category without any relation to it, over the whole table."""

    def planted(frame: pd.DataFrame, rng: Rng) -> Floats:
        level = rng.integers(0, groups, len(frame))
        total, count = np.bincount(level, frame["y"], minlength=groups), np.bincount(level, minlength=groups)
        mean = (total + smoothing * frame["y"].mean()) / np.maximum(count + smoothing, 1)
        return np.asarray(mean[level])

    return planted


def encoding_without_the_row(frame: pd.DataFrame, rng: Rng) -> Floats:
    """The target's mean over all other rows of the same desk."""
    level, y = pd.factorize(frame["desk"])[0], frame["y"].to_numpy()
    return np.asarray((np.bincount(level, y)[level] - y) / (np.bincount(level)[level] - 1))


LEAKS: dict[str, Callable[[pd.DataFrame, Rng], Floats]] = {
    "tomorrow": tomorrow,
    "gross": gross_with_noise(0.0),
    "gross with noise": gross_with_noise(0.15),
    "mean with today": mean_with_today,
    "encoding": encoding_of_all_rows(30),
    "smoothed encoding": encoding_of_all_rows(60, 10.0),
}


def datasets_of(frame: pd.DataFrame) -> list[Dataset]:
    """The table as the reader reads it."""
    binary = set(frame["y"].unique()) <= {0.0, 1.0}
    target = TargetConfig("binary", "auc") if binary else TargetConfig("regression", "mae")
    return [load_dataset(frame, TableConfig(targets={"y": target}), "y")]
