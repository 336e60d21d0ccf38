import os
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

from src.tracking.registry.served_model import ModelCard, log_served_model
from tests.bare_table import PEERS, bare_table, with_peers
from tests.derived_model import trained
from tests.tiny_model import TinyModel, by_hand, tiny_model

# MLflow looks at an example's column names in a way that pandas 4 will change.
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")

# Code of a user who knows only MLflow and pandas.
USER_CODE = """
import sys
import mlflow.pyfunc
import numpy as np
import pandas as pd

assert not [path for path in sys.path if path == sys.argv[4]]
model = mlflow.pyfunc.load_model(sys.argv[1])
np.save(sys.argv[3], model.predict(pd.read_csv(sys.argv[2])))
assert "src" not in sys.modules
"""


# The same for a model with derived features: it answers the rows without a target.
USER_CODE_OF_HISTORY = USER_CODE.replace("pd.read_csv(sys.argv[2])))", "pd.read_csv(sys.argv[2]))['prediction'])")


@pytest.mark.timeout(600)
def test_model_with_derived_features_serves_where_only_its_requirements_are(tmp_path: Path, mlflow_store: str) -> None:
    frame = with_peers(bare_table(40, 6))
    model = trained(frame, PEERS, "net_profit", tmp_path)
    card = ModelCard("net_profit", tmp_path / "trained.txt", model.served.metadata, frame.tail(60))
    folder = _logged_folder(card, tmp_path)
    table, answer, elsewhere = tmp_path / "table.csv", tmp_path / "answer.npy", tmp_path / "elsewhere"
    last = frame["date"] == frame["date"].max()
    frame.assign(net_profit=frame["net_profit"].mask(last)).to_csv(table, index=False)
    elsewhere.mkdir()
    python = _environment(tmp_path / "venv", folder / "requirements.txt")
    _run([python, "-c", USER_CODE_OF_HISTORY, *map(str, [folder, table, answer, Path.cwd()])], elsewhere)
    assert np.array_equal(np.load(answer), model.booster.predict(model.matrix[model.rows(frame[last])]))


@pytest.mark.timeout(600)
def test_model_serves_where_only_its_requirements_are(tmp_path: Path, mlflow_store: str) -> None:
    tiny = tiny_model(tmp_path)
    folder = _logged_folder(tiny.card, tmp_path)
    table, answer, elsewhere = tmp_path / "table.csv", tmp_path / "answer.npy", tmp_path / "elsewhere"
    frame = _table_of_today(tiny)
    frame.to_csv(table, index=False)
    elsewhere.mkdir()
    python = _environment(tmp_path / "venv", folder / "requirements.txt")
    arguments = [folder, table, answer, Path.cwd()]
    _run([python, "-c", USER_CODE, *map(str, arguments)], elsewhere)
    assert np.array_equal(np.load(answer), tiny.booster.predict(by_hand(frame)))


def _logged_folder(card: ModelCard, tmp_path: Path) -> Path:
    run = mlflow.MlflowClient().create_run("0")
    model_id = log_served_model(run.info.run_id, card, "digest")
    return Path(mlflow.artifacts.download_artifacts(f"models:/{model_id}", dst_path=str(tmp_path / "model")))


def _table_of_today(tiny: TinyModel) -> pd.DataFrame:
    """Category levels that were not in training, and missing values in columns that had none."""
    frame = tiny.frame.head(60).astype({"held": "float64", "is_monday": object})
    frame.loc[::4, "style"] = "scalping"
    frame.loc[::5, "held"] = np.nan
    frame.loc[::6, ["is_monday", "sector"]] = None
    return frame


def _environment(folder: Path, requirements: Path) -> str:
    """Creates an environment with only the model's requirements; uv's cache makes it fast."""
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    assert uv, "uv is a development requirement"
    python = folder / "bin" / "python"
    _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)], folder.parent)
    _run([uv, "pip", "install", "--quiet", "--python", str(python), "-r", str(requirements)], folder.parent)
    return str(python)


def _run(command: list[str], folder: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=folder, env=inherited, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
