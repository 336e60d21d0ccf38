import gzip
import resource
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from src.config import TableConfig
from src.config_file import load_table_config
from src.disk import explain
from src.errors import ConfigError, DataError, TrackingError, UserError
from src.serving.predict import main, predict_table
from src.serving.prediction_output import check_output, write_predictions
from src.tracking.registry.model_versions import register_model
from tests.commands import Finished, run_here
from tests.tiny_model import TinyModel, tiny_model

# MLflow looks at an example's column names in a way that pandas 4 will change.
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")


@dataclass(frozen=True)
class Registered:
    """A store with one champion; the tests only read it."""

    tiny: TinyModel
    uri: str


@pytest.fixture(scope="module")
def registered(_empty_mlflow_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Registered:
    home = tmp_path_factory.mktemp("registered").resolve()
    uri = f"sqlite:///{shutil.copy(_empty_mlflow_store, home / 'mlflow.db')}"
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    run = client.create_run(client.create_experiment("own", str(home / "artifacts")))
    tiny = tiny_model(home)
    register_model(run.info.run_id, tiny.card)
    return Registered(tiny, uri)


@pytest.fixture
def tiny(registered: Registered) -> TinyModel:
    mlflow.set_tracking_uri(registered.uri)
    return registered.tiny


def test_keys_and_predictions_row_by_row(tiny: TinyModel) -> None:
    shuffled = tiny.frame.sample(frac=1, random_state=1)
    found = predict_table("models:/pnl@champion", shuffled)
    assert list(found.columns) == ["account_id", "date", "prediction"]
    expected = pd.Series(tiny.booster.predict(tiny.matrix), tiny.frame.index)[shuffled.index]
    assert np.array_equal(found["prediction"], expected)
    assert found["date"].tolist() == shuffled["date"].tolist()


def test_other_names_and_no_keys(tiny: TinyModel) -> None:
    renamed = tiny.frame.rename(columns={"account_id": "trader", "date": "day"})
    table = TableConfig(account="trader", date=None)
    assert list(predict_table("models:/pnl/1", renamed, table).columns) == ["trader", "prediction"]
    assert list(predict_table("models:/pnl/1", renamed).columns) == ["prediction"]


def test_empty_table_gives_an_empty_result(tiny: TinyModel) -> None:
    assert predict_table("models:/pnl/1", tiny.frame.head(0)).shape == (0, 3)


@pytest.mark.parametrize(
    "uri",
    [
        "models:/nobody@champion",
        "models:/pnl@nobody",
        "models:/pnl/77",
        "models:/pnl/x",
        "runs:/abc/model",
        "no/folder",
    ],
)
def test_a_missing_model_is_a_user_error(tiny: TinyModel, uri: str) -> None:
    with pytest.raises(UserError, match=f"model '{uri}' cannot be found: .*train and register it first") as caught:
        predict_table(uri, tiny.frame)
    assert "\n" not in str(caught.value)


def test_an_unavailable_server_is_not_a_user_error(tiny: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    with pytest.raises(TrackingError, match="cannot load model 'models:/pnl@champion'") as caught:
        predict_table("models:/pnl@champion", tiny.frame)
    assert "\n" not in str(caught.value)


def test_rows_that_do_not_fit_are_named(tiny: TinyModel) -> None:
    with pytest.raises(DataError, match=r"column\(s\) held missing"):
        predict_table("models:/pnl/1", tiny.frame.drop(columns="held"))
    with pytest.raises(DataError, match=r"column 'ret' holds 400 values that are not .*'high' in row 1"):
        predict_table("models:/pnl/1", tiny.frame.assign(ret="high"))
    with pytest.raises(DataError, match=r"column\(s\) ret are duplicated"):
        predict_table("models:/pnl/1", pd.concat([tiny.frame, tiny.frame[["ret"]]], axis=1))


@pytest.mark.parametrize("name", ["p.parquet", "p.csv", "deep/er/p.csv.gz"])
def test_a_written_file_can_be_read_back(tmp_path: Path, name: str) -> None:
    frame = pd.DataFrame({"account_id": ["A", "B"], "prediction": [0.1, 1 / 3]})
    path = tmp_path / name
    write_predictions(frame, path)
    write_predictions(frame, path)
    back = pd.read_parquet(path) if name.endswith("parquet") else pd.read_csv(path)
    pd.testing.assert_frame_equal(back, frame)
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_same_predictions_are_the_same_file(tmp_path: Path) -> None:
    for name in ("a.csv.gz", "b.csv.gz"):
        write_predictions(pd.DataFrame({"prediction": [1.5]}), tmp_path / name)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.csv.gz", "b.csv.gz"))
    assert gzip.decompress(first) == gzip.decompress(second) == b"prediction\n1.5\n"
    assert first[4:8] == second[4:8] == b"\0\0\0\0"


@pytest.mark.parametrize("name", ["p.xlsx", "p", ".csv", "p.csv.bz2"])
def test_unknown_file_extension_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"use one of \.parquet, \.csv, \.csv\.gz"):
        check_output(name)


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "folder.csv", tmp_path / "file" / "p.csv"):
        with pytest.raises(ConfigError, match="cannot be written"):
            write_predictions(pd.DataFrame({"prediction": [1.5]}), path)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["file", "folder.csv"]


@pytest.mark.parametrize("name", ["p.csv", "p.csv.gz", "p.parquet"])
def test_a_full_disk_is_not_a_user_error(tmp_path: Path, name: str) -> None:
    """A limit on the file size simulates it."""
    frame = pd.DataFrame({"prediction": np.random.default_rng(0).random(20_000)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(OSError, match=name) as caught:
            write_predictions(frame, tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert f"{name} cannot be used: " in explain(caught.value)
    assert "raise the limit of the file size" in explain(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_keys_that_parquet_cannot_hold(tmp_path: Path) -> None:
    frame = pd.DataFrame({"account_id": pd.Series([1, "a"], dtype=object), "prediction": [0.5, 1.5]})
    with pytest.raises(DataError, match=r"p\.parquet cannot hold the table's keys: .*; give a \.csv") as caught:
        write_predictions(frame, tmp_path / "p.parquet")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
    write_predictions(frame, tmp_path / "p.csv")
    assert (tmp_path / "p.csv").read_text() == "account_id,prediction\n1,0.5\na,1.5\n"


def test_a_key_column_of_the_config_must_exist(tiny: TinyModel, tmp_path: Path) -> None:
    config = tmp_path / "names.yaml"
    config.write_text("account: acount_id\n")
    with pytest.raises(DataError, match=r"column 'acount_id' .*did you mean 'account_id'"):
        predict_table("models:/pnl/1", tiny.frame, load_table_config(config))
    config.write_text("account: account_id\n")
    without_dates = tiny.frame.drop(columns="date")
    found = predict_table("models:/pnl/1", without_dates, load_table_config(config))
    assert list(found.columns) == ["account_id", "prediction"]


def test_a_key_column_named_prediction_is_refused(tiny: TinyModel) -> None:
    with pytest.raises(DataError, match="'prediction' would be duplicated"):
        predict_table("models:/pnl/1", tiny.frame.assign(prediction="A"), TableConfig(account="prediction"))


def run_main(tiny: TinyModel, folder: Path, *options: str) -> Finished:
    """Runs the command in a folder with `table.parquet`: the tiny frame, shuffled, with other key names, no target."""
    shuffled(tiny).to_parquet(folder / "table.parquet")
    (folder / "names.yaml").write_text("account: trader\ndate: day\n")
    argv: Sequence[str] = ["--data", "table.parquet", "--config", "names.yaml", *options]
    return run_here(main, argv, folder)


def shuffled(tiny: TinyModel) -> pd.DataFrame:
    frame = tiny.frame.sample(frac=1, random_state=1).drop(columns="profit")
    return frame.rename(columns={"account_id": "trader", "date": "day"})


def test_main_writes_one_row_per_row(tiny: TinyModel, tmp_path: Path) -> None:
    done = run_main(tiny, tmp_path, "--target", "pnl")
    assert (done.status, done.err) == (0, "")
    assert done.out == "predicted 400 rows with models:/pnl/1 (models:/pnl@champion) into predictions.parquet\n"
    given, found = shuffled(tiny).reset_index(drop=True), pd.read_parquet(tmp_path / "predictions.parquet")
    pd.testing.assert_frame_equal(found[["trader", "day"]], given[["trader", "day"]])
    expected = pd.Series(tiny.booster.predict(tiny.matrix), tiny.frame.index)[shuffled(tiny).index]
    assert np.array_equal(found["prediction"], expected)


def test_main_takes_any_model(tiny: TinyModel, tmp_path: Path) -> None:
    run_id = MlflowClient().get_model_version("pnl", "1").run_id
    folder = Path(mlflow.artifacts.download_artifacts("models:/pnl/1", dst_path=str(tmp_path / "model")))
    for uri in ("models:/pnl/1", f"runs:/{run_id}/model", str(folder)):
        done = run_main(tiny, tmp_path, "--model", uri, "--output", "p.csv")
        assert (done.status, done.out) == (0, f"predicted 400 rows with {uri} into p.csv\n"), done.err
    assert len(pd.read_csv(tmp_path / "p.csv")) == 400


def test_alias_that_moves_meanwhile(tiny: TinyModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reported version is the one that predicted."""
    looked_up = MlflowClient().get_model_version_by_alias("pnl", "champion")
    monkeypatch.setattr(MlflowClient, "get_model_version_by_alias", lambda *_: looked_up)
    asked: list[str] = []
    real = mlflow.pyfunc.load_model

    def load(uri: str, dst_path: str | None = None) -> Any:
        asked.append(uri)
        return real(uri, dst_path=dst_path)

    monkeypatch.setattr(mlflow.pyfunc, "load_model", load)
    assert run_main(tiny, tmp_path, "--model", "models:/pnl@champion").status == 0
    assert asked == ["models:/pnl/1"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "no model is given: use --target NAME for its champion, or --model URI"),
        (["--target", "ret@close"], "target 'ret@close' contains '@': rename the column"),
        (["--target", "nobody"], "model 'models:/nobody@champion' cannot be found"),
        (["--target", "pnl", "--output", "p.xlsx"], "--output p.xlsx has an unknown file extension"),
        (["--target", "pnl", "--data", "no.parquet"], "no.parquet"),
        (["--target", "pnl", "--data", ""], "column 'trader' (the account) is missing"),  # the sample table
    ],
)
def test_user_errors_are_one_line(tiny: TinyModel, tmp_path: Path, options: list[str], message: str) -> None:
    done = run_main(tiny, tmp_path, *options)
    assert (done.status, done.out) == (2, "")
    assert message in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["names.yaml", "table.parquet"]


def test_model_of_another_target(tmp_path: Path, mlflow_store: str) -> None:
    other = tiny_model(tmp_path, "loss", 2)
    card = replace(other.card, metadata=other.card.metadata | {"target": "loss"})
    register_model(MlflowClient().create_run("0").info.run_id, card)
    done = run_main(other, tmp_path, "--target", "pnl", "--model", "models:/loss/1")
    assert done.status == 2
    assert done.err == "error: --model models:/loss/1 predicts 'loss', not --target 'pnl': leave one of them out\n"


def test_password_that_mlflow_run_recorded(tiny: TinyModel, tmp_path: Path) -> None:
    argv = ["--target", "pnl", "--data", "postgresql://u:hunter2@h/db", "--query", "select 1"]
    done = run_here(main, argv, tmp_path, {"MLFLOW_RUN_ID": "0" * 32})
    assert done.status == 2
    assert "holds a password" in done.err
    assert "hunter2" not in done.err
