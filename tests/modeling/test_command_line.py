from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from src.cli import given_options
from src.config import TableConfig
from src.data.split_rows import make_split_rows
from src.data.table import load_dataset
from src.errors import ConfigError
from src.modeling.command_line import CommandLine, parse_command_line, resolve_settings
from src.modeling.open_study import open_study
from src.modeling.optuna_parallel_optimization import build_parser
from src.search.search_task import SearchTask
from src.study.studies import OptunaStudyManager
from tests.earlier_study import EARLIER_ATTRIBUTES
from tests.search_tasks import NAME, make_task
from tests.small_table import small_table


@pytest.mark.parametrize(
    ("argv", "given"),
    [
        ([], set()),
        (["--n-trials", "100"], {"n_trials"}),
        (["--n-trials=", "--use-cv=", "--targets="], set()),
        (["--use-cv"], {"use_cv"}),
        (["--use-cv=false", "--seed=42"], {"use_cv", "seed"}),
        (["--targets", "net_profit", "--config", "c.yaml"], {"targets", "config"}),
        (["--targets", "all", "--verbose"], {"targets", "verbose"}),
    ],
)
def test_options_on_the_command_line_count_as_given(argv: Sequence[str], given: set[str]) -> None:
    assert given_options(build_parser(), argv) == given


def test_defaults_passed_by_mlflow_run_do_not_count_as_given(monkeypatch: pytest.MonkeyPatch) -> None:
    line = ["--mode=distributed", "--targets=all", "--n-trials=100", "--seed=42", "--use-cv=false", "--n-folds=3"]
    assert given_options(build_parser(), line) == {"mode", "targets", "n_trials", "seed", "use_cv", "n_folds"}
    monkeypatch.setenv("MLFLOW_RUN_ID", "abc")
    assert given_options(build_parser(), line) == {"mode", "n_folds"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a study of 7 trials and another seed."""
    folder = tmp_path_factory.mktemp("made")
    open_study(make_task(folder, n_trials=7, seed=43, source="sample table"))
    return folder


def command_line(folder: Path, *options: str) -> CommandLine:
    return parse_command_line(build_parser, ["--storage-dir", str(folder), "--max-workers", "1", *options])


def test_the_study_name_alone_is_enough(made: Path) -> None:
    targets, settings = resolve_settings(command_line(made, "--study-name", NAME))
    assert targets == ["net_profit"]
    assert (settings.search.n_trials, settings.search.seed, settings.split.seed) == (7, 43, 42), "each seed is its own"
    assert settings.search.keep_total, "nobody asked for a total"


def test_features_are_those_of_the_study_unless_they_are_given(tmp_path: Path) -> None:
    open_study(make_task(tmp_path, table=TableConfig(features="both")))
    (tmp_path / "plain.yaml").write_text("drop: [noise]")
    (tmp_path / "own.yaml").write_text("features: own")
    for options, features in (
        ([], "both"),
        (["--features", "derived"], "derived"),
        (["--config", str(tmp_path / "plain.yaml")], "both"),
        (["--config", str(tmp_path / "own.yaml")], "own"),
        (["--config", str(tmp_path / "own.yaml"), "--features", "derived"], "derived"),
    ):
        _, settings = resolve_settings(command_line(tmp_path, "--study-name", NAME, "--data", "t.csv", *options))
        assert settings.data.table.features == features, options


def test_a_given_option_overrides_the_study_s(made: Path) -> None:
    _, settings = resolve_settings(
        command_line(made, "--study-name", NAME, "--n-trials", "9", "--pruner", "none", "--seed", "42")
    )
    assert (settings.search.n_trials, settings.search.pruner, settings.search.seed) == (9, "none", 42)
    assert not settings.search.keep_total
    assert settings.search.sampler == "auto"


def test_another_target_is_refused_before_the_table_is_read(made: Path) -> None:
    with pytest.raises(ConfigError, match="created with target 'net_profit', but --targets is 'num_trades'"):
        resolve_settings(
            command_line(made, "--study-name", NAME, "--targets", "num_trades", "--data", "missing.parquet")
        )


def test_a_table_passed_from_python_needs_data(tmp_path: Path) -> None:
    open_study(make_task(tmp_path, source="data frame"))
    with pytest.raises(ConfigError, match=r"does not record where its table is \(data frame\).*give --data"):
        resolve_settings(command_line(tmp_path, "--study-name", NAME))
    _, settings = resolve_settings(command_line(tmp_path, "--study-name", NAME, "--data", "t.csv"))
    assert settings.data.source == "t.csv"


def test_a_study_of_an_earlier_version_is_resumed(tmp_path: Path) -> None:
    study = OptunaStudyManager(tmp_path).create_or_load_study(NAME)
    for name, value in EARLIER_ATTRIBUTES.items():
        study.set_user_attr(name, value)
    targets, settings = resolve_settings(command_line(tmp_path, "--study-name", NAME))
    assert (targets, settings.data.source, settings.ensemble_size) == (["net_profit"], "/data/table.csv", 3)
    data = load_dataset(small_table(), settings.data.table, "net_profit", "elsewhere.csv")
    task = SearchTask(data, make_split_rows(data, settings.split), settings)
    assert open_study(task).task.settings.search.n_trials == 7
    open_study(replace(task, settings=replace(settings, search=replace(settings.search, n_trials=9, keep_total=False))))
    _, settings = resolve_settings(command_line(tmp_path, "--study-name", NAME, "--seed", "44"))
    assert (settings.search.n_trials, settings.search.timeout) == (9, 90.0), "the new total is stored"
    with pytest.raises(ConfigError, match="created with seed 43, now it is 44"):
        open_study(replace(task, settings=settings))


def test_several_targets_make_the_name_a_prefix(made: Path) -> None:
    targets, settings = resolve_settings(command_line(made, "--study-name", NAME, "--targets", "net_profit,num_trades"))
    assert (targets, settings.search.n_trials) == (["net_profit", "num_trades"], 100)


def test_a_missing_study_changes_no_option(made: Path, tmp_path: Path) -> None:
    for folder in (made, tmp_path / "none"):
        targets, settings = resolve_settings(command_line(folder, "--study-name", "another", "--targets", "num_trades"))
        assert (targets, settings.search.n_trials, settings.search.keep_total) == (["num_trades"], 100, False)
    assert not (tmp_path / "none").exists(), "no store is made by looking"
