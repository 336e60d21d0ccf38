"""`predict` is killed and started again: each row is there once, in a folder and in a table of Postgres."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from src.data.sources.dispatch import read_table
from src.tracking.registry.model_versions import register_model
from tests.integration.servers import PASSWORD
from tests.tiny_model import TinyModel, by_hand, tiny_frame, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")
N, BLOCK = 10_000, 250


@dataclass(frozen=True)
class Prediction:
    """A store with a champion, and a table of N rows with other dates each."""

    folder: Path
    tiny: TinyModel

    def start(self, output: str) -> "subprocess.Popen[str]":
        options = ["--target", "pnl", "--data", "t.parquet", "--block-rows", str(BLOCK), "--output", output]
        return subprocess.Popen(
            [sys.executable, "-m", "src.serving.predict", *options],
            cwd=self.folder,
            env=os.environ
            | {"MLFLOW_TRACKING_URI": f"sqlite:///{self.folder / 'mlflow.db'}", "PYTHONPATH": os.getcwd()},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def kill_and_restart(self, output: str, begun: Callable[[], bool]) -> tuple[str, str]:
        """Kills the command when it has written something, and runs it to its end; returns both processes' texts."""
        first = self.start(output)
        while not begun():
            assert first.poll() is None, first.communicate()
            time.sleep(0.002)
        first.send_signal(signal.SIGKILL)
        texts = "".join(first.communicate())
        assert first.returncode == -signal.SIGKILL, "it ended before the kill"
        second = self.start(output)
        out, err = second.communicate(timeout=300)
        assert second.returncode == 0, err
        assert f"predicted {N} rows with models:/pnl/1 " in out
        return texts, out + err

    def check(self, found: pd.DataFrame) -> None:
        """Whether each row is there once, with the model's own value."""
        frame = tiny_frame(N)
        assert len(found) == N
        by_day = found.set_index(pd.to_datetime(found["date"]))["prediction"]
        assert by_day.index.is_unique
        expected = self.tiny.booster.predict(by_hand(frame))
        assert np.array_equal(by_day[frame["date"]], expected)


@pytest.fixture
def prediction(tmp_path: Path, _empty_mlflow_store: Path) -> Prediction:
    mlflow.set_tracking_uri(f"sqlite:///{shutil.copy(_empty_mlflow_store, tmp_path / 'mlflow.db')}")
    client = MlflowClient()
    experiment = client.create_experiment("own", str(tmp_path / "artifacts"))
    tiny = tiny_model(tmp_path)
    register_model(client.create_run(experiment).info.run_id, tiny.card)
    tiny_frame(N).to_parquet(tmp_path / "t.parquet")
    return Prediction(tmp_path, tiny)


@pytest.mark.timeout(300)
def test_a_folder_of_parts(prediction: Prediction) -> None:
    parts = prediction.folder / "parts"
    prediction.kill_and_restart("parts/", lambda: len(list(parts.glob("part-*"))) >= 3)
    prediction.check(pd.read_parquet(parts))
    assert len(list(parts.iterdir())) == N // BLOCK + 1


@pytest.mark.timeout(300)
def test_a_table_of_postgres(prediction: Prediction, postgres_url: str) -> None:
    def begun() -> bool:
        tables = "SELECT count(*) AS n FROM pg_tables WHERE tablename = 'predictions'"  # made with the first block
        return bool(read_table(postgres_url, tables)["n"].iloc[0])

    texts = prediction.kill_and_restart(postgres_url.replace("postgres@", f"postgres:{PASSWORD}@"), begun)
    found = read_table(postgres_url, "SELECT * FROM predictions")
    prediction.check(found)
    assert set(found["target"]) == set(found["model"]) == {"pnl"}
    assert set(found["version"]) == {"1"}
    assert PASSWORD not in "".join(texts)
