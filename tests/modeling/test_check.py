import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.modeling.check import main
from tests.commands import Finished, run_here
from tests.small_table import small_table

ROOT = Path(__file__).parents[2]
CLEAN = small_table(n_days=80, n_accounts=10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    CLEAN.to_parquet(tmp_path / "clean.parquet")
    noise = np.random.default_rng(0).normal(size=len(CLEAN))
    leaky = CLEAN.assign(result=CLEAN["gross_profit"] + 0.05 * CLEAN["gross_profit"].std() * noise)
    leaky.to_csv(tmp_path / "leaky.csv", index=False)
    return tmp_path


def check(folder: Path, *words: str) -> Finished:
    return run_here(main, words, folder)


def test_a_clean_table_is_trusted(folder: Path) -> None:
    done = check(folder, "--data", "clean.parquet")
    assert (done.status, done.err) == (0, "")
    assert done.out.splitlines()[0].split() == ["severity", "check", "subject", "finding"]
    assert done.out.splitlines()[-1].startswith("clean.parquet: nothing suspicious (")


def test_a_leak_ends_with_status_3_and_stands_in_the_json(folder: Path) -> None:
    done = check(folder, "--data", "leaky.csv", "--json", "out/check.json")
    assert (done.status, done.err) == (3, "")
    record = json.loads((folder / "out/check.json").read_text())
    assert (record["source"], record["verdict"]) == ("leaky.csv", "suspicious")
    (leak,) = [finding for finding in record["findings"] if finding["severity"] == "suspicious"]
    assert (leak["check"], leak["subject"]) == ("leaks", "result")
    assert "net_profit" in leak["text"] and "gross_profit" in leak["text"]


def test_only_the_named_targets_are_probed(folder: Path) -> None:
    pd.read_csv(folder / "leaky.csv").drop(columns="gross_profit").to_csv(folder / "leaky.csv", index=False)
    assert check(folder, "--data", "leaky.csv").status == 3
    assert check(folder, "--data", "leaky.csv", "--targets", "num_trades").status == 0


def test_a_copy_is_named_without_dates_and_accounts(folder: Path) -> None:
    frame = CLEAN.drop(columns=["date", "account_id"]).assign(copy=2 * CLEAN["net_profit"] + 1)
    frame.to_csv(folder / "table.csv", index=False)
    (folder / "table.yaml").write_text("account: null\ndate: null\n")
    done = check(folder, "--data", "table.csv", "--config", "table.yaml")
    assert done.status == 3
    assert "is a copy of the target net_profit" in " ".join(done.out.split())
    assert "no dates" in done.out


def test_the_users_own_features_are_checked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lag = "frame.groupby('account_id')['signal'].shift(1)"
    source = f"def make(frame):\n    return frame.assign(now=frame['net_profit'], lag={lag})\n"
    (folder / "my_own_features.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    done = check(folder, "--data", "clean.parquet", "--feature-function", "my_own_features:make")
    assert done.status == 3
    named = [line.split()[3] for line in done.out.splitlines() if line.startswith("suspicious")]
    assert named == ["now"]
    sys.modules.pop("my_own_features")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "nowhere.csv"], "nowhere.csv"),
        (["--data", "clean.parquet", "--targets", "nix"], "target 'nix' is unknown"),
        (["--data", "clean.parquet", "--seed", "-1"], "--seed -1 is out of range"),
        (["--data", "clean.parquet", "--feature-function", "nowhere:make"], "module 'nowhere' cannot be imported"),
        (["--data", "clean.parquet", "--json", "."], "--json . is a folder"),
        (["--data", "twice.csv"], "repeat the account and date"),
    ],
)
def test_a_mistake_of_the_user_is_one_line_and_status_2(folder: Path, words: list[str], said: str) -> None:
    pd.concat([CLEAN, CLEAN.head(1)]).to_csv(folder / "twice.csv", index=False)
    done = check(folder, *words)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_mlflow_run_keeps_the_findings(folder: Path, mlflow_store: str) -> None:
    """As users start it; a suspicion fails the run, which is how a pipeline stops."""
    import mlflow

    bin_folder = str(Path(sys.executable).parent)
    environment = os.environ | {"PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    command = ["mlflow", "run", ".", "-e", "check", "--env-manager", "local", "-P", f"data={folder / 'leaky.csv'}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode != 0
    assert "suspicious" in done.stdout
    (run,) = mlflow.MlflowClient().search_runs(["0"])
    assert run.info.status == "FAILED"
    assert run.data.tags["daily_profit.check"] == "suspicious"
    assert run.data.metrics["check_suspicious"] == 1
    record = mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/check.json")
    assert record["verdict"] == "suspicious"
    assert "result" in mlflow.artifacts.load_text(f"{run.info.artifact_uri}/check.txt")
