"""`--constraint` and `--select` in the whole flow: command line, modes, resumes, metadata, MLflow."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import mlflow
import pytest
from optuna.trial import TrialState

from src.config import RunSettings, SearchSettings
from src.errors import ConfigError
from src.model_settings import ModelSettings
from src.modeling import optuna_parallel_optimization, train_with_optuna
from src.modeling.train_with_optuna import optimize_hyperparameters
from src.study.studies import OptunaStudyManager
from tests.commands import Finished, run_here
from tests.small_table import small_table

NAME = "net_profit_20240101_120000"
LIMITS = ("--constraint", "trees<=60", "--constraint", "leaves <= 900")
Run = Callable[..., Finished]


@pytest.fixture
def folder(tmp_path: Path, mlflow_store: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    small_table(n_days=40).to_parquet(tmp_path / "table.parquet")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    return tmp_path


@pytest.fixture
def tune(folder: Path) -> Run:
    fixed = ["--data", "table.parquet", "--targets", "net_profit", "--study-name", NAME]
    return lambda *options: run_here(train_with_optuna.main, [*fixed, *options], folder, dict(os.environ))


@pytest.fixture
def parallel(folder: Path) -> Run:
    fixed = ["--data", "table.parquet", "--targets", "net_profit", "--study-name", NAME]
    main = optuna_parallel_optimization.main
    return lambda *options: run_here(main, [*fixed, *options], folder, dict(os.environ))


def metadata(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "artefacts/models/lgb_net_profit_optuna_metadata.json").read_text())
    return found


def leaves_of(folder: Path, found: dict[str, Any]) -> int:
    text = (folder / found["model_file"]).read_text()
    return sum(int(line.split("=")[1]) for line in text.splitlines() if line.startswith("num_leaves="))


def check(folder: Path) -> dict[str, Any]:
    found = metadata(folder)
    booster = lgb.Booster(model_file=folder / found["model_file"])
    assert found["constraint"] == ["trees<=60", "leaves<=900"]
    assert found["measures"]["trees"] == booster.num_trees() <= 60
    assert found["measures"]["leaves"] == leaves_of(folder, found) <= 900
    return found


def test_the_registered_model_meets_the_constraints_and_mlflow_shows_the_front(folder: Path, tune: Run) -> None:
    options = ("--n-trials", "25", *LIMITS, "--select", "small", "--use-cv", "--n-folds", "2")
    run = tune(*options)
    assert run.status == 0, run.err
    found = check(folder)
    assert f"net_profit is trial {found['trial']}\n" in run.out
    assert found["trial"] in found["pareto_front"]
    study = OptunaStudyManager(folder / "artefacts/optuna_studies").load_study(NAME)
    assert found["measures"]["fold_spread"] == study.trials[found["trial"]].user_attrs["fold_spread"]
    client = mlflow.MlflowClient()
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, max_results=100)
    (parent,) = [run for run in runs if run.info.run_name == NAME]
    assert parent.data.tags["constraint"] == "trees<=60, leaves<=900"
    assert (parent.data.tags["select"], parent.data.tags["registered_trials"]) == ("small", str(found["trial"]))
    assert parent.data.tags["pareto_front"] == ", ".join(map(str, found["pareto_front"]))
    children = {int(run.data.tags["optuna.trial_number"]): run.data for run in runs if run is not parent}
    on_front = {number for number, data in children.items() if data.tags.get("optuna.is_on_pareto_front") == "true"}
    assert on_front == set(found["pareto_front"])
    for trial in study.get_trials(states=(TrialState.COMPLETE,)):
        data = children[trial.number]
        assert data.tags["optuna.is_feasible"] == str(all(v <= 0 for v in trial.constraints.values())).lower()
        assert [data.metrics[name] for name in ("trees", "leaves", "fold_spread")] == [
            trial.user_attrs[name] for name in ("trees", "leaves", "fold_spread")
        ]
    page = (folder / f"artefacts/reports/{NAME}/report.html").read_text()
    assert "Score, stability and size</h2>" in page
    assert "constraint trees&lt;=60" in page


def test_processes_and_resumes_keep_the_constraints(folder: Path, parallel: Run, tune: Run) -> None:
    run = parallel("--mode", "parallel", "--n-trials", "20", "--max-workers", "2", *LIMITS)
    assert run.status == 0, run.err
    check(folder)
    refused = tune("--constraint", "trees<=50", "--n-trials", "22")
    assert refused.status == 2
    assert "was created with constraint ('trees<=60', 'leaves<=900'), now it is ('trees<=50',)" in refused.err
    resumed = tune("--n-trials", "22")
    assert resumed.status == 0, resumed.err
    assert check(folder)["n_trials"] == 22
    (folder / "limits.yaml").write_text("constraint: ['leaves<=900', trees<=60]\n")
    by_file = tune("--config", "limits.yaml", "--n-trials", "23")
    assert by_file.status == 0, by_file.err
    (folder / "limits.yaml").write_text("constraint: trees<=60\n")
    assert tune("--config", "limits.yaml", "--n-trials", "23").status == 2


def test_without_a_feasible_trial_the_run_ends_with_the_closest_value(folder: Path, tune: Run) -> None:
    run = tune("--n-trials", "3", "--constraint", "trees<=1", "--pruner", "none")
    assert run.status == 1
    study = OptunaStudyManager(folder / "artefacts/optuna_studies").load_study(NAME)
    trees = {trial.number: trial.user_attrs["trees"] for trial in study.trials}
    closest = min(trees, key=lambda number: (trees[number], number))
    assert run.err.strip().splitlines()[-1] == (
        f"error: no complete trial of study '{NAME}' meets --constraint trees<=1: the closest, trial {closest}, has "
        f"trees {trees[closest]:g}; start another study with a higher limit, or give a larger --n-trials and resume "
        f"with --study-name {NAME}"
    )
    assert not (folder / "artefacts/models").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--constraint", "fold_spread<=0.1"), "fold_spread<=0.1 compares folds, and the split has one validation"),
        (("--select", "stable"), "--select stable compares folds, and the split has one validation window: add"),
        (("--constraint", "trees"), "--constraint 'trees' is not NAME<=NUMBER"),
    ],
)
def test_a_wrong_option_is_refused_before_the_search(
    folder: Path, tune: Run, options: tuple[str, ...], message: str
) -> None:
    run = tune("--n-trials", "3", *options)
    assert (run.status, len(run.err.strip().splitlines())) == (2, 1)
    assert message in run.err
    assert not (folder / "artefacts").exists()


def test_a_wrong_constraint_in_the_file_names_the_file(folder: Path, tune: Run) -> None:
    for content, message in (
        ("constraint: [tree<=5]", "--config limits.yaml: --constraint 'tree<=5': 'tree' is unknown"),
        ("constraint: 5", "--config limits.yaml: `constraint` is '5': write a list"),
    ):
        (folder / "limits.yaml").write_text(content + "\n")
        run = tune("--n-trials", "3", "--config", "limits.yaml")
        assert run.status == 2
        assert message in run.err


def test_a_users_objective_sets_its_own_constraints(folder: Path) -> None:
    def objective(trial: Any, *_: Any) -> float:
        x: float = trial.suggest_float("x", 0, 1)
        trial.set_constraint("x", 0.5 - x)
        return x

    settings = RunSettings(search=SearchSettings(storage_dir=folder / "store", n_trials=12))
    with pytest.raises(ConfigError, match=r"your own objective may call trial\.set_constraint"):
        optimize_hyperparameters(
            "net_profit", objective=objective, data=small_table(),
            settings=replace(settings, model=ModelSettings(("trees<=5",))),
        )  # fmt: skip
    study, params = optimize_hyperparameters("net_profit", objective=objective, data=small_table(), settings=settings)
    assert params["x"] == min(trial.params["x"] for trial in study.trials if trial.params["x"] >= 0.5)
