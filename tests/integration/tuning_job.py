"""A tuning command in a separate folder, which a test can start and kill several times."""

import json
import os
import subprocess
import sys
from pathlib import Path

import optuna
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from src.study.studies import OptunaStudyManager
from tests.small_table import small_table

ROOT = Path(__file__).parents[2]
STATUS = {"COMPLETE": "FINISHED", "PRUNED": "KILLED"}
NAME = "num_trades_20240101_120000"


class Job:
    """The command, and access to its study, MLflow and files."""

    def __init__(
        self,
        folder: Path,
        n_trials: int,
        *options: str,
        storage_url: str | None = None,
        tracking_uri: str | None = None,
    ) -> None:
        self.folder = folder
        self.storage_url = storage_url
        store = ("--storage-url", storage_url) if storage_url else ()
        small_table(n_days=300, n_accounts=40).to_parquet(folder / "table.parquet")
        self.command = [
            *(sys.executable, "-m", "src.modeling.train_with_optuna", "--targets", "num_trades"),
            *("--data", "table.parquet", "--n-trials", str(n_trials), "--study-name", NAME, *store, *options),
        ]
        self.uri = tracking_uri or f"sqlite:///{folder / 'mlflow.db'}"

    def start(self) -> subprocess.Popen[str]:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": self.uri}
        return subprocess.Popen(
            self.command, cwd=self.folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def manager(self) -> OptunaStudyManager:
        return OptunaStudyManager(self.folder / "artefacts/optuna_studies", self.storage_url)

    def study(self) -> optuna.Study:
        return self.manager().load_study(NAME)

    def finished(self) -> int:
        """Finished trials so far; 0 until the command has created its store."""
        if self.storage_url is None and not (self.folder / "artefacts/optuna_studies/studies.db").exists():
            return 0
        manager = self.manager()
        if NAME not in manager.list_studies():
            return 0
        return sum(trial.state.is_finished() for trial in manager.load_study(NAME).get_trials(deepcopy=False))

    def runs(self) -> tuple[Run, list[Run]]:
        client = MlflowClient(self.uri)
        (parent,) = client.search_runs(_experiments(client), f"attributes.run_name = '{NAME}'")
        found = client.search_runs(_experiments(client), f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
        return parent, list(found)

    def check(self, n_trials: int) -> None:
        """Checks that study, MLflow and metadata have exactly this number of trials and the same best trial."""
        trials = self.study().trials
        assert sorted(trial.number for trial in trials) == list(range(n_trials))
        assert {trial.state.name for trial in trials} <= set(STATUS)
        parent, children = self.runs()
        assert (parent.info.status, parent.data.tags["daily_profit.outcome"]) == ("FINISHED", "registered")
        expected = {f"trial-{trial.number:04d}": STATUS[trial.state.name] for trial in trials}
        assert sorted((run.info.run_name, run.info.status) for run in children) == sorted(expected.items())
        best = self.study().best_trial
        metadata = json.loads((self.folder / "artefacts/models/lgb_num_trades_optuna_metadata.json").read_text())
        found = metadata["best_trial"]
        assert found["number"] == best.number == int(parent.data.tags["best_trial"])
        assert found["value"] == best.value == parent.data.metrics["best_value"]
        assert found["hyperparameters"] == best.params
        assert metadata["n_trials"] == n_trials
        client = MlflowClient(self.uri)
        assert [str(version.version) for version in client.search_model_versions("name = 'num_trades'")] == ["1"]
        assert str(client.get_model_version_by_alias("num_trades", "champion").version) == "1"


def _experiments(client: MlflowClient) -> list[str]:
    return [experiment.experiment_id for experiment in client.search_experiments()]
