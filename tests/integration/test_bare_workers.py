"""Processes that share a study of derived features: the choice is made once, and all use it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from src.final.retrain import retrain
from src.search.derived_features import FEATURES_ATTR
from src.study.studies import OptunaStudyManager
from tests.bare_table import bare_table, with_peers
from tests.integration.fleet import FINISH, NAME, ROOT, SHARED, Fleet

CONFIG = "known_after: [volume]\ngroups: [desk]\ncalendar: XNYS\n"
CHOSEN = "derived features are used ("
ON_TABLE = ("--data", "bare.csv", "--config", "c.yaml", "--targets", "net_profit", "--n-trials", "4", "--verbose")


def write_table(folder: Path) -> None:
    with_peers(bare_table(90, 8)).to_csv(folder / "bare.csv", index=False)
    (folder / "c.yaml").write_text(CONFIG)


def check_model(folder: Path, choice: dict[str, Any]) -> None:
    """The registered model has the study's features, and the table gives it again."""
    metadata = json.loads((folder / "artefacts/models/lgb_net_profit_optuna_metadata.json").read_text())
    assert metadata["feature_names"] == [feature["name"] for feature in choice["features"]]
    assert metadata["derived_features"]["choice"] == choice["choice"]
    assert metadata["n_trials"] == 4
    again = retrain(metadata, pd.read_csv(folder / "bare.csv"))
    assert again.booster.model_to_string() == Path(folder / metadata["model_file"]).read_text()


@pytest.mark.timeout(300)
def test_two_processes_use_one_choice(tmp_path: Path) -> None:
    write_table(tmp_path)
    command = [sys.executable, "-m", SHARED, "--mode", "parallel", "--max-workers", "2", "--study-name", "s", *ON_TABLE]
    environ = os.environ | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(CHOSEN) == 1, done.stderr
    study = OptunaStudyManager(tmp_path / "artefacts/optuna_studies").load_study("s")
    assert [trial.state.name for trial in study.trials].count("FAIL") == 0
    check_model(tmp_path, study.user_attrs[FEATURES_ATTR])


@pytest.mark.timeout(400)
def test_distributed_workers_use_one_choice(tmp_path: Path, postgres_url: str, mlflow_store: str) -> None:
    write_table(tmp_path)
    fleet = Fleet(tmp_path, postgres_url, mlflow_store, days=10, accounts=2)
    try:
        said = fleet.done(fleet.run(SHARED, "--mode", "create", "--study-name", NAME, *ON_TABLE))
        assert said.count(CHOSEN) == 1
        choice = fleet.study().user_attrs[FEATURES_ATTR]
        assert "2024-01-02" in choice["sessions"]
        for worker in [fleet.worker(number, "--verbose") for number in (0, 1)]:
            assert CHOSEN not in fleet.done(worker)
        said = fleet.done(fleet.run(FINISH, "--study-name", NAME, "--verbose"))
        assert CHOSEN not in said
        assert fleet.study().user_attrs[FEATURES_ATTR] == choice
        assert "--features derived" not in said
        check_model(tmp_path, choice)
        wrong = fleet.run(
            SHARED, "--mode", "distributed", "--study-name", NAME, "--features", "both", "--n-trials", "5"
        )
        said = fleet.done(wrong, status=2)
        assert f"study '{NAME}' was created with features 'derived', now it is 'both'" in said
    finally:
        fleet.stop()
