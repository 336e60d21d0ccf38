from typing import Any

import lightgbm as lgb
import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from src.config import MODEL_CONFIGS, TargetConfig
from src.search.search_space import lightgbm_params, suggest_hyperparameters

REGRESSION, BINARY = MODEL_CONFIGS["net_profit"], MODEL_CONFIGS["is_profitable"]

# Copied by hand from section 5 of the contract.
ALWAYS: dict[str, BaseDistribution] = {
    "boosting_type": CategoricalDistribution(("gbdt", "dart", "goss")),
    "num_leaves": IntDistribution(10, 200),
    "learning_rate": FloatDistribution(0.01, 0.3, log=True),
    "feature_fraction": FloatDistribution(0.5, 1.0),
    "min_child_samples": IntDistribution(5, 100),
    "lambda_l1": FloatDistribution(1e-8, 10, log=True),
    "lambda_l2": FloatDistribution(1e-8, 10, log=True),
    "max_depth": IntDistribution(3, 12),
    "min_gain_to_split": FloatDistribution(0, 1),
    "max_bin": IntDistribution(32, 512, step=96),
}
BAGGING: dict[str, BaseDistribution] = {
    "bagging_fraction": FloatDistribution(0.5, 1.0),
    "bagging_freq": IntDistribution(1, 10),
}
DART: dict[str, BaseDistribution] = {
    "drop_rate": FloatDistribution(0, 0.2),
    "max_drop": IntDistribution(3, 50),
    "skip_drop": FloatDistribution(0, 1),
}
SPACE = {"gbdt": ALWAYS | BAGGING, "dart": ALWAYS | BAGGING | DART, "goss": ALWAYS}


def draws(n: int) -> list[tuple[optuna.Trial, dict[str, Any]]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [(trial := study.ask(), suggest_hyperparameters(trial)) for _ in range(n)]


def test_every_draw_is_from_exactly_the_contracts_space() -> None:
    seen = set()
    for trial, drawn in draws(200):
        assert trial.distributions == SPACE[drawn["boosting_type"]]
        assert trial.params == drawn, "nothing is added to what was drawn, nothing renamed"
        seen.add(drawn["boosting_type"])
    assert seen == set(SPACE)


@pytest.mark.parametrize("boosting", SPACE)
@pytest.mark.parametrize("end", ["low", "high"])
def test_the_ends_of_every_range_can_be_drawn(boosting: str, end: str) -> None:
    ends = {name: getattr(item, end) for name, item in SPACE[boosting].items() if name != "boosting_type"}
    given = {"boosting_type": boosting} | ends
    assert suggest_hyperparameters(FixedTrial(given)) == given


@pytest.mark.parametrize("config", [REGRESSION, BINARY], ids=["regression", "binary"])
def test_lightgbm_accepts_every_draw_and_does_what_was_drawn(config: TargetConfig) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 4))
    y = x[:, 0] if config.task == "regression" else (x[:, 0] > 0).astype(float)
    for _, drawn in draws(20):
        params = lightgbm_params(drawn, config, seed=1)
        data = lgb.Dataset(x, y, params={"max_bin": drawn["max_bin"], "feature_pre_filter": False, "verbosity": -1})
        text = lgb.train(params, data, num_boost_round=2).model_to_string()
        assert text.count("\nTree=") == 2
        goss = drawn["boosting_type"] == "goss"
        assert f"[data_sample_strategy: {'goss' if goss else 'bagging'}]" in text
        assert f"[boosting: {'gbdt' if goss else drawn['boosting_type']}]" in text
        assert f"[num_leaves: {drawn['num_leaves']}]" in text
        assert f"[min_data_in_leaf: {drawn['min_child_samples']}]" in text


def test_goss_is_a_way_to_sample_and_never_bags() -> None:
    for _, drawn in draws(60):
        params = lightgbm_params(drawn, REGRESSION, seed=1)
        goss = drawn["boosting_type"] == "goss"
        assert (params.get("data_sample_strategy") == "goss") == goss
        assert any(name.startswith("bagging") for name in params) != goss
        assert any("drop" in name for name in params) == (drawn["boosting_type"] == "dart")


def test_the_record_is_left_as_it_was() -> None:
    drawn = {"boosting_type": "goss", "num_leaves": 31}
    lightgbm_params(drawn, REGRESSION, seed=1)
    assert drawn == {"boosting_type": "goss", "num_leaves": 31}


@pytest.mark.parametrize(
    ("config", "objective", "metric"),
    [
        (TargetConfig("regression", "mae"), "regression_l1", "l1"),
        (TargetConfig("regression", "rmse"), "regression", "rmse"),
        (TargetConfig("binary", "auc"), "binary", "auc"),
    ],
)
def test_objective_and_metric_agree(config: TargetConfig, objective: str, metric: str) -> None:
    params = lightgbm_params({"boosting_type": "gbdt"}, config, seed=7, num_threads=3)
    assert (params["objective"], params["metric"]) == (objective, metric)
    assert (params["seed"], params["num_threads"]) == (7, 3)
    assert params["deterministic"] is True
    assert params["feature_pre_filter"] is False
