"""The simulated accounts and the position that each of them wants before the open.

An account follows one rule on one symbol. A rule reads `past` (bars up to the previous close, see `indicators`) and
returns a signal from -1 (fully short) to +1 (fully long); the account rounds it up to whole pieces. The rules come from
textbooks and were chosen before their profit was known; their parameters are drawn from a fixed seed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from src.data.sample.indicators import average_true_range, breakout_state, relative_strength, true_range, z_score

ROSTER_SEED: Final = 20130301
"""An arbitrary number; changing it changes all accounts and the whole table."""

ROSTER: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "AAPL": ("momentum", "reversal", "breakout", "crossover", "volatility"),
        "FB": ("reversal", "momentum", "volatility"),
        "GOOG": (
            *("momentum", "reversal", "breakout", "crossover", "volatility", "calendar", "pullback"),
            *("reversal", "volatility"),
        ),
        "IBM": ("reversal", "breakout", "calendar", "pullback", "volatility"),
        "MSFT": ("momentum", "crossover", "pullback", "calendar"),
    }
)
"""Styles by symbol. FB went public in the last year of the prices, so its accounts are new ones."""

SECTORS: Final[Mapping[str, str]] = MappingProxyType(
    {"AAPL": "hardware", "FB": "internet", "GOOG": "internet", "IBM": "services", "MSFT": "software"}
)


@dataclass(frozen=True)
class Style:
    """Properties that all accounts of one style share.

    Attributes:
        overnight: positions are held until the signal changes; otherwise they end at the close.
        rung_side: +1 adds a piece at each rung of the day's order ladder, -1 removes one.
        rung_toward: +1 puts the rungs at prices where the position wins, -1 where it loses.
        sessions: range of the rule's window, in sessions.
        threshold: range of the rule's threshold.
    """

    overnight: bool
    rung_side: int
    rung_toward: int
    sessions: tuple[int, int]
    threshold: tuple[float, float]


STYLES: Final[Mapping[str, Style]] = MappingProxyType(
    {
        "momentum": Style(True, -1, 1, (20, 60), (0.3, 0.8)),
        "reversal": Style(False, 1, -1, (5, 15), (0.5, 1.1)),
        "breakout": Style(True, 1, 1, (15, 40), (0.4, 0.6)),
        "crossover": Style(True, -1, 1, (20, 60), (0.5, 1.5)),
        "volatility": Style(False, 1, 1, (4, 8), (0.85, 1.05)),
        "calendar": Style(True, -1, 1, (3, 6), (0.0, 1.0)),
        "pullback": Style(False, 1, -1, (50, 120), (15.0, 35.0)),
    }
)


@dataclass(frozen=True)
class Account:
    """One trader with its parameters.

    Attributes:
        capital: initial dollars; constant, because profits are withdrawn and losses are paid in.
        sessions: window of the rule, in sessions.
        threshold: the rule's threshold, in the rule's unit.
        risk: share of the capital that one piece wins or loses when the price moves by one average true range.
        pieces: pieces of a full position.
        rungs: rungs of the order ladder within a day.
        step: distance between rungs, in average true ranges.
        can_short: whether it sells short.
        cost_rate: commission and half the spread, as a share of the dollars traded.
    """

    account_id: str
    style: str
    symbol: str
    capital: float
    sessions: int
    threshold: float
    risk: float
    pieces: int
    rungs: int
    step: float
    can_short: bool
    cost_rate: float


def make_accounts() -> list[Account]:
    """Draws all accounts of the roster from the fixed seed."""
    rng = np.random.default_rng(ROSTER_SEED)
    pairs = [(symbol, style) for symbol, styles in ROSTER.items() for style in styles]
    return [_draw_account(rng, f"acct-{number:02d}", pair) for number, pair in enumerate(pairs, start=1)]


def _draw_account(rng: np.random.Generator, account_id: str, pair: tuple[str, str]) -> Account:
    # One draw per parameter, in this order: numpy keeps the stream of uniform doubles stable across versions.
    capital, sessions, threshold, risk, pieces, rungs, step, short, cost = rng.random(9).tolist()
    symbol, name = pair
    style = STYLES[name]
    full = 2 + int(3 * pieces)
    return Account(
        account_id=account_id,
        style=name,
        symbol=symbol,
        capital=25_000.0 * 2 ** int(4 * capital),
        sessions=_between(style.sessions, sessions),
        threshold=style.threshold[0] + threshold * (style.threshold[1] - style.threshold[0]),
        risk=(0.008 + 0.008 * risk) / full,
        pieces=full,
        rungs=2 + int(4 * rungs),
        step=0.12 + 0.18 * step,
        can_short=short < 0.7,
        cost_rate=(1.5 + 2.5 * cost) / 10_000,
    )


def _between(bounds: tuple[int, int], draw: float) -> int:
    low, high = bounds
    return low + int((high - low + 1) * draw)


def morning_signal(account: Account, past: pd.DataFrame) -> pd.Series:
    """The signal of the account's rule before each open.

    Args:
        account: the account.
        past: bars of the previous session, indexed by date.

    Returns:
        Signal in [-1, 1] by date; 0 until the rule's window is full, and never below 0 without short selling.
    """
    signal = RULES[account.style](account, past).fillna(0.0)
    return signal.clip(lower=-1.0 if account.can_short else 0.0, upper=1.0)


def target_pieces(account: Account, signal: pd.Series) -> npt.NDArray[np.int64]:
    """Wanted position per day in whole pieces, signed; any signal other than 0 gives at least one piece."""
    strength = signal.to_numpy(dtype=np.float64)
    pieces: npt.NDArray[np.int64] = (np.sign(strength) * np.ceil(np.abs(strength) * account.pieces)).astype(np.int64)
    return pieces


def _momentum(account: Account, past: pd.DataFrame) -> pd.Series:
    """Follows the return of the window in units of its standard deviation; ignores weak returns."""
    log_close: pd.Series = np.log(past["close"])
    chance = log_close.diff().rolling(account.sessions).std() * np.sqrt(account.sessions)
    score: pd.Series = log_close.diff(account.sessions) / chance.where(chance > 0)
    return (score / 2).where(score.abs() > account.threshold, 0.0)


def _reversal(account: Account, past: pd.DataFrame) -> pd.Series:
    """Trades against a close that is far from its mean."""
    score = z_score(past["close"], account.sessions)
    return (-score / 2.5).where(score.abs() > account.threshold, 0.0)


def _breakout(account: Account, past: pd.DataFrame) -> pd.Series:
    """Follows a new high or low, with a smaller position after volatile sessions; the threshold sets the exit."""
    state = breakout_state(past, account.sessions, int(account.sessions * account.threshold))
    recent = true_range(past).rolling(5).mean()
    calm = true_range(past).rolling(account.sessions).mean() / recent.where(recent > 0)
    return state * calm.clip(0.3, 1.0)


def _crossover(account: Account, past: pd.DataFrame) -> pd.Series:
    """Follows the fast moving average, with a larger position the further it is from the slow one."""
    close = past["close"]
    gap = close.rolling(account.sessions // 4).mean() - close.rolling(account.sessions).mean()
    return (gap / average_true_range(past) / 3).where(gap.abs() > account.threshold * average_true_range(past) / 3, 0.0)


def _volatility(account: Account, past: pd.DataFrame) -> pd.Series:
    """After quiet sessions, trades in the direction of the last close."""
    span = true_range(past)
    quiet = span.rolling(account.sessions).mean() / span.rolling(20).mean()
    room = (past["high"] - past["low"]).where(lambda width: width > 0)
    tilt = 2 * (past["close"] - past["low"]) / room - 1
    return tilt.where(quiet < account.threshold, 0.0)


def _calendar(account: Account, past: pd.DataFrame) -> pd.Series:
    """Buys around the turn of the month, in calendar days; some accounts also hold a smaller position on Fridays."""
    dates = pd.DatetimeIndex(past.index)
    left = dates.days_in_month - dates.day
    turn = (left < account.sessions) | (dates.day <= account.sessions)
    friday = (dates.day_of_week == 4) & (account.threshold > 0.5)
    return pd.Series(np.where(turn, 1.0, np.where(friday, 0.4, 0.0)), index=past.index)


def _pullback(account: Account, past: pd.DataFrame) -> pd.Series:
    """Buys a short dip in a rising market and sells a short rise in a falling one."""
    close, fast = past["close"], relative_strength(past["close"], 2)
    trend = np.sign(close - close.rolling(account.sessions).mean())
    dip = (account.threshold - fast).clip(lower=0) / account.threshold
    rise = (fast - (100 - account.threshold)).clip(lower=0) / account.threshold
    return dip.where(trend > 0, 0.0) - rise.where(trend < 0, 0.0)


RULES: Final[Mapping[str, Callable[[Account, pd.DataFrame], pd.Series]]] = MappingProxyType(
    {
        "momentum": _momentum,
        "reversal": _reversal,
        "breakout": _breakout,
        "crossover": _crossover,
        "volatility": _volatility,
        "calendar": _calendar,
        "pullback": _pullback,
    }
)
