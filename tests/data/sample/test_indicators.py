"""Indicators against plain loops."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.sample.accounts import STYLES, make_accounts, morning_signal, target_pieces
from src.data.sample.indicators import (
    average_true_range,
    breakout_state,
    known_before_open,
    market_features,
    relative_strength,
    z_score,
)

Seeds = st.integers(0, 2**32 - 1)


def make_bars(seed: int, count: int = 120) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    close = 50 * np.exp(np.cumsum(rng.normal(0, 0.02, count)))
    start = close * np.exp(rng.normal(0, 0.01, count))
    high, low = np.maximum(start, close) * 1.01, np.minimum(start, close) * 0.99
    bars = {"open": start, "high": high, "low": low, "close": close, "volume": rng.integers(1, 9, count) * 1e6}
    return pd.DataFrame(bars, index=pd.bdate_range("2001-01-01", periods=count))


def standing_still(count: int = 120) -> pd.DataFrame:
    bars = dict.fromkeys(("open", "high", "low", "close"), 10.0) | {"volume": 1e6}
    return pd.DataFrame(bars, index=pd.bdate_range("2001-01-01", periods=count))


def test_before_the_open_only_the_session_before_is_known() -> None:
    bars = make_bars(1)
    past = known_before_open(bars)
    assert past.iloc[0].isna().all()
    assert past["close"].iloc[7] == bars["close"].iloc[6]


@settings(max_examples=10, deadline=None)
@given(seed=Seeds, sessions=st.integers(2, 20))
def test_relative_strength_is_wilders(seed: int, sessions: int) -> None:
    close = make_bars(seed)["close"].tolist()
    gain = loss = 0.0
    for i in range(1, len(close)):
        move = close[i] - close[i - 1]
        weight = 1.0 if i == 1 else 1 / sessions
        gain += weight * (max(move, 0.0) - gain)
        loss += weight * (max(-move, 0.0) - loss)
    found = relative_strength(pd.Series(close), sessions)
    assert found.iloc[-1] == pytest.approx(100 * gain / (gain + loss))
    assert found.dropna().between(0, 100).all()


@settings(max_examples=10, deadline=None)
@given(seed=Seeds, entry=st.integers(10, 30), share=st.floats(0.3, 1.0))
def test_breakout_state_is_the_channel_rule(seed: int, entry: int, share: float) -> None:
    bars, leave, state, expected = make_bars(seed), int(entry * share), 0, []
    high, low, close = (bars[name].tolist() for name in ("high", "low", "close"))
    for i in range(len(close)):
        if i >= leave and (
            (state > 0 and close[i] < min(low[i - leave : i])) or (state < 0 and close[i] > max(high[i - leave : i]))
        ):
            state = 0
        if i >= entry and close[i] > max(high[i - entry : i]):
            state = 1
        if i >= entry and close[i] < min(low[i - entry : i]):
            state = -1
        expected.append(state)
    assert breakout_state(bars, entry, leave).tolist() == expected


def test_a_constant_price_gives_no_infinity() -> None:
    past = known_before_open(standing_still())
    found = market_features(past)
    assert not np.isinf(found.to_numpy(dtype="float64")).any()
    assert found["rsi_14"].iloc[-1] == 50
    assert average_true_range(past).iloc[-1] == pytest.approx(0.01)
    assert np.isnan(z_score(past["close"], 10).iloc[-1])


@settings(max_examples=5, deadline=None)
@given(seed=Seeds)
def test_every_rule_stays_within_its_bounds(seed: int) -> None:
    past = known_before_open(make_bars(seed, count=200))
    for account in make_accounts():
        signal = morning_signal(account, past)
        pieces = target_pieces(account, signal)
        assert signal.between(-1.0 if account.can_short else 0.0, 1.0).all()
        assert (np.abs(pieces) <= account.pieces).all()
        assert (np.sign(pieces) == np.sign(signal)).all()


def test_every_style_trades() -> None:
    past = known_before_open(make_bars(2, count=400))
    accounts = make_accounts()
    assert {account.style for account in accounts} == set(STYLES)
    for account in accounts:
        assert morning_signal(account, past).ne(0).any(), account
    assert make_accounts() == accounts
