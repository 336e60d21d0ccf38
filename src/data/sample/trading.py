"""What a day brings an account: trades, profit before costs, profit after.

The morning fixes the target; the market's open, high, low and close decide the rest. Three things happen in a day:

1. At the open the account trades from what it held to what it wants, one order a piece. A holder re-sizes its
   position to yesterday's volatility every morning, so a day with a position has a trade.
2. During the day a ladder of orders waits at fixed distances from the open. A rung fills at its price when the high
   or the low reaches it, and what it did is undone at the close. The order in which high and low came does not
   matter, so daily bars are enough to know the result exactly.
3. At the close day traders close everything.

Every order pays a ticket, and a share of the dollars traded (commission and half the spread). Profit is marked to
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
    """The day's rungs together: dollars won before costs, dollars traded, rungs filled; one value a day."""

    profit: Floats
    traded: Floats
    fills: Integers


def trade(account: Account, bars: pd.DataFrame, past: pd.DataFrame, pieces: Integers) -> pd.DataFrame:
    """Trades one account over all its days.

    Args:
        account: the trader.
        bars: bars of each day, shape (days, at least open, high, low, close).
        past: `close` and average true range `atr` of the session before, in dollars, same index, none missing.
        pieces: whole pieces wanted from each day's open on, signed, shape (days,).

    Returns:
        By day: `gross_profit` and `net_profit` in dollars and cents, `num_trades`, `position_before` (signed pieces
        held before the open) and `leverage` (dollars of the target at the last known close, per dollar of capital).
    """
    atr = past["atr"].to_numpy()
    # So many shares a piece that a move of one average true range is worth the account's risk per piece.
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
    """Yesterday's value; an account opens with nothing."""
    return np.concatenate([np.zeros_like(values[:1]), values[:-1]])


def _opening_orders(held: Integers, wanted: Integers) -> Integers:
    """One order a piece bought or sold; a position that only changes its size takes one."""
    changed = np.abs(wanted - held)
    return np.where((held != 0) | (wanted != 0), np.maximum(changed, 1), 0)


def _work_ladder(account: Account, bars: pd.DataFrame, pieces: Integers, atr: Floats) -> _Ladder:
    """Fills the rungs that the day's range reached and undoes them at the close, one piece a rung."""
    style = STYLES[account.style]
    rungs = np.arange(1, account.rungs + 1)
    start, high, low, close = (bars[name].to_numpy()[:, None] for name in ("open", "high", "low", "close"))
    side = np.sign(pieces)[:, None]
    price = start + side * style.rung_toward * account.step * atr[:, None] * rungs
    reached = (low <= price) & (price <= high)
    # No more can be taken off than is there; what is added is limited by the number of rungs alone.
    allowed = np.abs(pieces)[:, None] >= (rungs if style.rung_side < 0 else 1)
    filled = reached & allowed
    shares = (account.capital * account.risk / atr)[:, None] * filled
    profit = (shares * side * style.rung_side * (close - price)).sum(axis=1)
    return _Ladder(profit, (shares * (price + close)).sum(axis=1), filled.sum(axis=1))
