"""`--space` in the whole flow: a file, worker processes, resumes, the final model."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from optuna.trial import FrozenTrial

from src.final.retrain import retrain
from src.modeling import optuna_parallel_optimization, train_with_optuna
from src.study.studies import OptunaStudyManager
from tests.commands import Finished, run_here
from tests.small_table import small_table

NAME = "net_profit_20240101_120000"
NARROW = "base: wide\nboosting_type: gbdt\nnum_leaves: [2, 40]\nlearning_rate: [0.03, 0.1]\n"
Run = Callable[..., Finished]


@pytest.fixture
def folder(tmp_path: Path, mlflow_store: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    small_table().to_parquet(tmp_path / "table.parquet")
    (tmp_path / "space.yaml").write_text(NARROW)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    return tmp_path


@pytest.fixture
def tune(folder: Path) -> Run:
    def run(*options: str, main: Any = train_with_optuna.main) -> Finished:
        fixed = ["--data", "table.parquet", "--targets", "net_profit", "--study-name", NAME]
        return run_here(main, [*fixed, *options], folder, dict(os.environ))

    return run


def trials(folder: Path) -> list[FrozenTrial]:
    return OptunaStudyManager(folder / "artefacts/optuna_studies").load_study(NAME).trials


def test_processes_and_resumes_draw_from_the_narrowed_space(folder: Path, tune: Run) -> None:
    main = optuna_parallel_optimization.main
    run = tune("--mode", "parallel", "--n-trials", "13", "--max-workers", "2", "--space", "space.yaml", main=main)
    assert run.status == 0, run.err
    (folder / "space.yaml").unlink()
    assert tune("--n-trials", "15").status == 0, "the study knows its space"
    for trial in trials(folder):
        assert trial.params["boosting_type"] == "gbdt"
        assert 2 <= trial.params["num_leaves"] <= 40
        assert 0.03 <= trial.params["learning_rate"] <= 0.1
        assert {"extra_trees", "path_smooth", "cat_smooth", "max_cat_to_onehot"} <= trial.params.keys()
    assert len(trials(folder)) == 15
    found = json.loads((folder / "artefacts/models/lgb_net_profit_optuna_metadata.json").read_text())
    assert {"extra_trees", "cat_l2"} <= found["hyperparameters"].keys()
    again = retrain(found, small_table()).booster.model_to_string()
    assert again.encode() == (folder / found["model_file"]).read_bytes()
    refused = tune("--n-trials", "16", "--space", "wide")
    assert refused.status == 2
    assert "was created with space wide with boosting_type gbdt, " in refused.err
    assert "now it is wide: give the same value, or use another --study-name" in refused.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("num_leafs: 5", "--space: 'num_leafs' is no parameter of 'seed' (did you mean 'num_leaves'?)"),
        ("num_leaves: [2, 64]", "--space: `num_leaves` is [2, 64]: stay within 10 to 200"),
    ],
)
def test_a_wrong_space_is_refused_before_the_search(folder: Path, tune: Run, text: str, message: str) -> None:
    (folder / "space.yaml").write_text(text + "\n")
    run = tune("--n-trials", "2", "--space", "space.yaml")
    assert (run.status, len(run.err.strip().splitlines())) == (2, 1)
    assert message in run.err
    assert not (folder / "artefacts").exists()
