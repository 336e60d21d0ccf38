import gzip
import shutil
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from src.config import TableConfig
from src.errors import ConfigError, DataError, TrackingError, UserError
from src.serving.predict import check_output, main, predict_table, write_predictions
from src.tracking.registry import register_model
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
    home = tmp_path_factory.mktemp("registered")
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
def test_absent_model_is_the_users_mistake(tiny: TinyModel, uri: str) -> None:
    with pytest.raises(UserError, match=f"model '{uri}' cannot be found: .*train and register it first") as caught:
        predict_table(uri, tiny.frame)
    assert "\n" not in str(caught.value)


def test_dead_server_is_no_mistake_of_the_user(tiny: TinyModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    with pytest.raises(TrackingError, match="cannot load model 'models:/pnl@champion'") as caught:
        predict_table("models:/pnl@champion", tiny.frame)
    assert "\n" not in str(caught.value)


def test_rows_that_do_not_fit_are_named(tiny: TinyModel) -> None:
    with pytest.raises(DataError, match=r"column\(s\) held missing"):
        predict_table("models:/pnl/1", tiny.frame.drop(columns="held"))
    with pytest.raises(DataError, match="column ret holds 'high' in row 0"):
        predict_table("models:/pnl/1", tiny.frame.assign(ret="high"))
    with pytest.raises(DataError, match=r"column\(s\) ret stand twice"):
        predict_table("models:/pnl/1", pd.concat([tiny.frame, tiny.frame[["ret"]]], axis=1))


@pytest.mark.parametrize("name", ["p.parquet", "p.csv", "deep/er/p.csv.gz"])
def test_written_file_reads_back(tmp_path: Path, name: str) -> None:
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
def test_unknown_ending_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=r"use one of \.parquet, \.csv, \.csv\.gz"):
        check_output(Path(name))


def test_output_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "folder.csv", tmp_path / "file" / "p.csv"):
        with pytest.raises(ConfigError, match="cannot be written"):
            write_predictions(pd.DataFrame({"prediction": [1.5]}), path)
    assert sorted(found.name for found in tmp_path.iterdir()) == ["file", "folder.csv"]


def test_main_writes_what_the_champion_says(tiny: TinyModel, tmp_path: Path) -> None:
    tiny.frame.to_csv(tmp_path / "table.csv", index=False)
    output = tmp_path / "predictions.parquet"
    assert main(["--target", "pnl", "--data", str(tmp_path / "table.csv"), "--output", str(output)]) == 0
    assert np.array_equal(pd.read_parquet(output)["prediction"], tiny.booster.predict(tiny.matrix))
