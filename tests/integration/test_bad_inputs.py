"""Invalid input ends with status 2 and one line with the value and the remedy; nothing is written.

Every case is the command as it is typed, in a folder of its own that holds a good table and what the case adds.
"""

import hashlib
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import sqlalchemy

from src.errors import ConfigError
from src.modeling.train_with_optuna import main
from src.study.studies import OptunaStudyManager
from src.tracking.connection.tracking_uri import check_tracking_uri
from tests.commands import run_here
from tests.integration.bad_inputs import ALL, SECRET, TABLE, Bad
from tests.integration.readable_messages import assert_readable, errors_seen

ROOT = Path(__file__).parents[2]
GOOD = ("--data", "table.parquet", "--targets", "net_profit", "--n-trials", "1")
"""Valid options; the options of a case follow and override them."""


@pytest.fixture
def desk(tmp_path: Path) -> Path:
    """A user's folder with a good table."""
    folder = tmp_path / "desk"
    folder.mkdir()
    TABLE.to_parquet(folder / "table.parquet")
    return folder


def content(folder: Path) -> dict[str, str]:
    """Paths of all files in a folder with their digests."""
    found = sorted(folder.rglob("*"))
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "" for p in found
    }


def assert_reported(status: int, out: str, err: str, words: tuple[str, ...]) -> None:
    assert status == 2, err
    assert out == ""
    (line,) = [line for line in err.splitlines() if line.strip()]
    assert line.startswith("error: ")
    assert len(line) <= 500
    assert [word for word in words if word not in line] == [], line
    assert SECRET not in line


def test_there_are_enough_cases() -> None:
    assert len(ALL) >= 40
    assert not [name for name, case in ALL.items() if len(case.words) < 2], "the value, and what to do about it"


@pytest.mark.parametrize("case", ALL.values(), ids=ALL.keys())
def test_bad_input_is_reported_in_one_line(case: Bad, desk: Path, capfd: pytest.CaptureFixture[str]) -> None:
    case.make(desk)
    before = content(desk)
    with errors_seen() as seen:
        done = run_here(main, [*GOOD, *shlex.split(case.options)], desk, case.environ)
    assert_reported(done.status, done.out, done.err, case.words)
    assert_readable(done, seen)
    assert content(desk) == before, "a mistake leaves nothing behind"
    assert capfd.readouterr() == ("", ""), "nor do the libraries beneath say anything of their own"


@pytest.mark.parametrize(
    "uri",
    [
        *("", "sqlite:///mlflow.db", "postgresql+psycopg2://u:p@h/d", "http://h:5000", "HTTPS://u:p@h"),
        *("databricks", "databricks://profile", "uc:http://h"),
    ],
)
def test_uris_that_mlflow_accepts_are_not_refused(uri: str) -> None:
    check_tracking_uri({"MLFLOW_TRACKING_URI": uri})
    if "psycopg2" in uri:  # the check does not accept everything
        with pytest.raises(ConfigError, match="driver"):
            check_tracking_uri({"MLFLOW_TRACKING_URI": uri.replace("+psycopg2", "")})


@pytest.mark.parametrize("name", ["option: trials in letters", "file: missing", "yaml: unknown key"])
def test_bad_input_is_reported_in_one_line_by_a_separate_process(name: str, desk: Path) -> None:
    case = ALL[name]
    case.make(desk)
    before = content(desk)
    command = [sys.executable, "-m", "src.modeling.train_with_optuna", *GOOD, *shlex.split(case.options)]
    environ = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=desk, env=environ, capture_output=True, text=True, check=False)
    assert_reported(done.returncode, done.stdout, done.stderr, case.words)
    assert content(desk) == before


def test_a_study_is_not_resumed_with_other_settings(desk: Path, mlflow_store: str) -> None:
    here = [*GOOD, "--study-name", "mine"]
    TABLE.assign(signal=0.5).to_parquet(desk / "other.parquet")
    good = run_here(main, here, desk)
    assert good.status == 0, good.err
    results = content(desk / "artefacts/models") | content(desk / "artefacts/reports")
    wrong = {
        "--data other.parquet": ("now it is 'other.parquet", "another --study-name"),
        "--seed 7": ("seed 42, now it is 7",),
        "--test-fraction 0.3": ("test_fraction 0.2, now it is 0.3",),
        "--use-cv --n-folds 3": ("use_cv False, now it is True",),
        "--targets is_profitable": ("target 'net_profit', but --targets is 'is_profitable'", "another --study-name"),
        "--targets gross_profit": ("target 'net_profit', but --targets is 'gross_profit'",),
    }
    for options, words in wrong.items():
        done = run_here(main, [*here, "--n-trials", "3", *shlex.split(options)], desk)
        assert_reported(done.status, done.out, done.err, ("study 'mine'", *words))
    manager = OptunaStudyManager(desk / "artefacts/optuna_studies")
    assert manager.list_studies() == ["mine"]
    assert len(manager.load_study("mine").trials) == 1
    assert content(desk / "artefacts/models") | content(desk / "artefacts/reports") == results


def test_mlflow_s_own_database_is_not_used_for_studies(desk: Path, mlflow_store: str) -> None:
    def tables() -> list[str]:
        engine = sqlalchemy.create_engine(mlflow_store, poolclass=sqlalchemy.NullPool)
        return sqlalchemy.inspect(engine).get_table_names()

    before = tables()
    done = run_here(main, [*GOOD, "--storage-url", mlflow_store], desk)
    assert_reported(done.status, done.out, done.err, (mlflow_store, "likely MLflow", "use a separate database"))
    assert tables() == before


def test_bad_input_is_reported_by_mlflow_run(desk: Path, mlflow_store: str) -> None:
    """`mlflow run` exits with status 1 for any failure of its project; its run ends FAILED."""
    from mlflow import MlflowClient

    project = desk.parent / "project"
    shutil.copytree(ROOT / "src", project / "src", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "MLproject", project)
    shutil.copy(ROOT / "conda.yaml", project)
    before = content(project)
    binaries = str(Path(sys.executable).parent)
    environ = os.environ | {"PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    command = [f"{binaries}/mlflow", "run", ".", "-e", "tune", "--env-manager", "local", "-P", "n_trials=0"]
    done = subprocess.run(
        command,
        cwd=project,
        env=environ | {"PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("error: ")] == [
        "error: --n-trials 0 is too few: use 1 or more"
    ]
    assert "Traceback" not in done.stderr
    assert content(project) == before
    (run,) = MlflowClient().search_runs(["0"])
    assert run.info.status == "FAILED"
