import logging

import mlflow
import pytest

from src.tracking.check_record import VERDICT_TAG, log_check

RECORD = {
    "source": "trades.csv",
    "verdict": "suspicious",
    "findings": [
        {"severity": severity, "check": "leaks", "subject": "x", "text": "…"}
        for severity in ("suspicious", "note", "note")
    ],
}


def test_findings_are_written_to_the_run_of_mlflow_run(mlflow_store: str) -> None:
    client = mlflow.MlflowClient()
    run = client.create_run("0")
    log_check(RECORD, "the table", {"MLFLOW_RUN_ID": run.info.run_id})
    kept = client.get_run(run.info.run_id)
    assert kept.data.metrics == {"check_suspicious": 1, "check_notes": 2}
    assert kept.data.tags[VERDICT_TAG] == "suspicious"
    assert mlflow.artifacts.load_dict(f"{kept.info.artifact_uri}/check.json") == RECORD
    assert mlflow.artifacts.load_text(f"{kept.info.artifact_uri}/check.txt") == "the table\n"


def test_outside_of_mlflow_run_nothing_is_written(mlflow_store: str) -> None:
    log_check(RECORD, "the table", {})
    assert not mlflow.MlflowClient().search_runs(["0"])


def test_a_missing_run_is_a_warning(mlflow_store: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        log_check(RECORD, "the table", {"MLFLOW_RUN_ID": "0" * 32})
    assert "the findings are not in MLflow" in caplog.text
