"""The parent run of a study: found, read and extended, but never created."""

import os
from pathlib import Path
from typing import Any

import mlflow
import optuna
import pytest

from src.errors import TrackingError
from src.study.store_location import store_url
from src.study.store_lock import store_lock
from src.tracking.connection.session import TrackingSession
from src.tracking.projection.parent_run import (
    OUTCOME_TAG,
    PARENT_ATTR,
    ParentRun,
    RunEnding,
    end_parent_run,
    find_parent_run,
)
from src.tracking.projection.study_projection import StudyProjection


@pytest.fixture
def study(mlflow_store: str, tmp_path: Path) -> optuna.Study:
    """A study that was projected."""
    mlflow.set_tracking_uri(mlflow_store)
    study = optuna.create_study(study_name="s")
    study.optimize(lambda trial: trial.suggest_float("x", 0, 1), n_trials=1)
    url = store_url(None, tmp_path, {})
    StudyProjection(study, TrackingSession({}), lambda: store_lock(url, "s")).project()
    return study


def found(study: optuna.Study) -> ParentRun:
    run = find_parent_run("s", study.user_attrs)
    assert run is not None
    return run


def test_the_parent_run_is_found_read_and_extended(study: optuna.Study, tmp_path: Path) -> None:
    run = found(study)
    assert run.run_id == study.user_attrs[PARENT_ATTR]["run_id"]
    assert run.names() == run.names("report") == []
    page = tmp_path / "report.html"
    for text in ("first", "second"):
        page.write_text(text)
        run.log_report([page])
    assert (run.names(), run.names("report")) == (["report"], ["report/report.html"])
    (tmp_path / "here").mkdir()
    assert run.fetch("report/report.html", tmp_path / "here").read_text() == "second"
    assert run.session.client.get_run(run.run_id).info.status == "RUNNING", "a report changes nothing else"


def test_a_study_that_was_never_projected_has_no_run() -> None:
    assert find_parent_run("s", {}) is None
    assert find_parent_run("s", {PARENT_ATTR: "somebody else's"}) is None


def test_a_missing_store_is_not_created(study: optuna.Study, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # None resets the setting
    with pytest.raises(TrackingError, match=r"there is no MLflow store .*mlflow.db: set MLFLOW_TRACKING_URI to where"):
        find_parent_run("s", study.user_attrs)
    assert os.listdir() == []


def test_another_store_has_no_such_run(study: optuna.Study) -> None:
    attrs: dict[str, Any] = {PARENT_ATTR: {"tracking_uri": "http://server", "run_id": "0" * 32}}
    with pytest.raises(TrackingError, match=f"has no run {'0' * 32} of study 's': .* was written: http://server$"):
        find_parent_run("s", attrs)


def test_a_deleted_run_is_refused(study: optuna.Study) -> None:
    run = found(study)
    run.session.client.delete_run(run.run_id)
    with pytest.raises(TrackingError, match="is deleted in MLflow: restore it"):
        find_parent_run("s", study.user_attrs)


def test_an_unavailable_server_is_a_one_line_error(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri("http://u:secret@127.0.0.1:9")
    with pytest.raises(TrackingError) as caught:
        find_parent_run("s", study.user_attrs)
    assert str(caught.value).startswith("cannot read the run of study 's'")
    assert "secret" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("before", "outcome", "after"),
    [
        (None, "searched", "searched"),
        ("searching", "searched", "searched"),
        ("registered", "searched", "registered"),
        ("registered", "failed: no", "failed: no"),
        ("failed: no", "registered", "registered"),
    ],
)
@pytest.mark.parametrize("status", ["FINISHED", "KILLED", "FAILED"])
def test_a_run_ends_with_its_status_and_its_outcome(
    mlflow_store: str, before: str | None, outcome: str, after: str, status: str
) -> None:
    mlflow.set_tracking_uri(mlflow_store)
    session = TrackingSession({})
    run_id = session.client.create_run("0", tags={} if before is None else {OUTCOME_TAG: before}).info.run_id
    end_parent_run(session, run_id, RunEnding(status, outcome))
    run = session.client.get_run(run_id)
    assert (run.info.status, run.data.tags[OUTCOME_TAG]) == (status, after)
    assert run.info.end_time is not None
