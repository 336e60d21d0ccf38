"""The prediction of a row does not depend on other rows, their order or number, or the file format."""

import json
import os
import random
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from src.modeling.train_with_optuna import main as train
from src.serving.predict import main as predict
from src.tracking.promote import main as promote
from tests.commands import run_here

CONFIG = """
account: trader
date: day
categories: [code]
numbers: [balance]
targets:
  pnl: {task: regression}
"""
DESKS = ["12", "15", "X1", "007", "NA"]
ROW = st.fixed_dictionaries(
    {
        "desk": st.sampled_from([*DESKS, None, "never seen", "7", "1e1"]),
        "code": st.sampled_from([3, 7, 40, None, 8]),
        "flag": st.sampled_from([True, False, None]),
        "size": st.one_of(st.none(), st.floats(-3, 3), st.integers(-3, 3)),
        "balance": st.sampled_from(["12,345.67", "(1,000.00)", "250.5", "$-7", "3%", "n/a", None]),
    }
)
NUMBERS: dict[Any, int] = {"12": 12, "15": 15, "7": 99}
NUMERIC_DESK = ROW.map(lambda row: row | {"desk": NUMBERS.get(row["desk"])})
TABLES = st.one_of(st.lists(ROW, min_size=1, max_size=8), st.lists(NUMERIC_DESK, min_size=1, max_size=8))


@dataclass(frozen=True)
class Registered:
    """A champion and a challenger of `pnl`, and a scoring server of the champion."""

    folder: Path
    model: Any
    server: str

    @property
    def environ(self) -> dict[str, str]:
        return {"MLFLOW_TRACKING_URI": f"sqlite:///{self.folder / 'mlflow.db'}"}


def account_days(n_days: int = 90) -> pd.DataFrame:
    """One row per trader and day; the target depends on every column."""
    rng = np.random.default_rng(1)
    n = 4 * n_days
    frame = pd.DataFrame(
        {
            "trader": np.tile([f"{number:05}" for number in range(4)], n_days),
            "day": np.repeat(pd.bdate_range("2024-01-01", periods=n_days), 4).astype("str"),
            "desk": rng.choice(DESKS, n),
            "code": rng.choice([3, 7, 40], n),
            "flag": rng.random(n) < 0.5,
            "size": rng.normal(size=n).round(2),
            "balance": [f"{value:,.2f}" for value in rng.normal(0, 20_000, n)],
        }
    )
    by_desk = frame["desk"].map({desk: 40.0 * place for place, desk in enumerate(DESKS)})
    balance = frame["balance"].str.replace(",", "").astype(float) / 500
    signal = by_desk + 3 * frame["code"] + 60 * frame["flag"] + 30 * frame["size"] + balance
    return frame.assign(pnl=signal + rng.normal(0, 5, n))


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registered]:
    folder = tmp_path_factory.mktemp("values")
    (folder / "c.yaml").write_text(CONFIG)
    account_days().to_csv(folder / "train.csv", index=False)
    environ = {"MLFLOW_TRACKING_URI": f"sqlite:///{folder / 'mlflow.db'}"}
    options = ["--data", "train.csv", "--config", "c.yaml", "--n-trials", "1", "--ensemble-size", "1"]
    for seed in ("1", "2"):  # the second becomes the challenger
        trained = run_here(train, [*options, "--seed", seed], folder, environ)
        assert trained.status == 0, trained.err
        assert "warning" not in trained.err
    mlflow.set_tracking_uri(environ["MLFLOW_TRACKING_URI"])
    model = mlflow.pyfunc.load_model("models:/pnl@champion")
    port = str(random.randrange(15_000, 32_000))
    command = ["-m", "mlflow", "models", "serve", "-m", "models:/pnl@champion", "--env-manager", "local", "-p", port]
    # MLflow starts uvicorn by its name.
    environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    server = subprocess.Popen(
        [sys.executable, *command], env=os.environ | environ, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield Registered(folder, model, _ready(f"http://127.0.0.1:{port}", server))
    finally:
        if server.poll() is None:
            os.killpg(server.pid, 9)
        server.wait()


def _ready(address: str, server: "subprocess.Popen[bytes]") -> str:
    for _ in range(600):
        assert server.poll() is None, "the scoring server has ended"
        try:
            with urllib.request.urlopen(f"{address}/ping", timeout=2):
                return address
        except (URLError, OSError):  # not ready yet
            time.sleep(0.1)
    raise AssertionError("the scoring server did not come up in a minute")


def ask(server: str, body: dict[str, Any]) -> list[float]:
    request = urllib.request.Request(
        f"{server}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: list[float] = json.load(answer)["predictions"]
        return found


def typed(rows: list[dict[str, Any]]) -> pd.DataFrame:
    """The frame that pandas creates of these rows: integers with a missing value become floats."""
    return pd.DataFrame(rows)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TABLES, st.randoms(use_true_random=False))
def test_model_and_server_read_a_row_independently_of_others(
    registered: Registered, rows: list[dict[str, Any]], shuffler: random.Random
) -> None:
    expected = [float(registered.model.predict(typed([row]))[0]) for row in rows]
    order = list(range(len(rows)))
    shuffler.shuffle(order)
    together = registered.model.predict(typed([rows[place] for place in order]))
    assert list(together) == [expected[place] for place in order]
    assert ask(registered.server, {"dataframe_records": rows}) == expected
    columns = list(rows[0])
    split = {"columns": columns, "data": [[row[name] for name in columns] for row in rows]}
    assert ask(registered.server, {"dataframe_split": split}) == expected
    assert ask(registered.server, {"dataframe_records": [rows[-1]]}) == expected[-1:]


# Every example runs three commands, so failing ones are not shrunk.
@settings(max_examples=6, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TABLES)
def test_predict_reads_every_format_alike(registered: Registered, rows: list[dict[str, Any]]) -> None:
    keys = [{"trader": f"{place:05}", "day": "2024-06-03"} for place in range(len(rows))]
    expected = [float(registered.model.predict(typed([row]))[0]) for row in rows]
    frame = typed([key | row for key, row in zip(keys, rows, strict=True)])
    for name, source in write_everywhere(frame, registered.folder).items():
        output = registered.folder / "predictions.csv"
        argv = ["--target", "pnl", "--config", "c.yaml", "--output", str(output), *source]
        done = run_here(predict, argv, registered.folder, registered.environ)
        assert done.status == 0, f"{name}: {done.err}"
        found = pd.read_csv(output, dtype={"trader": str})
        assert found["prediction"].tolist() == expected, name
        assert found["trader"].tolist() == [key["trader"] for key in keys], name


def write_everywhere(frame: pd.DataFrame, folder: Path) -> dict[str, list[str]]:
    """Writes a frame to all file formats and a database; returns the options to read it."""
    frame.to_csv(folder / "t.csv", index=False)
    frame.to_parquet(folder / "t.parquet")
    with closing(sqlite3.connect(folder / "t.db")) as connection:
        frame.to_sql("t", connection, index=False, if_exists="replace")
    return {
        "csv": ["--data", "t.csv"],
        "parquet": ["--data", "t.parquet"],
        "sql": ["--data", f"sqlite:///{folder / 't.db'}", "--query", "SELECT * FROM t"],
    }


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_promote_reads_every_format_alike(registered: Registered, seed: int) -> None:
    """On days after both trainings; desks are all numbers or texts, with missing values, at random."""
    frame = account_days(140)
    later = frame[frame["day"] >= "2024-05-06"].reset_index(drop=True)
    rng = np.random.default_rng(seed)
    numbers = {"12": 12.0, "15": 15.0, "X1": 99.0}
    later["desk"] = later["desk"].map(numbers) if seed else later["desk"].replace({"X1": "never seen"})
    for name in ("desk", "flag", "balance", "size"):
        later[name] = later[name].mask(rng.random(len(later)) < 0.2)
    judged = {}
    for name, source in write_everywhere(later, registered.folder).items():
        options = ["--targets", "pnl", "--config", "c.yaml", "--test-fraction", "1", "--dry-run"]
        options += ["--output-dir", f"{name}_{seed}"]
        done = run_here(promote, [*options, *source], registered.folder, registered.environ)
        assert done.status == 0, f"{name}: {done.err}"
        (record,) = (registered.folder / f"{name}_{seed}" / "promotions").iterdir()
        compared = json.loads(record.read_text())["comparison"]
        judged[name] = (compared["champion_score"], compared["challenger_score"], compared["n_rows"])
    assert len(set(judged.values())) == 1, judged
    last = later.tail(judged["csv"][2])  # the first date after the training is purged
    champion = float(np.abs(registered.model.predict(last) - last["pnl"]).mean())
    assert judged["csv"][0] == pytest.approx(champion, rel=1e-12)


def test_predict_warns_of_values_that_were_not_in_training(registered: Registered) -> None:
    rows = account_days(2).assign(desk=["12", "desk 9", "desk 9", "15"] * 2)
    rows.to_csv(registered.folder / "odd.csv", index=False)
    argv = ["--target", "pnl", "--config", "c.yaml", "--data", "odd.csv", "--output", "odd_out.csv"]
    done = run_here(predict, argv, registered.folder, registered.environ)
    assert done.status == 0
    assert (
        "column 'desk': 50 % of its values were not in the training data ('desk 9'; known are '007', '12'" in done.err
    )
    rows.rename(columns={"desk": "desks"}).to_csv(registered.folder / "odd.csv", index=False)
    done = run_here(predict, argv, registered.folder, registered.environ)
    assert done.status == 2
    assert "column(s) desk missing (did you mean 'desks'?): the model needs 5 columns" in done.err
