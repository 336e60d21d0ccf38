"""The command `report`, as its user sees it: which study, where the files are, what goes wrong and how it is told."""

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import optuna
import pytest
from mlflow.tracking import MlflowClient
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from src.modeling.optuna_visualization import main
from src.study.store_lock import store_lock
from src.study.studies import OptunaStudyManager
from src.tracking.connection.session import TrackingSession
from src.tracking.projection.study_projection import StudyProjection
from tests.commands import Finished, run_here

NAME = "net_profit_20240101_120000"
STORE = "artefacts/optuna_studies"
Report = Callable[..., Finished]


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """Runs the command in a folder of its own; MLflow's embedded store would lie there, too."""
    return lambda *options, **environ: run_here(main, list(options), tmp_path, environ)


def fill(study: optuna.Study, n: int) -> optuna.Study:
    """Complete, pruned, failed and running trials in turn."""
    states = [TrialState.COMPLETE, TrialState.COMPLETE, TrialState.PRUNED, TrialState.COMPLETE, TrialState.FAIL]
    study.add_trials([_trial(TrialState.RUNNING if 0 < i == n - 1 else states[i % 5], i) for i in range(n)])
    return study


def _trial(state: TrialState, i: int) -> FrozenTrial:
    trial = create_trial(
        state=state,
        value=100.0 + (i * 7) % 11 if state == TrialState.COMPLETE else None,
        params={"rate": 0.01 + (i * 37 % 100) / 400},
        distributions={"rate": FloatDistribution(0.01, 0.3)},
        intermediate_values={1: 120.0, 11: 110.0},
    )
    trial.datetime_start = datetime(2024, 1, 1) + timedelta(seconds=i)
    if state.is_finished():
        trial.datetime_complete = trial.datetime_start + timedelta(seconds=2)
    return trial


def manager(folder: Path) -> OptunaStudyManager:
    return OptunaStudyManager(folder / STORE)


@pytest.mark.parametrize("n", [0, 9])
def test_a_study_of_any_size_has_a_page_and_a_pdf(tmp_path: Path, report: Report, n: int) -> None:
    fill(manager(tmp_path).create_or_load_study(NAME), n)
    run = report("--study-name", NAME)
    assert (run.status, run.err) == (0, "")
    assert run.out.splitlines() == [
        f"study    {NAME}",
        f"report   artefacts/reports/{NAME}/report.html",
        f"         artefacts/reports/{NAME}/report.pdf",
    ]
    folder = tmp_path / "artefacts/reports" / NAME
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF")
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.pdf"]
    assert not (tmp_path / "mlflow.db").exists()


def test_the_newest_study_is_reported_where_none_is_named(tmp_path: Path, report: Report) -> None:
    for name in ("a_20240101_000000", "b_20240102_000000"):
        manager(tmp_path).create_or_load_study(name)
    run = report()
    assert run.out.startswith("study    b_20240102_000000 (the newest; --study-name selects another)\n")


def test_several_studies_are_reported_together(tmp_path: Path, report: Report) -> None:
    for target in ("net_profit", "num_trades"):
        fill(manager(tmp_path).create_or_load_study(f"{target}_20240101_120000"), 15)
    fill(manager(tmp_path).create_or_load_study("net_profit_20240201_120000"), 2)
    metadata = {"study_name": "net_profit_20240201_120000", "target": "net_profit", "metric": "mae", "test_score": 7.5}
    (tmp_path / "artefacts/models").mkdir()
    (tmp_path / "artefacts/models/lgb_net_profit_optuna_metadata.json").write_text(json.dumps(metadata))
    run = report("--ensemble", "net_profit,num_trades")
    assert (run.status, run.err) == (0, "")
    assert "studies  net_profit_20240201_120000 (net_profit)\n         num_trades_20240101_120000 (num_" in run.out
    page = (tmp_path / "artefacts/reports/ensemble_net_profit_num_trades/report.html").read_text()
    assert "Report of 2 models" in page
    assert 'data-value="7.5"' in page


def test_a_study_of_any_name_stays_below_the_output_folder(tmp_path: Path, report: Report) -> None:
    name = "../../outside<b>"
    optuna.create_study(study_name=name, storage=manager(tmp_path).storage)
    run = report("--study-name", name, "--output-dir", "out")
    assert (run.status, run.err) == (0, "")
    (page,) = tmp_path.rglob("report.html")
    assert page.parent.parent == tmp_path / "out/reports"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--study-name", "net_profit"], f"there is no study 'net_profit' in sqlite:///.*: the newest are {NAME}"),
        (["--ensemble", "net_prfit"], r"--ensemble 'net_prfit' is neither .* \(did you mean 'net_profit'\?\)"),
        (["--study-name", NAME, "--ensemble", "net_profit"], "and --ensemble cannot be combined"),
        (["--storage-dir", "nowhere"], "there is no store .*/nowhere/studies.db: pass the --storage-dir"),
        (["--storage-url", "mysql://u:secret@host/db"], "mysql.* is not supported: use postgresql"),
        (["--storage-url", "postgresql://u:secret@127.0.0.1:9/db"], r"u:\*\*\*@127.0.0.1:9/db cannot be reached"),
        (["--output-dir", f"{STORE}/studies.db"], "--output-dir .* cannot be a folder"),
        (["--studyname", NAME], r"unrecognized arguments: --studyname .*did you mean '--study-name'"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(tmp_path: Path, report: Report, options: list[str], message: str) -> None:
    manager(tmp_path).create_or_load_study(NAME)
    run = report(*options)
    assert (run.status, run.out) == (2, "")
    assert len(run.err.splitlines()) == 1
    assert re.search(message, run.err), run.err
    assert "secret" not in run.err
    assert not (tmp_path / "nowhere").exists()


def test_a_study_of_several_objectives_is_refused(tmp_path: Path, report: Report) -> None:
    optuna.create_study(study_name="two", storage=manager(tmp_path).storage, directions=["minimize", "maximize"])
    run = report()
    assert (run.status, run.err) == (2, "error: study 'two' has 2 objectives; a report needs a study with one\n")


def test_a_url_that_mlflow_has_recorded_with_a_password_is_refused(report: Report) -> None:
    run = report("--storage-url", "postgresql://u:secret@host/db", MLFLOW_RUN_ID="abc")
    assert run.status == 2
    assert "delete that run, change the password" in run.err
    assert "secret" not in run.err


@pytest.fixture
def projected(tmp_path: Path, mlflow_store: str) -> optuna.Study:
    """A study with a parent run in MLflow, which the fixture `mlflow_store` has set."""
    there = manager(tmp_path)
    study = fill(there.create_or_load_study(NAME), 3)
    StudyProjection(study, TrackingSession({}), lambda: store_lock(there.url, "projection")).project()
    return study


def test_the_report_is_added_to_the_studys_run(report: Report, projected: optuna.Study, mlflow_store: str) -> None:
    run_id = projected.user_attrs["mlflow_parent"]["run_id"]
    client = MlflowClient(mlflow_store)
    before = len(client.search_runs(["0", "1"]))
    for _ in range(2):
        run = report(MLFLOW_TRACKING_URI=mlflow_store)
        assert (run.status, run.err) == (0, "")
        assert run.out.endswith(f"MLflow   run {run_id}, folder report\n")
    assert [file.path for file in client.list_artifacts(run_id, "report")] == [
        "report/report.html",
        "report/report.pdf",
    ]
    assert len(client.search_runs(["0", "1"])) == before
    assert client.get_run(run_id).info.status == "RUNNING"


def test_a_model_that_was_trained_elsewhere_is_read_from_its_run(
    tmp_path: Path, report: Report, projected: optuna.Study, mlflow_store: str
) -> None:
    metadata = {"study_name": NAME, "target": "net_profit", "metric": "mae", "validation_score": 77.25}
    client, run_id = MlflowClient(mlflow_store), projected.user_attrs["mlflow_parent"]["run_id"]
    client.log_text(run_id, json.dumps(metadata), "lgb_net_profit_optuna_metadata.json")
    assert report(MLFLOW_TRACKING_URI=mlflow_store).status == 0
    assert "77.25" in (tmp_path / "artefacts/reports" / NAME / "report.html").read_text()


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("http://127.0.0.1:9", "cannot read the run of study"),
        ("sqlite:///other.db", "there is no MLflow store other.db"),
    ],
)
def test_an_unreachable_mlflow_costs_one_warning(
    tmp_path: Path, report: Report, projected: optuna.Study, uri: str, message: str
) -> None:
    assert projected.user_attrs["mlflow_parent"]
    run = report(MLFLOW_TRACKING_URI=uri, MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert run.status == 0
    assert len(run.err.splitlines()) == 1
    assert run.err.startswith(f"warning: {message}")
    assert "the report is not logged to MLflow" in run.err
    assert (tmp_path / "artefacts/reports" / NAME / "report.html").exists()
    assert not (tmp_path / "other.db").exists()


def test_a_mistyped_kind_of_tracking_uri_is_told_first(tmp_path: Path, report: Report) -> None:
    manager(tmp_path).create_or_load_study(NAME)
    run = report(MLFLOW_TRACKING_URI="htp://server")
    assert run.status == 2
    assert "MLFLOW_TRACKING_URI 'htp://server' has the unknown scheme" in run.err
