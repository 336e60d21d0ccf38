"""Workers of one shared study, started as in a cluster: processes that get the store and the study's name."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import optuna
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from src.study.studies import OptunaStudyManager
from tests.small_table import small_table

ROOT = Path(__file__).parents[2]
NAME = "num_trades_20240101_120000"
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED"}
SHARED = "src.modeling.optuna_parallel_optimization"
FINISH = "src.modeling.train_with_optuna"


class Fleet:
    """The commands of a study with a log file per command, and access to study, MLflow and registry."""

    def __init__(self, folder: Path, url: str, tracking_uri: str, days: int = 60, accounts: int = 8) -> None:
        self.folder, self.url, self.uri = folder, url, tracking_uri
        small_table(n_days=days, n_accounts=accounts).to_parquet(folder / "table.parquet")
        self.started: list[subprocess.Popen[bytes]] = []

    def run(self, module: str, *options: str, **environment: str) -> subprocess.Popen[bytes]:
        """Starts a command with the store's URL as an option; its output goes to `<number>.log`."""
        command = [sys.executable, "-m", module, "--storage-url", self.url, *options]
        env = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": self.uri} | environment
        with self.log_of(len(self.started)).open("wb") as log:
            process = subprocess.Popen(command, cwd=self.folder, env=env, stdout=log, stderr=log)
        self.started.append(process)
        return process

    def create(self, n_trials: int, *options: str) -> subprocess.Popen[bytes]:
        given = ("--targets", "num_trades", "--data", "table.parquet", "--n-trials", str(n_trials), *options)
        return self.run(SHARED, "--mode", "create", "--study-name", NAME, *given)

    def worker(self, number: int, *options: str) -> subprocess.Popen[bytes]:
        own = ("--output-dir", f"out{number}", "--storage-dir", f"cache{number}", *options)
        return self.run(SHARED, "--mode", "distributed", "--study-name", NAME, *own, JOB_COMPLETION_INDEX=str(number))

    def log_of(self, number: int) -> Path:
        return self.folder / f"{number}.log"

    def output(self, process: subprocess.Popen[bytes]) -> str:
        return self.log_of(self.started.index(process)).read_text()

    def done(self, process: subprocess.Popen[bytes], status: int = 0, seconds: float = 240) -> str:
        """Waits for a command; returns its output."""
        assert process.wait(seconds) == status, self.output(process)
        return self.output(process)

    def stop(self) -> None:
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()

    def study(self) -> optuna.Study:
        return OptunaStudyManager(storage_url=self.url, wait_seconds=60).load_study(NAME)

    def runs(self) -> tuple[Run, Sequence[Run]]:
        """The parent run, and its child runs."""
        client = MlflowClient(self.uri)
        experiments = [experiment.experiment_id for experiment in client.search_experiments()]
        (parent,) = client.search_runs(experiments, f"attributes.run_name = '{NAME}'")
        found = client.search_runs(experiments, f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'", max_results=5000)
        return parent, list(found)

    def check(self, n_trials: int) -> None:
        """Checks for exactly this many finished trials, no running ones, a child run per trial, a registered model."""
        trials = self.study().trials
        counted = [trial for trial in trials if trial.state.name in STATUS]
        assert len(counted) == n_trials
        assert {trial.state.name for trial in trials} <= {*STATUS, "FAIL"}, "none RUNNING, none WAITING"
        parent, children = self.runs()
        assert (parent.info.status, parent.data.tags["daily_profit.outcome"]) == ("FINISHED", "registered")
        expected = {f"trial-{t.number:04d}": STATUS.get(t.state.name, "FAILED") for t in trials}
        assert sorted((run.info.run_name, run.info.status) for run in children) == sorted(expected.items())
        metadata = json.loads((self.folder / "artefacts/models/lgb_num_trades_optuna_metadata.json").read_text())
        assert (metadata["study_name"], metadata["n_trials"]) == (NAME, n_trials)
        assert metadata["best_trial"]["value"] == self.study().best_value
        client = MlflowClient(self.uri)
        assert str(client.get_model_version_by_alias("num_trades", "champion").version) == "1"
