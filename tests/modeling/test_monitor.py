"""The command on a registered model: `profit`, trained on 2024-01-01 to 2024-10-31, one row a date."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from src.modeling.monitor import main
from src.serving import predict
from tests.commands import Finished, run_here
from tests.contenders import CHAMPION_UNTIL, TwoVersions, make_two_versions

ROOT = Path(__file__).parents[2]
CONFIG = "targets:\n  profit: {task: regression, metric: mae}\n"


@pytest.fixture(scope="module")
def two_versions(_empty_mlflow_store: Path, tmp_path_factory: pytest.TempPathFactory) -> TwoVersions:
    return make_two_versions(_empty_mlflow_store, tmp_path_factory.mktemp("two_versions"))


@pytest.fixture
def folder(tmp_path: Path, two_versions: TwoVersions) -> Path:
    mlflow.set_tracking_uri(f"sqlite:///{shutil.copy(two_versions.database, tmp_path / 'copy.db')}")
    frame = two_versions.weak.frame
    training = frame[frame["date"] <= CHAMPION_UNTIL]
    newer = frame[frame["date"] > CHAMPION_UNTIL]
    frame.to_parquet(tmp_path / "table.parquet")
    training.to_parquet(tmp_path / "training.parquet")
    newer.to_parquet(tmp_path / "newer.parquet")
    newer.assign(ret=newer["ret"] + 5, profit=np.nan).to_parquet(tmp_path / "drifted.parquet")
    newer.assign(style="new").drop(columns="profit").to_csv(tmp_path / "renamed.csv", index=False)
    (tmp_path / "table.yaml").write_text(CONFIG)
    return tmp_path


def monitor(folder: Path, *words: str) -> Finished:
    return run_here(main, ["--config", "table.yaml", *words], folder)


def test_newer_rows_of_the_training_table_ring_nothing(folder: Path) -> None:
    done = monitor(folder, "--targets", "profit", "--data", "table.parquet", "--json", "out/monitor.json")
    assert (done.status, done.err) == (0, "")
    assert "profit: no alarm (5 % of runs without drift ring)" in done.out
    (record,) = json.loads((folder / "out/monitor.json").read_text())["targets"]
    assert record["model"] == "models:/profit/1" and record["alarm"] is False
    assert (record["reference"]["first"], record["reference"]["last"]) == ("2024-01-01", CHAMPION_UNTIL)
    assert (record["new"]["first"], record["new"]["dates"], record["judged"]["dates"]) == ("2024-11-01", 95, 15)
    assert len(record["score"]["parts"]) == 5
    page = folder / "artefacts/reports/monitor-profit-2025-02-03/report.html"
    assert "no alarm" in page.read_text(encoding="utf-8")
    runs = mlflow.search_runs(experiment_names=["daily-profit"], output_format="list")
    assert [run.info.run_name for run in runs] == ["monitor-profit-2025-02-03"]


def test_a_drift_ends_with_status_3_and_is_named(folder: Path) -> None:
    done = monitor(folder, "--data", "drifted.parquet", "--reference-data", "training.parquet", "--window", "30")
    assert (done.status, done.err) == (3, "")
    assert {line.split()[0] for line in done.out.splitlines() if " ALARM  " in line} == {"ret"}
    assert "dates  " not in done.out.splitlines()[-6]  # no score: no row has a target


def test_unseen_levels_ring(folder: Path) -> None:
    done = monitor(folder, "--data", "renamed.csv", "--reference-data", "training.parquet")
    assert done.status == 3
    assert [
        line
        for line in done.out.splitlines()
        if line.startswith("style") and "unseen share" in line and "ALARM" in line
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "nowhere.csv"], "nowhere.csv"),
        (["--data", "training.parquet"], "no row after 2024-10-31"),
        (["--data", "newer.parquet"], "--reference-data"),
        (["--data", "table.parquet", "--targets", "nix"], "target 'nix' is unknown"),
        (["--data", "table.parquet", "--false-alarm-rate", "0"], "--false-alarm-rate 0.0 is out of range"),
        (["--data", "table.parquet", "--window", "0"], "--window 0 is too short"),
        (["--data", "table.parquet", "--json", "."], "--json . is a folder"),
    ],
)
def test_a_mistake_of_the_user_is_one_line_and_status_2(folder: Path, words: list[str], said: str) -> None:
    done = monitor(folder, *words)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1


def test_a_target_without_a_model_is_a_mistake_of_the_user(mlflow_store: str, tmp_path: Path) -> None:
    pd.DataFrame({"date": ["2024-01-01"]}).to_csv(tmp_path / "table.csv", index=False)
    done = run_here(main, ["--data", "table.csv"], tmp_path)
    assert done.status == 2 and "has a registered model" in done.err


def test_mlflow_run_passes_the_options(folder: Path) -> None:
    bin_folder = str(Path(sys.executable).parent)
    environment = os.environ | {
        "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}",
        "MLFLOW_TRACKING_URI": mlflow.get_tracking_uri(),
        "_MLFLOW_SERVER_ARTIFACT_ROOT": str(folder / "mlruns"),
    }
    options = {"config": "table.yaml", "data": "drifted.parquet", "reference_data": "training.parquet"}
    words = [word for name, value in options.items() for word in ("-P", f"{name}={folder / value}")]
    words += ["-P", "window=30"]
    command = ["mlflow", "run", ".", "-e", "monitor", "--env-manager", "local", *words, "-P", f"output_dir={folder}"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode != 0  # an alarm fails the run, so that a chain sees it
    assert "ALARM: ret" in done.stdout, done.stderr
    runs = mlflow.search_runs(search_all_experiments=True, output_format="list")
    child = next(run for run in runs if run.info.run_name.startswith("monitor-"))
    assert "mlflow.parentRunId" in child.data.tags


def test_logged_predictions_are_scored_in_text_page_json_and_mlflow(folder: Path) -> None:
    """Champion and challenger predicted the newer rows; the outcomes came later."""
    words = ["--config", "table.yaml", "--data", "newer.parquet", "--log-predictions", "log"]
    for model in ("models:/profit@champion", "models:/profit@challenger"):
        assert run_here(predict.main, [*words, "--model", model], folder).status == 0
    done = monitor(folder, "--data", "table.parquet", "--predictions", "log", "--json", "monitor.json")
    assert done.status == 0, done.err
    assert "logged predictions, MAE" in done.out
    (record,) = json.loads((folder / "monitor.json").read_text())["targets"]
    champion, challenger = record["answered"]["versions"]
    assert (champion["role"], champion["version"], champion["rows"]) == ("champion", "1", 95)
    assert (challenger["role"], challenger["version"], challenger["rows"]) == ("challenger", "2", 95)
    # The champion's logged predictions are those that monitor makes itself.
    assert [part["score"] for part in champion["parts"]] == [part["score"] for part in record["score"]["parts"]]
    (difference,) = record["answered"]["differences"]
    assert difference["high"] < 0, "the challenger is better"
    page = folder / "artefacts/reports/monitor-profit-2025-02-03/report.html"
    assert "Logged predictions" in page.read_text(encoding="utf-8")
    (run,) = mlflow.search_runs(experiment_names=["daily-profit"], output_format="list")
    metrics = run.data.metrics
    assert metrics["answered_score.challenger v2"] == challenger["parts"][-1]["score"]
    assert metrics["answered_difference.challenger v2 champion v1"] == difference["difference"]


@pytest.mark.parametrize(
    ("predictions", "said"),
    [
        ("nowhere", "--predictions nowhere cannot be read: --data nowhere does not exist"),
        ("newer.parquet", "--predictions newer.parquet has no column(s) prediction, version"),
        ("sqlite:///nowhere.db", "--predictions sqlite:///nowhere.db cannot be read"),
    ],
)
def test_a_log_that_cannot_be_read_is_named(folder: Path, predictions: str, said: str) -> None:
    done = monitor(folder, "--data", "table.parquet", "--predictions", predictions)
    assert done.status == 2 and said in done.err and done.err.count("\n") == 1


def test_without_outcomes_logged_predictions_are_not_scored(folder: Path) -> None:
    words = ["--data", "renamed.csv", "--reference-data", "training.parquet", "--predictions", "nowhere"]
    assert (
        "logged predictions are not scored: renamed.csv has no column 'profit', the target"
        in monitor(folder, *words).out
    )
