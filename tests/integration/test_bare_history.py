"""From a CSV of account, date and profit to a registered model and its predictions: every command that handles it."""

import json
import os
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import lightgbm as lgb
import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from src.config import TableConfig
from src.data.encoding import encode
from src.data.table import load_dataset
from src.modeling.train_with_optuna import main as train
from src.search.derived_features import FEATURES_ATTR, DerivedFeatures, add_derived_features
from src.serving.predict import main as predict
from src.study.studies import OptunaStudyManager
from src.tracking.promote import main as promote
from tests.bare_table import bare_table
from tests.commands import Finished, run_here

FRAME = bare_table(90, 8)
OPTIONS = ["--data", "bare.csv", "--targets", "net_profit", "--n-trials", "3"]
LAST, NEXT = "2024-05-03", "2024-05-06"
"""The table's last date is a Friday."""


@dataclass(frozen=True)
class Trained:
    """A folder with the table and the registered model, and what the command printed."""

    folder: Path
    done: Finished

    @property
    def environ(self) -> dict[str, str]:
        return {"MLFLOW_TRACKING_URI": f"sqlite:///{self.folder / 'mlflow.db'}"}

    @property
    def metadata(self) -> dict[str, Any]:
        path = self.folder / "artefacts/models/lgb_net_profit_optuna_metadata.json"
        found: dict[str, Any] = json.loads(path.read_text())
        return found

    def run(self, main: Any, *options: str) -> Finished:
        return run_here(main, options, self.folder, self.environ)

    def predicted(self, *options: str, data: str = "bare.csv") -> pd.DataFrame:
        done = self.run(predict, "--target", "net_profit", "--data", data, "--output", "p.csv", *options)
        assert (done.status, done.err) == (0, "")
        return pd.read_csv(self.folder / "p.csv")

    def expected(self) -> pd.Series:
        """The predictions of the whole table by account and date, from LightGBM's text and the training's features."""
        data = load_dataset(pd.read_csv(self.folder / "bare.csv"), TableConfig(), "net_profit")
        data = add_derived_features(data, DerivedFeatures.from_json(self.metadata["derived_features"]))
        booster = lgb.Booster(model_file=self.folder / self.metadata["model_file"])
        assert data.accounts is not None and data.dates is not None
        keys = [data.accounts, np.datetime_as_string(data.dates)]
        return pd.Series(booster.predict(encode(data.features, {})), pd.MultiIndex.from_arrays(keys))


def started(folder: Path, *options: str) -> Trained:
    FRAME.to_csv(folder / "bare.csv", index=False)
    trained = Trained(folder, Finished(0, "", ""))
    return Trained(folder, trained.run(train, *OPTIONS, *options))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    found = started(tmp_path_factory.mktemp("bare"), "--study-name", "bare")
    assert found.done.status == 0, found.done.err
    return found


def keyed(predictions: pd.DataFrame) -> pd.Series:
    return predictions.set_index(["account_id", "date"])["prediction"]


def test_three_columns_end_in_a_registered_model(trained: Trained) -> None:
    metadata = trained.metadata
    kept = len(metadata["feature_names"])
    assert "warning" not in trained.done.err
    considered = metadata["derived_features"]["considered"]
    said = f"features net_profit: {kept} of {considered} derived ones, the table has no feature columns"
    assert said in trained.done.out
    assert "net_profit v1 @champion" in trained.done.out
    assert (metadata["feature_mode"], metadata["feature_mode_reason"]) == (
        "derived", "the table has no feature columns",
    )  # fmt: skip
    assert metadata["input_columns"] == ["account_id", "date", "net_profit"]
    assert 0 < metadata["history_rows"] <= 60
    assert metadata["derived_features"]["choice"]["set"] in ("all", "lags", "account", "filtered", "filtered account")
    assert MlflowClient(trained.environ["MLFLOW_TRACKING_URI"]).get_model_version_by_alias("net_profit", "champion")
    assert (trained.folder / "artefacts/reports/bare/report.html").stat().st_size > 10_000


def test_a_resumed_study_keeps_its_choice(trained: Trained) -> None:
    manager = OptunaStudyManager(trained.folder / "artefacts/optuna_studies")
    before = manager.load_study("bare").user_attrs[FEATURES_ATTR]
    done = trained.run(train, "--study-name", "bare", "--n-trials", "4", "--no-register", "--output-dir", "again")
    assert done.status == 0, done.err
    study = manager.load_study("bare")
    assert len(study.trials) == 4
    assert study.user_attrs[FEATURES_ATTR] == before
    wrong = trained.run(train, "--study-name", "bare", "--features", "both")
    assert wrong.status == 2
    assert wrong.err.count("\n") == 1


def test_predict_gives_the_numbers_of_the_training(trained: Trained) -> None:
    expected = trained.expected()
    found = keyed(trained.predicted())
    assert len(found) == len(FRAME)
    assert found.loc[expected.index].tolist() == expected.tolist()
    since = trained.predicted("--from", "2024-04-30")
    assert sorted(set(since["date"])) == ["2024-04-30", "2024-05-01", "2024-05-02", "2024-05-03"]
    assert len(since) == 4 * 8
    assert keyed(since).tolist() == found.loc[keyed(since).index].tolist()


def test_the_next_day_is_predicted_for_every_account(trained: Trained) -> None:
    found = trained.predicted("--next-day")
    assert found["account_id"].tolist() == sorted(FRAME["account_id"].unique())
    assert set(found["date"]) == {NEXT}
    # The same rows as a user writes them, without a profit.
    asked = FRAME.tail(8).assign(date=NEXT, net_profit=np.nan)
    pd.concat([FRAME.assign(date=FRAME["date"].dt.strftime("%Y-%m-%d")), asked]).to_csv(
        trained.folder / "asked.csv", index=False
    )
    assert keyed(trained.predicted("--from", NEXT, data="asked.csv")).tolist() == keyed(found).tolist()
    yesterday = FRAME[FRAME["date"] < LAST]
    yesterday.to_parquet(trained.folder / "yesterday.parquet")
    again = trained.predicted("--next-day", data="yesterday.parquet")
    assert set(again["date"]) == {LAST}
    assert again["prediction"].tolist() == trained.expected().loc[[(a, LAST) for a in again["account_id"]]].tolist()


@pytest.mark.parametrize(
    ("frame", "options", "said"),
    [
        (FRAME, ["--from", "soon"], "--from 'soon' is not a date: write it as 2024-01-31"),
        (FRAME, ["--from", "2024-05-04"], "--from 2024-05-04 is after the table's last date, 2024-05-03"),
        (FRAME, ["--from", NEXT, "--next-day"], "--from and --next-day contradict each other: give one of them"),
        (FRAME.drop(columns="date"), ["--next-day"], "column(s) date missing: the model needs 3 columns"),
        (FRAME.drop(columns="net_profit"), ["--next-day"], "column(s) net_profit missing: the model needs 3 columns"),
        (FRAME.drop(columns="date"), ["--from", LAST], "column(s) date missing"),
        (FRAME.head(0), ["--next-day"], "--next-day needs the past of each account, and the table has no rows"),
        (FRAME.assign(date="soon"), ["--next-day"], "column 'date' (the date): 'soon' in row 1 is not a date"),
        (pd.concat([FRAME, FRAME.tail(1)]), [], "account 'A07' has two rows of 2024-05-03"),
    ],
)
def test_mistakes_of_predict_are_one_line(trained: Trained, frame: pd.DataFrame, options: list[str], said: str) -> None:
    frame.to_parquet(trained.folder / "bad.parquet")
    done = trained.run(predict, "--target", "net_profit", "--data", "bad.parquet", "--output", "bad.csv", *options)
    assert (done.status, done.out) == (2, "")
    assert said in done.err
    assert done.err.count("\n") == 1
    assert not (trained.folder / "bad.csv").exists()


def test_blocks_of_a_table_give_the_predictions_of_the_whole(trained: Trained) -> None:
    """Blocks end within a date; one account has gone; the last table is not sorted by date."""
    FRAME[(FRAME["account_id"] != "A03") | (FRAME["date"] < "2024-03-01")].to_csv(trained.folder / "g.csv", index=False)
    sorted_by_account = pd.read_csv(trained.folder / "g.csv").sort_values(["account_id", "date"])
    sorted_by_account.to_csv(trained.folder / "unsorted.csv", index=False)
    base = ["--target", "net_profit", "--output", "b.csv"]
    for more in ([], ["--from", "2024-03-05"], ["--next-day"]):
        found = []
        for data, size in (("g.csv", "5000"), ("g.csv", "37"), ("g.csv", "8"), ("unsorted.csv", "37")):
            done = trained.run(predict, *base, "--data", data, "--block-rows", size, *more)
            assert done.status == 0, done.err
            assert ("the table is not sorted by date" in done.err) == (data == "unsorted.csv")
            assert done.err.count("warning: ") <= 7
            read = pd.read_csv(trained.folder / "b.csv")
            found.append(read.sort_values(["date", "account_id"], ignore_index=True))
        for other in found[1:]:
            pd.testing.assert_frame_equal(other, found[0], check_exact=True)


def test_predict_says_what_is_missing_of_the_past(trained: Trained) -> None:
    short = FRAME[(FRAME["account_id"] != "A03") | (FRAME["date"] < "2024-05-02")].tail(8 * 10)
    short.to_csv(trained.folder / "short.csv", index=False)
    options = ["--target", "net_profit", "--data", "short.csv", "--output", "p.csv", "--next-day"]
    done = trained.run(predict, *options)
    assert done.status == 0
    needed = trained.metadata["history_rows"]
    assert f"8 of 8 rows to predict have fewer than {needed} earlier rows of their account" in done.err
    assert "1 of 8 accounts with rows on the 5 dates before have none on 2024-05-03" in done.err


def test_a_derived_challenger_against_a_champion_of_own_features(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    frame = bare_table(90, 8).assign(signal=rng.normal(size=720), style=rng.choice(["a", "b"], 720))
    frame["net_profit"] += 10 * frame["signal"]
    frame.to_parquet(tmp_path / "t.parquet")
    here = Trained(tmp_path, Finished(0, "", ""))
    for features in ("own", "derived"):
        options = ["--data", "t.parquet", "--targets", "net_profit", "--n-trials", "2", "--features", features]
        done = here.run(train, *options)
        assert done.status == 0, done.err
    done = here.run(
        promote, "--data", "t.parquet", "--targets", "net_profit", "--min-probability", "0", "--output-dir", "out"
    )
    assert (done.status, done.err) == (0, "")
    (record,) = (tmp_path / "out/promotions").iterdir()
    compared = json.loads(record.read_text())["comparison"]
    assert compared["n_rows"] == 18 * 8, "the hold-out"
    last = frame["date"] >= frame["date"].unique()[-18]
    mlflow.set_tracking_uri(here.environ["MLFLOW_TRACKING_URI"])
    own, derived = (mlflow.pyfunc.load_model(f"models:/net_profit/{number}") for number in (1, 2))
    y = frame.loc[last, "net_profit"]
    assert compared["champion_score"] == pytest.approx(np.abs(own.predict(frame[last]) - y).mean(), rel=1e-12)
    answers = derived.predict(frame, params={"answer_all": True})["prediction"][last]
    assert compared["challenger_score"] == pytest.approx(np.abs(answers - y).mean(), rel=1e-12)


@pytest.fixture(scope="module")
def server(trained: Trained) -> Iterator[str]:
    """MLflow's own scoring server of the champion; it runs where this repository cannot be imported."""
    port = str(random.randrange(15_000, 32_000))
    command = ["-m", "mlflow", "models", "serve", "-m", "models:/net_profit@champion", "--env-manager", "local"]
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | trained.environ
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environ['PATH']}"
    with (trained.folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command, "-p", port], cwd=trained.folder, env=environ, start_new_session=True,
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield _ready(f"http://127.0.0.1:{port}", process)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
        process.wait()


def _ready(address: str, process: "subprocess.Popen[bytes]") -> str:
    for _ in range(900):
        assert process.poll() is None, "the scoring server has ended"
        try:
            with urllib.request.urlopen(f"{address}/ping", timeout=2):
                return address
        except (URLError, OSError):  # not ready yet
            time.sleep(0.1)
    raise AssertionError("the scoring server did not come up in 90 seconds")


def ask(server: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{server}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)["predictions"]


@pytest.mark.timeout(300)
def test_the_scoring_server_answers_rows_without_a_profit(trained: Trained, server: str) -> None:
    table = pd.read_csv(trained.folder / "bare.csv")
    table.loc[table["date"] == LAST, "net_profit"] = np.nan
    rows = json.loads(table.tail(61 * 8).sample(frac=1, random_state=0).to_json(orient="records"))
    expected = trained.expected()
    answers = ask(server, {"dataframe_records": rows})
    assert len(answers) == 8
    for answer in answers:
        assert answer["prediction"] == expected[(answer["account_id"], LAST)]
        assert set(answer) == {"account_id", "date", "prediction"}
    split = {"columns": list(rows[0]), "data": [list(row.values()) for row in rows]}
    assert ask(server, {"dataframe_split": split}) == answers
    whole = json.loads(table.to_json(orient="records"))
    everything = ask(server, {"dataframe_records": whole, "params": {"answer_all": True}})
    assert len(everything) == len(table)
    with pytest.raises(HTTPError) as caught:
        ask(server, {"dataframe_records": whole[:8]})
    assert "no row is to be predicted: all 8 rows have a 'net_profit'" in caught.value.read().decode()
