"""Simulates an account's day: trades, gross profit, net profit.

The wanted position is fixed before the open; the day's open, high, low and close determine the result:

1. At the open the account trades from its present to its wanted position, one order per piece. An account that holds
   a position adapts it to yesterday's volatility every morning, so a day with a position has a trade.
2. During the day, limit orders (a ladder) wait at fixed distances from the open. A rung is filled at its price when
   the high or the low reaches it, and reversed at the close. The result does not depend on whether the high or the low
   came first, so daily bars determine it exactly.
3. At the close, accounts without overnight positions close everything.

Every order costs a fixed fee and a share of the traded dollars (commission and half the spread). Profit is marked to
market from close to close.
"""

from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from src.data.sample.accounts import STYLES, Account

TICKET_DOLLARS: Final = 1.0

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Number = TypeVar("Number", np.int64, np.float64)


@dataclass(frozen=True)
class _Ladder:
    """Sums over the rungs, one value per day: gross profit in dollars, dollars traded, rungs filled."""

    profit: Floats
    traded: Floats
    fills: Integers


def trade(account: Account, bars: pd.DataFrame, past: pd.DataFrame, pieces: Integers) -> pd.DataFrame:
    """Simulates one account over all its days.

    Args:
        account: the account.
        bars: bars of each day, shape (days, at least open, high, low, close).
        past: `close` and average true range `atr` of the previous session, in dollars, same index, without gaps.
        pieces: wanted position from each day's open on, in whole pieces, signed, shape (days,).

    Returns:
        By day: `gross_profit` and `net_profit` in dollars and cents, `num_trades`, `position_before` (signed pieces
        held before the open) and `leverage` (dollars of the target at the last known close, per dollar of capital).
    """
    atr = past["atr"].to_numpy()
    # Shares per piece: a move of one average true range then wins or loses the account's risk per piece.
    unit = account.capital * account.risk / atr
    overnight = STYLES[account.style].overnight
    held = _before(pieces) if overnight else np.zeros_like(pieces)
    held_shares = _before(pieces * unit) if overnight else np.zeros(len(pieces))
    day = bars["close"].to_numpy() - bars["open"].to_numpy()
    night = bars["open"].to_numpy() - past["close"].to_numpy()
    ladder = _work_ladder(account, bars, pieces, atr)
    gross = held_shares * night + pieces * unit * day + ladder.profit
    orders = _opening_orders(held, pieces) + 2 * ladder.fills
    traded = np.abs(pieces * unit - held_shares) * bars["open"].to_numpy() + ladder.traded
    if not overnight:
        orders = orders + np.abs(pieces)
        traded = traded + np.abs(pieces) * unit * bars["close"].to_numpy()
    net = gross - orders * TICKET_DOLLARS - traded * account.cost_rate
    leverage = pieces * unit * past["close"].to_numpy() / account.capital
    columns = {"gross_profit": gross.round(2), "net_profit": net.round(2), "num_trades": orders}
    return pd.DataFrame(columns | {"position_before": held, "leverage": leverage}, index=bars.index)


def _before(values: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Values of the previous day; 0 on the first day."""
    return np.concatenate([np.zeros_like(values[:1]), values[:-1]])


def _opening_orders(held: Integers, wanted: Integers) -> Integers:
    """One order per piece bought or sold; a position that only adapts its size needs one."""
    changed = np.abs(wanted - held)
    return np.where((held != 0) | (wanted != 0), np.maximum(changed, 1), 0)


def _work_ladder(account: Account, bars: pd.DataFrame, pieces: Integers, atr: Floats) -> _Ladder:
    """Fills the rungs that the day's range reached and reverses them at the close, one piece per rung."""
    style = STYLES[account.style]
    rungs = np.arange(1, account.rungs + 1)
    start, high, low, close = (bars[name].to_numpy()[:, None] for name in ("open", "high", "low", "close"))
    side = np.sign(pieces)[:, None]
    price = start + side * style.rung_toward * account.step * atr[:, None] * rungs
    reached = (low <= price) & (price <= high)
    # A ladder that reduces a position ends when the position is 0; one that adds is limited by its rungs only.
    allowed = np.abs(pieces)[:, None] >= (rungs if style.rung_side < 0 else 1)
    filled = reached & allowed
    shares = (account.capital * account.risk / atr)[:, None] * filled
    profit = (shares * side * style.rung_side * (close - price)).sum(axis=1)
    return _Ladder(profit, (shares * (price + close)).sum(axis=1), filled.sum(axis=1))
