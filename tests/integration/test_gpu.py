"""`--device gpu` in every mode, on PoCL: scores, errors, and models that need no GPU afterwards."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import lightgbm as lgb
import mlflow
import numpy as np
import optuna
import pytest
from mlflow.tracking import MlflowClient

from src.study.studies import OptunaStudyManager
from tests.integration.device_scores import KINDS
from tests.opencl import NO_OPENCL, opencl_environment
from tests.small_table import small_table

ROOT = Path(__file__).parents[2]
TUNE, SHARED = "src.modeling.train_with_optuna", "src.modeling.optuna_parallel_optimization"
NAME = "num_trades_20240101_120000"
GIVEN = ("--targets", "num_trades", "--data", "table.parquet", "--study-name", NAME)
RETRAIN = """
import json, sys
import pandas as pd
from src.final.retrain import retrain
with open(sys.argv[1], encoding="utf-8") as file:
    print(retrain(json.load(file), pd.read_parquet(sys.argv[2])).booster.num_trees())
"""
TOLERANCE = 0.02
"""Relative difference of scores: the GPU has half the bins of some trials."""


@pytest.fixture(scope="session")
def opencl(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return opencl_environment(tmp_path_factory.mktemp("opencl"))


@dataclass(frozen=True)
class Commands:
    """Commands in a folder with a table, and what they leave there."""

    folder: Path
    uri: str

    def run(self, module: str, *options: str, environ: dict[str, str], status: int = 0) -> str:
        """Runs a command to its end; returns its standard error."""
        done = subprocess.run(
            [sys.executable, "-m", module, *options],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": _python_path(), "MLFLOW_TRACKING_URI": self.uri} | environ,
            capture_output=True,
            text=True,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stderr

    def retrain(self, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Trains the model again from its metadata; prints the number of its trees."""
        metadata = str(self.folder / "artefacts/models/lgb_num_trades_optuna_metadata.json")
        return subprocess.run(
            [sys.executable, "-c", RETRAIN, metadata, str(self.folder / "table.parquet")],
            env=os.environ | {"PYTHONPATH": _python_path()} | environ,
            capture_output=True,
            text=True,
        )

    def trials(self) -> list[optuna.trial.FrozenTrial]:
        return OptunaStudyManager(self.folder / "artefacts/optuna_studies").load_study(NAME).get_trials()

    def metadata(self) -> dict[str, object]:
        path = self.folder / "artefacts/models/lgb_num_trades_optuna_metadata.json"
        return dict(json.loads(path.read_text(encoding="utf-8")))

    def model(self) -> lgb.Booster:
        return lgb.Booster(model_file=self.folder / str(self.metadata()["model_file"]))


def _python_path() -> str:
    return os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])


@pytest.fixture
def commands(tmp_path: Path, mlflow_store: str) -> Commands:
    small_table(n_days=120, n_accounts=20).to_parquet(tmp_path / "table.parquet")
    return Commands(tmp_path, mlflow_store)


def devices(trials: Sequence[optuna.trial.FrozenTrial]) -> set[str]:
    return {trial.user_attrs.get("device", "cpu") for trial in trials}


@pytest.mark.timeout(600)
def test_every_kind_of_trial_scores_about_the_same_on_both_devices(tmp_path: Path, opencl: dict[str, str]) -> None:
    command = [sys.executable, "-m", "tests.integration.device_scores", str(tmp_path)]
    environ = os.environ | {"PYTHONPATH": _python_path()}
    failed = subprocess.run(command, env=environ | NO_OPENCL, capture_output=True, text=True)
    assert "LightGBMError: No OpenCL device found" in failed.stderr, "else the trials do not use it"
    done = subprocess.run(command, env=environ | opencl, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    scores = json.loads(done.stdout)
    assert scores.keys() == KINDS.keys()
    for kind, found in scores.items():
        assert found["gpu"] == pytest.approx(found["cpu"], rel=TOLERANCE), kind


@pytest.mark.timeout(600)
def test_tune_makes_a_model_that_needs_no_gpu(commands: Commands, opencl: dict[str, str]) -> None:
    commands.run(TUNE, *GIVEN, "--n-trials", "8", "--device", "gpu", environ=opencl)
    trials = commands.trials()
    assert devices(trials) == {"gpu"}
    assert max(trial.params["max_bin"] for trial in trials) > 255, "else no trial tries the limit"
    fits = commands.metadata()["fits"]
    assert isinstance(fits, list)
    assert {fit["params"]["device_type"] for fit in fits} == {"gpu"}
    assert max(fit["params"]["max_bin"] for fit in fits) <= 255
    client = MlflowClient(commands.uri)
    (experiment,) = [each for each in client.search_experiments() if each.name == "daily-profit"]
    runs = client.search_runs([experiment.experiment_id], "tags.`optuna.trial_number` = '0'")
    assert runs[0].data.tags["device"] == "gpu"

    # This process has no OpenCL device: the model of the file and that of the registry predict all the same.
    model = commands.model()
    assert model.params["device_type"] == "cpu"
    rows = small_table(n_days=5)
    registered = mlflow.pyfunc.load_model("models:/num_trades@champion").predict(rows)
    assert np.isfinite(np.asarray(registered, dtype=float)).all()
    matrix = np.zeros((50, model.num_feature()))
    model.refit(matrix, np.arange(50.0))
    assert np.isfinite(np.asarray(model.predict(matrix))).all()

    assert commands.retrain(opencl).stdout == f"{model.num_trees()}\n"
    assert "ConfigError: --device gpu: no OpenCL device is found" in commands.retrain(NO_OPENCL).stderr


@pytest.mark.timeout(600)
def test_processes_folds_and_limits_of_the_model(commands: Commands, opencl: dict[str, str]) -> None:
    limits = ("--constraint", "trees<=150", "--monotone", "signal:1", "--space", "wide", "--use-cv", "--n-folds", "2")
    commands.run(
        SHARED, "--mode", "parallel", *GIVEN, "--n-trials", "6", "--max-workers", "2", "--device", "gpu", *limits,
        environ=opencl,
    )  # fmt: skip
    trials = commands.trials()
    assert len(trials) == 6
    assert devices(trials) == {"gpu"}
    assert commands.model().num_trees() <= 150
    assert commands.metadata()["monotone"]


@pytest.mark.timeout(600)
def test_workers_of_a_study_have_different_devices(commands: Commands, opencl: dict[str, str]) -> None:
    # `create` and the finish run on machines without a GPU; so does the second worker.
    create = (SHARED, "--mode", "create", *GIVEN, "--n-trials")
    worker = (SHARED, "--mode", "distributed", "--study-name", NAME)
    commands.run(*create, "3", "--device", "gpu", environ=NO_OPENCL)
    commands.run(*worker, "--device", "gpu", environ=opencl)
    commands.run(*create, "6", environ=NO_OPENCL)
    commands.run(*worker, environ=NO_OPENCL)
    trials = commands.trials()
    assert [trial.user_attrs.get("device", "cpu") for trial in trials] == ["gpu"] * 3 + ["cpu"] * 3
    commands.run(TUNE, "--study-name", NAME, environ=NO_OPENCL)
    members, fits = commands.metadata()["members"], commands.metadata()["fits"]
    assert isinstance(members, list)
    assert isinstance(fits, list)
    for member, fit in zip(members, fits, strict=True):
        trial = trials[member["trial"]]
        bins = trial.params["max_bin"]
        assert fit["params"]["max_bin"] == (min(bins, 255) if trial.user_attrs.get("device") == "gpu" else bins)
        assert "device_type" not in fit["params"]


MODES = {
    "tune": (TUNE, *GIVEN),
    "parallel": (SHARED, "--mode", "parallel", *GIVEN, "--max-workers", "2"),
    "worker": (SHARED, "--mode", "distributed", *GIVEN),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_machine_without_a_device_is_told_so_before_it_makes_a_study(commands: Commands, mode: str) -> None:
    module, *options = MODES[mode]
    said = commands.run(module, *options, "--n-trials", "4", "--device", "gpu", environ=NO_OPENCL, status=2)
    *_, line = said.splitlines()  # a worker logs first that it starts
    assert "Traceback" not in said
    assert line.startswith("error: --device gpu: no OpenCL device is found: install the GPU's driver")
    assert line.endswith("or use --device cpu")
    assert not (commands.folder / "artefacts/optuna_studies/studies.db").exists()
