import numpy as np
import pytest

from benchmarks.leaky_tables import by_account, clean_table, datasets_of, gross_with_noise
from src.table_check.explained import Explained, Residuals, explained_by
from src.table_check.history import make_history

FRAME = clean_table("autocorrelated", seed=2)
DATA = datasets_of(FRAME)[0]
HISTORY = make_history(DATA, seed=0)
RESIDUALS = Residuals(HISTORY)
Y = FRAME["y"]


def explained(values: object) -> Explained:
    feature = np.asarray(values, dtype=np.float64)[DATA.positions][HISTORY.order]
    found = explained_by(RESIDUALS, feature, level=1e-3)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("feature", "shift", "how"),
    [
        (by_account(FRAME, Y, lambda s: s.shift(-1)), 1, "change"),
        (by_account(FRAME, Y, lambda s: s.shift(-3)), 3, "change"),
        (by_account(FRAME, Y, lambda s: s.rolling(5, center=True).mean()), 2, "change"),
        (by_account(FRAME, Y, lambda s: s.expanding().mean()), 0, "all rows"),
        (by_account(FRAME, Y, lambda s: s.rolling(20).mean()), 0, "20 rows"),
        (by_account(FRAME, Y, lambda s: s.rolling(60).mean()), 0, "60 rows"),
        (by_account(FRAME, Y, lambda s: s.ewm(halflife=9, adjust=False).mean()), 0, "change"),
        (by_account(FRAME, Y, lambda s: s.cumsum()), 0, "change"),
    ],
)
def test_what_contains_the_target_explains_all_of_it(feature: object, shift: int, how: str) -> None:
    found = explained(feature)
    assert found.at_least > 0.999
    assert found.shift == shift
    if how != "change":  # for short windows a line through earlier targets does the same
        assert found.how == how


@pytest.mark.parametrize(
    "feature",
    ["lag_1", "lag_5", "mean_5", "mean_20", "mean_so_far", "ewm", "total_so_far", "persistent", "market_yesterday"],
)
def test_what_is_made_of_the_past_explains_nothing_more(feature: str) -> None:
    assert explained(FRAME[feature]).share < 0.03


@pytest.mark.parametrize("noise", [0.1, 0.5, 1.0])
def test_the_share_is_that_of_the_target_in_the_feature(noise: float) -> None:
    found = explained(gross_with_noise(noise)(FRAME, np.random.default_rng(0)))
    assert found.share == pytest.approx(1 / (1 + noise**2), abs=0.04)
    assert found.at_least < found.share
    assert found.lagged < 0.1


def test_any_function_of_the_target_is_followed() -> None:
    assert explained(np.exp(Y / Y.std())).share > 0.95
    assert explained(Y.rank() ** 3).share > 0.95


def test_too_few_rows_give_no_answer() -> None:
    few = np.where(np.arange(len(HISTORY.y)) < 40, HISTORY.y, np.nan)
    assert explained_by(RESIDUALS, few, level=1e-3) is None
