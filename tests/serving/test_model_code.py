import ast
import json
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

from src.data import encoding
from src.serving import model_code
from src.tracking.registry.served_model import load_served, log_served_model
from src.workers.cpus import available_cpus
from tests.tiny_model import FEATURES, LEVELS, TinyModel, by_hand, tiny_model

# MLflow looks at an example's column names in a way that pandas 4 will change.
pytestmark = pytest.mark.filterwarnings("ignore:Operation with range is deprecated")


Predict = Callable[[pd.DataFrame], NDArray[np.float64]]


@dataclass(frozen=True)
class Logged:
    """A model logged once, in a separate experiment; the tests only read it."""

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
    with pytest.raises(
        MlflowException, match="column 'held' holds 1 values that are not numbers, the first 'four' in row 8"
    ):
        predict(frame)


def test_dates_are_not_numbers(tiny: TinyModel, predict: Predict) -> None:
    with pytest.raises(
        MlflowException, match="column 'ret' holds 400 values that are not numbers, the first '2024-01-01"
    ):
        predict(tiny.frame.assign(ret=tiny.frame["date"]))


def test_missing_and_duplicate_columns_are_named(tiny: TinyModel, predict: Predict, served: PyFuncModel) -> None:
    with pytest.raises(MlflowException, match=r"missing inputs \['held', 'sector'\]"):
        predict(tiny.frame.drop(columns=["held", "sector"]))
    ours = served.unwrap_python_model()
    with pytest.raises(
        MlflowException, match="2 of the model's 5 columns are missing: held, sector; the table has date"
    ):
        ours.encode(tiny.frame.drop(columns=["held", "sector"]))
    with pytest.raises(MlflowException, match=r"missing: held \(did you mean 'heldd' by 'held'\?\)"):
        ours.encode(tiny.frame.rename(columns={"held": "heldd"}))
    with pytest.raises(MlflowException, match="columns are duplicated: ret; keep one of each"):
        ours.encode(pd.concat([tiny.frame, tiny.frame[["ret"]]], axis=1))


def test_a_long_list_of_columns_is_cut(served: PyFuncModel, tiny: TinyModel) -> None:
    wide = pd.DataFrame(0.0, index=[0], columns=[f"column_{number}" for number in range(400)])
    with pytest.raises(MlflowException, match="and 380 more") as caught:
        served.unwrap_python_model().encode(wide)
    assert len(str(caught.value)) < 500


def test_infinite_values_are_refused_as_in_training(tiny: TinyModel, predict: Predict) -> None:
    for value in (np.inf, "-inf"):
        frame = tiny.frame.astype({"ret": object})
        frame.loc[3, "ret"] = value
        with pytest.raises(MlflowException, match="column 'ret' holds 1 infinite values, the first in row 4"):
            predict(frame)


def test_native_flavor_is_the_raw_booster(tiny: TinyModel, logged: Logged) -> None:
    booster = mlflow.lightgbm.load_model(str(logged.folder))
    assert np.array_equal(booster.predict(tiny.matrix), tiny.booster.predict(tiny.matrix))


def test_folder_pins_its_requirements(logged: Logged) -> None:
    pins = (logged.folder / "requirements.txt").read_text().split()
    assert [pin.split("==")[0] for pin in pins] == ["mlflow", "lightgbm", "numpy", "pandas"]
    assert f"python={platform.python_version()}" in (logged.folder / "conda.yaml").read_text()


def test_the_input_example_is_predicted(served: PyFuncModel, predict: Predict, tiny: TinyModel) -> None:
    example = served.input_example
    assert isinstance(example, pd.DataFrame)
    assert np.array_equal(predict(example), tiny.booster.predict(by_hand(tiny.card.example)))


def test_mlmodel_names_every_feature_and_no_path_of_the_repository(served: PyFuncModel, logged: Logged) -> None:
    assert served.metadata.signature is not None
    assert served.metadata.signature.inputs.input_names() == FEATURES
    assert str(Path(model_code.__file__).parents[2]) not in (logged.folder / "MLmodel").read_text()


def test_model_belongs_to_the_experiment_of_its_run(logged: Logged) -> None:
    assert logged.model.experiment_id == logged.experiment_id
    assert (logged.model.name, logged.model.status) == ("model", "READY")


@pytest.mark.parametrize(
    ("file", "needed"),
    [(model_code.__file__, {"lightgbm", "mlflow", "numpy", "pandas"}), (encoding.__file__, {"numpy", "pandas"})],
    ids=["model_code", "encoding"],
)
def test_files_import_nothing_of_this_project(file: str, needed: set[str]) -> None:
    tree = ast.parse(Path(file).read_text())
    plain = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    froms = {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    roots = {name.split(".")[0] for name in plain | froms}
    assert roots - set(sys.stdlib_module_names) == needed


def test_metadata_of_another_model_is_refused(tiny: TinyModel, tmp_path: Path) -> None:
    (tmp_path / "metadata.json").write_text('{"feature_names": ["ret"]}')
    artifacts = {"model": str(tiny.card.model_text_path), "metadata": str(tmp_path / "metadata.json")}
    artifacts["encoding"] = encoding.__file__
    with pytest.raises(MlflowException, match="has 1 features, but the model was trained on 5"):
        model_code.DailyProfitModel().load_context(mlflow.pyfunc.PythonModelContext(artifacts, None))


texts = st.one_of(st.none(), st.text(max_size=3), st.sampled_from([*LEVELS["style"], "1", "007", "NA", "12.0"]))
values = st.one_of(texts, st.integers(-2, 12), st.floats(-2, 2), st.booleans())
numbers = st.one_of(st.none(), st.floats(allow_infinity=False), st.sampled_from(["1.5", "", "n/a", "-3e2", 7, True]))
flags = st.one_of(st.none(), st.booleans(), st.sampled_from(["true", "False", 0, 1.0]))


@given(st.lists(st.tuples(values, numbers, flags), min_size=1, max_size=12), st.data())
def test_a_row_is_encoded_independently_of_other_rows(
    encoder: Any, rows: list[tuple[Any, Any, Any]], data: st.DataObject
) -> None:
    frame = pd.DataFrame(rows, columns=["style", "ret", "is_monday"], dtype=object)
    together = encoder.encode(frame)
    order = data.draw(st.permutations(range(len(rows))))
    np.testing.assert_array_equal(encoder.encode(frame.iloc[list(order)]), together[list(order)])
    for row in range(len(rows)):  # a single row may get other pandas types
        alone = pd.DataFrame([dict(zip(frame.columns, rows[row], strict=True))])
        np.testing.assert_array_equal(encoder.encode(alone), together[[row]])


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A model of three columns: a category with unusual levels, a number and a boolean."""
    levels = sorted([*LEVELS["style"], "1", "2.0", "007", "True", "NA"])
    metadata = {
        "feature_names": ["style", "ret", "is_monday"],
        "categorical_levels": {"style": levels},
        "boolean_features": ["is_monday"],
        "decimal_marks": {},
    }
    folder = tmp_path_factory.mktemp("encoder")
    (folder / "metadata.json").write_text(json.dumps(metadata))
    rng = np.random.default_rng(0)
    parameters = {"objective": "regression", "num_threads": 1, "verbose": -1}
    lgb.train(parameters, lgb.Dataset(rng.normal(size=(50, 3)), rng.normal(size=50)), 1).save_model(
        folder / "model.txt"
    )
    artifacts = {"model": str(folder / "model.txt"), "metadata": str(folder / "metadata.json")}
    model = model_code.DailyProfitModel()
    model.load_context(mlflow.pyfunc.PythonModelContext(artifacts | {"encoding": encoding.__file__}, None))
    return model


def test_the_logged_copy_is_the_encoding_code(logged: Logged) -> None:
    travelling = logged.folder / "artifacts" / "encoding.py"
    assert travelling.read_text() == Path(encoding.__file__).read_text()


def test_omp_num_threads_takes_precedence(monkeypatch: pytest.MonkeyPatch) -> None:
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
    model.booster, model.metadata, model.encoding = logged.tiny.booster, logged.tiny.card.metadata, encoding
    model.predict(PythonModelContext({}, {}), logged.tiny.card.example)
    assert given[1:] == [3], "affinity below the quota"
