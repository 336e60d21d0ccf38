import contextlib
import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from optuna.trial import TrialState, create_trial

from src.study.studies import OptunaStudyManager
from src.tracking.connection.run_tags import HOST_TAG, origin_tags
from src.tracking.connection.session import TrackingSession
from src.tracking.lineage import main
from src.tracking.projection.study_projection import StudyProjection
from src.tracking.registry.model_versions import register_model
from tests.commands import Finished, run_here
from tests.tiny_model import tiny_model

# MLflow looks at an example's column names in a way that pandas 4 will change.
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")

STUDY = "pnl_20240101_120000"
MEMBERS: list[dict[str, Any]] = [
    {"trial": 2, "weight": 0.75, "value": 0.25},
    {"trial": 0, "weight": 0.25, "value": 0.5},
]
METADATA: dict[str, Any] = {
    "study_name": STUDY, "members": MEMBERS, "data": "table.parquet", "data_digest": "0123abcd",
    "training_samples": 320, "split": {"search_dates": ["2024-01-01", "2024-11-14"]}, "versions": {"lightgbm": "4.7.0"},
}  # fmt: skip


@dataclass(frozen=True)
class Trained:
    """A study of three trials in its store, its runs in MLflow, and a registered version of `pnl`."""

    folder: Path
    run_id: str

    def lineage(self, *options: str, **environ: str) -> Finished:
        return run_here(main, ["--storage-dir", "studies", *options], self.folder, environ)

    def json(self, *options: str, **environ: str) -> dict[str, Any]:
        done = self.lineage(*options, "--json", "-", **environ)
        assert (done.status, done.err) == (0, "")
        found: dict[str, Any] = json.loads(done.out)
        return found

    def trial_run(self, number: int) -> str:
        client = MlflowClient()
        experiments = [client.get_run(self.run_id).info.experiment_id]
        (run,) = client.search_runs(experiments, f"tags.`optuna.trial_number` = '{number}'")
        return str(run.info.run_id)


@pytest.fixture
def trained(mlflow_store: str, tmp_path: Path) -> Trained:
    attributes = {"settings": {"data_digest": "0123abcd", "described_source": "table.parquet"}}
    study = OptunaStudyManager(tmp_path / "studies").create_or_load_study(STUDY, user_attrs=attributes)
    for value, state in ((0.5, TrialState.COMPLETE), (0.9, TrialState.PRUNED), (0.25, TrialState.COMPLETE)):
        study.add_trial(create_trial(state=state, value=value))
    run_id = StudyProjection(study, TrackingSession({}), contextlib.nullcontext).project()
    register_model(run_id, tiny_model(tmp_path, **METADATA).card)
    return Trained(tmp_path, run_id)


def test_a_version_leads_to_its_trials_and_its_data(trained: Trained) -> None:
    found = trained.json("models:/pnl@champion")
    (version,) = found["versions"]
    assert (version["uri"], version["aliases"], version["run_id"]) == ("models:/pnl/1", ["champion"], trained.run_id)
    assert (found["run"]["run_id"], found["run"]["name"]) == (trained.run_id, STUDY)
    assert (found["study"]["name"], found["study"]["trials"]) == (STUDY, {"complete": 2, "pruned": 1})
    assert found["trials"] == [
        {"number": member["trial"], "weight": member["weight"], "value": member["value"],
         "run_id": trained.trial_run(member["trial"])}
        for member in MEMBERS
    ]  # fmt: skip
    assert found["data"] == {
        "digest": "0123abcd", "source": "table.parquet", "training_rows": 320,
        "training_dates": ["2024-01-01", "2024-11-14"],
    }  # fmt: skip
    assert found["code"]["libraries"] == {"lightgbm": "4.7.0"}
    assert found["notes"] == []
    assert trained.json("models:/pnl/1") == found | {"subject": "models:/pnl/1"}
    assert trained.json("--of", "models:/pnl/1")["versions"] == found["versions"]


def test_a_run_a_trial_and_a_study_lead_to_the_versions(trained: Trained) -> None:
    expected = trained.json("models:/pnl/1")
    for subject in (trained.run_id, trained.trial_run(1), STUDY):
        assert trained.json(subject) == expected | {"subject": subject}


def test_the_table_names_all_steps(trained: Trained) -> None:
    done = trained.lineage("models:/pnl@champion", "--json", "lineage.json")
    assert (done.status, done.err) == (0, "")
    rows = done.out.splitlines()
    assert rows[0].split() == ["what", "name", "details"]
    assert [row.split()[0] for row in rows[2:]] == ["version", "run", "study", "trial", "trial", "data", "commit"]
    assert json.loads((trained.folder / "lineage.json").read_text())["versions"][0]["uri"] == "models:/pnl/1"
    assert "0123abcd" in done.out and "320 training rows, 2024-01-01 … 2024-11-14" in done.out


def test_an_absent_study_store_is_one_line(trained: Trained) -> None:
    shutil.rmtree(trained.folder / "studies")
    done = trained.lineage("models:/pnl@champion")
    assert (done.status, done.err) == (0, "")
    assert "the study cannot be shown: there is no store" in done.out.splitlines()[-1]
    assert f"run      {trained.run_id}" in done.out
    assert not (trained.folder / "studies").exists()


def test_an_unreachable_study_store_is_one_line(trained: Trained) -> None:
    url = "postgresql://anna:secret@127.0.0.1:9/optuna"
    found = trained.json("models:/pnl@champion", "--storage-url", url)
    assert (found["study"], len(found["notes"])) == ({}, 1)
    assert found["notes"][0].startswith("the study cannot be shown: the store postgresql+psycopg2://anna:***@127")
    assert [trial["number"] for trial in found["trials"]] == [2, 0]


def test_absent_artifacts_are_one_line(trained: Trained) -> None:
    shutil.rmtree(trained.folder / "mlruns")
    found = trained.json("models:/pnl@champion")
    assert found["notes"][0].startswith(
        "the model's metadata cannot be shown: cannot read the metadata of models:/pnl/1"
    )
    assert (found["trials"], found["data"]["digest"]) == ([], "0123abcd"), "the digest is known from the study"
    assert found["study"]["trials"] == {"complete": 2, "pruned": 1}


def test_a_study_is_shown_without_mlflow(trained: Trained) -> None:
    done = trained.lineage(STUDY, MLFLOW_TRACKING_URI="http://127.0.0.1:9", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0")
    assert (done.status, done.err) == (0, "")
    assert "2 complete, 1 pruned" in done.out
    assert done.out.splitlines()[-1].startswith("the run cannot be shown: ")
    assert "none is registered" not in done.out


def test_a_version_without_mlflow_is_an_error(trained: Trained) -> None:
    environ = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    done = trained.lineage("models:/pnl@champion", **environ)
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)


def test_a_run_without_a_version(trained: Trained) -> None:
    MlflowClient().delete_registered_model("pnl")
    done = trained.lineage(trained.run_id)
    assert (done.status, done.err) == (0, "")
    assert "none is registered" in done.out


def test_the_decision_of_promote_leads_to_its_challenger(trained: Trained) -> None:
    client = MlflowClient()
    tags = {"daily_profit.challenger": "models:/pnl/1"}
    decision = client.create_run("0", tags=tags)
    assert trained.json(decision.info.run_id)["versions"][0]["uri"] == "models:/pnl/1"


@pytest.mark.parametrize(
    ("subject", "said"),
    [
        ([], "give one of models:/<name>@champion, models:/<name>/<version>, a run id or a study name"),
        (["models:/pnl"], "'models:/pnl' names no registered version"),
        (["models:/pnl@challenger"], "model 'models:/pnl@challenger' cannot be found"),
        (["models:/pnl/9"], "model 'models:/pnl/9' cannot be found"),
        (["0" * 32], f"MLflow has no run {'0' * 32}"),
        (["nothing"], "there is no study 'nothing'"),
    ],
)
def test_unknown_subjects_are_user_errors(trained: Trained, subject: list[str], said: str) -> None:
    done = trained.lineage(*subject)
    assert (done.status, done.out, done.err.count("\n")) == (2, "", 1)
    assert said in done.err


def test_no_store_is_created(tmp_path: Path) -> None:
    done = run_here(main, ["models:/pnl@champion"], tmp_path)
    assert done.status == 1
    assert "there is no MLflow store" in done.err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_run_of_a_study_has_the_commit() -> None:
    tags = origin_tags("module")
    assert tags[HOST_TAG] and tags["mlflow.user"] and tags["mlflow.source.name"] == "module"
    root = Path(__file__).resolve().parents[2]
    if not (root / ".git").exists() or shutil.which("git") is None:
        pytest.skip("not a git checkout")
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, check=True, capture_output=True, text=True).stdout
    assert tags["mlflow.source.git.commit"] == head.strip()
