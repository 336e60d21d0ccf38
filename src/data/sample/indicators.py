"""Indicators that are known before the open.

All functions take `past`: the bars of one symbol, where each row holds the bar of the session *before* the row's date
(`known_before_open`). A rule cannot look ahead, because today's bar is not in its input.
"""

from typing import Final

import numpy as np
import pandas as pd

BAR_COLUMNS: Final = ("open", "high", "low", "close", "volume")
ATR_SESSIONS: Final = 14


def known_before_open(bars: pd.DataFrame) -> pd.DataFrame:
    """Moves every bar to the next session: the row of day D holds the bar of D-1, the first row is missing.

    Args:
        bars: the bars of one symbol by date, shape (sessions, at least the five bar columns).

    Returns:
        The same index, the five bar columns, one session later.
    """
    return bars[list(BAR_COLUMNS)].shift(1)


def true_range(past: pd.DataFrame) -> pd.Series:
    """The session's range including the gap from the previous close, in dollars (Wilder, 1978)."""
    before = past["close"].shift(1)
    spans = [past["high"] - past["low"], (past["high"] - before).abs(), (past["low"] - before).abs()]
    return pd.concat(spans, axis=1).max(axis=1)


def average_true_range(past: pd.DataFrame, sessions: int = ATR_SESSIONS) -> pd.Series:
    """Mean true range in dollars, at least 0.1 % of the price, so that it can be a divisor."""
    atr = true_range(past).rolling(sessions).mean()
    return atr.clip(lower=past["close"] * 0.001)


def relative_strength(close: pd.Series, sessions: int) -> pd.Series:
    """Relative strength index, 0 to 100, with Wilder's smoothing (Wilder, 1978); 50 if the price did not move."""
    move = close.diff()
    gain = move.clip(lower=0).ewm(alpha=1 / sessions, adjust=False, min_periods=sessions).mean()
    loss = (-move).clip(lower=0).ewm(alpha=1 / sessions, adjust=False, min_periods=sessions).mean()
    total = gain + loss
    index = 100 * gain / total.where(total > 0)
    return index.mask(total == 0, 50.0)


def z_score(close: pd.Series, sessions: int) -> pd.Series:
    """Distance of the close from its mean in standard deviations; missing if the price did not move."""
    window = close.rolling(sessions)
    spread = window.std()
    return (close - window.mean()) / spread.where(spread > close * 1e-9)


def breakout_state(past: pd.DataFrame, entry: int, leave: int) -> pd.Series:
    """+1 after a close above the highest high of `entry` sessions, -1 after one below the lowest low, else 0.

    The state ends at the opposite extreme of `leave` sessions (Donchian's channel rule).
    """
    close, high, low = past["close"], past["high"].shift(1), past["low"].shift(1)
    up, down = close > high.rolling(entry).max(), close < low.rolling(entry).min()
    leave_long, leave_short = close < low.rolling(leave).min(), close > high.rolling(leave).max()
    # Both sides start and end independently: the last event decides. They are never active together.
    long_side = up.astype(float).where(up | leave_long).ffill().fillna(0.0)
    short_side = down.astype(float).where(down | leave_short).ffill().fillna(0.0)
    return long_side - short_side


def market_features(past: pd.DataFrame) -> pd.DataFrame:
    """Returns, volatility, trend, range and volume of one symbol as known before each open.

    Args:
        past: from `known_before_open`.

    Returns:
        One float column per feature with the same index; missing until the feature's window is full.
    """
    parts = (_returns(past), _volatility(past), _trend(past), _range(past), _volume(past))
    return pd.concat([pd.DataFrame(part) for part in parts], axis=1)


def _returns(past: pd.DataFrame) -> dict[str, pd.Series]:
    log_close = np.log(past["close"])
    return {f"return_{n}": log_close.diff(n) for n in (1, 2, 5, 10, 20, 60, 120)}


def _volatility(past: pd.DataFrame) -> dict[str, pd.Series]:
    daily = np.log(past["close"]).diff()
    return {f"volatility_{n}": daily.rolling(n).std() for n in (5, 20, 60)}


def _trend(past: pd.DataFrame) -> dict[str, pd.Series]:
    close, atr = past["close"], average_true_range(past)
    features = {f"sma_distance_{n}": close / close.rolling(n).mean() - 1 for n in (10, 20, 200)}
    features |= {f"rsi_{n}": relative_strength(close, n) for n in (2, 14)}
    features["ema_gap"] = (close.ewm(span=12, min_periods=12).mean() - close.ewm(span=26, min_periods=26).mean()) / atr
    features["high_distance_20"] = (past["high"].rolling(20).max() - close) / atr
    features["low_distance_20"] = (close - past["low"].rolling(20).min()) / atr
    return features


def _range(past: pd.DataFrame) -> dict[str, pd.Series]:
    close, span = past["close"], past["high"] - past["low"]
    return {
        "range_1": span / close,
        "atr_14": average_true_range(past) / close,
        "gap_1": past["open"] / close.shift(1) - 1,
        "body_1": close / past["open"] - 1,
        "close_location": (close - past["low"]) / span.where(span > 0),
    }


def _volume(past: pd.DataFrame) -> dict[str, pd.Series]:
    volume = past["volume"]
    average = volume.rolling(20).mean()
    return {"volume_ratio": volume / average, "volume_trend": volume.rolling(5).mean() / average}
