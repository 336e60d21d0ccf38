"""Writes the MLflow model folder, and loads models from it.

The folder holds LightGBM's model text, the metadata and copies of `src/serving/model_code.py`, `src/data/encoding.py`
and, for a model with derived features, `src/data/key_values.py` and `src/features`, so it serves without this
repository. It has two flavors: `python_function` takes a raw table,
`lightgbm` gives the booster.
"""

import json
import logging
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from src.data import encoding, key_values
from src.errors import UserError
from src.features import catalogue
from src.tracking.connection.tracking_database import check_database_answers
from src.tracking.connection.tracking_errors import one_line, tracking_errors

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import PyFuncModel

log = logging.getLogger(__name__)

MODEL_NAME = "model"
"""Name of the logged model inside its run: `runs:/<run>/model`."""
DIGEST_TAG = "model_sha256"
PREDICTION, ANSWER_ALL = "prediction", "answer_all"
"""Column of the predictions of a model with derived features, and its parameter that predicts rows with a target."""
# A path, not an import: the file is only copied, and src/serving comes later in the import order.
_MODEL_CODE = Path(__file__).parents[2] / "serving" / "model_code.py"
_REQUIRED = ("mlflow", "lightgbm", "numpy", "pandas")


@dataclass(frozen=True)
class ModelCard:
    """A trained model, ready to be logged.

    Attributes:
        target: the target column, and the registered name.
        model_text_path: LightGBM's text file.
        metadata: the training metadata, JSON values: serving needs `feature_names` and `categorical_levels`, or
            `input_columns` and `derived_features`; `study_name` and the scores become tags.
        example: raw rows with the model's input columns; they become the input example.
    """

    target: str
    model_text_path: Path
    metadata: dict[str, Any]
    example: pd.DataFrame


def log_served_model(run_id: str, card: ModelCard, digest: str) -> str:
    """Logs the model to a run, without making that run active.

    Args:
        run_id: the parent run of the study.
        card: the model.
        digest: SHA-256 of the model text, stored as a tag so that a later attempt recognises the model.

    Returns:
        The id of the logged model (`m-...`), complete and READY.
    """
    from mlflow import MlflowClient
    from mlflow.models import Model

    client = MlflowClient()
    run = client.get_run(run_id)
    # Created explicitly, because `Model.log` would use the active experiment instead of the run's.
    logged = client.create_logged_model(
        run.info.experiment_id, MODEL_NAME, run_id, tags={DIGEST_TAG: digest}, params=run.data.params
    )
    with tempfile.TemporaryDirectory() as folder:
        Model.log(
            artifact_path=None,
            name=MODEL_NAME,
            flavor=_ServedFlavor,
            run_id=run_id,
            model_id=logged.model_id,
            signature=served_signature(card.metadata),
            input_example=card.example[input_columns(card.metadata)],
            pip_requirements=[f"{package}=={version(package)}" for package in _REQUIRED],
            **_model_parts(Path(folder), card),
        )
    return str(logged.model_id)


def _model_parts(folder: Path, card: ModelCard) -> dict[str, Any]:
    """Copies the logged files to a folder under short names, so that the model records no path of this repository."""
    text, metadata, code = folder / "model.txt", folder / "metadata.json", folder / _MODEL_CODE.name
    encoding_copy = folder / "encoding.py"
    shutil.copyfile(card.model_text_path, text)
    shutil.copyfile(_MODEL_CODE, code)
    shutil.copyfile(encoding.__file__, encoding_copy)
    metadata.write_text(json.dumps(card.metadata, indent=2), encoding="utf-8")
    artifacts = {"model": str(text), "metadata": str(metadata), "encoding": str(encoding_copy)}
    if "derived_features" in card.metadata:
        keys, features = folder / "key_values.py", folder / "features"
        shutil.copyfile(key_values.__file__, keys)
        shutil.copytree(Path(catalogue.__file__).parent, features, ignore=shutil.ignore_patterns("__pycache__"))
        artifacts |= {"keys": str(keys), "features": str(features)}
    return {"python_model": str(code), "artifacts": artifacts}


def input_columns(metadata: Mapping[str, Any]) -> list[str]:
    """The columns that a model needs: its features, or what they are derived from."""
    return list(metadata.get("input_columns") or metadata["feature_names"])


def served_signature(metadata: Mapping[str, Any]) -> "ModelSignature":
    """A signature with the names of all input columns and type `any`; the model's code checks the values.

    MLflow compares dtypes before the model sees a row: a `long` column refuses floats (an integer column with a
    missing value), a `double` column refuses int64 (a CSV whose prices happen to be whole numbers), a `string`
    column refuses float64 and `category` (a day on which that category is missing in every row). No typed signature
    accepts all valid frames, so the columns are `any` and the model's code rejects invalid values. Drawback:
    `mlflow models serve` then parses JSON and Parquet but not CSV.

    Returns:
        Named, required inputs of any type; one double per row as output. With derived features the output is a frame
        with the account, the date and the prediction of each predicted row.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, DataType, ParamSchema, ParamSpec, Schema, TensorSpec

    any_type = AnyType()
    inputs = Schema([ColSpec(type=any_type, name=name) for name in input_columns(metadata)])
    if "derived_features" not in metadata:
        return ModelSignature(inputs=inputs, outputs=Schema([TensorSpec(np.dtype(np.float64), (-1,))]))
    history = metadata["derived_features"]["history"]
    keys = [ColSpec(type=any_type, name=name) for name in (history["account"], history["date"]) if name is not None]
    outputs = Schema([*keys, ColSpec(type=DataType.double, name=PREDICTION)])
    return ModelSignature(inputs, outputs, ParamSchema([ParamSpec(ANSWER_ALL, DataType.boolean, False)]))


class _ServedFlavor:
    """The flavor module that `Model.log` calls to save the folder."""

    @staticmethod
    def save_model(path: str, mlflow_model: "Model", **options: Any) -> None:
        """Writes both flavors for the same model text file."""
        import mlflow.pyfunc

        mlflow_model.add_flavor(
            "lightgbm",
            lgb_version=version("lightgbm"),
            data="artifacts/model.txt",
            model_class="lightgbm.basic.Booster",
            code=None,
        )
        mlflow.pyfunc.save_model(path, mlflow_model=mlflow_model, **options)


def load_served(uri: str, folder: str | None = None) -> "PyFuncModel":
    """Loads a model for prediction.

    Args:
        uri: an MLflow model URI: `models:/<name>@champion`, `models:/<name>/3`, `runs:/...`, a folder.
        folder: where its files are downloaded to; None means a new temporary folder, which MLflow leaves behind.

    Raises:
        UserError: there is no such model, version or alias.
        TrackingError: MLflow or its artifact store cannot be reached.
    """
    import mlflow.pyfunc

    with _model_errors(uri):
        model: PyFuncModel = mlflow.pyfunc.load_model(uri, dst_path=folder)
    return model


def pinned_uri(uri: str) -> str:
    """The current version of an alias as `models:/<name>/<version>`; any other URI is returned unchanged.

    All later steps then use one version, even if the alias moves meanwhile.

    Raises:
        UserError: there is no such name or alias.
        TrackingError: MLflow cannot be reached.
    """
    from mlflow import MlflowClient

    if not uri.startswith("models:/") or "@" not in uri:
        return uri
    name, _, alias = uri.removeprefix("models:/").lstrip("/").rpartition("@")
    with _model_errors(uri):
        return f"models:/{name}/{MlflowClient().get_model_version_by_alias(name, alias).version}"


def served_metadata(model: "PyFuncModel") -> dict[str, Any]:
    """The training metadata inside a loaded model; empty for a model of another project."""
    from mlflow.exceptions import MlflowException

    try:
        metadata = getattr(model.unwrap_python_model(), "metadata", None)
    except MlflowException as error:  # another flavor, which has no Python model
        log.debug("no metadata: %s", error)
        return {}
    return metadata if isinstance(metadata, dict) else {}


@contextmanager
def _model_errors(uri: str) -> Iterator[None]:
    import mlflow
    from mlflow.exceptions import MlflowException

    with tracking_errors(f"load model {uri!r}"):
        if uri.startswith("models:/"):
            check_database_answers(mlflow.get_registry_uri())
        try:
            yield
        except MlflowException as error:  # from the registry, which calls an unknown alias an "invalid value"
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE"):
                raise
            remedy = "train and register it first, or give an existing one (models:/<name>@champion)"
            raise UserError(f"model {uri!r} cannot be found: {one_line(error)}; {remedy}") from error
