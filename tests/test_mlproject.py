"""`mlflow run` and `make` pass parameters to the commands unchanged."""

import importlib
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
MLPROJECT: dict[str, Any] = yaml.safe_load((ROOT / "MLproject").read_text(encoding="utf-8"))
ENTRY_POINTS: dict[str, Any] = MLPROJECT["entry_points"]


MODE = {"parallel": ["--mode=parallel"], "worker": ["--mode=distributed"]}
"""The parts of an entry point that do not depend on its parameters."""


def command_of(entry: str, **given: str) -> tuple[str, list[str]]:
    """Module and arguments of `mlflow run -e ENTRY -P …`, computed by MLflow."""
    from mlflow.projects._project_spec import load_project

    python, flag, module, *words = shlex.split(
        load_project(str(ROOT)).get_entry_point(entry).compute_command(given, None)
    )
    assert (python, flag) == ("python", "-m")
    return module, words


def parser_of(entry: str) -> Any:
    return importlib.import_module(command_of(entry)[0]).build_parser()


@pytest.mark.parametrize("entry", ENTRY_POINTS)
class TestEntryPoint:
    def test_what_is_not_given_has_the_default(self, entry: str) -> None:
        """MLflow records the defaults of MLproject, which must be those of the command."""
        parser = parser_of(entry)
        assert parser.parse_args(command_of(entry)[1]) == parser.parse_args(MODE.get(entry, []))

    def test_an_empty_value_is_one_that_was_not_given(self, entry: str) -> None:
        parser = parser_of(entry)
        mode = MODE.get(entry, [])
        words = [word.partition("=")[0] + "=" for word in command_of(entry)[1] if word not in mode]
        assert parser.parse_args(mode + words) == parser.parse_args(mode)

    def test_values_arrive_as_they_were_given(self, entry: str) -> None:
        hostile = {
            "target": "net_profit,num_trades",
            "query": "select 'a b' from \"t\" where x = -1",
            "data": "-x $HOME;",
            "study_name": "-x $HOME; 'a b'",
            "alias": "-x $HOME; 'a b'",
            "of": "-x $HOME;",
        }
        given = {name: value for name, value in hostile.items() if name in ENTRY_POINTS[entry]["parameters"]}
        args = vars(parser_of(entry).parse_args(command_of(entry, **given)[1]))
        target = given.pop("target", None)
        assert args.get("targets", args.get("target")) in (["net_profit", "num_trades"], target)
        assert {name: args[name] for name in given} == given
        assert given


def test_numbers_and_switches_arrive() -> None:
    args = parser_of("tune").parse_args(command_of("tune", use_cv="true", n_trials="7")[1])
    assert (args.use_cv, args.no_register, args.n_trials) == (True, False, 7)
    args = parser_of("report").parse_args(command_of("report", ensemble="net_profit, s=x,num_trades")[1])
    assert args.ensemble == ["net_profit", "s=x", "num_trades"]
    args = parser_of("promote").parse_args(command_of("promote", dry_run="true", min_probability="0.9")[1])
    assert (args.dry_run, args.min_probability, args.output_dir) == (True, 0.9, None)


def make(*words: str) -> subprocess.CompletedProcess[str]:
    """Runs make without building the environment, which these checks do not need."""
    if shutil.which("make") is None:
        pytest.skip("make is not installed")
    old = [word for lock in ("", "-dev") for word in ("-o", f".venv/.stamp-requirements{lock}.lock")]
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    return subprocess.run(["make", *old, *words], cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_make_help_lists_every_task() -> None:
    run = make()
    tasks = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert run.returncode == 0, run.stderr
    assert re.findall(r"^  make ([a-z-]+)", run.stdout, re.MULTILINE) == tasks


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tune", "NTRIALS=3"], "NTRIALS is unknown: use TARGET"),
        (["tune", "STORAGE_URL=postgresql://u:secret@h/db"], "STORAGE_URL contains a password"),
        (["tune", "DATA=postgresql://u@h/db?password=secret"], "DATA contains a password"),
    ],
)
def test_make_refuses_in_one_line(words: list[str], message: str) -> None:
    run = make(*words)
    assert run.returncode == 2
    assert message in run.stderr.splitlines()[0]
    assert "secret" not in run.stdout + run.stderr


@pytest.mark.slow
def test_a_query_may_contain_equals_signs() -> None:
    run = make("help", "QUERY=select a from b where c=1 and d=2")
    assert run.returncode == 0, run.stderr
