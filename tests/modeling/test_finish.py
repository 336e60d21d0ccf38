"""After the search: the model is registered before its trials and its report are written."""

import json
from html import escape
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from src.errors import TrackingError
from src.final import ensemble
from src.final.fit_budget import FitBudget
from src.modeling.train_with_optuna import main
from src.tracking.projection.study_projection import StudyProjection
from tests.commands import Finished, run_here
from tests.small_table import small_table

NAME = "net_profit_20240101_120000"


def tune(folder: Path, store: str, *options: str) -> Finished:
    small_table().to_parquet(folder / "table.parquet")
    given = ["--data", "table.parquet", "--targets", "net_profit", "--study-name", NAME, "--n-trials", "2"]
    return run_here(main, [*given, *options], folder, {"MLFLOW_TRACKING_URI": store})


def trial_runs(client: MlflowClient) -> int:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    return len(client.search_runs(experiments, "tags.`optuna.trial_number` != ''"))


def test_trials_that_cannot_be_written_do_not_keep_the_model_from_the_registry(
    tmp_path: Path, mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient(mlflow_store)

    def fail(self: StudyProjection) -> str:
        assert client.get_model_version_by_alias("net_profit", "champion").version in (1, "1"), "registered before"
        raise TrackingError("cannot write study: it is away")

    with monkeypatch.context() as patch:
        patch.setattr(StudyProjection, "project", fail)
        failed = tune(tmp_path, mlflow_store)
    assert failed.status == 1
    assert "is saved (net_profit v1 @champion), but files or trials are missing in its MLflow run" in failed.err
    assert (tmp_path / f"artefacts/reports/{NAME}/report.html").exists()
    assert trial_runs(client) == 0
    again = tune(tmp_path, mlflow_store)
    assert again.status == 0, again.err
    assert trial_runs(client) == 2


def test_what_a_time_limit_has_cut_is_in_summary_metadata_and_report(
    tmp_path: Path, mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The budget is set here, because no test waits for fits that really take too long."""
    monkeypatch.setattr(ensemble, "fit_budget", lambda *_: FitBudget(0.0, 2, "--timeout 60"))
    run = tune(tmp_path, mlflow_store, "--n-trials", "8", "--pruner", "none", "--ensemble-size", "3")
    assert run.status == 0, run.err
    metadata = json.loads((tmp_path / "artefacts/models/lgb_net_profit_optuna_metadata.json").read_text())
    assert len(metadata["cuts"]) == 2
    report = (tmp_path / f"artefacts/reports/{NAME}/report.html").read_text()
    for cut in metadata["cuts"]:
        assert f"time     net_profit: {cut}" in run.out
        assert escape(cut) in report
