from typing import Any

import lightgbm as lgb
import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FixedTrial

from src.config import MODEL_CONFIGS, TargetConfig
from src.errors import ConfigError
from src.model_settings import SpaceSettings
from src.search.search_space import SEED_SPACE, SearchSpace, lightgbm_params, make_space, suggest_hyperparameters

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


# Copied by hand from docs/search.md.
WIDE: dict[str, BaseDistribution] = {
    "boosting_type": CategoricalDistribution(("gbdt", "goss")),
    "num_leaves": IntDistribution(2, 256, log=True),
    "learning_rate": FloatDistribution(0.005, 0.1, log=True),
    "feature_fraction": FloatDistribution(0.4, 1.0),
    "min_child_samples": IntDistribution(1, 100, log=True),
    "lambda_l1": FloatDistribution(1e-8, 10, log=True),
    "lambda_l2": FloatDistribution(1e-8, 100, log=True),
    "max_depth": IntDistribution(3, 12),
    "min_gain_to_split": FloatDistribution(0, 1),
    "max_bin": IntDistribution(32, 512, step=96),
    "extra_trees": CategoricalDistribution((False, True)),
    "path_smooth": FloatDistribution(1e-3, 100, log=True),
}
WIDE_CATEGORIES: dict[str, BaseDistribution] = {
    "cat_smooth": FloatDistribution(1, 100, log=True),
    "cat_l2": FloatDistribution(0.1, 100, log=True),
    "max_cat_to_onehot": IntDistribution(1, 16),
    "min_data_per_group": IntDistribution(1, 200, log=True),
}


def draws(n: int, space: SearchSpace = SEED_SPACE) -> list[tuple[optuna.Trial, dict[str, Any]]]:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    return [(trial := study.ask(), suggest_hyperparameters(trial, space)) for _ in range(n)]


def wide(has_categories: bool = False) -> SearchSpace:
    return make_space(SpaceSettings("wide"), has_categories)


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


@pytest.mark.parametrize("has_categories", [False, True])
def test_the_wide_space_is_that_of_the_documentation(has_categories: bool) -> None:
    seen = set()
    for trial, drawn in draws(60, wide(has_categories)):
        bagging = {} if drawn["boosting_type"] == "goss" else BAGGING
        assert trial.distributions == WIDE | bagging | (WIDE_CATEGORIES if has_categories else {})
        assert trial.params == drawn
        assert wide(has_categories).contains(drawn)
        assert not SEED_SPACE.contains(drawn)
        seen.add(drawn["boosting_type"])
    assert seen == {"gbdt", "goss"}


def test_lightgbm_accepts_every_draw_of_the_wide_space() -> None:
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=(600, 3)), rng.integers(0, 20, 600)])
    y = x[:, 0] + (x[:, 3] % 3)
    for _, drawn in draws(20, wide(has_categories=True)):
        data = lgb.Dataset(
            x,
            y,
            categorical_feature=[3],
            params={"max_bin": drawn["max_bin"], "feature_pre_filter": False, "verbosity": -1},
        )
        text = lgb.train(lightgbm_params(drawn, REGRESSION, seed=1), data, num_boost_round=2).model_to_string()
        assert f"[extra_trees: {int(drawn['extra_trees'])}]" in text
        assert f"[max_cat_to_onehot: {drawn['max_cat_to_onehot']}]" in text
        assert f"[min_data_per_group: {drawn['min_data_per_group']}]" in text
        assert f"[num_leaves: {drawn['num_leaves']}]" in text


def test_a_space_is_narrowed_to_ranges_choices_and_fixed_values() -> None:
    asked: dict[str, Any] = {"num_leaves": (4, 16), "boosting_type": "gbdt", "learning_rate": 0.05}
    asked |= {"extra_trees": (True,), "max_bin": (50, 300)}
    narrow = make_space(SpaceSettings("wide", asked))
    for trial, drawn in draws(40, narrow):
        assert 4 <= drawn["num_leaves"] <= 16
        assert (drawn["boosting_type"], drawn["learning_rate"], drawn["extra_trees"]) == ("gbdt", 0.05, True)
        assert drawn["max_bin"] in (50, 146, 242)
        assert trial.distributions["lambda_l1"] == WIDE["lambda_l1"], "all else is that of the base"
        assert narrow.contains(drawn)
        assert not narrow.contains(drawn | {"num_leaves": 17})
    fixed = make_space(SpaceSettings("seed", {"max_bin": 255}))
    assert {drawn["max_bin"] for _, drawn in draws(5, fixed)} == {255}


@pytest.mark.parametrize(
    ("base", "name", "value", "message"),
    [
        (
            "seed",
            "num_leafs",
            5,
            r"--space: 'num_leafs' is no parameter of 'seed' \(did you mean 'num_leaves'\?\)",
        ),
        ("seed", "extra_trees", True, r"'extra_trees' is no parameter of 'seed': it belongs to `base: wide`; use"),
        ("wide", "drop_rate", 0.1, r"'drop_rate' is no parameter of 'wide': it belongs to `base: seed`; use"),
        ("seed", "num_leaves", (2, 64), r"`num_leaves` is \[2, 64\]: stay within 10 to 200, the lower end first"),
        ("seed", "num_leaves", (64, 32), "stay within 10 to 200, the lower end first"),
        ("seed", "num_leaves", (16, 20, 30), r"write a range \[10, 200\], or one number"),
        ("seed", "num_leaves", 16.5, r"`num_leaves` is 16.5: write a range"),
        ("seed", "num_leaves", True, "write a range"),
        ("seed", "learning_rate", "fast", "`learning_rate` is fast: write a range"),
        ("seed", "learning_rate", 0.5, "stay within 0.01 to 0.3"),
        ("wide", "boosting_type", "dart", "`boosting_type` is dart: use one or more of gbdt, goss"),
        ("wide", "extra_trees", 1, "`extra_trees` is 1: use one or more of False, True"),
    ],
)
def test_what_is_outside_of_the_base_is_refused_by_name(base: str, name: str, value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_space(SpaceSettings(base, {name: value}))
