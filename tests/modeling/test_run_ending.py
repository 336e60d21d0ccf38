import logging
from collections.abc import Callable
from pathlib import Path

import mlflow
import optuna
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from sqlalchemy.engine import make_url

from src.errors import Interrupted, RunError, SearchError, StoreError, UserError
from src.modeling.open_study import OpenStudy, open_study
from src.modeling.run_ending import end_parent_run_as, ends_parent_run, ends_parent_runs_on_error, failure_text
from src.tracking.projection.parent_run import OUTCOME_TAG, RunEnding
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


def outcome_of(uri: str) -> str:
    return str(parent_of(uri).data.tags[OUTCOME_TAG])


def raises(error: BaseException | None) -> Callable[[OpenStudy], None]:
    def block(opened: OpenStudy) -> None:
        with ends_parent_run(opened):
            if error is not None:
                raise error

    return block


@pytest.mark.parametrize(
    ("error", "seen", "status", "outcome"),
    [
        (None, None, "FINISHED", "searched"),
        (Interrupted("stopped: 3 of 9 trials are done"), Interrupted, "KILLED", "stopped"),
        (KeyboardInterrupt(), KeyboardInterrupt, "KILLED", "stopped"),
        (SearchError("nothing"), SearchError, "FAILED", "failed: nothing"),
        (optuna.exceptions.StorageInternalError("gone"), StoreError, "FAILED", f"failed: the store of study '{NAME}'"),
        (OSError(28, "No space left", "m.txt"), RunError, "FAILED", "failed: m.txt cannot be used: No space left"),
        (KeyError("a column"), KeyError, "FAILED", "failed: KeyError: 'a column'"),
    ],
)
def test_the_parent_run_ends_as_the_search_did(
    opened: OpenStudy,
    mlflow_store: str,
    error: BaseException | None,
    seen: type[BaseException] | None,
    status: str,
    outcome: str,
) -> None:
    if seen is None:
        raises(error)(opened)
    else:
        with pytest.raises(seen):
            raises(error)(opened)
    assert parent_of(mlflow_store).info.status == status
    assert outcome_of(mlflow_store).startswith(outcome)
    client = MlflowClient()
    found = client.search_runs([parent_of(mlflow_store).info.experiment_id], "tags.`optuna.trial_number` = '0'")
    assert [run.info.run_name for run in found] == ["trial-0000"], "what is finished is projected whatever happens"


@pytest.mark.slow
def test_an_mlflow_outage_hides_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with caplog.at_level(logging.WARNING), pytest.raises(SearchError, match="nothing"):
        raises(SearchError("nothing"))(open_study(make_task(tmp_path)))
    (record,) = [record for record in caplog.records if record.name == "src.modeling.run_ending"]
    assert "missing MLflow runs are written when the study is resumed" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_the_outcome_tag_is_searching_and_then_the_outcome(opened: OpenStudy, mlflow_store: str) -> None:
    opened.projection.project()
    assert outcome_of(mlflow_store) == "searching", "what a process that is killed leaves behind"
    assert end_parent_run_as(opened, RunEnding())
    assert outcome_of(mlflow_store) == "searched"
    with ends_parent_run(opened):
        opened.ending.outcome = "registered"
    assert outcome_of(mlflow_store) == "registered"


def test_the_outcome_is_searching_again_only_with_new_trials(opened: OpenStudy, mlflow_store: str) -> None:
    with ends_parent_run(opened):
        opened.ending.outcome = "registered"
    open_study(opened.task).projection.project()  # for example a create, or a worker that joins a complete study
    assert (outcome_of(mlflow_store), parent_of(mlflow_store).info.status) == ("registered", "FINISHED")
    late = open_study(opened.task)
    assert end_parent_run_as(late, late.ending)
    assert (outcome_of(mlflow_store), parent_of(mlflow_store).info.status) == ("registered", "FINISHED")
    late.study.add_trial(optuna.trial.create_trial(value=0.5))
    open_study(opened.task).projection.project()
    assert (outcome_of(mlflow_store), parent_of(mlflow_store).info.status) == ("searching", "RUNNING")


def test_the_outcome_is_one_line_without_passwords_of_at_most_500_characters() -> None:
    error = ValueError("no column\nx at postgresql://u:secret@host/db " + 1000 * "y" + " not h1dden, name another")
    text = failure_text(error, make_url("postgresql://u:h1dden@h/d"))
    assert text.startswith("failed: ValueError: no column x at postgresql://u:***@host/db yy")
    assert text.endswith("yy not ***, name another")
    assert len(text) <= 500


def test_an_error_in_several_searches_ends_all_their_runs(opened: OpenStudy, mlflow_store: str) -> None:
    with pytest.raises(UserError, match="no such column"), ends_parent_runs_on_error([opened]):
        raise UserError("no such column")
    assert outcome_of(mlflow_store) == "failed: no such column"
