"""Messages are one line of at most 500 characters, with long names, lists and values, and with random options.

Those of all invalid inputs are checked in `test_bad_inputs`.
"""

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from k8s.fanout.__main__ import main as fanout
from src.modeling.optuna_visualization import main as report
from src.modeling.train_with_optuna import main as tune
from src.serving.predict import main as predict
from src.study.studies import OptunaStudyManager
from src.tracking.promote import main as promote
from tests.commands import Main, run_here
from tests.integration.bad_inputs import CLOSED, SECRET, TABLE
from tests.integration.readable_messages import assert_readable, errors_seen

GOOD = ("--data", "table.parquet", "--targets", "net_profit", "--n-trials", "1")
LONG = "a_long_name_of_a_column_" * 3


def run(main: Main, words: Sequence[str], folder: Path, **environ: str) -> str:
    with errors_seen() as seen:
        done = run_here(main, words, folder, environ)
    assert done.status in (1, 2), done
    return assert_readable(done, seen)


@pytest.fixture(scope="module")
def _wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wide")
    columns = {f"{LONG}{number}": np.arange(20.0) for number in range(1500)}
    pd.DataFrame(columns).to_parquet(folder / "wide.parquet")
    TABLE.to_parquet(folder / "table.parquet")
    empty = {f"{LONG}{number}": np.nan for number in range(300)}
    pd.concat([TABLE, pd.DataFrame(empty, index=TABLE.index)], axis=1).to_parquet(folder / "empty.parquet")
    targets = "".join(f"  {LONG}{number}: {{task: binary}}\n" for number in range(400))
    (folder / "many.yaml").write_text(f"targets:\n{targets}")
    names = ", ".join(f"{LONG}{number}" for number in range(400))
    (folder / "both.yaml").write_text(f"use: [{names}]\ndrop: [{names}]\n")
    (folder / "drop.yaml").write_text(f"drop: [{names}]\n")
    (folder / "long.yaml").write_text(f"{'k' * 900}: 1\n")
    (folder / "broken.yaml").write_text("a: [" + "x" * 5000)
    (folder / "twice.csv").write_text(",".join([LONG] * 400) + "\n" + ",".join(["1"] * 400) + "\n")
    (folder / "wide.csv").write_text(";".join([LONG] * 400) + "\n")
    return folder


@pytest.fixture
def wide(_wide: Path, tmp_path: Path) -> Path:
    """A folder with a table of 1,500 columns with long names, and other causes of long lists."""
    return Path(shutil.copytree(_wide, tmp_path, dirs_exist_ok=True))


LENGTHY = {
    "no target": (tune, "--data wide.parquet", ("'net_profit'", "more")),
    "no value": (tune, "--data empty.parquet", ("features without any value", "drop: in --config")),
    "a target of many": (tune, "--config many.yaml --targets nobody", ("'nobody' is unknown", "or all")),
    "columns used and dropped": (tune, "--config both.yaml", ("is in both `use` and `drop`", "remove it from one")),
    "columns dropped that are not there": (tune, "--config drop.yaml", ("(drop:)", "is missing")),
    "a key": (tune, "--config long.yaml", ("unknown key", "use account")),
    "a broken file": (tune, "--config broken.yaml", ("line 1", "correct the YAML")),
    "columns twice": (tune, "--data twice.csv", ("occur more than once", "rename the columns")),
    "a header": (tune, "--data wide.csv", ("wide.csv", "commas")),
    "a path": (tune, f"--data {'d/' * 900}{'x' * 200}.csv", ("does not exist", "give")),
    "a name of a path": (tune, f"--data {'x' * 2000}.csv", ("xxx.csv cannot be used", "give a shorter name")),
    "a config": (tune, f"--config {'x' * 2000}.yaml", ("--config xxx", "give")),
    "a folder": (
        tune,
        f"--output-dir {'x/' * 1500}{'y' * 300}",
        ("--output-dir x/", "is longer than 1000 bytes", "name another folder"),
    ),
    "a query": (tune, f"--data sqlite:///t.db --query 'SELECT {'x' * 5000}'", ("--data sqlite", "t.db")),
    "a URL": (tune, f"--storage-url mysql://{'h' * 3000}/d", ("--storage-url", "use postgresql:// or sqlite:///")),
    "a target": (tune, f"--targets {'x' * 3000}", ("target 'xxx", "or all")),
    "a study": (tune, f"--study-name {'x' * 3000}", ("--study-name 'xxx", "200 bytes")),
    "an option": (tune, f"--{'x' * 3000} 1", ("unrecognized arguments: --xxx", "--help")),
    "a value": (tune, f"--n-trials {'x' * 3000}", ("--n-trials", "--help")),
    "a sampler": (tune, f"--sampler {'x' * 3000}", ("--sampler 'xxx", "gp, cmaes")),
    "no study": (report, f"--study-name {'x' * 190}", ("there is no study", "study_19")),
    "no studies": (report, f"--ensemble {'x' * 190} y", ("is neither a target nor a study", "study_19")),
    "no store": (report, f"--storage-dir {'x/' * 900}", ("there is no store", "--storage-dir")),
    "no model": (predict, f"--target {'x' * 170} --data table.parquet", ("cannot be found", "train and register")),
    "no model of that name": (predict, f"--target {'x' * 3000}", ("target 'xxx", "rename the column")),
    "no output": (predict, f"--target a --output {'x' * 3000}.doc", ("--output xxx", "use one of .parquet")),
    "no models": (promote, "--config many.yaml", ("none of", "train and register one first")),
    "no word": (fanout, f"up {'X' * 3000}=1", ("is unknown", "WORKERS")),
    "no command": (fanout, "x" * 3000, ("is not a command", "use up, status, down")),
    "no run": (fanout, f"up STUDY_NAME={'x' * 3000}", ("--study-name 'xxx", "200 bytes")),
    "no overlay": (fanout, f"up OVERLAY={'x' * 3000}", ("OVERLAY=xxx", "local")),
    "no kubectl": (fanout, f"up KUBECTL={'x' * 3000}", ("KUBECTL=xxx", "install it")),
}


@pytest.mark.parametrize("name", LENGTHY)
def test_messages_with_long_names_lists_and_values(name: str, wide: Path, mlflow_store: str) -> None:
    main, line, words = LENGTHY[name]
    before = ("--data", "table.parquet", "--targets", "net_profit") if main is tune else ()
    if main is report and "--storage-dir" not in line:
        manager = OptunaStudyManager(wide / "artefacts/optuna_studies")
        for number in range(180, 200):
            manager.create_or_load_study(f"{'s' * 150}_study_{number}")
    error = run(main, [*before, *shlex.split(line)], wide)
    assert [word for word in words if word not in error] == [], error


@pytest.mark.parametrize(
    "uri",
    [f"http://{CLOSED}/{'x' * 900}", f"postgresql+psycopg2://u:{SECRET}@{CLOSED}/d"],
    ids=["http", "postgres"],
)
@pytest.mark.parametrize(
    ("main", "line"), [(predict, "--target a --data table.parquet"), (promote, "")], ids=["predict", "promote"]
)
def test_messages_of_an_unavailable_server(main: Main, line: str, uri: str, tmp_path: Path) -> None:
    away = {"MLFLOW_TRACKING_URI": uri, "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    error = run(main, shlex.split(line), tmp_path, **away)
    assert error.endswith("check MLFLOW_TRACKING_URI, its server and its artifact store")
    assert SECRET not in error


TEXT = st.text(min_size=1, max_size=400) | st.text("a/\\:@?#\"'%,.- \n\x1b[0m…ü日\udcff", min_size=1, max_size=700)
TYPED = st.sampled_from(
    [
        *("--targets", "--study-name", "--data", "--config", "--query", "--storage-url", "--n-trials", "--timeout"),
        *(
            "--cv",
            "--device",
            "--sampler",
            "--pruner",
            "--seed",
            "--use-cv",
            "--ensemble-size",
            "--max-workers",
            "--purge-days",
        ),
    ]
)


@given(option=TYPED, value=TEXT, times=st.sampled_from([1, 9]))
@settings(max_examples=60)
def test_messages_of_random_option_values(
    tmp_path_factory: pytest.TempPathFactory, option: str, value: str, times: int
) -> None:
    """The table has no target, so valid options end with an error too."""
    folder = tmp_path_factory.getbasetemp() / "typed"
    if not folder.exists():
        folder.mkdir()
        TABLE.drop(columns="net_profit").to_parquet(folder / "table.parquet")
    typed = value.replace("\0", "") * times
    assert run(tune, [*GOOD, f"{option}={typed}"], folder, MLFLOW_TRACKING_URI=f"sqlite:///{folder}/mlflow.db")
