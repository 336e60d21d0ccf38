"""The command in blocks: sources, outputs, several targets, and what a second call finds."""

import json
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from src.serving.predict import main
from src.tracking.registry.model_versions import register_model
from tests.commands import Finished, run_here
from tests.tiny_model import TinyModel, tiny_model

pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")
N = 400
BLOCKS = ("--block-rows", "90")


@dataclass(frozen=True)
class Store:
    """A store with version 1 of `pnl` and `loss` (champions) and version 2 of `pnl`; the tests only read it."""

    folder: Path
    pnl: TinyModel
    loss: TinyModel

    def run(self, folder: Path, *options: str) -> Finished:
        """Predicts `table.parquet` in a folder, with small blocks."""
        if not (folder / "table.parquet").exists():
            self.pnl.frame.to_parquet(folder / "table.parquet")
        argv: Sequence[str] = ["--data", "table.parquet", *BLOCKS, *options]
        return run_here(main, argv, folder, {"MLFLOW_TRACKING_URI": f"sqlite:///{self.folder / 'mlflow.db'}"})

    def expected(self, model: TinyModel) -> np.ndarray:
        return np.asarray(model.booster.predict(model.matrix))


@pytest.fixture(scope="module")
def store(_empty_mlflow_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    home = tmp_path_factory.mktemp("predicting").resolve()
    mlflow.set_tracking_uri(f"sqlite:///{shutil.copy(_empty_mlflow_store, home / 'mlflow.db')}")
    client = MlflowClient()
    experiment = client.create_experiment("own", str(home / "artifacts"))
    made = []
    for target, rounds in (("pnl", 12), ("loss", 5), ("pnl", 20)):
        kept = {"target": target, "decimal_marks": {}, "boolean_features": ["is_monday"]}
        made.append(tiny_model(home, target, rounds))
        card = replace(made[-1].card, metadata=made[-1].card.metadata | kept)
        register_model(client.create_run(experiment).info.run_id, card)
    return Store(home, made[0], made[1])


@pytest.mark.parametrize("output", ["p.parquet", "p.csv", "p.csv.gz", "parts/", "sqlite:///p.db"])
def test_every_output_has_each_row_once_with_model_and_version(store: Store, tmp_path: Path, output: str) -> None:
    for _ in range(2):  # the second call finds the first one's output
        done = store.run(tmp_path, "--target", "pnl,loss", "--output", output)
        assert (done.status, done.err) == (0, "")
    shown = "models:/pnl/1 (models:/pnl@champion), models:/loss/1 (models:/loss@champion)"
    assert done.out == f"note: columns that no model uses: profit\npredicted {2 * N} rows with {shown} into {output}\n"
    if output.startswith("sqlite"):
        with closing(sqlite3.connect(tmp_path / "p.db")) as connection:
            found = pd.read_sql("SELECT * FROM predictions", connection)
    else:
        found = pd.read_csv(tmp_path / output) if ".csv" in output else pd.read_parquet(tmp_path / output)
    assert set(found.columns) == {"account_id", "date", "target", "prediction", "model", "version"}
    assert len(found) == 2 * N
    given = store.pnl.frame
    for target, model in (("pnl", store.pnl), ("loss", store.loss)):
        rows = found[found["target"] == target]
        assert rows["model"].unique().tolist() == [target]
        assert rows["version"].astype(str).unique().tolist() == ["1"]
        if not output.startswith("sqlite"):
            assert rows["account_id"].tolist() == given["account_id"].tolist()
        by_day = rows.assign(date=pd.to_datetime(rows["date"])).set_index("date")["prediction"]
        assert np.array_equal(by_day[given["date"]], store.expected(model))


def test_a_row_has_the_same_prediction_in_any_block(store: Store, tmp_path: Path) -> None:
    for size in ("1000", "7", "400"):
        assert store.run(tmp_path, "--target", "pnl", "--output", "p.parquet", "--block-rows", size).status == 0
        found = pd.read_parquet(tmp_path / "p.parquet")
        assert np.array_equal(found["prediction"], store.expected(store.pnl)), size
        assert list(found.columns) == ["account_id", "date", "prediction", "model", "version"]


def test_parts_of_a_killed_process_are_kept_and_not_predicted_again(store: Store, tmp_path: Path) -> None:
    options = ("--target", "pnl", "--output", "parts/")
    assert store.run(tmp_path, *options).status == 0
    parts = sorted((tmp_path / "parts").glob("*.parquet"))
    assert [part.name for part in parts][:2] == [f"part-{a:012d}-{a + 90:012d}.parquet" for a in (0, 90)]
    before = {part: part.stat().st_mtime_ns for part in parts}
    parts[2].unlink()
    (tmp_path / "parts/.123.part-000000000180-000000000270.parquet").write_text("incomplete")
    assert store.run(tmp_path, *options).out.endswith(
        "predicted 400 rows with models:/pnl/1 (models:/pnl@champion) into parts/\n"
    )
    after = {part: part.stat().st_mtime_ns for part in parts}
    assert [part for part in parts if before[part] != after[part]] == [parts[2]]
    assert np.array_equal(pd.read_parquet(tmp_path / "parts")["prediction"], store.expected(store.pnl))
    assert json.loads((tmp_path / "parts/_manifest.json").read_text())["complete"] is True
    assert len(list((tmp_path / "parts").iterdir())) == len(parts) + 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("version", 'holds predictions with models [{"target": "pnl", "model": "pnl", "version": "1"}], not [{'),
        ("rows", "holds predictions of another table: part-000000000090-000000000180.parquet was made of other rows"),
        ("shorter", "holds predictions of another table, with more rows (part-"),
        ("manifest", "_manifest.json cannot be read: give another folder, or remove this one"),
        ("foreign", "holds other files (notes.txt): give another folder"),
    ],
)
def test_a_folder_of_other_predictions_is_refused(store: Store, tmp_path: Path, change: str, said: str) -> None:
    folder = tmp_path / "parts"
    if change != "foreign":
        assert store.run(tmp_path, "--target", "pnl", "--output", "parts/").status == 0
    model = ["--target", "pnl"]
    frame = store.pnl.frame.copy()
    if change == "version":
        model = ["--model", "models:/pnl/2"]
    elif change == "rows":
        frame["ret"] = frame["ret"].where(frame.index != 100, 7.5)
    elif change == "shorter":
        frame = frame.head(180)
    elif change == "manifest":
        (folder / "_manifest.json").write_text("{}")
    else:
        folder.mkdir()
        (folder / "notes.txt").touch()
    frame.to_parquet(tmp_path / "table.parquet")
    before = {path: path.read_bytes() for path in folder.iterdir()}
    done = store.run(tmp_path, *model, "--output", "parts")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert said in done.err
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_versions_stand_side_by_side_in_a_table(store: Store, tmp_path: Path) -> None:
    for model in ("models:/pnl/1", "models:/pnl/2", "models:/pnl/1"):
        done = store.run(tmp_path, "--model", model, "--output", "sqlite:///p.db", "--table", "mine")
        assert done.status == 0, done.err
    with closing(sqlite3.connect(tmp_path / "p.db")) as connection:
        counts = connection.execute("SELECT version, count(*) FROM mine GROUP BY version").fetchall()
        assert counts == [("1", N), ("2", N)]
        connection.execute("CREATE TABLE other (account_id TEXT)")
        connection.execute(
            "CREATE TABLE loose (account_id TEXT, date TEXT, target TEXT, model TEXT, version TEXT, prediction REAL)"
        )
    for table, said in (("other", "has no column(s) date, target"), ("loose", "has the primary key (none), not (")):
        done = store.run(tmp_path, "--target", "pnl", "--output", "sqlite:///p.db", "--table", table)
        assert (done.status, done.err.count("\n")) == (2, 1)
        assert said in done.err


def test_two_rows_of_one_key_cannot_be_in_a_table(store: Store, tmp_path: Path) -> None:
    pd.concat([store.pnl.frame, store.pnl.frame.tail(1)]).to_parquet(tmp_path / "table.parquet")
    done = store.run(tmp_path, "--target", "pnl", "--output", "sqlite:///p.db")
    assert done.status == 2
    assert "two rows have the key " in done.err
    store.pnl.frame.drop(columns=["account_id", "date"]).to_parquet(tmp_path / "table.parquet")
    done = store.run(tmp_path, "--target", "pnl", "--output", "sqlite:///q.db")
    assert done.status == 2
    assert "needs an account or date column as key" in done.err


def test_wrong_columns_are_named_before_any_prediction(store: Store, tmp_path: Path) -> None:
    store.pnl.frame.assign(ret="high", held="many").to_parquet(tmp_path / "table.parquet")
    done = store.run(tmp_path, "--target", "pnl", "--output", "parts/")
    assert done.status == 2
    assert "2 columns hold values that the model cannot read as numbers: ret ('high' in row 1), held (" in done.err
    store.pnl.frame.drop(columns=["ret", "held"]).to_parquet(tmp_path / "table.parquet")
    done = store.run(tmp_path, "--target", "pnl", "--output", "parts/")
    assert "column(s) ret, held missing" in done.err
    assert not (tmp_path / "parts").exists()


def test_a_wrong_value_in_a_later_block_is_named_by_its_row(store: Store, tmp_path: Path) -> None:
    frame = store.pnl.frame.assign(ret=store.pnl.frame["ret"].astype(object))
    frame.loc[200, "ret"] = "high"
    frame.to_csv(tmp_path / "t.csv", index=False)
    done = store.run(tmp_path, "--target", "pnl", "--data", "t.csv", "--output", "p.csv")
    assert done.status == 2
    assert "'high' in row 21: correct or empty them (row 1 is row 181 of the table)" in done.err
    assert not (tmp_path / "p.csv").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--block-rows", "0"], "--block-rows 0 is too small: give at least 1"),
        (
            ["--output", "ftp://host/p"],
            "--output ftp://host/p: ftp:// is unknown: use a path, postgresql:// or sqlite:///",
        ),
        (["--output", "table.parquet/"], "--output table.parquet/ is a file: give another folder"),
        (["--target", "pnl", "loss", "--model", "models:/pnl/1"], "predicts one target, not pnl, loss: leave one"),
        (["--output", "sqlite:///no/folder/p.db"], "cannot be opened"),
    ],
)
def test_mistakes_are_one_line(store: Store, tmp_path: Path, options: list[str], said: str) -> None:
    done = store.run(tmp_path, "--target", "pnl", *options)
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert said in done.err


def test_unseen_values_are_counted_over_all_blocks(store: Store, tmp_path: Path) -> None:
    frame = store.pnl.frame
    frame = frame.assign(sector=np.where(np.arange(N) < 90, "Bank", frame["sector"]))
    frame.to_parquet(tmp_path / "table.parquet")
    done = store.run(tmp_path, "--target", "pnl", "--output", "p.csv")
    assert done.status == 0
    assert "column 'sector': 22.5 % of its values were not in the training data ('Bank'; known are" in done.err
