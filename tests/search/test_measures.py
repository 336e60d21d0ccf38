import lightgbm as lgb
import numpy as np
import pytest

from src.search.dart import add_start_to_first_tree, make_booster
from src.search.measures import count_leaves, fold_spread, predict_ms_per_1000, rounds_of_final_fit

RNG = np.random.default_rng(0)
X = RNG.normal(size=(600, 5))
Y = X[:, 0] * X[:, 1] + RNG.normal(0, 0.3, 600)
KINDS: dict[str, dict[str, object]] = {
    "gbdt": {"boosting_type": "gbdt"},
    "goss": {"boosting_type": "gbdt", "data_sample_strategy": "goss"},
    "dart": {"boosting_type": "dart", "drop_rate": 0.2},
}


def train(kind: str, rounds: int, objective: str = "regression_l1", **params: object) -> lgb.Booster:
    data = lgb.Dataset(X, Y).construct()
    fixed: dict[str, object] = {"objective": objective, "num_threads": 1, "verbosity": -1, "num_leaves": 13}
    booster = make_booster(fixed | KINDS[kind] | params, data)
    for _ in range(rounds):
        booster.update()
    return add_start_to_first_tree(booster, data)


def leaves_in_text(text: str) -> int:
    return sum(int(line.split("=")[1]) for line in text.splitlines() if line.startswith("num_leaves="))


@pytest.mark.parametrize("kind", KINDS)
def test_leaves_are_those_of_the_model_text(kind: str) -> None:
    booster = train(kind, 30)
    assert count_leaves(booster) == leaves_in_text(booster.model_to_string())
    assert count_leaves(booster, 12) == leaves_in_text(booster.model_to_string(num_iteration=12))
    again = lgb.Booster(model_str=booster.model_to_string())
    assert count_leaves(again) == count_leaves(booster)


def test_a_tree_without_a_split_has_one_leaf() -> None:
    booster = train("gbdt", 3, "regression", min_child_samples=600)
    assert count_leaves(booster) == leaves_in_text(booster.model_to_string()) == booster.num_trees()


def test_the_spread_compares_the_worst_fold_with_the_mean_loss() -> None:
    assert fold_spread("mae", [1.0, 2.0, 3.0]) == pytest.approx(0.5)
    assert fold_spread("auc", [0.9, 0.8, 0.7]) == pytest.approx(0.5), "losses 0.1, 0.2 and 0.3"
    assert fold_spread("mae", [5.0]) == 0
    assert fold_spread("auc", [1.0, 1.0]) == 0


def test_rounds_of_the_final_fit_grow_with_the_rows() -> None:
    assert rounds_of_final_fit(100, 1.25) == 125
    assert rounds_of_final_fit(1, 0.2) == 1


def test_few_rows_are_repeated_for_the_time() -> None:
    booster = train("gbdt", 20)
    assert 0 < predict_ms_per_1000(booster, X[:7]) < np.inf
    assert 0 < predict_ms_per_1000(booster, X, 3) < np.inf
