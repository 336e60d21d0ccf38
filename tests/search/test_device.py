"""The device's parameters, and what of them a machine without a GPU can check; tests/integration/test_gpu.py trains."""

from dataclasses import replace
from pathlib import Path

import lightgbm as lgb
import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import BaseDistribution, IntDistribution

from src.config import SearchSettings, TargetConfig
from src.data.table import Dataset
from src.errors import ConfigError
from src.search.binned_folds import BinnedFolds
from src.search.device import MAX_BINS, MAX_LEVELS, check_levels, for_any_machine, used_params, with_device
from src.search.search_space import lightgbm_params
from src.search.search_task import check_model_settings
from tests.search_tasks import make_task, uniform

DRAWN = {"boosting_type": "gbdt", "num_leaves": 31, "max_bin": 512}


def test_a_gpu_has_at_most_255_bins_and_no_bundles() -> None:
    on_gpu = lightgbm_params(DRAWN, TargetConfig("regression", "mae"), 1, device="gpu")
    assert (on_gpu["device_type"], on_gpu["max_bin"], on_gpu["enable_bundle"]) == ("gpu", 255, False)
    assert on_gpu["gpu_use_dp"] is True
    few = lightgbm_params(DRAWN | {"max_bin": 32}, TargetConfig("regression", "mae"), 1, device="gpu")
    assert few["max_bin"] == 32


def test_the_cpu_keeps_its_parameters() -> None:
    params = lightgbm_params(DRAWN, TargetConfig("regression", "mae"), 1)
    assert params["max_bin"] == 512
    assert params == lightgbm_params(DRAWN, TargetConfig("regression", "mae"), 1, device="cpu")
    assert not {"device_type", "gpu_use_dp", "enable_bundle"} & params.keys()


def test_values_of_max_bin_above_the_limit_share_a_dataset(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    folds = BinnedFolds(task.data, task.rows.folds, device="gpu")  # binning itself needs no GPU
    (train, valid), *_ = folds.datasets(512)
    assert folds.datasets(320)[0][0] is train
    assert (train.params or {})["max_bin"] == MAX_BINS
    assert max(train.feature_num_bin(at) for at in range(train.num_feature())) <= MAX_BINS
    booster = lgb.Booster(lightgbm_params(DRAWN, task.data.config, 1) | {"max_bin": 255, "enable_bundle": False}, train)
    booster.add_valid(valid, "valid")
    booster.update()
    assert np.isfinite(booster.eval_valid()[0][2])


def test_a_trial_of_a_gpu_keeps_its_bins_in_fits_on_a_cpu() -> None:
    space: dict[str, BaseDistribution] = {"max_bin": IntDistribution(32, 512, step=96)}
    on_cpu = optuna.create_trial(params={"max_bin": 416}, distributions=space, value=1.0)
    on_gpu = optuna.create_trial(params={"max_bin": 416}, distributions=space, value=1.0, user_attrs={"device": "gpu"})
    assert used_params(on_cpu) == {"max_bin": 416}
    assert used_params(on_gpu) == {"max_bin": MAX_BINS}


@pytest.mark.parametrize("n_levels", [MAX_LEVELS, MAX_LEVELS + 1])
def test_categories_with_more_levels_than_bins_are_refused(tmp_path: Path, n_levels: int) -> None:
    data = make_task(tmp_path).data
    symbols = pd.Series([f"S{at % n_levels}" for at in range(len(data.features))], dtype="str")
    table = replace(data, features=data.features.assign(symbol=symbols), categorical=(*data.categorical, "symbol"))
    if n_levels == MAX_LEVELS:
        check_levels(table)
        assert _most_bins(table) <= MAX_BINS
    else:
        with pytest.raises(ConfigError, match=r"category 'symbol' has 255 levels, and OpenCL allows 254: merge rare"):
            check_levels(table)


def _most_bins(table: Dataset) -> int:
    params = with_device({"min_data_in_bin": 1, "verbosity": -1}, "gpu")
    codes = pd.factorize(table.features["symbol"])[0].astype(float)
    dataset = lgb.Dataset(codes[:, None], table.y, categorical_feature=[0], params=params).construct()
    return int(dataset.feature_num_bin(0))


def test_a_model_of_a_gpu_asks_for_none_when_it_is_loaded() -> None:
    rows = np.arange(100.0)
    params = {"verbosity": -1, "num_leaves": 3}
    trained = lgb.train(params, lgb.Dataset(rows[:, None], rows), 3)
    text = trained.model_to_string().replace("[device_type: cpu]", "[device_type: gpu]")
    assert "[device_type: gpu]" in text
    model = for_any_machine(lgb.Booster(model_str=text), "gpu")
    assert model.params["device_type"] == "cpu"
    assert np.array_equal(model.predict(rows[:, None]), trained.predict(rows[:, None]))
    assert for_any_machine(trained, "cpu") is trained


def test_a_users_objective_has_no_device(tmp_path: Path) -> None:
    task = make_task(tmp_path, objective=uniform)
    settings = replace(task.settings, search=replace(task.settings.search, device="gpu"))
    with pytest.raises(ConfigError, match="--device gpu applies to LightGBM's trials: remove it"):
        check_model_settings(replace(task, settings=settings))


def test_an_unknown_device_is_refused() -> None:
    with pytest.raises(ConfigError, match="--device 'cuda' is unknown: use one of cpu, gpu"):
        SearchSettings(device="cuda")
