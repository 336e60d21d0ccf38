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
from src.config import (
    CV_MODES,
    PRUNERS,
    SAMPLERS,
    DataSettings,
    RunSettings,
    SearchSettings,
    SplitSettings,
    TableConfig,
    TargetConfig,
)
from src.config_file import FileTableConfig
from src.data.table import load_dataset
from src.modeling.train_with_optuna import build_parser
from src.study.studies import OptunaStudyManager
from src.study.study_settings import (
    RUN_ATTR,
    SETTINGS_ATTR,
    STARTED_ATTR,
    StudySettings,
    as_json,
    begin_run,
    change_search,
    failure_of,
    from_json,
    make_study_settings,
    record_failure,
    resumed,
    seconds_left,
    study_settings_of,
)
from tests.earlier_study import EARLIER_ATTRIBUTES
from tests.small_table import small_table

FRAME = small_table(n_days=80)
SAMPLE = "sample table"


def parsed(*argv: str) -> Namespace:
    parsed: Namespace = build_parser().parse_args(argv)
    return parsed


def stored(settings: RunSettings, described: str = SAMPLE) -> StudySettings:
    """The settings of a study as a joining worker reads them."""
    data = load_dataset(FRAME, settings.data.table, "net_profit", described)
    document = json.loads(json.dumps(as_json(make_study_settings(settings, data, "lightgbm"))))
    return from_json(StudySettings, document)


VALUES: dict[str, st.SearchStrategy[Any]] = {
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
}
OPTIONS = st.fixed_dictionaries({}, optional=VALUES)


@given(OPTIONS)
def test_the_study_name_alone_restores_the_settings(options: dict[str, Any]) -> None:
    first = run_settings(parsed(*(f"{name}={value}" for name, value in options.items())))
    second = resumed(stored(first), run_settings(parsed()), ())
    table = FileTableConfig(**vars(TableConfig()))
    assert second == replace(first, data=replace(first.data, table=table))


@given(OPTIONS, OPTIONS)
def test_given_options_have_priority(options: dict[str, Any], given_now: dict[str, Any]) -> None:
    study = stored(run_settings(parsed(*(f"{name}={value}" for name, value in options.items()))))
    args = parsed(*(f"{name}={value}" for name, value in given_now.items()))
    now = run_settings(args)
    followed = resumed(study, now, {name[2:].replace("-", "_") for name in given_now})
    for part, from_command, from_study in (
        (followed.search, now.search, study.search),
        (followed.split, now.split, study.split),
        (followed, now, study),
    ):
        for name in vars(part):
            option = "--cv" if name == "use_cv" else f"--{name.replace('_', '-')}"
            if option in VALUES:
                expected = from_command if option in given_now else from_study
                assert getattr(part, name) == getattr(expected, name), name


def test_what_belongs_to_a_process_is_not_stored() -> None:
    search = SearchSettings(max_workers=8, study_name="s", storage_url="postgresql://u:s3cret@h/db")
    document = as_json(stored(RunSettings(search=search, output_dir=Path("mine"), register=False)))
    assert sorted(document) == [
        "data", "data_digest", "described_source", "ensemble_size", "features", "metric", "model", "objective",
        "search", "split", "target", "task",
    ]  # fmt: skip
    assert sorted(document["search"]) == ["n_trials", "pruner", "sampler", "seed", "timeout"]
    assert sorted(document["split"]) == sorted(vars(SplitSettings()))
    now = run_settings(parsed("--max-workers=2", "--output-dir=theirs", "--storage-dir=there"))
    followed = resumed(stored(RunSettings(search=search)), now, ())
    assert (followed.search.max_workers, followed.search.storage_dir) == (2, Path("there"))
    assert (followed.search.study_name, followed.output_dir, followed.register) == (None, Path("theirs"), True)


def test_a_missing_field_has_its_default_and_an_unknown_one_is_ignored() -> None:
    document = as_json(stored(RunSettings(search=SearchSettings(n_trials=7))))
    del document["search"]["pruner"], document["data"]["table"]["numbers"], document["ensemble_size"]
    document["search"]["of_a_later_version"] = document["of_a_later_version"] = 1
    assert from_json(StudySettings, document) == stored(RunSettings(search=SearchSettings(n_trials=7)))


def test_the_columns_of_a_config_file_are_in_it() -> None:
    table = FileTableConfig(
        account=None,
        drop=("noise",),
        use=("signal", "style"),
        numbers={"signal": None},
        targets={"net_profit": TargetConfig("regression", "rmse"), "num_trades": TargetConfig("regression", "mae")},
        optional=("date",),
    )
    study = stored(RunSettings(data=DataSettings(table=table)))
    assert (study.data.table, study.metric) == (table, "rmse")
    now = RunSettings(data=DataSettings(table=TableConfig(account="desk")))
    assert resumed(study, now, ()).data.table == table
    assert resumed(study, now, {"config"}).data.table == now.data.table


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
    study = stored(settings)
    assert study.data.source == kept
    assert "s3cret" not in json.dumps(as_json(study)) or "s3cret" not in given_as


def test_a_file_is_kept_by_its_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert stored(run_settings(parsed("--data", "t.csv"))).data.source == str(tmp_path / "t.csv")


def test_another_source_drops_the_old_query() -> None:
    study = stored(run_settings(parsed("--data", "postgresql://u@h/db", "--query", "SELECT 1")))
    assert resumed(study, run_settings(parsed()), ()).data.query == "SELECT 1"
    assert resumed(study, run_settings(parsed("--data", "t.csv")), {"data"}).data.query is None


def test_total_and_timeout_of_a_study_change() -> None:
    study = optuna.create_study()
    assert not change_search(study, n_trials=5)
    assert study_settings_of(study.user_attrs) is None
    first = stored(RunSettings())
    study.set_user_attr(SETTINGS_ATTR, as_json(first) | {"of_a_later_version": 1})
    assert not change_search(study, n_trials=first.search.n_trials)
    assert change_search(study, n_trials=250)
    assert change_search(study, timeout=9.0)
    expected = replace(first, search=replace(first.search, n_trials=250, timeout=9.0))
    assert study_settings_of(study.user_attrs) == expected
    assert study.user_attrs[SETTINGS_ATTR]["of_a_later_version"] == 1


def test_settings_of_another_program_are_none() -> None:
    for foreign in ({}, {"settings": ["target"]}, {"settings": {"data": "t.csv"}}, {"settings": None}):
        assert study_settings_of(foreign) is None


def test_a_study_of_an_earlier_version_is_read() -> None:
    table = FileTableConfig(
        drop=("noise",),
        categories=("style",),
        numbers={"signal": "."},
        targets={"net_profit": TargetConfig("regression", "rmse"), "is_profitable": TargetConfig("binary", "auc")},
        optional=("date",),
    )
    assert study_settings_of(EARLIER_ATTRIBUTES) == StudySettings(
        data=DataSettings("/data/table.csv", None, table),
        split=SplitSettings(use_cv=True, n_folds=3, purge_days=2, seed=43),
        search=SearchSettings(n_trials=7, timeout=90.0, pruner="none", seed=43),
        ensemble_size=3,
        target="net_profit",
        task="regression",
        metric="rmse",
        objective="lightgbm",
        described_source="/data/table.csv",
        data_digest="fb1964b49f591829",
    )
    study = optuna.create_study()
    for name, value in EARLIER_ATTRIBUTES.items():
        study.set_user_attr(name, value)
    assert change_search(study, n_trials=9)
    changed = study_settings_of(study.user_attrs)
    assert changed is not None and (changed.search.n_trials, changed.search.timeout) == (9, 90.0)
    assert changed.data.table == table


def test_a_study_of_an_earlier_version_without_a_recipe_is_read() -> None:
    study = study_settings_of({"settings": EARLIER_ATTRIBUTES["settings"]})
    assert study is not None
    assert (study.target, study.search.n_trials, study.search.seed, study.split.n_folds) == ("net_profit", 100, 43, 3)


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
    study.set_user_attr(SETTINGS_ATTR, {"target": "net_profit", "search": {"n_trials": 3, "timeout": 60.0}})
    study.set_user_attr(STARTED_ATTR, 1000.0)
    return study


@pytest.mark.parametrize(
    ("token", "timeout", "stored", "began"),
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
    study: optuna.Study, token: str | None, timeout: float | None, stored: float, began: float | None
) -> None:
    begin_run(study, token, timeout)
    attributes = study.user_attrs
    assert attributes[SETTINGS_ATTR]["search"] == {"n_trials": 3, "timeout": stored}
    assert attributes[STARTED_ATTR] == began
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
