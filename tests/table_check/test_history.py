from collections import Counter

import numpy as np
import pandas as pd
import pytest

from benchmarks.leaky_tables import clean_table, datasets_of
from src.data.table import Dataset
from src.table_check.history import make_history, normal_scores


@pytest.fixture
def data() -> Dataset:
    return datasets_of(clean_table("noise", seed=1))[0]


def test_lags_and_means_are_those_of_each_account(data: Dataset) -> None:
    history = make_history(data, seed=0)
    y = pd.Series(data.y).groupby(pd.Series(data.accounts))
    for k in (1, 3):
        np.testing.assert_array_equal(history.lag(history.y, k), y.shift(k).to_numpy()[history.order])
    mean = y.transform(lambda s: s.shift(1).expanding().mean()).to_numpy()[history.order]
    past = history.past("values")
    np.testing.assert_allclose(past[:, 1 + history.n_lags], mean, atol=1e-12)
    np.testing.assert_array_equal(past[:, 1], y.shift(1).to_numpy()[history.order])


def test_a_large_table_is_sampled_by_accounts(data: Dataset) -> None:
    history = make_history(data, seed=3, most_rows=500)
    assert 400 < len(history.y) <= 500
    accounts = np.asarray(data.accounts)[history.order]
    whole = Counter(np.asarray(data.accounts))
    assert all(whole[account] == n for account, n in Counter(accounts).items())
    assert len(make_history(data, seed=3, most_rows=20).y) == 20


def test_normal_scores_keep_the_order_and_missing_values() -> None:
    scores = normal_scores(np.array([3.0, np.nan, 1.0, 1.0, 9.0]))
    assert np.isnan(scores[1])
    assert scores[2] == scores[3] < scores[0] < scores[4]
