"""What a report finds of the final model: in the output folder, in MLflow, or nowhere."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from src.reporting.final_model_files import FinalModelFiles, find_model_files, read_predictions, report_folder

NAME = "net_profit_20240101_120000"
PREDICTIONS = pd.DataFrame({"account": ["a"], "date": pd.to_datetime(["2024-01-01"]), "y": [1.0], "prediction": [2.0]})


@dataclass
class Artifacts:
    """A folder in the place of a run's artifacts; the run itself is asked in the tests of `parent_run`."""

    folder: Path
    asked: list[str] = field(default_factory=list)

    def names(self, folder: str = "") -> list[str]:
        return [str(path.relative_to(self.folder)) for path in (self.folder / folder).glob("*")]

    def fetch(self, path: str, folder: Path) -> Path:
        self.asked.append(path)
        (folder / path).parent.mkdir(exist_ok=True)
        return Path(shutil.copy(self.folder / path, folder / path))


def write_metadata(path: Path, **metadata: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(metadata))


def nowhere() -> None:
    raise AssertionError("MLflow is not asked for what lies here")


def test_the_targets_newest_model_is_that_of_another_study(tmp_path: Path) -> None:
    write_metadata(tmp_path / "models/lgb_net_profit_optuna_metadata.json", study_name=NAME, skill=0.1)
    assert find_model_files(NAME, tmp_path, nowhere).metadata["skill"] == 0.1
    assert find_model_files("net_profit_20230101_120000", tmp_path, lambda: None) == FinalModelFiles()


def test_files_in_the_report_folder_belong_to_the_study(tmp_path: Path) -> None:
    write_metadata(tmp_path / "models/lgb_net_profit_optuna_metadata.json", study_name="newer")
    write_metadata(tmp_path / "reports" / NAME / "metadata.json", study_name=NAME, skill=0.2)
    PREDICTIONS.to_parquet(tmp_path / "reports" / NAME / "test_predictions.parquet")
    found = find_model_files(NAME, tmp_path, nowhere)
    assert found.metadata["skill"] == 0.2
    assert found.predictions is not None
    pd.testing.assert_frame_equal(found.predictions, PREDICTIONS)


def test_mlflow_has_the_files_of_a_model_trained_elsewhere(tmp_path: Path) -> None:
    run = Artifacts(tmp_path / "run")
    write_metadata(run.folder / "lgb_net_profit_optuna_metadata.json", study_name=NAME, skill=0.3)
    (run.folder / "report").mkdir()
    (run.folder / "report/report.html").write_text("large")
    PREDICTIONS.to_parquet(run.folder / "report/test_predictions.parquet")
    found = find_model_files(NAME, tmp_path / "artefacts", lambda: run)  # type: ignore[arg-type, return-value]
    assert found.metadata["skill"] == 0.3
    assert found.predictions is not None
    assert found.numbers is None
    assert run.asked == ["lgb_net_profit_optuna_metadata.json", "report/test_predictions.parquet"]
    assert not (tmp_path / "artefacts").exists()


def test_a_run_without_a_final_model_has_nothing(tmp_path: Path) -> None:
    run = Artifacts(tmp_path)
    (tmp_path / "model.txt").write_text("")
    assert find_model_files(NAME, tmp_path / "artefacts", lambda: run) == FinalModelFiles()  # type: ignore[arg-type, return-value]
    assert run.asked == []


@pytest.mark.parametrize("text", ["{", '"text"', "[]", "\udcff"])
def test_metadata_that_cannot_be_read_is_said_and_left_out(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "models/lgb_net_profit_optuna_metadata.json"
    path.parent.mkdir()
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert find_model_files(NAME, tmp_path, lambda: None) == FinalModelFiles()
    assert (str(path) in caplog.text) == (text in ("{", "\udcff"))


@pytest.mark.parametrize("content", [b"", b"PAR1", pd.DataFrame({"y": [1.0]}).to_parquet()])
def test_predictions_that_cannot_be_read_are_said_and_left_out(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    assert read_predictions(tmp_path) is None
    assert caplog.text == ""
    (tmp_path / "test_predictions.parquet").write_bytes(content)
    assert read_predictions(tmp_path) is None
    (record,) = caplog.records
    assert "test_predictions.parquet cannot be read" in record.getMessage()
    assert "\n" not in record.getMessage()


def test_every_study_has_a_folder_of_its_own_below_reports(tmp_path: Path) -> None:
    assert report_folder(tmp_path, NAME) == tmp_path / "reports" / NAME
    names = ["../../etc", "a/b", "a_b", ".hidden", "x" * 300, "..", " ", "é\n"]
    folders = [report_folder(tmp_path, name) for name in names]
    assert len(set(folders)) == len(names)
    for folder in folders:
        assert folder.parent == tmp_path / "reports"
        folder.mkdir(parents=True)


def member(trial: int, weight: float, num_leaves: int) -> dict[str, Any]:
    """As earlier versions wrote it."""
    known = {
        "trial": trial,
        "weight": weight,
        "value": 90.0 + trial,
        "best_iteration": 10 * trial,
        "anchor": trial == 7,
    }
    return known | {"hyperparameters": {"num_leaves": num_leaves}}


EARLIER: dict[str, Any] = {
    "study_name": NAME, "metric": "mae", "hyperparameters": {"num_leaves": 31}, "validation_score": 90.0,
    "validation_skill": 0.1, "best_trial": 2, "best_iteration": 90, "best_iteration_in_search": 15, "n_trees": 90,
    "test_score": 95.0,
}  # fmt: skip


def test_metadata_of_an_earlier_version_is_read_as_that_of_this_one(tmp_path: Path) -> None:
    ensemble = [member(2, 0.25, 31), member(7, 0.75, 63)]
    together = EARLIER | {"ensemble": ensemble, "ensemble_rounds_stretch": 1.5, "validation_score_ensemble": 88.0}
    write_metadata(tmp_path / "reports" / NAME / "metadata.json", **together)
    assert find_model_files(NAME, tmp_path, nowhere).metadata == {
        "study_name": NAME, "metric": "mae", "hyperparameters": {"num_leaves": 63}, "validation_score": 88.0,
        "best_trial": {"number": 2, "value": 90.0, "hyperparameters": {"num_leaves": 31}, "best_iteration": 15},
        "best_iteration": 90, "test_score": 95.0, "rounds_factor": 1.5,
        "members": [
            {
                "trial": 2, "weight": 0.25, "value": 92.0, "rounds": 20, "is_fixed_config": False,
                "hyperparameters": {"num_leaves": 31},
            },
            {
                "trial": 7, "weight": 0.75, "value": 97.0, "rounds": 70, "is_fixed_config": True,
                "hyperparameters": {"num_leaves": 63},
            },
        ],
    }  # fmt: skip


def test_metadata_of_an_earlier_versions_single_trial(tmp_path: Path) -> None:
    write_metadata(tmp_path / "models/lgb_net_profit_optuna_metadata.json", **EARLIER)
    best = {"number": 2, "value": 90.0, "hyperparameters": {"num_leaves": 31}, "best_iteration": 15}
    found = find_model_files(NAME, tmp_path, nowhere).metadata
    assert found["best_trial"] == best
    assert (found["validation_score"], found["validation_skill"], found["best_iteration"]) == (90.0, 0.1, 90)
    assert "members" not in found
    assert "n_trees" not in found


@pytest.mark.parametrize("foreign", [None, [], "yes", 3, ["a"], {"trial": 1}, [{}], [{"trial": 1}]])
def test_strange_metadata_of_an_earlier_version_does_no_harm(tmp_path: Path, foreign: Any) -> None:
    write_metadata(tmp_path / "models/lgb_net_profit_optuna_metadata.json", **EARLIER | {"ensemble": foreign})
    found = find_model_files(NAME, tmp_path, nowhere).metadata
    assert found["best_trial"]["number"] == 2
    assert found["test_score"] == 95.0
