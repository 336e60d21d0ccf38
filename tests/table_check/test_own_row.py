import numpy as np

from benchmarks.leaky_tables import by_account, clean_table, datasets_of
from src.table_check.history import Floats, make_history
from src.table_check.own_row import rows_with_own_target, share_equal, share_towards, side_auc

FRAME = clean_table("noise", seed=2)
DATA = datasets_of(FRAME)[0]
HISTORY = make_history(DATA, seed=0)


def in_history(values: object) -> Floats:
    """Values in the frame's order in that of the history."""
    assert DATA.positions is not None
    return np.asarray(values, dtype=np.float64)[DATA.positions][HISTORY.order]


def test_a_part_of_the_rows_that_equals_the_target_is_counted() -> None:
    y = DATA.y
    feature = np.where(np.arange(len(y)) % 5 == 0, -y, 1.0)
    assert share_equal(feature, y, rows_with_own_target(y)) == np.mean(np.arange(len(y)) % 5 == 0)


def test_counts_may_equal_a_plan() -> None:
    y = np.arange(1000.0) % 7
    assert share_equal(y, y, rows_with_own_target(y)) == 0


def test_a_mean_with_the_row_moves_towards_its_target_and_one_of_earlier_rows_does_not() -> None:
    past = by_account(FRAME, FRAME["y"], lambda s: s.shift(1))
    for mean in (lambda s: s.expanding().mean(), lambda s: s.ewm(halflife=10).mean()):
        assert share_towards(HISTORY, in_history(by_account(FRAME, FRAME["y"], mean))) == 1
        assert share_towards(HISTORY, in_history(by_account(FRAME, past, mean))) < 0.1
    falls_with_the_last = -by_account(FRAME, past, lambda s: s.cumsum())
    assert share_towards(HISTORY, in_history(falls_with_the_last)) < 0.995


def test_a_mean_that_began_before_the_table_is_found() -> None:
    late = by_account(FRAME, FRAME["y"], lambda s: (s.cumsum() + 3.0) / (np.arange(len(s)) + 60))
    assert share_towards(HISTORY, in_history(late)) == 1


def test_the_side_of_the_target_is_told_by_its_sign_only() -> None:
    auc, border = side_auc(HISTORY, in_history(np.sign(FRAME["y"])))
    assert (auc, border) == (1.0, 0.0)
    assert side_auc(HISTORY, in_history(FRAME["lag_1"].fillna(0)))[0] < 0.6


def test_not_to_trade_is_a_plan_and_not_a_sign() -> None:
    frame = clean_table("counts", seed=2)
    data = datasets_of(frame)[0]
    history = make_history(data, seed=0)
    will_trade = data.features["will_trade"].to_numpy(dtype=np.float64)[history.order]
    assert np.all((history.y > 0) == will_trade)
    assert side_auc(history, will_trade)[0] < 0.999
    assert share_towards(history, will_trade) == 0
