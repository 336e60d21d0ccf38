import ast
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightgbm as lgb
import mlflow
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.entities import LoggedModel
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel
from mlflow.pyfunc.model import PythonModelContext
from numpy.typing import NDArray

from src.modeling.cpus import available_cpus
from src.serving import model_code
from src.tracking.served_model import load_served, log_served_model
from tests.tiny_model import FEATURES, LEVELS, TinyModel, by_hand, tiny_model

# MLflow looks at an example's column names in a way that pandas 4 will change.
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")


Predict = Callable[[pd.DataFrame], NDArray[np.float64]]


@dataclass(frozen=True)
class Logged:
    """A model logged once, in an experiment of its own; the tests only read it."""

    tiny: TinyModel
    folder: Path
    model: LoggedModel
    experiment_id: str


@pytest.fixture(scope="module")
def logged(_empty_mlflow_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Logged:
    home = tmp_path_factory.mktemp("logged")
    mlflow.set_tracking_uri(f"sqlite:///{shutil.copy(_empty_mlflow_store, home / 'mlflow.db')}")
    client = MlflowClient()
    run = client.create_run(client.create_experiment("elsewhere", str(home / "artifacts")))
    tiny = tiny_model(home)
    model_id = log_served_model(run.info.run_id, tiny.card, "digest")
    folder = mlflow.artifacts.download_artifacts(f"models:/{model_id}", dst_path=str(home / "model"))
    return Logged(tiny, Path(folder), client.get_logged_model(model_id), run.info.experiment_id)


@pytest.fixture
def tiny(logged: Logged) -> TinyModel:
    return logged.tiny


@pytest.fixture(scope="module")
def served(logged: Logged) -> PyFuncModel:
    return load_served(str(logged.folder))


@pytest.fixture(scope="module")
def predict(served: PyFuncModel) -> Predict:
    return lambda frame: np.asarray(served.predict(frame))


def test_training_frame_predicts_to_the_bit(tiny: TinyModel, predict: Predict) -> None:
    expected = np.asarray(tiny.booster.predict(tiny.matrix))
    assert np.array_equal(predict(tiny.frame), expected)
    assert np.array_equal(predict(tiny.frame[FEATURES]), expected)


def test_rows_keep_their_order_under_any_index(tiny: TinyModel, predict: Predict) -> None:
    shuffled = tiny.frame.sample(frac=1, random_state=3)
    shuffled.index = pd.Index([0] * len(shuffled))
    assert np.array_equal(predict(shuffled), tiny.booster.predict(by_hand(shuffled)))


@pytest.mark.parametrize(
    "change",
    [
        {"held": "float32", "ret": "float32"},
        {"held": "float64", "is_monday": "int64"},
        {"held": "Int64", "is_monday": "boolean", "ret": "Float64"},
        {"style": "category", "sector": object, "is_monday": object},
        {"held": "uint8", "is_monday": "float64", "sector": "category"},
    ],
)
def test_other_dtypes_of_the_same_values(tiny: TinyModel, predict: Predict, change: dict[str, Any]) -> None:
    frame = tiny.frame.assign(ret=tiny.frame["ret"].round(1)).astype(change)
    oracle = by_hand(frame)
    assert np.array_equal(predict(frame), tiny.booster.predict(oracle))


def test_missing_values_in_every_column(tiny: TinyModel, predict: Predict) -> None:
    frame = tiny.frame.head(40).astype({"held": "float64", "is_monday": object, "sector": object})
    frame.loc[::2, ["held", "ret"]] = np.nan
    frame.loc[::3, ["is_monday", "sector", "style"]] = None
    assert np.array_equal(predict(frame), tiny.booster.predict(by_hand(frame)))
    nothing = pd.DataFrame(np.nan, index=range(3), columns=FEATURES)
    assert np.array_equal(predict(nothing), tiny.booster.predict(np.full((3, len(FEATURES)), np.nan)))


def test_whole_numbers_in_a_float_column(tiny: TinyModel, predict: Predict) -> None:
    frame = tiny.frame.head(3).assign(ret=[2, 0, -7])
    assert np.array_equal(predict(frame), tiny.booster.predict(by_hand(frame)))


def test_unseen_level_is_missing(tiny: TinyModel, predict: Predict) -> None:
    new, gone = tiny.frame.assign(style="scalping"), tiny.frame.assign(style=None)
    assert np.array_equal(predict(new), predict(gone))


def test_empty_frame_gives_no_predictions(tiny: TinyModel, predict: Predict) -> None:
    assert predict(tiny.frame.head(0)).shape == (0,)


def test_text_in_a_numeric_column_is_named(tiny: TinyModel, predict: Predict) -> None:
    frame = tiny.frame.assign(held="4")
    frame.loc[7, "held"] = "four"
    frame.loc[8:, "held"] = None
    with pytest.raises(MlflowException, match="column held holds 'four' in row 7"):
        predict(frame)


def test_dates_are_no_numbers(tiny: TinyModel, predict: Predict) -> None:
    with pytest.raises(MlflowException, match="column ret holds '2024-01-01"):
        predict(tiny.frame.assign(ret=tiny.frame["date"]))


def test_missing_and_doubled_columns_are_named(tiny: TinyModel, predict: Predict) -> None:
    with pytest.raises(MlflowException, match=r"missing inputs \['held', 'sector'\]"):
        predict(tiny.frame.drop(columns=["held", "sector"]))
    with pytest.raises(MlflowException, match="columns held, sector are missing"):
        model_code.encode(tiny.frame.drop(columns=["held", "sector"]), FEATURES, LEVELS)
    twice = pd.concat([tiny.frame, tiny.frame[["ret"]]], axis=1)
    with pytest.raises(MlflowException, match="columns ret stand twice"):
        model_code.encode(twice, FEATURES, LEVELS)


def test_native_flavor_is_the_raw_booster(tiny: TinyModel, logged: Logged) -> None:
    booster = mlflow.lightgbm.load_model(str(logged.folder))
    assert np.array_equal(booster.predict(tiny.matrix), tiny.booster.predict(tiny.matrix))


def test_folder_pins_what_it_needs(logged: Logged) -> None:
    pins = (logged.folder / "requirements.txt").read_text().split()
    assert [pin.split("==")[0] for pin in pins] == ["mlflow", "lightgbm", "numpy", "pandas"]
    assert f"python={platform.python_version()}" in (logged.folder / "conda.yaml").read_text()


def test_input_example_is_five_real_rows(served: PyFuncModel, predict: Predict, tiny: TinyModel) -> None:
    example = served.input_example
    assert isinstance(example, pd.DataFrame)
    assert np.array_equal(predict(example), tiny.booster.predict(by_hand(tiny.card.example.head(5))))


def test_mlmodel_names_every_feature_and_no_path_of_the_repository(served: PyFuncModel, logged: Logged) -> None:
    assert served.metadata.signature is not None
    assert served.metadata.signature.inputs.input_names() == FEATURES
    assert str(Path(model_code.__file__).parents[2]) not in (logged.folder / "MLmodel").read_text()


def test_model_belongs_to_the_experiment_of_its_run(logged: Logged) -> None:
    assert logged.model.experiment_id == logged.experiment_id
    assert (logged.model.name, logged.model.status) == ("model", "READY")


def test_file_stands_alone() -> None:
    tree = ast.parse(Path(model_code.__file__).read_text())
    plain = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    froms = {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    roots = {name.split(".")[0] for name in plain | froms}
    assert roots - set(sys.stdlib_module_names) == {"lightgbm", "mlflow", "numpy", "pandas"}


def test_metadata_of_another_model_is_refused(tiny: TinyModel, tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text('{"feature_names": ["ret"]}')
    artifacts = {"model": str(tiny.card.model_text_path), "metadata": str(tmp_path / "metadata.json")}
    with pytest.raises(MlflowException, match="names 1 features, the model was trained on 5"):
        model_code.DailyProfitModel().load_context(mlflow.pyfunc.PythonModelContext(artifacts, None))


values = st.one_of(st.none(), st.text(max_size=3), st.sampled_from(LEVELS["style"]))
other_values = st.sampled_from([1, 1.0, True, "1", "True", float("nan"), "nan"])


@given(
    st.lists(
        st.tuples(
            st.one_of(values, other_values), st.one_of(st.none(), st.floats()), st.one_of(st.none(), st.booleans())
        )
    )
)
def test_encoding_is_that_of_training(rows: list[tuple[Any, Any, Any]]) -> None:
    from src.data.encoding import encode

    frame = pd.DataFrame(rows, columns=["style", "ret", "is_monday"])
    frame["ret"] = frame["ret"].astype("float64")
    levels = {"style": [*LEVELS["style"], "1", "1.0", "True", "nan"]}
    mine = model_code.encode(frame, list(frame.columns), levels)
    assert np.array_equal(mine, encode(frame, levels), equal_nan=True)


@given(st.lists(values, min_size=1))
def test_codes_are_positions_among_the_levels(texts: list[str | None]) -> None:
    levels = sorted({text for text in texts[::2] if text is not None})
    codes = model_code.encode(pd.DataFrame({"c": texts}, dtype=object), ["c"], {"c": levels})[:, 0]
    expected = [float(levels.index(text)) if text in levels else np.nan for text in texts]
    assert np.array_equal(codes, expected, equal_nan=True)


def test_openmps_own_variable_decides_where_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert model_code.thread_options() == {}


def test_a_prediction_takes_as_many_threads_as_the_container_has_cpus(
    logged: Logged, predict: Predict, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[object] = []

    def note(booster: lgb.Booster, *args: Any, **options: Any) -> Any:
        given.append(options.get("num_threads"))
        return without_note(booster, *args, **options)

    without_note = lgb.Booster.predict
    monkeypatch.setattr(lgb.Booster, "predict", note)
    monkeypatch.delenv("OMP_NUM_THREADS")
    predict(logged.tiny.card.example)
    assert given == [available_cpus()], "on this machine, through the copy that is logged with the model"
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2}, raising=False)
    monkeypatch.setattr(model_code, "_cpu_quotas", lambda root: iter([64.0]))
    model = model_code.DailyProfitModel()
    model.booster, model.metadata = logged.tiny.booster, logged.tiny.card.metadata
    model.predict(PythonModelContext({}, {}), logged.tiny.card.example)
    assert given[1:] == [3], "affinity below the quota"
