"""The main command on one small table: several calls, and the files and runs after them."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from sklearn.metrics import mean_absolute_error

from src.data.encoding import encode
from src.modeling.optuna_parallel_optimization import main as shared_search
from src.modeling.train_with_optuna import main
from src.study.studies import OptunaStudyManager
from tests.commands import Finished, run_here
from tests.small_table import small_table

NAME = "net_profit_20240101_120000"
METADATA = """
    target task metric direction test_score validation_score baselines skill training_samples test_samples feature_names
    categorical_levels hyperparameters best_iteration study_name n_trials model_file trained_at versions
"""
"""The minimum of section 8 of the contract."""


@dataclass
class Desk:
    """A user's folder with a table and an MLflow store of its own."""

    folder: Path
    environ: dict[str, str]

    def run(self, *options: str, **environ: str) -> Finished:
        return run_here(main, ["--data", "table.parquet", *options], self.folder, self.environ | environ)

    def tune(self, *options: str, **environ: str) -> Finished:
        return self.run("--targets", "net_profit", "--n-trials", "3", *options, **environ)

    @property
    def client(self) -> MlflowClient:
        mlflow.set_tracking_uri(self.environ["MLFLOW_TRACKING_URI"])
        return MlflowClient()

    def runs(self, where: str = "") -> list[Run]:
        experiments = [experiment.experiment_id for experiment in self.client.search_experiments()]
        return list(self.client.search_runs(experiments, where))

    def parent(self, study_name: str) -> Run:
        (run,) = self.runs(f"attributes.run_name = '{study_name}'")
        return run

    def children(self, parent: Run) -> dict[str, Run]:
        found = self.runs(f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
        return {str(run.info.run_name): run for run in found}

    def metadata(self, target: str = "net_profit") -> dict[str, Any]:
        path = self.folder / f"artefacts/models/lgb_{target}_optuna_metadata.json"
        return json.loads(path.read_text())  # type: ignore[no-any-return]

    def models(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "artefacts/models").glob("*.txt"))

    def versions(self, target: str = "net_profit") -> dict[str, str]:
        """{alias: version}."""
        return {alias: str(n) for alias, n in self.client.get_registered_model(target).aliases.items()}

    def predict(self, frame: pd.DataFrame, uri: str = "models:/net_profit@champion") -> np.ndarray:
        assert self.client is not None
        return np.asarray(mlflow.pyfunc.load_model(uri).predict(frame))


@pytest.fixture(scope="module")
def new_desk(tmp_path_factory: pytest.TempPathFactory, _empty_mlflow_store: Path) -> Callable[[], Desk]:
    def make() -> Desk:
        folder = tmp_path_factory.mktemp("desk")
        small_table().to_parquet(folder / "table.parquet")
        shutil.copy(_empty_mlflow_store, folder / "mlflow.db")
        return Desk(folder, {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"})

    return make


@dataclass
class Story:
    """One folder and the outputs of a first run, the same command again, and another study."""

    desk: Desk
    first: Finished
    files: dict[str, float]


@pytest.fixture(scope="module")
def story(new_desk: Callable[[], Desk]) -> Story:
    desk = new_desk()
    first = desk.tune("--study-name", NAME)
    assert first.status == 0, first.err
    return Story(desk, first, {path.name: path.stat().st_mtime for path in desk.folder.rglob("*.txt")})


def test_the_summary_names_the_results(story: Story) -> None:
    lines = story.first.out.splitlines()
    assert lines[1].split()[:3] == ["target", "metric", "validation"]
    assert lines[3].startswith("net_profit  MAE")
    assert lines[3].endswith("net_profit v1 @champion")
    assert f"report   artefacts/reports/{NAME}/report.html" in lines
    assert lines[-1].startswith("MLflow   mlflow ui --backend-store-uri sqlite:///")
    assert "Traceback" not in story.first.err
    assert "3/3" in story.first.err


def test_the_files_of_the_contract_exist(story: Story) -> None:
    folder = story.desk.folder / "artefacts"
    assert story.desk.models() == ["lgb_net_profit_optuna_v1.txt"]
    assert (folder / "optuna_studies/studies.db").stat().st_size > 0
    assert (folder / f"reports/{NAME}/report.html").stat().st_size > 10_000
    found = story.desk.metadata()
    assert not set(METADATA.split()) - set(found)
    assert found["model_file"] == "artefacts/models/lgb_net_profit_optuna_v1.txt"
    assert (found["target"], found["task"], found["metric"]) == ("net_profit", "regression", "mae")
    assert (found["n_trials"], found["study_name"], found["direction"]) == (3, NAME, "minimize")
    assert found["feature_names"] == ["signal", "noise", "style", "is_open"], "and no target is one"
    assert found["categorical_levels"] == {"style": ["breakout", "momentum", "reversal"]}
    assert found["training_samples"] == found["split"]["search_rows"] == 47 * 8
    assert found["test_samples"] == 12 * 8


def test_the_model_file_scores_on_the_last_days_as_the_metadata_says(story: Story) -> None:
    found, table = story.desk.metadata(), small_table()
    booster = lgb.Booster(model_file=story.desk.folder / found["model_file"])
    test = table[table["date"] > found["split"]["search_dates"][1]].query("date >= @found['split']['test_dates'][0]")
    prediction = booster.predict(encode(test[found["feature_names"]], found["categorical_levels"]))
    assert len(test) == found["test_samples"]
    assert mean_absolute_error(test["net_profit"], prediction) == pytest.approx(found["test_score"])
    assert booster.num_trees() == found["best_iteration"]


def test_the_champion_predicts_raw_rows_as_the_model_file_does(story: Story) -> None:
    found, table = story.desk.metadata(), small_table()
    booster = lgb.Booster(model_file=story.desk.folder / found["model_file"])
    expected = booster.predict(encode(table[found["feature_names"]], found["categorical_levels"]))
    np.testing.assert_array_equal(story.desk.predict(table), expected)


def test_mlflow_shows_the_study(story: Story) -> None:
    desk, found = story.desk, story.desk.metadata()
    study = OptunaStudyManager(desk.folder / "artefacts/optuna_studies").load_study(NAME)
    parent = desk.parent(NAME)
    experiment = desk.client.get_experiment(parent.info.experiment_id)
    assert experiment.name == "daily-profit"
    assert (parent.info.status, parent.data.tags["daily_profit.outcome"]) == ("FINISHED", "registered")
    children = desk.children(parent)
    assert sorted(children) == ["trial-0000", "trial-0001", "trial-0002"]
    assert {run.info.status for run in children.values()} <= {"FINISHED", "KILLED"}
    for trial in study.trials:
        shown = children[f"trial-{trial.number:04d}"].data
        assert shown.params == {name: str(value) for name, value in trial.params.items()}
        assert shown.metrics["value"] == trial.value
        assert shown.metrics["best_iteration"] == trial.user_attrs["best_iteration"]
    assert parent.data.metrics["best_value"] == study.best_value == found["best_trial"]["value"]
    assert parent.data.metrics["validation_score"] == found["validation_score"]
    assert parent.data.metrics["test_score"] == found["test_score"]
    assert parent.data.metrics["skill"] == found["skill"]
    assert {name for name in parent.data.metrics if name.startswith("baseline_")} == {
        f"baseline_{name}" for name in found["baselines"]
    }
    assert json.loads(parent.data.tags["best_trial_params"]) == study.best_params
    assert parent.inputs is not None
    (data,) = parent.inputs.dataset_inputs
    assert (data.dataset.name, data.dataset.digest) == ("table.parquet", found["data_digest"])


def test_report_trials_metadata_and_model_are_artifacts_of_the_parent(story: Story) -> None:
    client, run_id = story.desk.client, story.desk.parent(NAME).info.run_id
    listed = {item.path for folder in ("", "report", "study") for item in client.list_artifacts(run_id, folder)}
    assert {
        "report/report.html",
        "report/report.pdf",
        "report/model_numbers.json",
        "report/test_predictions.parquet",
        "study/trials.csv",
        "lgb_net_profit_optuna_metadata.json",
        "lgb_net_profit_optuna_v1.txt",
    } <= listed


@pytest.fixture(scope="module")
def again(story: Story) -> Finished:
    return story.desk.tune("--study-name", NAME)


def test_repeating_the_command_creates_nothing_new(story: Story, again: Finished) -> None:
    assert again.status == 0, again.err
    assert "net_profit v1 @champion" in again.out
    desk = story.desk
    assert len(OptunaStudyManager(desk.folder / "artefacts/optuna_studies").load_study(NAME).trials) == 3
    assert desk.models() == ["lgb_net_profit_optuna_v1.txt"]
    model = desk.folder / "artefacts/models/lgb_net_profit_optuna_v1.txt"
    assert model.stat().st_mtime == story.files[model.name], "not even written again"
    assert desk.versions() == {"champion": "1"}
    assert len(desk.children(desk.parent(NAME))) == 3
    assert len(desk.runs()) == 4
    assert desk.parent(NAME).info.status == "FINISHED"


def test_another_study_is_a_challenger(story: Story, again: Finished) -> None:
    desk = story.desk
    champion = desk.predict(small_table())
    run = desk.tune("--study-name", "net_profit_20240102_120000", "--seed", "7")
    assert run.status == 0, run.err
    assert "net_profit v2 @challenger" in run.out
    assert desk.versions() == {"champion": "1", "challenger": "2"}
    assert desk.models() == ["lgb_net_profit_optuna_v1.txt", "lgb_net_profit_optuna_v2.txt"]
    assert desk.metadata()["model_file"].endswith("_v2.txt")
    np.testing.assert_array_equal(desk.predict(small_table()), champion)
    assert not np.array_equal(desk.predict(small_table(), "models:/net_profit@challenger"), champion)


def test_a_study_of_another_seed_is_not_resumed(story: Story, again: Finished) -> None:
    run = story.desk.tune("--study-name", NAME, "--seed", "8")
    assert run.status == 2
    assert run.out == ""
    assert run.err.startswith(f"error: study '{NAME}' was created with seed 42, now it is 8")
    assert len(run.err.splitlines()) == 1


def test_without_a_hold_out_and_without_the_registry(new_desk: Callable[[], Desk]) -> None:
    desk = new_desk()
    run = desk.tune("--study-name", NAME, "--no-register", "--test-fraction", "0", "--use-cv", "--n-folds", "2")
    assert run.status == 0, run.err
    assert run.out.splitlines()[3].endswith("not registered")
    assert desk.client.search_registered_models() == []
    found = desk.metadata()
    assert (found["test_score"], found["skill"], found["baselines"]) == (None, None, {})
    assert (found["training_samples"], found["test_samples"]) == (480, 0), "fitted on everything"
    assert len(found["split"]["folds"]) == 2
    assert found["validation_baselines"]
    assert "test_score" not in desk.parent(NAME).data.metrics
    assert desk.parent(NAME).data.tags["daily_profit.outcome"] == "trained"
    later = desk.tune("--study-name", NAME, "--test-fraction", "0", "--use-cv", "--n-folds", "2")
    assert "net_profit v1 @champion" in later.out, later.err


def test_several_targets_inside_mlflow_run_are_children_of_its_run(new_desk: Callable[[], Desk]) -> None:
    desk = new_desk()
    client = desk.client
    experiment = client.create_experiment("of-mlflow-run", artifact_location=str(desk.folder / "mlruns"))
    outer = client.create_run(experiment, run_name="tune").info.run_id
    options = ("--n-trials", "2", "--study-name", "both", "--no-register")
    run = desk.run("--targets", "net_profit,is_profitable", *options, MLFLOW_RUN_ID=outer)
    assert run.status == 0, run.err
    rows = run.out.splitlines()[3:5]
    assert [row.split()[:2] for row in rows] == [["net_profit", "MAE"], ["is_profitable", "AUC"]]
    below = desk.children(client.get_run(outer))
    assert sorted(below) == ["both_is_profitable", "both_net_profit"]
    for parent in below.values():
        assert len(desk.children(parent)) == 2
        assert (parent.info.status, parent.data.tags["daily_profit.outcome"]) == ("FINISHED", "trained")
        assert client.get_experiment(parent.info.experiment_id).name == "of-mlflow-run"
    assert desk.metadata("is_profitable")["direction"] == "maximize"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_error_of_the_last_target_is_reported_before_the_first_is_trained(
    new_desk: Callable[[], Desk], workers: str
) -> None:
    desk = new_desk()
    manager = OptunaStudyManager(desk.folder / "artefacts/optuna_studies")
    other = manager.create_or_load_study("tonight_num_trades", "minimize")
    made_with = {"target": "num_trades", "task": "regression", "metric": "rmse", "objective": "lightgbm", "seed": 7}
    other.set_user_attr("settings", made_with)
    targets = ("--targets", "net_profit,gross_profit,num_trades", "--study-name", "tonight")
    done = desk.run(*targets, "--n-trials", "1", "--max-workers", workers)
    assert done.status == 2
    assert "study 'tonight_num_trades' was created with seed 7, now it is 42" in done.err
    assert manager.list_studies() == ["tonight_num_trades"], "none was begun"
    assert desk.models() == []


def test_one_target_inside_mlflow_run_is_its_run(new_desk: Callable[[], Desk]) -> None:
    desk = new_desk()
    outer = desk.client.create_run("0", run_name="tune").info.run_id
    run = desk.tune("--study-name", NAME, "--no-register", MLFLOW_RUN_ID=outer)
    assert run.status == 0, run.err
    assert desk.parent(NAME).info.run_id == outer
    assert len(desk.children(desk.parent(NAME))) == 3


def test_other_names_no_dates_string_categories_and_missing_values(new_desk: Callable[[], Desk]) -> None:
    desk = new_desk()
    table = small_table().drop(columns=["date", "net_profit", "gross_profit", "num_trades", "is_highly_profitable"])
    table = table.rename(columns={"account_id": "trader", "is_profitable": "win"})
    rng = np.random.default_rng(0)
    table["style"] = table["style"].where(rng.random(len(table)) < 0.8)
    table["is_open"] = table["is_open"].astype(object).where(rng.random(len(table)) < 0.8)
    table['a [odd] "name"'] = rng.normal(size=len(table))
    table.to_csv(desk.folder / "other.csv", index=False)
    text = "account: trader\ndate: null\ndrop: [noise]\ntargets:\n  win: {task: binary, metric: auc}\n"
    (desk.folder / "names.yaml").write_text(text)
    run = run_here(
        main, ["--data", "other.csv", "--config", "names.yaml", "--n-trials", "2"], desk.folder, desk.environ
    )
    assert run.status == 0, run.err
    assert "win v1 @champion" in run.out
    found = desk.metadata("win")
    assert found["feature_names"] == ["signal", "style", "is_open", 'a [odd] "name"']
    assert "search_dates" not in found["split"]
    rows = pd.read_csv(desk.folder / "other.csv")[found["feature_names"]].head(20)
    rows.loc[:4, "style"] = "never seen"
    unseen = desk.predict(rows, "models:/win@champion")
    assert ((unseen > 0) & (unseen < 1)).all()
    np.testing.assert_array_equal(
        unseen, desk.predict(rows.assign(style=rows["style"].replace("never seen", None)), "models:/win@champion")
    )


def test_nothing_is_lost_during_an_mlflow_outage(new_desk: Callable[[], Desk]) -> None:
    desk = new_desk()
    away = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    run = replace(desk, environ=away).tune("--study-name", NAME)
    assert run.status == 1
    assert "Traceback" not in run.err
    (line,) = [line for line in run.err.splitlines() if line.startswith("error: ")]
    assert f"the same command with --study-name {NAME} registers them later" in line
    assert "artefacts/models/lgb_net_profit_optuna_v1.txt" in line
    study = OptunaStudyManager(desk.folder / "artefacts/optuna_studies").load_study(NAME)
    assert [trial.state.is_finished() for trial in study.trials] == [True] * 3
    assert desk.metadata()["n_trials"] == 3
    assert (desk.folder / f"artefacts/reports/{NAME}/report.html").exists()
    later = desk.tune("--study-name", NAME)
    assert later.status == 0, later.err
    assert "net_profit v1 @champion" in later.out
    assert desk.models() == ["lgb_net_profit_optuna_v1.txt"]
    assert sorted(desk.children(desk.parent(NAME))) == ["trial-0000", "trial-0001", "trial-0002"]


def test_a_finish_after_the_timeout_runs_no_trials(new_desk: Callable[[], Desk]) -> None:
    """Like the finish of a cluster run on an incomplete study; also with several targets."""
    desk = new_desk()
    targets = ("--targets", "net_profit,num_trades", "--study-name", "both", "--no-register")
    worker = ("--mode", "distributed", "--create", "--data", "table.parquet", *targets, "--n-trials", "2")
    searched = run_here(shared_search, worker, desk.folder, desk.environ)
    assert searched.status == 0, searched.err
    assert desk.models() == []
    finish = desk.run(*targets, "--n-trials", "50", "--timeout", "0.001")
    assert finish.status == 0, finish.err
    assert {target: desk.metadata(target)["n_trials"] for target in ("net_profit", "num_trades")} == {
        "net_profit": 2,
        "num_trades": 2,
    }
    assert "2 of 50 trials are done and saved" in finish.err
