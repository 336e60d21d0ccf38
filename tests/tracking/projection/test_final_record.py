import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.tracking import MlflowClient

from src.errors import TrackingError
from src.tracking.connection.session import TrackingSession
from src.tracking.projection.final_record import (
    describe,
    final_metrics,
    log_dataset,
    log_files,
    log_final_scores,
    report_page,
    tag_front,
)
from tests.small_table import small_table

METADATA: dict[str, Any] = {
    "target": "net_profit", "task": "regression", "metric": "mae", "study_name": "s", "n_trials": 9,
    "test_score": 61.5, "test_interval": [58.0, 64.0], "validation_score": 60.0, "skill": 0.25,
    "skill_interval": [0.2, 0.3], "validation_skill": 0.3, "best_iteration": 120, "training_samples": 376,
    "test_samples": 96, "baselines": {"median": 82.0, "previous_day": 99.0}, "validation_baselines": {"median": 86.0},
    "hyperparameters": {"boosting_type": "goss", "num_leaves": 63, "learning_rate": 0.05},
    "best_trial": {
        "number": 4, "value": 60.25, "best_iteration": 70,
        "hyperparameters": {"boosting_type": "gbdt", "num_leaves": 31, "learning_rate": 0.1},
    },
    "members": [
        {"trial": 4, "weight": 0.375, "value": 60.25, "rounds": 40},
        {"trial": 2, "weight": 0.625, "value": 61, "rounds": 80},
    ],
}  # fmt: skip
BEST: dict[str, Any] = METADATA["best_trial"]
NO_TEST: dict[str, Any] = {
    "test_score": None,
    "test_interval": None,
    "skill": None,
    "skill_interval": None,
    "baselines": {},
}


@pytest.fixture
def session(mlflow_store: str) -> TrackingSession:
    mlflow.set_tracking_uri(mlflow_store)
    return TrackingSession({})


@pytest.fixture
def parent(session: TrackingSession) -> str:
    return str(session.client.create_run(session.experiment_id).info.run_id)


def test_the_parent_shows_scores_baselines_skill_and_best_parameters(session: TrackingSession, parent: str) -> None:
    log_final_scores(session, parent, METADATA)
    data = session.client.get_run(parent).data
    assert data.params == {
        "best_trial_boosting_type": "gbdt", "best_trial_num_leaves": "31", "best_trial_learning_rate": "0.1",
    }  # fmt: skip
    expected = {
        "test_score": 61.5, "test_score_low": 58, "test_score_high": 64, "validation_score": 60, "skill": 0.25,
        "skill_low": 0.2, "skill_high": 0.3, "validation_skill": 0.3, "best_iteration": 120, "training_samples": 376,
        "test_samples": 96, "baseline_median": 82, "baseline_previous_day": 99, "validation_baseline_median": 86,
    }  # fmt: skip
    assert data.metrics == expected == final_metrics(METADATA)
    assert json.loads(data.tags["best_trial_params"]) == BEST["hyperparameters"]
    assert (data.tags["best_trial"], data.tags["target"]) == ("4", "net_profit")


def test_without_a_hold_out_there_are_no_test_metrics() -> None:
    names = set(final_metrics(METADATA | NO_TEST))
    assert not {name for name in names if name.startswith(("test_score", "skill", "baseline"))}
    assert {"validation_score", "validation_skill", "validation_baseline_median"} <= names
    assert "test_score" not in describe(METADATA | NO_TEST)


def test_undefined_metrics_are_left_out() -> None:
    assert "skill" not in final_metrics(METADATA | {"skill": None, "skill_interval": None})
    assert "validation_skill" not in final_metrics(METADATA | {"validation_skill": float("nan")})


def test_the_description_is_readable_markdown(session: TrackingSession, parent: str) -> None:
    log_final_scores(session, parent, METADATA)
    note = session.client.get_run(parent).data.tags["mlflow.note.content"]
    assert note == describe(METADATA)
    assert note.startswith(
        "**net_profit** (regression, mae), study `s`, 9 trials. "
        "The registered model is the weighted mean of 2 trials.\n"
    )
    assert "| 2 | 0.625 | 61 | 80 |" in note
    model, best_trial = note.split("| the registered model | value |")[1].split("| the best trial alone, 4 | value |")
    assert "| test_score | 61.5 |" in model
    assert "| validation_score | 60 |" in model
    assert "| best_iteration | 120 |" in model
    assert "| validation_score | 60.25 |" in best_trial
    assert "| best_iteration | 70 |" in best_trial
    assert "| num_leaves | 31 |" in best_trial
    assert "63" not in note


def test_the_description_names_a_single_trial() -> None:
    alone = {name: value for name, value in METADATA.items() if name != "members"}
    assert "The registered model is trial 4.\n\n| the registered model | value |" in describe(alone)


def test_writing_twice_changes_nothing(session: TrackingSession, parent: str) -> None:
    log_final_scores(session, parent, METADATA)
    before = session.client.get_run(parent).data
    log_final_scores(session, parent, METADATA)
    after = session.client.get_run(parent).data
    assert (before.params, before.metrics, before.tags) == (after.params, after.metrics, after.tags)


def test_a_new_best_trial_changes_tags_and_scores_not_params(
    session: TrackingSession, parent: str, caplog: pytest.LogCaptureFixture
) -> None:
    log_final_scores(session, parent, METADATA)
    better = {"boosting_type": "dart", "num_leaves": 50, "drop_rate": 0.1}
    best = BEST | {"number": 7, "hyperparameters": better}
    log_final_scores(session, parent, METADATA | {"best_trial": best, "test_score": 59.0})
    data = session.client.get_run(parent).data
    assert data.params["best_trial_num_leaves"] == "31", "MLflow params cannot change"
    assert "best_trial_drop_rate" not in data.params, "old and new are never mixed"
    assert "the study has a new best trial" in caplog.text
    assert json.loads(data.tags["best_trial_params"]) == better
    assert (data.tags["best_trial"], data.metrics["test_score"]) == ("7", 59.0)


def test_params_of_mlflow_run_do_not_interfere(session: TrackingSession, parent: str) -> None:
    """`mlflow run` logs its parameters on the same run."""
    session.client.log_param(parent, "n_trials", "9")
    log_final_scores(session, parent, METADATA)
    assert session.client.get_run(parent).data.params["best_trial_num_leaves"] == "31"


def inputs_of(session: TrackingSession, run_id: str) -> list[Any]:
    inputs = session.client.get_run(run_id).inputs
    return [] if inputs is None else list(inputs.dataset_inputs)


def test_the_table_is_an_input_once(session: TrackingSession, parent: str) -> None:
    frame = small_table()[["signal", "style", "is_open", "num_trades", "net_profit"]]
    for _ in range(2):
        log_dataset(session, parent, frame, "net_profit", "s3://bucket/folder/table.parquet", "0123456789abcdef")
    (found,) = inputs_of(session, parent)
    assert (found.dataset.name, found.dataset.digest) == ("table.parquet", "0123456789abcdef")
    assert {tag.key: tag.value for tag in found.tags} == {"mlflow.data.context": "training"}
    assert "s3://bucket/folder/table.parquet" in found.dataset.source
    assert json.loads(found.dataset.profile)["num_rows"] == len(frame)
    log_dataset(session, parent, frame.assign(signal=1.0), "net_profit", "other.csv", "another digest")
    assert len(inputs_of(session, parent)) == 2
    assert frame["num_trades"].dtype == np.int64, "the frame itself is left as it was"


@pytest.mark.parametrize(
    "source", ["", "data frame", "sample table", "x/" + "y" * 600, "postgresql://u:***@h/db (SELECT 1)"]
)
def test_any_source_has_a_name(session: TrackingSession, parent: str, source: str) -> None:
    log_dataset(session, parent, pd.DataFrame({"a": [1.0], "y": [0.0]}), "y", source, "0123")
    (found,) = inputs_of(session, parent)
    assert found.dataset.name


def test_files_are_uploaded_to_the_given_folders(session: TrackingSession, parent: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text("<html>")
    (tmp_path / "model.txt").write_text("tree")
    files = [("report", tmp_path / "report.html"), ("", tmp_path / "model.txt")]
    log_files(session, parent, files)
    log_files(session, parent, files)
    client: MlflowClient = session.client
    assert [item.path for item in client.list_artifacts(parent)] == ["model.txt", "report"]
    assert [item.path for item in client.list_artifacts(parent, "report")] == ["report/report.html"]


def test_an_mlflow_refusal_is_a_one_line_error(session: TrackingSession) -> None:
    frame = pd.DataFrame({"a": [1.0], "y": [0.0]})
    writes: tuple[Callable[[], None], ...] = (
        lambda: log_final_scores(session, "0123", METADATA),
        lambda: log_dataset(session, "0123", frame, "y", "t", "d"),
        lambda: log_files(session, "0123", [("", Path(__file__))]),
    )
    for write in writes:
        with pytest.raises(TrackingError, match=r"cannot (write|upload).*0123") as caught:
            write()
        assert "\n" not in str(caught.value)


def test_the_report_s_page_is_one_that_mlflow_has(session: TrackingSession, parent: str) -> None:
    assert report_page(session, parent) == f"#/experiments/1/runs/{parent}/artifacts/report/report.html"
    pages = (Path(mlflow.__file__).parent / "server/js/build/static/js").glob("main.*.js")
    route = '"/experiments/:experimentId/runs/:runUuid/*"'
    assert any(route in page.read_text(encoding="utf-8") for page in pages)


def test_the_parent_says_how_its_model_was_chosen(session: TrackingSession, parent: str) -> None:
    chosen = {"constraint": ["trees<=500", "leaves<=900"], "select": "score", "pareto_front": [4, 2, 7]}
    log_final_scores(session, parent, METADATA | chosen)
    tags = session.client.get_run(parent).data.tags
    assert (tags["constraint"], tags["select"]) == ("trees<=500, leaves<=900", "score")
    assert (tags["pareto_front"], tags["registered_trials"]) == ("4, 2, 7", "4, 2")


def test_the_trials_of_the_front_are_tagged_again_when_it_changes(session: TrackingSession, parent: str) -> None:
    client = session.client
    for number in range(4):
        tags = {"mlflow.parentRunId": parent, "optuna.trial_number": str(number)}
        client.create_run(session.experiment_id, tags=tags)

    def tagged() -> dict[int, str | None]:
        runs = client.search_runs([session.experiment_id], f"tags.`mlflow.parentRunId` = '{parent}'")
        return {int(r.data.tags["optuna.trial_number"]): r.data.tags.get("optuna.is_on_pareto_front") for r in runs}

    tag_front(session, parent, {1, 3})
    assert tagged() == {0: None, 1: "true", 2: None, 3: "true"}
    tag_front(session, parent, {2, 3})
    assert tagged() == {0: None, 1: "false", 2: "true", 3: "true"}
