from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from src.serving import predict
from src.tracking.registry.model_versions import register_model
from tests.commands import Finished, run_here
from tests.tiny_model import TinyModel, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")


@pytest.fixture
def tiny(mlflow_store: str, tmp_path: Path) -> TinyModel:
    made = tiny_model(tmp_path)
    run = MlflowClient().create_run(MlflowClient().create_experiment("own", str(tmp_path / "artifacts")))
    register_model(run.info.run_id, made.card)
    made.frame.to_parquet(tmp_path / "table.parquet")
    return made


def run_main(folder: Path, *options: str) -> Finished:
    return run_here(predict.main, ["--data", "table.parquet", "--block-rows", "100", *options], folder)


def test_what_is_written_is_logged_once_with_its_role(tiny: TinyModel, tmp_path: Path) -> None:
    words = ("--target", "pnl", "--output", "parts/", "--log-predictions", "log")
    assert run_main(tmp_path, *words).status == 0
    assert run_main(tmp_path, *words).status == 0, "parts that are there are not logged again"
    written = pd.read_parquet(tmp_path / "parts")
    log = pd.read_parquet(tmp_path / "log").sort_values("time", kind="stable", ignore_index=True)
    assert len(log) == len(written) > 100
    assert log["account_id"].tolist() == written["account_id"].astype(str).tolist()
    assert log["prediction"].tolist() == written["prediction"].tolist()
    assert log[["target", "model", "version", "role"]].drop_duplicates().values.tolist() == [
        ["pnl", "pnl", "1", "champion"]
    ]


def test_a_version_without_an_alias_has_no_role(tiny: TinyModel, tmp_path: Path) -> None:
    words = ("--model", "models:/pnl/1", "--log-predictions", f"sqlite:///{tmp_path}/log.db", "--log-table", "mine")
    assert run_main(tmp_path, *words).status == 0
    log = pd.read_sql("SELECT DISTINCT version, role FROM mine", f"sqlite:///{tmp_path}/log.db")
    assert log.values.tolist() == [["1", ""]]


def test_a_log_that_cannot_be_written_is_reported_and_ends_nothing(tiny: TinyModel, tmp_path: Path) -> None:
    done = run_main(tmp_path, "--target", "pnl", "--log-predictions", "postgresql://user@127.0.0.1:9/db")
    assert (done.status, done.out.splitlines()[-1].startswith("predicted ")) == (0, True)
    lines = done.err.splitlines()
    assert "predictions could not be logged, only written to --output" in done.err
    assert f"{len(tiny.frame)} predictions are not in the log" in lines[-1]
    assert len(pd.read_parquet(tmp_path / "predictions.parquet")) == len(tiny.frame)
