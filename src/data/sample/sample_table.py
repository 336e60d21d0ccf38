"""The sample table: simulated, rule-based accounts that trade on real prices.

`load_prices` reads the file next to this module, `make_sample` is a pure function of such a frame, and `sample_table`
combines both.
"""

from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from src.data.sample.accounts import SECTORS, STYLES, Account, make_accounts, morning_signal, target_pieces
from src.data.sample.indicators import BAR_COLUMNS, average_true_range, known_before_open, market_features
from src.data.sample.trading import trade
from src.errors import DataError

PRICES_FILE: Final = Path(__file__).with_name("prices.csv.gz")
OPENING_SESSION: Final = 20
"""Sessions of its symbol before an account opens; with fewer, no rule's window is full."""
HIGH_PROFIT_SHARE: Final = 0.003
"""A day is highly profitable if its net profit exceeds this share of the account's capital."""
TARGETS: Final = ("net_profit", "gross_profit", "num_trades", "is_profitable", "is_highly_profitable")


def sample_table() -> pd.DataFrame:
    """Makes the table that is used without `--data`; it is always the same.

    Returns:
        One row per account and day, sorted by date, then account: `account_id`, `date`, the five targets, and about
        50 features known before the day's open.
    """
    return make_sample(load_prices())


def bare_sample_table() -> pd.DataFrame:
    """The same rows with `account_id`, `date` and the five targets only, as many desks have them."""
    return sample_table()[["account_id", "date", *TARGETS]]


def load_prices(path: Path = PRICES_FILE) -> pd.DataFrame:
    """Reads daily bars: `symbol`, `date`, `open`, `high`, `low`, `close` in dollars, `volume` in shares."""
    return pd.read_csv(path, parse_dates=["date"])


def make_sample(prices: pd.DataFrame) -> pd.DataFrame:
    """Simulates the trading of all accounts on the given bars.

    A row's features do not depend on prices of its own date or later dates; which dates exist counts as known.

    Args:
        prices: bars as from `load_prices`. Accounts whose symbol is missing or has too few sessions do not trade.

    Returns:
        The table that `sample_table` describes.

    Raises:
        DataError: a column is missing, or no account has enough sessions.
    """
    missing = [name for name in ("symbol", "date", *BAR_COLUMNS) if name not in prices.columns]
    if missing:
        raise DataError(f"prices lack the column {missing[0]!r}: they need symbol, date, {', '.join(BAR_COLUMNS)}")
    accounts = make_accounts()
    ledgers = []
    for symbol, bars in prices.groupby("symbol", sort=True):
        traders = [account for account in accounts if account.symbol == symbol]
        if traders and len(bars) > OPENING_SESSION:
            ledgers += _trade_symbol(bars.sort_values("date").set_index("date"), traders)
    if not ledgers:
        raise DataError(f"prices have no known symbol with more than {OPENING_SESSION} sessions: give more sessions")
    return pd.concat(ledgers, ignore_index=True).sort_values(["date", "account_id"], ignore_index=True)


def _trade_symbol(bars: pd.DataFrame, traders: list[Account]) -> list[pd.DataFrame]:
    past = known_before_open(bars)
    past = past.assign(atr=average_true_range(past))
    known = pd.concat([market_features(past), _calendar_features(pd.DatetimeIndex(bars.index))], axis=1)
    return [_account_days(account, bars, past, known) for account in traders]


def _account_days(account: Account, bars: pd.DataFrame, past: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """All days of one account: keys, targets, features."""
    signal = morning_signal(account, past).iloc[OPENING_SESSION:]
    pieces = target_pieces(account, signal)
    book = trade(account, bars.iloc[OPENING_SESSION:], past.iloc[OPENING_SESSION:], pieces)
    net = book["net_profit"]
    targets = book[["net_profit", "gross_profit", "num_trades"]].assign(
        is_profitable=(net > 0).astype("int64"),
        is_highly_profitable=(net > HIGH_PROFIT_SHARE * account.capital).astype("int64"),
    )
    plan = _plan_features(signal, pieces, book)
    history = _history_features(account, targets)
    about = _account_features(account, book.index)
    days = pd.concat([targets, about, plan, history, known.iloc[OPENING_SESSION:]], axis=1)
    days.insert(0, "account_id", account.account_id)
    days.insert(1, "date", book.index)
    return days


def _account_features(account: Account, index: pd.Index) -> pd.DataFrame:
    style = STYLES[account.style]
    facts = {
        "style": account.style,
        "symbol": account.symbol,
        "sector": SECTORS[account.symbol],
        "capital": account.capital,
        "can_short": account.can_short,
        "holds_overnight": style.overnight,
    }
    return pd.DataFrame(facts, index=index)


def _plan_features(signal: pd.Series, pieces: np.ndarray, book: pd.DataFrame) -> pd.DataFrame:
    """The account's plan for the day, known before the open."""
    change = pieces - book["position_before"]
    plan = {
        "signal": signal,
        "planned_position": pieces,
        "planned_leverage": book["leverage"],
        "position_before": book["position_before"],
        "planned_change": change,
        "will_trade": (pieces != 0) | (book["position_before"] != 0),
    }
    return pd.DataFrame(plan, index=book.index)


def _history_features(account: Account, targets: pd.DataFrame) -> pd.DataFrame:
    """The account's history up to the previous day, in dollars and trades."""
    past = targets.shift(1)
    profit, trades, won = past["net_profit"], past["num_trades"], past["is_profitable"]
    total = profit.cumsum()
    history = {
        "profit_lag_1": profit,
        "profit_mean_5": profit.rolling(5).mean(),
        "profit_mean_20": profit.rolling(20).mean(),
        "profit_std_20": profit.rolling(20).std(),
        "trades_lag_1": trades,
        "trades_mean_5": trades.rolling(5).mean(),
        "trades_mean_20": trades.rolling(20).mean(),
        "win_rate_20": won.rolling(20).mean(),
        "drawdown": (total.cummax().clip(lower=0) - total) / account.capital,
    }
    return pd.DataFrame(history)


def _calendar_features(dates: pd.DatetimeIndex) -> pd.DataFrame:
    """Calendar features; the last session of a month is derived from the next weekday, without holidays."""
    month = dates.month.to_numpy(dtype=np.int64)
    next_weekday = dates + pd.tseries.offsets.BDay(1)
    features = {
        "day_of_week": dates.day_of_week.to_numpy(dtype=np.int64),
        "day_of_month": dates.day.to_numpy(dtype=np.int64),
        "month": month,
        "is_month_start": np.concatenate([[False], month[1:] != month[:-1]]),
        "is_month_end": next_weekday.month.to_numpy() != month,
        "days_since_session": np.concatenate([[np.nan], np.diff(dates.to_numpy()) / np.timedelta64(1, "D")]),
    }
    return pd.DataFrame(features, index=dates)
