"""`--ensemble-size` in the whole flow: the command, the files, the registered model."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import lightgbm as lgb
import mlflow
import numpy as np
import pytest
from sklearn.metrics import mean_absolute_error

from src.data.encoding import encode
from src.final.retrain import retrain
from src.modeling.train_with_optuna import main
from tests.commands import Finished, run_here
from tests.small_table import small_table

NAME = "net_profit_20240101_120000"
Tune = Callable[..., Finished]


@pytest.fixture
def tune(tmp_path: Path, mlflow_store: str) -> Tune:
    small_table().to_parquet(tmp_path / "table.parquet")

    def run(*options: str) -> Finished:
        fixed = ["--data", "table.parquet", "--targets", "net_profit", "--study-name", NAME]
        return run_here(main, [*fixed, *options], tmp_path, {"MLFLOW_TRACKING_URI": mlflow_store})

    return run


def metadata(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "artefacts/models/lgb_net_profit_optuna_metadata.json").read_text())
    return found


def test_an_ensemble_is_trained_evaluated_reported_and_registered(tmp_path: Path, tune: Tune) -> None:
    run = tune("--n-trials", "8", "--pruner", "none", "--ensemble-size", "3")
    assert run.status == 0, run.err
    found, table = metadata(tmp_path), small_table()
    members, best = found["members"], found["best_trial"]
    assert 1 < len(members) <= 3
    first = members[0]
    assert [best[name] for name in ("number", "value", "hyperparameters")] == [
        first[name] for name in ("trial", "value", "hyperparameters")
    ]
    assert found["hyperparameters"] == max(members, key=lambda member: member["weight"])["hyperparameters"]
    assert [member["is_fixed_config"] for member in members].count(True) == 1, "LightGBM's defaults"
    assert found["validation_score"] < max(member["value"] for member in members)
    reference = found["validation_baselines"][found["validation_best_baseline"]]
    assert found["validation_skill"] == pytest.approx(1 - found["validation_score"] / reference)
    assert f"model    net_profit is the weighted mean of {len(members)} trials: " in run.out
    assert "The ensemble</h2>" in (tmp_path / f"artefacts/reports/{NAME}/report.html").read_text()
    booster = lgb.Booster(model_file=tmp_path / found["model_file"])
    assert booster.num_trees() == found["best_iteration"] == sum(member["rounds"] for member in members)
    expected = np.asarray(booster.predict(encode(table[found["feature_names"]], found["categorical_levels"])))
    first, last = found["split"]["test_dates"]
    test = table["date"].between(first, last).to_numpy()
    assert mean_absolute_error(table["net_profit"][test], expected[test]) == pytest.approx(found["test_score"])
    again = retrain(found, table).booster.model_to_string()
    assert again.encode() == (tmp_path / found["model_file"]).read_bytes(), "trained again from the metadata alone"
    tags = mlflow.MlflowClient().get_model_version_by_alias("net_profit", "champion").tags
    assert float(tags["validation_score"]) == found["validation_score"]
    served = mlflow.pyfunc.load_model("models:/net_profit@champion").predict(table)
    np.testing.assert_array_equal(np.asarray(served), expected)


def test_a_study_is_resumed_with_an_ensemble_and_back(tmp_path: Path, tune: Tune) -> None:
    """Without an ensemble no predictions are stored, so the candidates are trained again; with folds, no hold-out."""
    options = ("--n-trials", "4", "--pruner", "none", "--test-fraction", "0", "--use-cv", "--n-folds", "2")
    assert tune(*options, "--ensemble-size", "1").status == 0
    alone = metadata(tmp_path)
    assert "members" not in alone
    assert alone["validation_score"] == alone["best_trial"]["value"]
    with closing(sqlite3.connect(tmp_path / "artefacts/optuna_studies/studies.db")) as store:
        assert store.execute("SELECT count(*) FROM daily_profit_predictions").fetchone() == (0,)
    run = tune(*options, "--ensemble-size", "3")
    assert run.status == 0, run.err
    assert "predictions of 4 of the 4 best trials are not stored here" in run.err
    together = metadata(tmp_path)
    assert together["best_trial"] == alone["best_trial"]
    assert together["test_score"] is None
    assert together["model_file"].endswith("_v2.txt")
    assert "net_profit v2 @challenger" in run.out
    assert tune(*options, "--ensemble-size", "1").status == 0
    back = metadata(tmp_path)
    assert (tmp_path / back["model_file"]).read_text() == (tmp_path / alone["model_file"]).read_text()
