"""dart against LightGBM's own, on targets far from zero, where the constant in the first tree is what matters."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import lightgbm as lgb
import numpy as np
import pytest

from src.search.boosting import BestPredictions, ValidationCurve, boost
from src.search.dart import add_start_to_first_tree, make_booster

QUIET = {"verbosity": -1, "num_threads": 1}
N_TRAIN = 1500
LABELS = {"regression_l1": "l1", "regression": "rmse", "binary": "auc"}


def rows() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2000, 3))
    return x, 100 + 10 * x[:, 0] + rng.normal(size=2000)


def target(objective: str) -> np.ndarray:
    y = rows()[1]
    return (y > 110).astype(float) if objective == "binary" else y


def datasets(objective: str = "regression_l1") -> tuple[lgb.Dataset, lgb.Dataset]:
    """Training rows and 500 validation rows."""
    (x, _), y = rows(), target(objective)
    train = lgb.Dataset(x[:N_TRAIN], y[:N_TRAIN], params=QUIET).construct()
    return train, lgb.Dataset(x[N_TRAIN:], y[N_TRAIN:], reference=train, params=QUIET).construct()


def params(objective: str = "regression_l1", boosting: str = "dart", **changes: Any) -> dict[str, Any]:
    drawn = {"boosting_type": boosting, "drop_rate": 0.1, "learning_rate": 0.2, "seed": 1, "deterministic": True}
    return QUIET | drawn | {"objective": objective, "metric": LABELS[objective]} | changes


def never(round_number: int, score: float) -> bool:
    return False


@pytest.mark.parametrize("seed", range(6))
def test_a_first_tree_that_holds_nothing_can_be_dropped(seed: int) -> None:
    """All hundred rounds, down to the noise of the target; LightGBM's dart ends after 5 to 50 with the error below."""
    train, valid = datasets()
    curve = boost([make_booster(params(seed=seed), train, [valid])], ValidationCurve(False), 100, 100, never)
    assert len(curve.values) == 100
    assert curve.best_value < 1.5


@pytest.mark.parametrize("seed", range(6))
def test_a_round_that_breaks_a_booster_ends_training_and_is_not_counted(seed: int) -> None:
    """Occurs in LightGBM's dart, whose first tree holds the median: without it all residuals have the same sign."""

    def fresh() -> lgb.Booster:
        train, valid = datasets()
        return lgb.Booster(params(seed=seed), train).add_valid(valid, "valid")

    (x, y), booster = rows(), fresh()
    curve = boost([booster], ValidationCurve(False), 100, 100, never)
    assert 1 < len(curve.values) < 100, "on this table it happens to every seed"
    again = fresh()
    for value in curve.values:
        again.update()
        predicted = np.asarray(again.predict(x[N_TRAIN:]))
        assert np.abs(predicted - y[N_TRAIN:]).mean() == pytest.approx(value), "what was reported is what it predicts"
    again.update()
    assert abs(float(np.mean(np.asarray(again.predict(x[N_TRAIN:])))) - 100) > 50, "mended: is_stuck can go"


def test_other_boosters_continue_after_a_round_without_a_split() -> None:
    train, valid = datasets()
    booster = make_booster(params(boosting="gbdt", min_gain_to_split=1e9), train, [valid])
    assert len(boost([booster], ValidationCurve(False), 5, 5, never).values) == 5


@pytest.mark.parametrize("objective", LABELS)
def test_the_complete_model_predicts_the_validation_scores(objective: str) -> None:
    """The contributions of the features sum to the prediction."""
    x, (train, valid) = rows()[0][N_TRAIN:], datasets(objective)
    booster, seen = make_booster(params(objective), train, [valid]), BestPredictions(1, maximize=True)
    for _ in range(40):
        booster.update()
    booster.eval_valid(seen.feval(0))
    seen.keep_if_best(40, 0.0)
    watched = seen.values
    text = add_start_to_first_tree(booster, train).model_to_string()
    whole = lgb.Booster(model_str=text)
    np.testing.assert_allclose(np.asarray(whole.predict(x)), watched, rtol=1e-9)
    parts = np.asarray(whole.predict(x, pred_contrib=True)).sum(axis=1)
    np.testing.assert_allclose(parts, np.asarray(whole.predict(x, raw_score=True)), rtol=1e-6)


def test_a_model_without_splits_is_the_constant() -> None:
    train, _ = datasets()
    booster = make_booster(params(min_gain_to_split=1e9), train)
    booster.update()
    median = np.median(rows()[1][:N_TRAIN].astype(np.float32).astype(float))
    assert set(add_start_to_first_tree(booster, train).predict(rows()[0])) == {median}


@pytest.mark.parametrize(
    ("objective", "boosting"),
    [("regression_l1", "gbdt"), ("regression_l1", "goss"), ("regression", "dart"), ("binary", "dart")],
)
def test_others_are_left_as_lightgbm_makes_them(objective: str, boosting: str) -> None:
    sampled = {"data_sample_strategy": "goss"} if boosting == "goss" else {}
    wanted = params(objective, "gbdt" if sampled else boosting, **sampled)
    train, _ = datasets(objective)
    make_booster(params(), train)  # the same Dataset has served dart before
    assert train.get_init_score() is None
    booster = make_booster(wanted, train)
    for _ in range(10):
        booster.update()
    expected = lgb.train(wanted, datasets(objective)[0], 10, keep_training_booster=True)
    assert add_start_to_first_tree(booster, train).dump_model()["tree_info"] == expected.dump_model()["tree_info"]


def test_threads_share_a_dataset() -> None:
    """In any order of the threads, a booster starts from its own initial score."""
    train, valid = datasets()

    def score(boosting: str) -> float:
        return boost(
            [make_booster(params(boosting=boosting), train, [valid])], ValidationCurve(False), 5, 5, never
        ).best_value

    alone = {boosting: score(boosting) for boosting in ("gbdt", "dart")}
    turns = ["gbdt", "dart"] * 40
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(score, turns)) == [alone[boosting] for boosting in turns]
