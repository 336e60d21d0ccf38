"""The rounds of members: the factor against LightGBM's cross-validation, and cases without a factor."""

import logging
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial

from src.config import EARLY_STOPPING_ROUNDS, MAX_ROUNDS, RunSettings, SearchSettings, SplitSettings, TableConfig
from src.data import auto_folds
from src.data.encoding import encode, learn_levels
from src.data.split_rows import make_split_rows
from src.data.table import load_dataset
from src.final.final_model import final_rounds
from src.final.member_rounds import MAX_ROUNDS_FACTOR, measure_rounds_factor
from src.search.search_space import lightgbm_params
from src.search.search_task import SearchTask
from src.search.starting_points import FIXED_CONFIGS
from tests.small_table import small_table

DART = dict(FIXED_CONFIGS[1]) | {"boosting_type": "dart", "drop_rate": 0.1, "max_drop": 10, "skip_drop": 0.3}


@pytest.fixture(autouse=True)
def small_folds_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto_folds, "MIN_ROWS", 20)


def make_task(folder: Path, target: str = "net_profit", split: SplitSettings | None = None) -> SearchTask:
    data = load_dataset(small_table(), TableConfig(), target)
    settings = RunSettings(split=split or SplitSettings(), search=SearchSettings(storage_dir=folder, seed=3))
    return SearchTask(data, make_split_rows(data, settings.split), settings)


def finished(params: dict[str, Any], best_iteration: int, number: int = 0) -> FrozenTrial:
    trial = optuna.trial.create_trial(value=1.0, user_attrs={"best_iteration": best_iteration})
    trial.params, trial.number = dict(params), number
    return trial


def best_round_of_folds(task: SearchTask, params: dict[str, Any]) -> tuple[int, float]:
    """The best round of LightGBM's cross-validation on the same folds, and the growth of their rows."""
    rows = make_split_rows(task.data, replace(task.settings.split, use_cv=True, n_folds=3))
    matrices = [encode(task.data.features, learn_levels(task.data.features, ["style"], f.train)) for f in rows.folds]
    given = lightgbm_params(params, task.data.config, 3, 1)
    places = [list(task.data.features.columns).index(name) for name in task.data.categorical]
    per_fold = []
    for fold, x in zip(rows.folds, matrices, strict=True):
        kept: dict[str, Any] = {}
        train = lgb.Dataset(x[fold.train], task.data.y[fold.train], categorical_feature=places)
        valid = lgb.Dataset(x[fold.valid], task.data.y[fold.valid], train)
        lgb.train(given, train, MAX_ROUNDS, [valid], callbacks=[lgb.record_evaluation(kept)])
        (curve,) = kept["valid_0"].values()
        per_fold.append(curve)
    mean = np.mean(per_fold, axis=0) * (-1 if task.data.config.direction == "maximize" else 1)
    until = (int(np.argmin(mean[: n + 1])) for n in range(MAX_ROUNDS))
    best = next(best for n, best in enumerate(until) if n - best >= EARLY_STOPPING_ROUNDS)
    return best + 1, len(rows.search) / float(np.mean([len(fold.train) for fold in rows.folds]))


@pytest.mark.parametrize("target", ["net_profit", "is_profitable"])
def test_the_factor_is_the_geometric_mean_of_window_and_folds(tmp_path: Path, target: str) -> None:
    task = make_task(tmp_path, target)
    members = [finished(FIXED_CONFIGS[3], 77, 5), finished(FIXED_CONFIGS[1], 30, 2), finished(FIXED_CONFIGS[0], 20, 9)]
    first, growth = best_round_of_folds(task, dict(FIXED_CONFIGS[0]))
    second, _ = best_round_of_folds(task, dict(FIXED_CONFIGS[1]))
    window = len(task.rows.search) / len(task.rows.folds[0].train)
    ratios = [first * growth / (20 * window), second * growth / (30 * window)]
    expected = math.sqrt(math.sqrt(ratios[0] * ratios[1]))
    assert 1 / MAX_ROUNDS_FACTOR < expected < MAX_ROUNDS_FACTOR
    assert measure_rounds_factor(task, members) == pytest.approx(expected)


def test_the_factor_is_limited(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    assert measure_rounds_factor(task, [finished(FIXED_CONFIGS[0], 1000)]) == pytest.approx(1 / MAX_ROUNDS_FACTOR)
    assert measure_rounds_factor(task, [finished(FIXED_CONFIGS[0], 1)]) == pytest.approx(MAX_ROUNDS_FACTOR)


def test_fixed_configurations_are_measured_first_and_dart_never(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    other = dict(FIXED_CONFIGS[0]) | {"num_leaves": 15}
    second, first = finished(FIXED_CONFIGS[1], 30), finished(FIXED_CONFIGS[0], 20)
    alone = measure_rounds_factor(task, [first, second])
    assert measure_rounds_factor(task, [finished(other, 1), second, first]) == alone
    assert measure_rounds_factor(task, [finished(DART, 400), second, first]) == alone
    assert measure_rounds_factor(task, [finished(DART, 400)]) == 1


def test_without_folds_the_factor_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    members = [finished(FIXED_CONFIGS[0], 20)]
    folded = make_task(tmp_path, split=SplitSettings(use_cv=True, n_folds=4))
    assert measure_rounds_factor(folded, members) == 1, "three windows would say less than the four that there are"
    task = make_task(tmp_path)
    dates = task.data.dates
    assert dates is not None
    few = np.unique(dates)[-5:]
    short = replace(task, data=replace(task.data, dates=np.where(dates < few[0], few[0], dates)))
    short = replace(short, rows=make_split_rows(short.data, SplitSettings()))
    with caplog.at_level(logging.INFO):
        assert measure_rounds_factor(short, members) == 1
    assert "members are trained for the rounds of the single window" in caplog.text
    monkeypatch.setattr(auto_folds, "MIN_ROWS", 10**6)
    assert measure_rounds_factor(task, members) == 1


def test_the_factor_does_not_apply_to_dart(tmp_path: Path) -> None:
    rows = make_task(tmp_path).rows
    assert final_rounds(finished(DART, 200), rows, 1.5) == final_rounds(finished(DART, 200), rows)
    assert final_rounds(finished(FIXED_CONFIGS[0], 200), rows, 1.5) == round(300 * rows.growth)
