from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from src.config import (
    METRICS_OF_TASK,
    MODEL_CONFIGS,
    DataSettings,
    RunSettings,
    SearchSettings,
    SplitSettings,
    TableConfig,
    TargetConfig,
)
from src.errors import ConfigError


def test_an_auc_is_maximised_and_an_error_minimised() -> None:
    assert TargetConfig("binary", "auc").direction == "maximize"
    assert {TargetConfig("regression", metric).direction for metric in ("mae", "rmse")} == {"minimize"}


@pytest.mark.parametrize(
    ("task", "metric", "message"),
    [
        ("ranking", "mae", "task 'ranking' is unknown: use one of regression, binary"),
        ("binary", "mae", "metric 'mae' does not fit task 'binary': use one of auc"),
        ("regression", "auc", "metric 'auc' does not fit task 'regression': use one of mae, rmse"),
        ("regression", "mape", "metric 'mape' does not fit task 'regression': use one of mae, rmse"),
    ],
)
def test_a_metric_belongs_to_its_task(task: Any, metric: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TargetConfig(task, metric)
    assert str(caught.value) == message


def test_every_task_has_a_metric() -> None:
    for task, metrics in METRICS_OF_TASK.items():
        assert [TargetConfig(task, metric).task for metric in metrics] == [task] * len(metrics)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"test_fraction": 1}, "--test-fraction 1 "),
        ({"test_fraction": -0.1}, "--test-fraction -0.1 "),
        ({"test_fraction": float("nan")}, "--test-fraction nan "),
        ({"valid_fraction": 0}, "--valid-fraction 0 "),
        ({"valid_fraction": 1}, "--valid-fraction 1 "),
        ({"n_folds": 1}, "--n-folds 1 "),
        ({"purge_days": -1}, "--purge-days -1 "),
    ],
)
def test_a_split_out_of_range_is_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        SplitSettings(**wrong)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"n_trials": 0}, "--n-trials 0 "),
        ({"timeout": 0}, "--timeout 0 "),
        ({"timeout": float("nan")}, "--timeout nan "),
        ({"max_workers": 0}, "--max-workers 0 "),
    ],
)
def test_a_search_out_of_range_is_refused(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        SearchSettings(**wrong)


def test_allowed_limits() -> None:
    assert SplitSettings(test_fraction=0, n_folds=2, purge_days=0).test_fraction == 0
    assert SearchSettings(n_trials=1, timeout=0.1, max_workers=1).timeout == 0.1


def test_the_defaults_of_the_contract() -> None:
    settings = RunSettings()
    assert (settings.split.test_fraction, settings.split.valid_fraction) == (0.2, 0.2)
    assert (settings.split.n_folds, settings.split.purge_days, settings.split.use_cv) == (5, 1, False)
    assert settings.search.storage_dir == Path("artefacts/optuna_studies")
    assert (settings.output_dir, settings.register) == (Path("artefacts"), True)
    assert settings.data == DataSettings(None, None, TableConfig())
    assert (settings.data.table.account, settings.data.table.date) == ("account_id", "date")
    assert settings.data.table.targets is MODEL_CONFIGS


def test_settings_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        SearchSettings().n_trials = 5  # type: ignore[misc]
    with pytest.raises(TypeError):
        MODEL_CONFIGS["x"] = TargetConfig("binary", "auc")  # type: ignore[index]


def test_a_password_is_not_in_what_is_printed() -> None:
    settings = RunSettings(search=SearchSettings(storage_url="postgresql://user:secret@host/db"))
    assert "secret" not in repr(settings)
    assert "secret" not in str(settings)
