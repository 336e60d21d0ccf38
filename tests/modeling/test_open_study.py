from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

from src.config import MODEL_CONFIGS, SplitSettings, TableConfig, TargetConfig
from src.data.sources.dispatch import describe_source
from src.errors import ConfigError
from src.modeling.open_study import open_study
from src.study.study_settings import SETTINGS_ATTR, study_settings_of
from tests.search_tasks import NAME, make_task, uniform
from tests.small_table import small_table

RMSE = TableConfig(targets={**MODEL_CONFIGS, "net_profit": TargetConfig("regression", "rmse")})


def test_a_study_stores_the_settings_that_make_scores_comparable(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    opened = open_study(task)
    stored = study_settings_of(opened.study.user_attrs)
    assert stored is not None
    assert (stored.target, stored.metric, stored.search.seed) == ("net_profit", "mae", 42)
    assert (stored.split, stored.data_digest) == (SplitSettings(), task.data.digest)
    assert opened.study.study_name == NAME
    assert opened.study.direction.name == "MINIMIZE"


def test_without_a_name_it_is_named_by_target_and_time(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    settings = replace(task.settings, search=replace(task.settings.search, study_name=None))
    name = open_study(replace(task, settings=settings)).study.study_name
    assert pd.to_datetime(name.removeprefix("net_profit_"), format="%Y%m%d_%H%M%S") is not None


def test_a_study_with_folds_is_not_resumed_without_them(tmp_path: Path) -> None:
    open_study(make_task(tmp_path, split=SplitSettings(use_cv=True)))
    with pytest.raises(ConfigError, match="created with use_cv True, now it is False"):
        open_study(make_task(tmp_path))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that already holds the study; the tests do not change it."""
    folder = tmp_path_factory.mktemp("made")
    open_study(make_task(folder))
    return folder


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"target": "gross_profit"}, "target 'net_profit', now it is 'gross_profit'"),
        ({"table": RMSE}, "metric 'mae', now it is 'rmse'"),
        ({"seed": 43}, "seed 42, now it is 43"),
        ({"split": SplitSettings(test_fraction=0)}, "test_fraction 0.2, now it is 0"),
        ({"split": SplitSettings(use_cv=True)}, "use_cv False, now it is True"),
        ({"split": SplitSettings(purge_days=2)}, "purge_days 1, now it is 2"),
        ({"frame": small_table(seed=1)}, "data 'table.parquet ("),
        ({"frame": small_table().drop(columns="noise"), "source": "b.csv"}, "now it is 'b.csv ("),
        ({"objective": uniform}, "objective 'lightgbm', now it is 'user'"),
    ],
)
def test_a_study_resumes_only_with_the_settings_it_was_created_with(
    made: Path, changes: dict[str, Any], named: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        open_study(make_task(made, **changes))
    assert f"study '{NAME}' was created with " in str(caught.value)
    assert named in str(caught.value)
    assert "another --study-name" in str(caught.value)


def test_the_same_table_may_have_another_location_and_row_order(made: Path) -> None:
    shuffled = small_table().sample(frac=1, random_state=0)
    again = open_study(make_task(made, frame=shuffled, source="s3://b/t.csv", n_trials=99))  # the total may grow
    assert again.study.user_attrs[SETTINGS_ATTR]["described_source"] == "table.parquet", "the first stays"


def test_trials_without_recorded_settings_are_refused(tmp_path: Path) -> None:
    task = make_task(tmp_path)
    study = open_study(task).study
    study._storage.set_study_user_attr(study._study_id, SETTINGS_ATTR, None)
    study.add_trial(optuna.trial.create_trial(value=1.0))
    with pytest.raises(ConfigError, match="trials without a record of data and split"):
        open_study(task)


def test_no_password_is_stored_on_the_study(tmp_path: Path) -> None:
    source = describe_source("postgresql://u:secret@host:5432/db", "SELECT 'secret' AS x")
    raw = make_task(tmp_path / "raw", source="postgresql://u:secret@host:5432/db")
    for task in (make_task(tmp_path / "described", source=source), raw):
        attrs = str(open_study(task).study.user_attrs)
        assert "postgresql://u:***@host:5432/db" in attrs
        assert "secret" not in attrs
        assert "secret" not in repr(task.data.source)
