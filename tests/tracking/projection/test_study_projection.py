import contextlib
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import mlflow
import optuna
import pytest
import sqlalchemy
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from optuna.trial import FrozenTrial, TrialState, create_trial

from src.errors import TrackingError
from src.study.studies import OptunaStudyManager
from src.tracking.connection.session import TrackingSession
from src.tracking.projection.study_projection import StudyProjection, best_values
from src.tracking.projection.trial_run import trial_curve

UNIFORM = optuna.distributions.FloatDistribution(0, 1)


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    return OptunaStudyManager(tmp_path / "studies").create_or_load_study("profit_20240101_120000", "maximize")


@pytest.fixture
def project(
    request: pytest.FixtureRequest, study: optuna.Study, mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    """Runs a pass that writes runs as rows of the database or, with "calls", by MLflow's client, as to a server."""
    if getattr(request, "param", "rows") == "calls":
        monkeypatch.setattr("src.tracking.projection.study_projection.sql_store_of", lambda client: None)

    def run_one_pass(environ: dict[str, str] | None = None, **options: Any) -> str:
        mlflow.set_tracking_uri(mlflow_store)
        session = TrackingSession(environ or {})
        return StudyProjection(study, session, contextlib.nullcontext, metric_name="auc", **options).project()

    return run_one_pass


def add(study: optuna.Study, state: TrialState = TrialState.COMPLETE, value: float | None = 0.5, **kept: Any) -> None:
    study.add_trial(
        create_trial(
            state=state,
            value=value,
            params={"x": 0.25},
            distributions={"x": UNIFORM},
            user_attrs={"best_iteration": 7, "curve": {"steps": [1, 7], "values": [0.4, 0.5]}} | kept,
        )
    )


def children(parent_id: str) -> dict[str, Run]:
    client = MlflowClient()
    parent = client.get_run(parent_id)
    found = client.search_runs([parent.info.experiment_id], f"tags.`mlflow.parentRunId` = '{parent_id}'")
    names = [run.info.run_name for run in found]
    assert len(names) == len(set(names)), "no child is there twice"
    return {str(run.info.run_name): run for run in found}


def test_each_finished_trial_becomes_one_child_with_its_state(study: optuna.Study, project: Callable[..., str]) -> None:
    add(study)
    add(study, TrialState.PRUNED, 0.3)
    add(study, TrialState.FAIL, None, error="ValueError: no")
    add(study, TrialState.RUNNING, None)
    add(study, TrialState.WAITING, None)
    found = children(project())
    assert {name: run.info.status for name, run in found.items()} == {
        "trial-0000": "FINISHED",
        "trial-0001": "KILLED",
        "trial-0002": "FAILED",
    }
    tags = found["trial-0001"].data.tags
    assert tags["optuna.study_name"] == "profit_20240101_120000"
    assert tags["optuna.trial_number"] == "1"
    assert tags["optuna.state"] == "PRUNED"
    assert found["trial-0002"].data.tags["optuna.error"] == "ValueError: no"


def test_a_child_shows_parameters_metrics_and_its_curve(study: optuna.Study, project: Callable[..., str]) -> None:
    add(study)
    run = children(project())["trial-0000"]
    assert run.data.params == {"x": "0.25"}
    assert run.data.metrics["value"] == 0.5
    assert run.data.metrics["best_iteration"] == 7
    assert run.data.metrics["duration_seconds"] >= 0
    curve = MlflowClient().get_metric_history(run.info.run_id, "validation_auc")
    assert [(point.step, point.value) for point in curve] == [(1, 0.4), (7, 0.5)]


def test_rows_and_calls_of_the_client_write_the_same_runs(
    study: optuna.Study, mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    curve = {"steps": [1, 2, 40], "values": [0.5, 0.7, 0.6]}
    add(study, curve=curve)
    add(study, TrialState.PRUNED, 0.3)
    add(study, TrialState.FAIL, None, error="ValueError: no", curve={"steps": [], "values": []})
    study.add_trial(create_trial(value=1.0, params={}, distributions={}))
    add(study, error="x" * 4000)  # too long to be written unchecked

    def write(experiment: str) -> dict[str, dict[str, Any]]:
        session = TrackingSession({"MLFLOW_EXPERIMENT_NAME": experiment})
        return {
            name: _content(run)
            for name, run in children(StudyProjection(study, session, contextlib.nullcontext).project()).items()
        }

    by_rows = write("rows")
    study.set_user_attr("mlflow_parent", None)
    study.set_user_attr("uid", "another")
    monkeypatch.setattr("src.tracking.projection.study_projection.sql_store_of", lambda client: None)
    by_calls = write("calls")
    assert len(by_rows) == 5
    assert by_rows == by_calls


def _content(run: Run) -> dict[str, Any]:
    """Everything that MLflow returns of a run, except what belongs to its id and its experiment."""
    history = MlflowClient().get_metric_history
    points = {key: [dict(point) for point in history(run.info.run_id, key)] for key in run.data.metrics}
    own = {"run_id", "run_uuid", "artifact_uri", "experiment_id"}
    assert run.info.artifact_uri is not None
    assert run.info.artifact_uri.endswith(f"/{run.info.run_id}/artifacts")
    info = {name: value for name, value in dict(run.info).items() if name not in own}
    tags = {name: value for name, value in run.data.tags.items() if name != "mlflow.parentRunId"}
    return {"info": info, "points": [points, run.data.metrics, run.data.params, tags]}


def test_a_parameter_name_that_mlflow_refuses_is_converted(study: optuna.Study, project: Callable[..., str]) -> None:
    names = {"rate (%)": 0.1, "rate (#)": 0.2, "x" * 300: 0.3, "a//b": 0.4}
    study.add_trial(create_trial(value=1.0, params=names, distributions=dict.fromkeys(names, UNIFORM)))
    params = children(project())["trial-0000"].data.params
    assert sorted(params.values()) == ["0.1", "0.2", "0.3", "0.4"]
    assert len([key for key in params if key.startswith("rate ")]) == 2


def test_the_parent_carries_the_studys_name_and_the_best_value_by_trial(
    study: optuna.Study, project: Callable[..., str]
) -> None:
    for value in (0.5, 0.4, 0.7):
        add(study, value=value)
    parent = MlflowClient().get_run(project())
    assert parent.info.run_name == "profit_20240101_120000"
    history = MlflowClient().get_metric_history(parent.info.run_id, "best_value")
    assert [(point.step, point.value) for point in history] == [(0, 0.5), (1, 0.5), (2, 0.7)]


def test_passes_by_new_processes_write_nothing_twice(study: optuna.Study, project: Callable[..., str]) -> None:
    add(study)
    first = project()
    add(study, value=0.6)
    assert project() == first
    assert project() == first
    assert sorted(children(first)) == ["trial-0000", "trial-0001"]
    assert len(MlflowClient().get_metric_history(first, "best_value")) == 2
    curve = MlflowClient().get_metric_history(children(first)["trial-0000"].info.run_id, "validation_auc")
    assert len(curve) == 2


@pytest.mark.parametrize(
    ("project", "killed_in"),
    [("calls", "log_batch"), ("calls", "set_terminated"), ("calls", "set_tag_of_parent"), ("rows", "log_batch"),
     ("rows", "transaction"), ("rows", "set_tag_of_parent")],
    indirect=["project"],
)  # fmt: skip
def test_a_pass_killed_anywhere_is_completed_by_the_next(
    study: optuna.Study, project: Callable[..., str], monkeypatch: pytest.MonkeyPatch, killed_in: str
) -> None:
    class Killed(BaseException):
        pass

    def die(*args: Any, **kwargs: Any) -> None:
        raise Killed

    insert = sqlalchemy.insert
    add(study)
    with monkeypatch.context() as patch:
        if killed_in == "set_tag_of_parent":  # the parent is created, but its id is not stored on the study yet
            patch.setattr(optuna.Study, "set_user_attr", _die_on("mlflow_parent", optuna.Study.set_user_attr, Killed))
        elif killed_in == "transaction":  # the rows of the runs are sent, those of the parameters are not
            patch.setattr(sqlalchemy, "insert", lambda table: die() if table.name == "params" else insert(table))
        else:
            patch.setattr(MlflowClient, killed_in, die)
        with pytest.raises(Killed):
            project()
    parent = project()
    found = children(parent)
    assert {name: run.info.status for name, run in found.items()} == {"trial-0000": "FINISHED"}
    client = MlflowClient()
    experiment = client.get_run(parent).info.experiment_id
    assert len(client.search_runs([experiment])) == 2, "one parent, one child"


@pytest.mark.parametrize(
    ("project", "calls_before"), [*(("calls", n) for n in range(6)), ("rows", 0), ("rows", 1)], indirect=["project"]
)
def test_a_pass_killed_between_requests_loses_no_point_of_the_best_value(
    study: optuna.Study, project: Callable[..., str], monkeypatch: pytest.MonkeyPatch, calls_before: int
) -> None:
    class Killed(BaseException):
        pass

    calls = iter(range(calls_before))

    def log_batch_or_die(*args: Any, **kwargs: Any) -> None:
        if next(calls, None) is None:
            raise Killed
        log_batch(*args, **kwargs)

    log_batch = MlflowClient.log_batch
    for value in (0.5, 0.4, 0.7):
        add(study, value=value)
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "log_batch", log_batch_or_die)
        with contextlib.suppress(Killed):
            project()
    history = MlflowClient().get_metric_history(project(), "best_value")
    assert [(point.step, point.value) for point in history] == [(0, 0.5), (1, 0.5), (2, 0.7)]


def _die_on(key: str, original: Callable[..., None], error: type[BaseException]) -> Callable[..., None]:
    def set_user_attr(self: optuna.Study, name: str, value: Any) -> None:
        if name == key:
            raise error
        original(self, name, value)

    return set_user_attr


def test_inside_mlflow_run_its_run_is_the_parent(
    study: optuna.Study, project: Callable[..., str], mlflow_store: str
) -> None:
    mlflow.set_tracking_uri(mlflow_store)
    client = MlflowClient()
    experiment = client.create_experiment("chosen")
    outer = client.create_run(experiment).info.run_id
    add(study)
    assert project({"MLFLOW_RUN_ID": outer}) == outer
    assert client.get_run(outer).info.run_name == study.study_name
    assert children(outer)["trial-0000"].info.experiment_id == experiment


def test_with_several_targets_the_run_of_mlflow_run_is_the_grandparent(
    study: optuna.Study, project: Callable[..., str], mlflow_store: str
) -> None:
    mlflow.set_tracking_uri(mlflow_store)
    outer = MlflowClient().create_run(MlflowClient().create_experiment("chosen")).info.run_id
    add(study)
    parent = project({"MLFLOW_RUN_ID": outer}, shares_outer_run=True)
    assert list(children(outer)) == [study.study_name]
    assert list(children(parent)) == ["trial-0000"]


def test_a_study_resumed_in_another_mlflow_run_keeps_its_parent(
    study: optuna.Study, project: Callable[..., str], mlflow_store: str
) -> None:
    mlflow.set_tracking_uri(mlflow_store)
    client = MlflowClient()
    experiment = client.create_experiment("chosen")
    first, second = (client.create_run(experiment).info.run_id for _ in range(2))
    add(study)
    project({"MLFLOW_RUN_ID": first})
    client.set_terminated(first, "KILLED")
    add(study)
    assert project({"MLFLOW_RUN_ID": second}) == first
    assert sorted(children(first)) == ["trial-0000", "trial-0001"]
    assert client.get_run(first).info.status == "RUNNING"
    assert client.get_run(second).data.tags["daily_profit.continues_run"] == first
    assert client.get_run(second).info.run_name == f"{study.study_name} (continued)"


def test_a_deleted_parent_is_replaced_with_all_its_children(study: optuna.Study, project: Callable[..., str]) -> None:
    add(study)
    first = project()
    MlflowClient().delete_run(first)
    second = project()
    assert second != first
    assert list(children(second)) == ["trial-0000"]


def test_a_pass_without_mlflow_fails_and_a_later_one_writes_the_rest(
    study: optuna.Study, mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    add(study)
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    with pytest.raises(TrackingError, match="cannot "):
        StudyProjection(study, TrackingSession({}), contextlib.nullcontext).project()
    mlflow.set_tracking_uri(mlflow_store)
    parent = StudyProjection(study, TrackingSession({}), contextlib.nullcontext).project()
    assert list(children(parent)) == ["trial-0000"]


def test_experiment_by_name_from_the_environment(study: optuna.Study, project: Callable[..., str]) -> None:
    parent = MlflowClient().get_run(project({"MLFLOW_EXPERIMENT_NAME": "mine"}))
    assert MlflowClient().get_experiment(parent.info.experiment_id).name == "mine"


def at(second: int, number: int, value: float | None, state: TrialState = TrialState.COMPLETE) -> FrozenTrial:
    trial = create_trial(state=state, value=value)
    trial.number = number
    trial.datetime_complete = datetime(2024, 1, 1) + timedelta(seconds=second)
    return trial


def test_best_so_far_is_ordered_by_time_not_number() -> None:
    slow, fast, pruned = at(9, 0, 0.9), at(3, 1, 0.5), at(5, 2, 0.99, TrialState.PRUNED)
    finished = [slow, fast, pruned]
    assert best_values(finished, maximize=True) == {0: 0.9, 1: 0.5, 2: 0.5}
    assert best_values(finished, maximize=False) == {0: 0.5, 1: 0.5, 2: 0.5}
    assert best_values([pruned], maximize=True) == {2: None}


def test_the_curve_of_a_users_objective_is_its_reported_values() -> None:
    trial = create_trial(value=1.0, intermediate_values={step: float(step) for step in range(1000)})
    curve = trial_curve(trial)
    assert len(curve) == 100
    assert curve[0] == (0, 0.0)
    assert curve[-1] == (999, 999.0)
