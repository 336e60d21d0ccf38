import logging
from dataclasses import replace
from pathlib import Path

import mlflow
import pytest

from src.tracking.monitor_record import ALARM_TAG, MODEL_TAG, log_monitoring, metrics_of
from tests.monitoring.test_result import RESULT, line

FEBRUARY_1 = 19754
"""2024-02-01 in days since 1970-01-01."""


@pytest.fixture
def report(tmp_path: Path) -> Path:
    path = tmp_path / "report.html"
    path.write_text("a page")
    return path


def test_a_run_has_metrics_by_date_and_the_result(mlflow_store: str, report: Path) -> None:
    run_id = log_monitoring(RESULT, "the table", report, {})
    assert run_id is not None
    client = mlflow.MlflowClient()
    run = client.get_run(run_id)
    assert (run.info.run_name, run.info.status) == ("monitor-pnl-2024-03-28", "FINISHED")
    assert run.data.tags[ALARM_TAG].startswith("pnl: ALARM") and run.data.tags[MODEL_TAG] == "models:/pnl/4"
    assert client.get_experiment(run.info.experiment_id).name == "daily-profit"
    (mean,) = client.get_metric_history(run_id, "mean_prediction")
    assert (mean.step, mean.value) == (FEBRUARY_1, 0.5)
    assert [metric.step - FEBRUARY_1 for metric in client.get_metric_history(run_id, "score")] == [27, 56]
    assert run.data.metrics["alarms"] == 1 and run.data.metrics["psi.signal"] == 0.25
    assert mlflow.artifacts.load_dict(f"{run.info.artifact_uri}/monitor.json")["alarm"] is True
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/monitor.txt") == "the table\n"
    assert mlflow.artifacts.load_text(f"{run.info.artifact_uri}/report/report.html") == "a page"


def test_inside_of_mlflow_run_it_is_a_child(mlflow_store: str, report: Path) -> None:
    client = mlflow.MlflowClient()
    outer = client.create_run("0")
    run_id = log_monitoring(RESULT, "the table", report, {"MLFLOW_RUN_ID": outer.info.run_id})
    assert run_id is not None
    run = client.get_run(run_id)
    assert run.data.tags["mlflow.parentRunId"] == outer.info.run_id
    assert run.info.experiment_id == outer.info.experiment_id


def test_a_failure_is_a_warning(mlflow_store: str, report: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert log_monitoring(RESULT, "the table", report, {"MLFLOW_RUN_ID": "0" * 32}) is None
    assert "the result is not in MLflow" in caplog.text


def test_names_of_metrics_have_characters_that_mlflow_takes() -> None:
    names = [name for name, _, _ in metrics_of(replace(RESULT, lines=(line("Größe: (€)"),)))]
    assert names[-1] == "psi.Größe_ ___"
