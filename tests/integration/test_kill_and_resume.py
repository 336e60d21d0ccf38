"""The study is the record: whatever is killed, whenever, the same command goes on and nothing is lost or doubled."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import optuna
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from src.modeling.optuna_utils import OptunaStudyManager
from tests.small_table import small_table

ROOT = Path(__file__).parents[2]
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED"}
NAME = "num_trades_20240101_120000"


class Job:
    """One tuning command in a folder of its own, started as often as needed.

    `DAILY_PROFIT_TEST_TRIALS` and `DAILY_PROFIT_TEST_KILLS` set another size than the quick one of the suite.
    """

    def __init__(self, folder: Path, n_trials: int, *options: str) -> None:
        self.folder = folder
        small_table(n_days=300, n_accounts=40).to_parquet(folder / "table.parquet")
        self.command = [
            *(sys.executable, "-m", "src.modeling.train_with_optuna", "--targets", "num_trades"),
            *("--data", "table.parquet", "--n-trials", str(n_trials), "--study-name", NAME, *options),
        ]
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"

    def start(self) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": self.uri}
        return subprocess.Popen(
            self.command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def study(self) -> optuna.Study:
        return OptunaStudyManager(self.folder / "artefacts/optuna_studies").load_study(NAME)

    def finished(self) -> int:
        if not (self.folder / "artefacts/optuna_studies/studies.db").exists():
            return 0
        manager = OptunaStudyManager(self.folder / "artefacts/optuna_studies")
        if NAME not in manager.list_studies():
            return 0
        return sum(trial.state.is_finished() for trial in manager.load_study(NAME).get_trials(deepcopy=False))

    def runs(self) -> tuple[Run, list[Run]]:
        client = MlflowClient(self.uri)
        (parent,) = client.search_runs(_experiments(client), f"attributes.run_name = '{NAME}'")
        found = client.search_runs(_experiments(client), f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
        return parent, list(found)

    def check(self, n_trials: int) -> None:
        """The study, MLflow and the metadata agree on exactly this many trials and on the best of them."""
        trials = self.study().trials
        assert sorted(trial.number for trial in trials) == list(range(n_trials))
        assert {trial.state.name for trial in trials} <= set(STATUS)
        parent, children = self.runs()
        assert parent.info.status == "FINISHED"
        expected = {f"trial-{trial.number:04d}": STATUS[trial.state.name] for trial in trials}
        assert sorted((run.info.run_name, run.info.status) for run in children) == sorted(expected.items())
        best = self.study().best_trial
        metadata = json.loads((self.folder / "artefacts/models/lgb_num_trades_optuna_metadata.json").read_text())
        assert metadata["best_trial"] == best.number == int(parent.data.tags["best_trial"])
        assert metadata["validation_score"] == best.value == parent.data.metrics["best_value"]
        assert metadata["hyperparameters"] == best.params
        assert metadata["n_trials"] == n_trials
        client = MlflowClient(self.uri)
        assert [str(version.version) for version in client.search_model_versions("name = 'num_trades'")] == ["1"]
        assert str(client.get_model_version_by_alias("num_trades", "champion").version) == "1"


def _experiments(client: MlflowClient) -> list[str]:
    return [experiment.experiment_id for experiment in client.search_experiments()]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("workers", [1, 2])
def test_killed_at_random_moments_and_resumed_each_time(tmp_path: Path, workers: int) -> None:
    n_trials = int(os.environ.get("DAILY_PROFIT_TEST_TRIALS", "12"))
    n_kills = int(os.environ.get("DAILY_PROFIT_TEST_KILLS", "2"))
    job = Job(tmp_path, n_trials, "--max-workers", str(workers))
    rng = random.Random(workers)
    for kill in range(n_kills):
        process = job.start()
        done_before = job.finished()
        deadline = time.monotonic() + 60
        # Every second kill waits for some progress, so that the study is in all its phases when it is hit.
        while process.poll() is None and time.monotonic() < deadline:
            if kill % 2 or job.finished() > done_before:
                break
            time.sleep(0.1)
        time.sleep(rng.uniform(0, 6 if kill % 2 else 2))
        process.kill()
        process.communicate()
    process = job.start()
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "num_trades v1 @champion" in out
    job.check(n_trials)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_saves_what_is_done_and_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    job = Job(tmp_path, 10)
    process = job.start()
    while job.finished() < 2 and process.poll() is None:
        time.sleep(0.2)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert f"the same command with --study-name {NAME} goes on" in err
    assert "Traceback" not in err
    states = [trial.state.name for trial in job.study().trials]
    assert "RUNNING" not in states
    assert "FAIL" not in states
    parent, children = job.runs()
    assert parent.info.status == "KILLED"
    assert len(children) == job.finished() >= 2, "what was finished is in MLflow before the command ends"
    process = job.start()
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    job.check(10)
