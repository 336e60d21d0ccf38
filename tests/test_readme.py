"""Every command and every program in the README and in docs/ is run, with fewer trials and on a smaller table."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pandas as pd
import pytest

from src.data.encoding import MISSING_TEXTS
from tests.small_table import small_table

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [README, *(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md")))]
BLOCKS = [block for page in PAGES for block in re.findall(r"^```(\w*)\n(.*?)^```", page, re.MULTILINE | re.DOTALL)]
STARTS = ("make ", "mlflow ", "python ")
COMMANDS = list(
    dict.fromkeys(
        line
        for language, text in BLOCKS
        if not language and all(line.startswith(STARTS) for line in text.splitlines())  # others show output
        for line in text.splitlines()
    )
)
"""Each once."""
IN_PROCESS = [line for line in COMMANDS if line.startswith("python -m ")]
TUNING = [line for line in IN_PROCESS if "_optuna" in line or "optuna_parallel" in line]
SERVING = [line for line in IN_PROCESS if "serving.serve " in line]
"""They run until a signal."""
AFTERWARDS = [line for line in IN_PROCESS if line not in TUNING + SERVING]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's folder: the files that the README speaks of, and small data where it would take the sample."""
    path = tmp_path_factory.mktemp("readme")
    table = small_table(n_days=80, n_accounts=10)
    table.to_parquet(path / "table.parquet")
    own = table.rename(columns={"account_id": "trader", "date": "day", "net_profit": "pnl", "is_profitable": "win"})
    own.rename(columns={"signal": "spread", "style": "session"}).to_csv(path / "trades.csv", index=False)
    days = pd.bdate_range("2024-01-02", periods=90)
    past = table.assign(date=table["date"].map(dict(zip(table["date"].unique(), days, strict=False))))
    past = past.rename(columns={"net_profit": "daily_pnl", "style": "desk", "signal": "volume"})
    past[["account_id", "date", "daily_pnl", "desk", "volume"]].to_csv(path / "history.csv", index=False)
    for text in (text for language, text in BLOCKS if language in ("yaml", "python") and text.startswith("# ")):
        (path / text.split()[1].rstrip(":")).write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        patch.syspath_prepend(path)
        yield path


def run(line: str, monkeypatch: pytest.MonkeyPatch, store: str) -> int:
    """The command in this process, with fewer trials, a smaller table, and one target in place of all."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    words = shlex.split(re.sub(r"--n-trials \d+", "--n-trials 2", line))
    module, arguments = words[2], words[3:]
    if line in TUNING and "--targets" not in arguments and "--study-name" not in arguments:
        arguments += ["--targets", "net_profit"]
    if "--data" not in arguments and "optuna_visualization" not in module and "--mode wait" not in line:
        arguments += ["--data", "table.parquet"]
    status = import_module(module).main(arguments)
    assert isinstance(status, int)
    return status


@pytest.fixture(scope="module")
def store(folder: Path) -> str:
    """One MLflow store for all commands: what is promoted and served was tuned before."""
    return f"sqlite:///{folder / 'mlflow.db'}"


def test_the_readme_shows_commands() -> None:
    assert len(TUNING) >= 4
    assert len(AFTERWARDS) >= 2
    assert {"make tune", "mlflow run . -e tune -P target=net_profit"} <= set(COMMANDS)


@pytest.mark.slow
@pytest.mark.parametrize("line", TUNING)
def test_a_tuning_command_runs_as_it_stands(
    line: str, folder: Path, store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line, monkeypatch, store) == 0, capsys.readouterr().err
    assert "models" in os.listdir(folder / "artefacts")


@pytest.mark.slow
@pytest.mark.parametrize("line", AFTERWARDS)
def test_a_command_on_registered_models_runs_as_it_stands(
    line: str, folder: Path, store: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(line, monkeypatch, store) == 0, capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("line", SERVING)
def test_a_server_runs_as_it_stands(line: str, folder: Path, store: str) -> None:
    words = shlex.split(re.sub(r"--port \d+", "--port 0", line))
    python_path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = os.environ | {"PYTHONPATH": python_path, "MLFLOW_TRACKING_URI": store}
    with subprocess.Popen(
        [sys.executable, *words[1:]], cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith(b"serving "), server.communicate()[1]
        server.terminate()
        error = server.communicate()[1]
    assert server.returncode == 143, error


@pytest.mark.slow
@pytest.mark.parametrize("program", [text for language, text in BLOCKS if language == "python"])
def test_a_program_runs_as_it_stands(program: str, folder: Path, store: str) -> None:
    small = re.sub(r"n_trials=\d+", 'n_trials=2, data="table.parquet"', program)
    small = re.sub(r"n_trials_per_target=\d+", "n_trials_per_target=2", small)
    small = small.replace("ParallelOptimizer(", 'ParallelOptimizer(data="table.parquet", ')
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": store}
    done = subprocess.run([sys.executable, "-c", small], cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_mlflow_run_tunes_as_the_readme_says(folder: Path, tmp_path: Path) -> None:
    line = next(line for line in COMMANDS if line.startswith("mlflow run"))
    options = f"--env-manager local -P n_trials=2 -P data={folder / 'table.parquet'} -P output_dir={tmp_path / 'out'}"
    words = shlex.split(f"{line} {options} -P storage_dir={tmp_path / 'studies'}")
    bin_folder = str(Path(sys.executable).parent)
    environment = os.environ | {
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": str(tmp_path / "mlruns"),
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
    }
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "net_profit v1 @champion" in done.stdout
    assert list((tmp_path / "out" / "models").glob("lgb_net_profit_optuna_v1.txt"))


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in COMMANDS if line.startswith("make ")])
def test_a_task_of_make_exists(line: str) -> None:
    done = subprocess.run([*shlex.split(line), "-n"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("task", sorted(set(re.findall(r"`make (\w+)", "\n".join(PAGES)))))
def test_a_task_that_is_spoken_of_exists(task: str) -> None:
    assert re.search(rf"^{task}:.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_list_of_missing_marks_is_that_of_the_code() -> None:
    page = (ROOT / "docs" / "your-own-table.md").read_text(encoding="utf-8")
    listed = page.partition("these texts are missing too:")[2].partition("In a category")[0]
    assert set(re.findall(r"`([^`]+)`", listed)) == MISSING_TEXTS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.splitlines()[0].strip("# "))
def test_links_between_pages_lead_somewhere(page: str) -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)\)", page) if "://" not in target]
    assert not [target for target in targets if not (ROOT / target).exists() and not (ROOT / "docs" / target).exists()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.splitlines()[0].strip("# "))
def test_files_and_folders_that_are_named_are_there(page: str) -> None:
    named = re.findall(r"`((?:src|tests|docker|k8s|docs|benchmarks|\.ci)/[\w./-]*\w)`", page)
    assert not [path for path in named if not (ROOT / path).exists() and path != "docker/.env"]
