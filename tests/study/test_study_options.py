import json
from argparse import Namespace
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.cli import run_settings
from src.config import CV_MODES, PRUNERS, SAMPLERS, RunSettings, TableConfig, TargetConfig
from src.config_file import FileTableConfig
from src.data.split_rows import make_split_rows
from src.data.table import load_dataset
from src.errors import ConfigError
from src.modeling.train_with_optuna import build_parser
from src.search.search_task import SearchTask
from src.study.studies import OptunaStudyManager
from src.study.study_options import (
    OPTIONS_ATTR,
    RUN_ATTR,
    SAMPLE,
    STARTED_ATTR,
    begin_run,
    failure_of,
    make_study_options,
    record_failure,
    seconds_left,
    set_total,
    study_options_of,
    table_from_json,
    with_study_options,
)
from tests.small_table import small_table

FRAME = small_table(n_days=80)


def parsed(*argv: str) -> Namespace:
    parsed: Namespace = build_parser().parse_args(argv)
    return parsed


def task_of(settings: RunSettings, described: str = SAMPLE) -> SearchTask:
    data = load_dataset(FRAME, settings.data.table, "net_profit", described)
    return SearchTask(data, make_split_rows(data, settings.split), settings)


def noted(task: SearchTask) -> dict[str, Any]:
    """The study options as a joining worker reads them."""
    study_options: dict[str, Any] = json.loads(
        json.dumps(make_study_options(task.settings, task.data.target, task.data.source))
    )
    return study_options


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "--n-trials": st.integers(1, 10**6),
        "--timeout": st.floats(0.001, 1e6),
        "--sampler": st.sampled_from(SAMPLERS),
        "--pruner": st.sampled_from(PRUNERS),
        "--ensemble-size": st.integers(1, 20),
        "--seed": st.integers(0, 2**31 - 1),
        "--cv": st.sampled_from([mode for mode in CV_MODES if mode != "auto"]),
        "--n-folds": st.integers(2, 4),
        "--purge-days": st.integers(0, 3),
        "--test-fraction": st.sampled_from([0, 0.1, 0.3]),
        "--valid-fraction": st.sampled_from([0.1, 0.3]),
    },
)


@given(OPTIONS)
def test_study_options_restore_the_settings(options: dict[str, Any]) -> None:
    first = run_settings(parsed(*(f"{name}={value}" for name, value in options.items())))
    second = run_settings(with_study_options(parsed("--study-name", "s"), {"study_name"}, noted(task_of(first)), "s"))
    assert replace(second, search=replace(second.search, study_name=None)) == first


@given(OPTIONS, OPTIONS)
def test_given_options_have_priority(options: dict[str, Any], given_now: dict[str, Any]) -> None:
    study_options = noted(task_of(run_settings(parsed(*(f"{name}={value}" for name, value in options.items())))))
    args = parsed(*(f"{name}={value}" for name, value in given_now.items()))
    followed = with_study_options(args, {name[2:].replace("-", "_") for name in given_now}, study_options, "s")
    for name in given_now:
        option = name[2:].replace("-", "_")
        assert getattr(followed, option) == getattr(args, option)


def test_the_columns_of_a_config_file_are_in_it() -> None:
    table = FileTableConfig(
        account=None,
        drop=("noise",),
        use=("signal", "style"),
        targets={"net_profit": TargetConfig("regression", "rmse"), "num_trades": TargetConfig("regression", "mae")},
        optional=("date",),
    )
    settings = RunSettings()
    settings = replace(settings, data=replace(settings.data, table=table))
    assert table_from_json(noted(task_of(settings))["table"]) == table
    plain = table_from_json(noted(task_of(RunSettings()))["table"])
    assert (plain.targets, plain.account, plain.date) == (TableConfig().targets, "account_id", "date")


@pytest.mark.parametrize(
    ("given_as", "kept"),
    [
        ("s3://bucket/t.parquet", "s3://bucket/t.parquet"),
        ("postgresql://user:s3cret@host:5432/db", "postgresql://user@host:5432/db"),
        ("postgresql://user:p@ss/w:ord@host/db", "postgresql://user@host/db"),
        ("postgresql://u@h/db?password=s3cret&sslmode=require", "postgresql://u@h/db?sslmode=require"),
        ("postgresql://u@h/db?password=s3cret", "postgresql://u@h/db"),
        ("postgresql://u:s3cret@/db?host=/run/pg&password=s3cret", "postgresql://u@/db?host=/run/pg"),
    ],
)
def test_the_table_s_place_is_kept_without_a_password(given_as: str, kept: str) -> None:
    settings = run_settings(parsed("--data", given_as, "--query", "SELECT 's3cret' AS x"))
    study_options = noted(task_of(settings))
    assert study_options["data"] == kept
    assert "s3cret" not in json.dumps(study_options) or "s3cret" not in given_as


def test_a_file_is_kept_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert noted(task_of(run_settings(parsed("--data", "t.csv"))))["data"] == str(tmp_path / "t.csv")


def test_a_table_passed_from_python_needs_data() -> None:
    study_options = noted(task_of(RunSettings(), "data frame"))
    with pytest.raises(ConfigError, match=r"study 's' does not record where its table is \(data frame\).*give --data"):
        with_study_options(parsed(), set(), study_options, "s")
    assert with_study_options(parsed("--data", "t.csv"), {"data"}, study_options, "s").data == "t.csv"


def test_another_source_drops_the_old_query() -> None:
    study_options = noted(task_of(run_settings(parsed("--data", "postgresql://u@h/db", "--query", "SELECT 1"))))
    assert with_study_options(parsed(), set(), study_options, "s").query == "SELECT 1"
    assert with_study_options(parsed("--data", "t.csv"), {"data"}, study_options, "s").query is None


def test_the_total_is_stored_in_the_study_options() -> None:
    study = optuna.create_study()
    set_total(study, 5)
    assert study_options_of(study) is None
    study.set_user_attr(OPTIONS_ATTR, noted(task_of(RunSettings())))
    set_total(study, 250)
    assert (study_options_of(study) or {})["n_trials"] == 250


def test_a_timeout_runs_from_the_first_worker_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1000.0)
    assert seconds_left({}, 60) == 60
    assert seconds_left({STARTED_ATTR: 980.0}, 60) == 40
    assert 0 < (seconds_left({STARTED_ATTR: 100.0}, 60) or 0) < 0.01
    assert seconds_left({STARTED_ATTR: 900.0}, 60, at_least=None) == -40
    assert seconds_left({STARTED_ATTR: 900.0}, None) is None


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    study = OptunaStudyManager(tmp_path).create_or_load_study("s")
    study.set_user_attr(OPTIONS_ATTR, {"n_trials": 3, "timeout": 60.0})
    study.set_user_attr(STARTED_ATTR, 1000.0)
    return study


@pytest.mark.parametrize(
    ("token", "timeout", "noted", "began"),
    [
        ("t1", None, 60.0, None),
        ("t1", 60.0, 60.0, None),
        ("t1", 90.0, 90.0, None),
        (None, None, 60.0, 1000.0),
        (None, 60.0, 60.0, 1000.0),
        (None, 90.0, 90.0, None),
    ],
)
def test_a_run_has_the_whole_timeout(
    study: optuna.Study, token: str | None, timeout: float | None, noted: float, began: float | None
) -> None:
    begin_run(study, token, timeout)
    attributes = study.user_attrs
    assert (attributes[OPTIONS_ATTR], attributes[STARTED_ATTR]) == ({"n_trials": 3, "timeout": noted}, began)
    assert attributes.get(RUN_ATTR) == token


def test_a_repeated_create_does_not_extend_the_timeout(study: optuna.Study) -> None:
    begin_run(study, "t1", None)
    study.set_user_attr(STARTED_ATTR, 2000.0)
    begin_run(study, "t1", None)
    assert study.user_attrs[STARTED_ATTR] == 2000.0


def test_a_failure_is_that_of_its_own_run(study: optuna.Study) -> None:
    begin_run(study, "t1", None)
    record_failure(study, "t2", "worker 3", "no column x")
    assert failure_of(study.user_attrs, "t2") == "worker 3 failed: no column x"
    assert failure_of(study.user_attrs, "t1") is failure_of(study.user_attrs, None) is failure_of({}, "t1") is None
    assert study.user_attrs[RUN_ATTR] == "t1", "a mistake of another run takes no run its study away"
