"""`--monotone` in the whole flow: options, file, modes, resumes, metadata, report."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.final import monotone_check
from src.final.retrain import retrain
from src.modeling import optuna_parallel_optimization, train_with_optuna
from tests.commands import Finished, run_here
from tests.small_table import small_table

NAME = "num_trades_20240101_120000"
Run = Callable[..., Finished]


@pytest.fixture
def folder(tmp_path: Path, mlflow_store: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    small_table().to_parquet(tmp_path / "table.parquet")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_store)
    return tmp_path


@pytest.fixture
def tune(folder: Path) -> Run:
    def run(*options: str, main: Any = train_with_optuna.main) -> Finished:
        fixed = ["--data", "table.parquet", "--targets", "num_trades", "--study-name", NAME]
        return run_here(main, [*fixed, *options], folder, dict(os.environ))

    return run


def metadata(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "artefacts/models/lgb_num_trades_optuna_metadata.json").read_text())
    return found


def test_processes_resumes_and_retraining_keep_the_signs(folder: Path, tune: Run) -> None:
    main = optuna_parallel_optimization.main
    options = ("--n-trials", "6", "--max-workers", "2", "--monotone", "signal:1", "--monotone", "noise:-1")
    run = tune("--mode", "parallel", *options, main=main)
    assert run.status == 0, run.err
    found = metadata(folder)
    assert {name: checked["sign"] for name, checked in found["monotone"].items()} == {"signal": 1, "noise": -1}
    signs = dict(zip(found["feature_names"], found["fits"][0]["params"]["monotone_constraints"], strict=True))
    assert signs == {"signal": 1, "noise": -1, "style": 0, "is_open": 0}
    again = retrain(found, small_table()).booster.model_to_string()
    assert again.encode() == (folder / found["model_file"]).read_bytes()
    assert "Monotone features</h2>" in (folder / f"artefacts/reports/{NAME}/report.html").read_text()
    refused = tune("--monotone", "signal:1", "--n-trials", "7")
    assert refused.status == 2
    assert "was created with monotone {'noise': -1, 'signal': 1}, now it is {'signal': 1}" in refused.err
    (folder / "signs.yaml").write_text("monotone: {noise: -1, signal: 1}\n")
    for same in ((), ("--config", "signs.yaml")):
        assert tune(*same, "--n-trials", "7").status == 0
        assert metadata(folder)["monotone"].keys() == {"signal", "noise"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "monotone: [signal]",
            "--config signs.yaml: `monotone` is \"['signal']\": write signs by feature, `monotone: {",
        ),
        ("monotone: {signal: up}", "--config signs.yaml: --monotone gives feature 'signal' the sign 'up': use 1"),
        ("monotone: {signal: true}", "gives feature 'signal' the sign 'True': use 1"),
        ("monotone: {style: 1}", "--monotone 'style' is a category"),
    ],
)
def test_a_wrong_file_is_refused(folder: Path, tune: Run, content: str, message: str) -> None:
    (folder / "signs.yaml").write_text(content + "\n")
    run = tune("--n-trials", "2", "--config", "signs.yaml")
    assert (run.status, message in run.err) == (2, True), run.err
    assert not (folder / "artefacts").exists()


def test_a_violation_ends_the_run_before_anything_is_registered(
    folder: Path, tune: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(monotone_check, "TOLERANCE", -1.0)  # every step counts as a violation
    run = tune("--n-trials", "2", "--monotone", "signal:1")
    assert run.status == 1
    assert "error: the final model is not monotone in 'signal'" in run.err
    assert not (folder / "artefacts/models").exists()


def test_a_derived_feature_may_be_monotone(folder: Path, tune: Run) -> None:
    from src.config import TableConfig
    from src.data.table import load_dataset
    from src.search.derived_features import all_candidates

    data = load_dataset(small_table(), TableConfig(features="both"), "num_trades")
    names = [each.name for each in all_candidates(data).features]
    run = tune("--n-trials", "2", "--features", "both", "--monotone", ",".join(f"{name}:1" for name in names[:150]))
    assert run.status == 0, run.err
    found = metadata(folder)
    used = [name for name in names[:150] if name in found["feature_names"]]
    assert sorted(found["monotone"]) == sorted(used)
