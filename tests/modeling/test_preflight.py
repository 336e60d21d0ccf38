import subprocess
import sys
from pathlib import Path

import pytest

from src.config import RunSettings, SearchSettings
from src.errors import ConfigError
from src.modeling.preflight import check_locations
from src.study.studies import OptunaStudyManager

ROOT = Path(__file__).parents[2]
ADD_TRIALS = """
import sys
from optuna.trial import create_trial
from src.modeling.optuna_utils import OptunaStudyManager
study = OptunaStudyManager(sys.argv[1]).load_study("s")
for value in range(5):
    study.add_trial(create_trial(value=float(value)))
"""


@pytest.mark.slow
def test_checking_an_open_store_keeps_its_locks(tmp_path: Path) -> None:
    study = OptunaStudyManager(tmp_path / "studies").create_or_load_study("s")
    settings = RunSettings(search=SearchSettings(storage_dir=tmp_path / "studies"), output_dir=tmp_path)
    for n in range(1, 3):
        check_locations(settings)
        # Without the locks the other process would remove the journal that this process still writes to.
        done = subprocess.run([sys.executable, "-c", ADD_TRIALS, str(tmp_path / "studies")], cwd=ROOT, check=False)
        assert done.returncode == 0
        assert len(study.trials) == 5 * n + (n - 1)
        study.add_trial(study.trials[0])
        assert len(OptunaStudyManager(tmp_path / "studies").load_study("s").trials) == 6 * n


def test_the_output_folder_is_checked_only_if_results_are_written(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    settings = RunSettings(search=SearchSettings(storage_dir=tmp_path / "studies"), output_dir=tmp_path / "out")
    check_locations(settings, writes_results=False)
    with pytest.raises(ConfigError, match=r"--output-dir .*out is a file: name another"):
        check_locations(settings)


@pytest.mark.parametrize("name", [" ", "x" * 501, "a\x07b"], ids=["blank", "long", "bell"])
def test_an_experiment_that_mlflow_refuses(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = RunSettings(search=SearchSettings(storage_dir=tmp_path / "studies"), output_dir=tmp_path)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "any / name: 100 %, größe")
    check_locations(settings)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    with pytest.raises(ConfigError, match=r"MLFLOW_EXPERIMENT_NAME .* is not allowed: set it to 1 to 500"):
        check_locations(settings)


def test_the_check_writes_nothing(tmp_path: Path) -> None:
    OptunaStudyManager(tmp_path / "studies").create_or_load_study("s")
    before = sorted(tmp_path.rglob("*"))
    settings = RunSettings(search=SearchSettings(storage_dir=tmp_path / "studies"), output_dir=tmp_path / "out")
    check_locations(settings)
    assert sorted(tmp_path.rglob("*")) == before
