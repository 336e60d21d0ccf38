"""Simulated trading against a second, slow implementation that executes single orders."""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.sample.accounts import STYLES, Account, make_accounts
from src.data.sample.trading import trade

ACCOUNTS = make_accounts()
BY_STYLE = {style: next(account for account in ACCOUNTS if account.style == style) for style in STYLES}


class Day(NamedTuple):
    cash: float
    costs: float
    orders: int


def make_days(seed: int, count: int) -> tuple[pd.DataFrame, pd.DataFrame, np.ndarray]:
    """Random bars, what was known before them, and random wanted positions."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, count + 1)))
    start = close[:-1] * np.exp(rng.normal(0, 0.01, count))
    edge = np.abs(rng.normal(0, 0.01, (2, count)))
    high, low = np.maximum(start, close[1:]) * (1 + edge[0]), np.minimum(start, close[1:]) * (1 - edge[1])
    bars = pd.DataFrame({"open": start, "high": high, "low": low, "close": close[1:]})
    past = pd.DataFrame({"close": close[:-1], "atr": close[:-1] * rng.uniform(0.01, 0.03, count)})
    return bars, past, rng.integers(-3, 4, count)


def walk(account: Account, bars: pd.DataFrame, past: pd.DataFrame, wishes: np.ndarray) -> list[Day]:
    """The oracle: keeps shares and cash, and executes each order."""
    style, shares, pieces, days = STYLES[account.style], 0.0, 0, []
    for i, wish in enumerate(wishes.tolist()):
        bar, atr, worth = bars.iloc[i], past["atr"][i], shares * past["close"][i]
        lot = account.capital * account.risk / atr
        fills: list[tuple[float, float]] = [(wish * lot - shares, bar["open"])]
        orders = max(1, abs(wish - pieces)) if wish or pieces else 0
        for rung in range(1, account.rungs + 1) if wish else ():
            up = math.copysign(1, wish)
            price = bar["open"] + up * style.rung_toward * account.step * atr * rung
            if bar["low"] <= price <= bar["high"] and (style.rung_side > 0 or rung <= abs(wish)):
                fills += [(up * style.rung_side * lot, price), (-up * style.rung_side * lot, bar["close"])]
                orders += 2
        if not style.overnight:
            fills.append((-wish * lot, bar["close"]))
            orders += abs(wish)
        cash = -sum(amount * price for amount, price in fills)
        shares, pieces = (wish * lot, wish) if style.overnight else (0.0, 0)
        dollars = sum(abs(amount) * price for amount, price in fills)
        costs = orders * 1.0 + dollars * account.cost_rate
        days.append(Day(cash + shares * bar["close"] - worth, costs, orders))
    return days


@settings(max_examples=25, deadline=None)
@given(style=st.sampled_from(sorted(STYLES)), seed=st.integers(0, 2**32 - 1), count=st.integers(1, 25))
def test_the_book_equals_that_of_single_orders(style: str, seed: int, count: int) -> None:
    bars, past, wishes = make_days(seed, count)
    book = trade(BY_STYLE[style], bars, past, wishes)
    days = walk(BY_STYLE[style], bars, past, wishes)
    assert book["num_trades"].tolist() == [day.orders for day in days]
    assert book["gross_profit"].tolist() == pytest.approx([day.cash for day in days], abs=0.006)
    assert book["net_profit"].tolist() == pytest.approx([day.cash - day.costs for day in days], abs=0.006)


def test_a_holder_rebalances_once_on_a_day_without_change() -> None:
    bars, past, _ = make_days(seed=5, count=3)
    quiet = replace(BY_STYLE["momentum"], rungs=0)
    book = trade(quiet, bars, past, np.array([2, 2, 0]))
    assert book["num_trades"].tolist() == [2, 1, 2]
    assert book["position_before"].tolist() == [0, 2, 2]


def test_a_day_trader_holds_nothing_over_night() -> None:
    bars, past, _ = make_days(seed=5, count=3)
    book = trade(BY_STYLE["reversal"], bars, past, np.array([2, -1, 0]))
    assert book["position_before"].tolist() == [0, 0, 0]
    assert book["gross_profit"][2] == 0
    assert book["num_trades"][2] == 0


def test_gap_over_night_belongs_to_the_day_that_opens_with_it() -> None:
    bars = pd.DataFrame({"open": [10.0, 12.0], "high": [10.0, 12.0], "low": [10.0, 12.0], "close": [10.0, 12.0]})
    past = pd.DataFrame({"close": [10.0, 10.0], "atr": [1.0, 1.0]})
    account = replace(BY_STYLE["breakout"], capital=10_000.0, risk=0.01)
    book = trade(account, bars, past, np.array([1, 0]))
    # 10,000 x 1 % / 1 dollar = 100 shares, and the price rose by 2 dollars before they could be sold.
    assert book["gross_profit"].tolist() == [0.0, 200.0]
