import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from src.cli import chosen_targets, run_command, run_settings
from src.config import MODEL_CONFIGS, RunSettings, SearchSettings, SplitSettings
from src.errors import ConfigError, DataError, Interrupted, StoreError, TrackingError
from src.modeling.train_with_optuna import build_parser, main
from tests.commands import Finished, run_here

ROOT = Path(__file__).parents[1]

# Section 6 of the contract: every option of a command that tunes, and what it is when it is not given.
DEFAULTS = {
    "targets": ["all"], "n_trials": 100, "timeout": None, "use_cv": False, "n_folds": 5, "purge_days": 1,
    "test_fraction": 0.2, "valid_fraction": 0.2, "data": None, "query": None, "config": None, "storage_url": None,
    "storage_dir": Path("artefacts/optuna_studies"), "study_name": None, "output_dir": Path("artefacts"),
    "max_workers": 1, "device": "cpu", "sampler": "auto", "pruner": "median", "ensemble_size": 10, "cv": "off",
    "seed": 42, "no_register": False, "verbose": False, "features": None, "total_timeout": None, "constraint": [],
    "select": "score", "monotone": [], "space": "seed",
}  # fmt: skip


def settings_of(*argv: str) -> RunSettings:
    return run_settings(build_parser().parse_args(argv))


def command(*argv: str, folder: Path = ROOT) -> Finished:
    return run_here(main, argv, folder)


def test_every_option_of_the_contract_is_there_with_its_default() -> None:
    assert vars(build_parser().parse_args([])) == DEFAULTS
    assert settings_of() == RunSettings()


def test_help_names_every_option_and_default() -> None:
    shown = " ".join(build_parser().format_help().split())
    for name, default in DEFAULTS.items():
        assert f"--{name.replace('_', '-')} " in shown
        if isinstance(default, (int, float, Path)) and not isinstance(default, bool):
            assert f"(default: {default})" in shown


def test_options_become_settings() -> None:
    line = """
        --n-trials 7 --timeout 2.5 --max-workers 3 --seed 9 --use-cv --n-folds 3 --purge-days 2 --test-fraction 0
        --valid-fraction 0.3 --data t.csv --query SELECT --study-name s --no-register --storage-url sqlite:///s.db
        --storage-dir d --output-dir o --sampler qmc --pruner asha --ensemble-size 4
    """
    found = settings_of(*line.split())
    assert found.split == SplitSettings(0.0, 0.3, True, 3, 2, seed=9)
    assert found.search == SearchSettings(7, 2.5, 3, "qmc", "asha", 9, "s", "sqlite:///s.db", Path("d"))
    assert (found.ensemble_size, found.cv_auto) == (4, False)
    assert (found.data.source, found.data.query) == ("t.csv", "SELECT")
    assert (found.output_dir, found.register) == (Path("o"), False)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["--use-cv"], True),
        (["--use-cv", "true"], True),
        (["--use-cv", "True"], True),
        (["--use-cv=1"], True),
        (["--use-cv=yes"], True),
        (["--use-cv", "false"], False),
        (["--use-cv="], False),
        (["--use-cv", ""], False),
        (["--use-cv", "--seed", "1"], True),
        ([], False),
    ],
)
def test_a_switch_takes_a_value_too(argv: list[str], expected: bool) -> None:
    assert settings_of(*argv).split.use_cv is expected


def test_folds_are_on_off_or_left_to_a_rule() -> None:
    assert settings_of("--cv", "on").split.use_cv
    assert not settings_of("--cv", "off").split.use_cv
    found = settings_of("--cv", "auto")
    assert (found.split.use_cv, found.cv_auto) == (False, True)
    with pytest.raises(ConfigError, match="--cv auto and --use-cv contradict each other"):
        settings_of("--cv", "auto", "--use-cv")


@pytest.mark.parametrize("option", ["--cv", "--sampler", "--pruner"])
def test_an_error_for_an_unknown_name_lists_the_known_ones(option: str) -> None:
    with pytest.raises(ConfigError, match=f"{option} 'tpee' is unknown: use one of .*(auto|median)"):
        settings_of(option, "tpee")


def test_an_ensemble_has_a_member_at_least() -> None:
    with pytest.raises(ConfigError, match="--ensemble-size 0 is too few"):
        settings_of("--ensemble-size", "0")


def test_an_empty_value_means_the_default() -> None:
    """`mlflow run` passes each parameter of an entry point, the empty ones too."""
    options = [name for name in DEFAULTS if name != "targets"]
    argv = [word for name in options for word in (f"--{name.replace('_', '-')}", "")]
    assert settings_of("--targets", "", *argv) == RunSettings()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], list(MODEL_CONFIGS)),
        (["all"], list(MODEL_CONFIGS)),
        ([""], list(MODEL_CONFIGS)),
        (["net_profit"], ["net_profit"]),
        (["net_profit", "num_trades"], ["net_profit", "num_trades"]),
        (["num_trades,net_profit", "num_trades"], ["num_trades", "net_profit"]),
        ([" net_profit , ,num_trades,"], ["net_profit", "num_trades"]),
    ],
)
def test_targets_are_words_or_lists(words: list[str], expected: list[str]) -> None:
    assert chosen_targets(words, MODEL_CONFIGS) == expected


@pytest.mark.parametrize("words", [["net_proft"], ["net_profit,net_proft"], ["all", "net_proft"]])
def test_an_error_for_an_unknown_target_lists_the_known_ones(words: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"target '(net_proft|all)' is unknown.*net_profit.*or all"):
        chosen_targets(words, MODEL_CONFIGS)


@pytest.mark.parametrize(
    ("argv", "named"),
    [
        (["--n-trials", "many"], "invalid whole number value: 'many'"),
        (["--n-trials", "1.5"], "--n-trials"),
        (["--n-trials", "0"], "--n-trials 0 is too few"),
        (["--n-trials", "-3"], "--n-trials -3 is too few"),
        (["--timeout", "nan"], "invalid number value: 'nan'"),
        (["--timeout", "inf"], "invalid number value: 'inf'"),
        (["--timeout", "0"], "--timeout 0.0 is not positive"),
        (["--test-fraction", "1"], "--test-fraction 1.0 is out of range"),
        (["--valid-fraction", "0"], "--valid-fraction 0.0 is out of range"),
        (["--n-folds", "1"], "--n-folds 1 is too few"),
        (["--purge-days", "-1"], "--purge-days -1 is negative"),
        (["--max-workers", "0"], "--max-workers 0 is too few"),
        (["--seed", "-1"], "--seed -1 is out of range"),
        (["--seed", str(2**31)], "is out of range"),
        (["--use-cv", "maybe"], "'maybe' is not a boolean"),
        (["--n-trial", "3"], "--n-trial"),
        (["--no-such-option"], "--no-such-option"),
        (["stray"], "stray"),
        (["--config", "missing.yaml"], "--config missing.yaml does not exist"),
        (["--targets", "profit"], "target 'profit' is unknown"),
        (["--data", "missing.parquet"], "missing.parquet"),
        (["--data", "ftp://host/t.csv"], "ftp:// is unknown"),
        (["--query", "SELECT 1"], "--query 'SELECT 1' needs a SQL URL"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(tmp_path: Path, argv: list[str], named: str) -> None:
    seen = command(*argv, folder=tmp_path)
    assert seen.status == 2
    assert seen.out == ""
    assert seen.err.startswith("error: ")
    assert named in seen.err
    assert len(seen.err.splitlines()) == 1
    assert list(tmp_path.iterdir()) == [], "nothing is left that pretends success"


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (ConfigError("--seed x: no"), 2, "error: --seed x: no"),
        (DataError("two\nlines"), 2, "error: two lines"),
        (StoreError("gone"), 1, "error: gone"),
        (TrackingError("away"), 1, "error: away"),
        (Interrupted("stopped: 3 of 5"), 130, "stopped: 3 of 5"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (
            PermissionError(13, "Permission denied", "a/b"),
            1,
            "error: a/b cannot be used: Permission denied: let this user write there, or name another place, "
            "then give the same command again",
        ),
    ],
)
def test_an_error_is_one_line_and_a_status(error: BaseException, status: int, line: str) -> None:
    def fail() -> int:
        raise error

    seen = run_here(lambda argv: run_command(fail), [], ROOT)
    assert (seen.status, seen.out, seen.err) == (status, "", line + "\n")


def test_verbose_shows_the_traceback() -> None:
    def fail() -> int:
        raise ConfigError("wrong")

    seen = run_here(lambda argv: run_command(fail, verbose=True), [], ROOT)
    assert seen.status == 2
    assert "Traceback" in seen.err
    assert seen.err.endswith("error: wrong\n")


def test_it_logs_warnings_only_unless_verbose() -> None:
    def speak() -> int:
        for name in ("src.x", "elsewhere"):
            logging.getLogger(name).warning("%s warns", name)
            logging.getLogger(name).info("%s tells", name)
        return 0

    quiet, loud = (run_here(lambda argv, v=v: run_command(speak, v), [], ROOT).err for v in (False, True))  # type: ignore[misc]
    assert [text in quiet for text in ("src.x warns", "elsewhere warns", "src.x tells", "elsewhere tells")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert "src.x tells" in loud
    assert "elsewhere tells" not in loud


def test_unexpected_exceptions_keep_their_traceback() -> None:
    def fail() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_here(lambda argv: run_command(fail), [], ROOT)


@pytest.mark.parametrize("option", ["--storage-url", "--data"])
def test_mlflow_run_would_record_a_password(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql://user:secret@host:5432/db"
    assert settings_of(option, url) is not None, "outside it nothing is recorded"
    monkeypatch.setenv("MLFLOW_RUN_ID", "abc")
    with pytest.raises(ConfigError) as caught:
        settings_of(option, url)
    assert "secret" not in str(caught.value)
    assert "recorded in run abc" in str(caught.value)
    assert settings_of(option, "postgresql://user@host:5432/db") is not None


@pytest.mark.slow
def test_help_works_in_a_process_and_imports_nothing_heavy() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "src.modeling.train_with_optuna", "--help"]
    seen = subprocess.run(command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False)
    assert seen.returncode == 0
    assert seen.stdout.startswith("usage: python -m src.modeling.train_with_optuna")
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in seen.stderr.splitlines()}
    assert "argparse" in imported
    assert not imported & {"mlflow", "optuna", "lightgbm", "pandas", "numpy", "sklearn", "sqlalchemy", "plotly"}


def test_a_repeated_list_counts_last_except_limits_and_signs() -> None:
    parser = build_parser()
    words = "--targets a --targets b,c --constraint trees<=5 --constraint leaves<=9 --constraint="
    args = parser.parse_args([*words.split(), "--monotone", "x:1", "--monotone", "y:-1"])
    assert (args.targets, args.constraint, args.monotone) == (["b", "c"], ["trees<=5", "leaves<=9"], ["x:1", "y:-1"])
    assert parser.parse_args([]).constraint == []
