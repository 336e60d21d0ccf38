import logging
from collections.abc import Callable
from pathlib import Path

import mlflow
import optuna
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from src.errors import Interrupted, SearchError, StoreError
from src.modeling.open_study import OpenStudy, open_study
from src.modeling.parent_run_status import parent_run
from tests.search_tasks import NAME, make_task


@pytest.fixture
def opened(tmp_path: Path, mlflow_store: str) -> OpenStudy:
    opened = open_study(make_task(tmp_path / "studies"))
    opened.study.add_trial(optuna.trial.create_trial(value=1.0))
    return opened


def parent_of(uri: str) -> Run:
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    experiment = client.get_experiment_by_name("daily-profit")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], f"attributes.run_name = '{NAME}'")
    return run


def raises(error: BaseException | None) -> Callable[[OpenStudy], None]:
    def block(opened: OpenStudy) -> None:
        with parent_run(opened):
            if error is not None:
                raise error

    return block


@pytest.mark.parametrize(
    ("error", "seen", "status"),
    [
        (None, None, "FINISHED"),
        (Interrupted("stopped"), Interrupted, "KILLED"),
        (SearchError("nothing"), SearchError, "FAILED"),
        (optuna.exceptions.StorageInternalError("gone"), StoreError, "FAILED"),
    ],
)
def test_the_parent_run_ends_as_the_search_did(
    opened: OpenStudy, mlflow_store: str, error: Exception | None, seen: type[Exception] | None, status: str
) -> None:
    if seen is None:
        raises(error)(opened)
    else:
        with pytest.raises(seen):
            raises(error)(opened)
    assert parent_of(mlflow_store).info.status == status
    client = MlflowClient()
    found = client.search_runs([parent_of(mlflow_store).info.experiment_id], "tags.`optuna.trial_number` = '0'")
    assert [run.info.run_name for run in found] == ["trial-0000"], "what is finished is projected whatever happens"


def test_mlflow_being_away_hides_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with caplog.at_level(logging.WARNING), pytest.raises(SearchError, match="nothing"):
        raises(SearchError("nothing"))(open_study(make_task(tmp_path)))
    (record,) = [record for record in caplog.records if record.name == "src.modeling.parent_run_status"]
    assert "missing MLflow runs are written when the study is resumed" in record.getMessage()
    assert "\n" not in record.getMessage()
