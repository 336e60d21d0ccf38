"""Writes the MLflow model folder, and loads models from it.

The folder holds LightGBM's model text, the metadata and copies of `src/serving/model_code.py` and
`src/data/encoding.py`, so it serves without this repository. It has two flavors: `python_function` takes a raw table,
`lightgbm` gives the booster.
"""

import json
import logging
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data import encoding
from src.errors import DataError, UserError
from src.suggest import did_you_mean, examples, listing
from src.tracking.connection.tracking_database import check_database_answers
from src.tracking.connection.tracking_errors import one_line, tracking_errors

if TYPE_CHECKING:
    from mlflow.models import Model, ModelSignature
    from mlflow.pyfunc import PyFuncModel

log = logging.getLogger(__name__)

MODEL_NAME = "model"
"""Name of the logged model inside its run: `runs:/<run>/model`."""
DIGEST_TAG = "model_sha256"
EXAMPLE_ROWS = 5
# A path, not an import: the file is only copied, and src/serving comes later in the import order.
_MODEL_CODE = Path(__file__).parents[2] / "serving" / "model_code.py"
UNSEEN_SHARE = 0.05
"""Share of unseen values above which a category column is probably written differently than in training."""
_REQUIRED = ("mlflow", "lightgbm", "numpy", "pandas")


@dataclass(frozen=True)
class ModelCard:
    """A trained model, ready to be logged.

    Attributes:
        target: the target column, and the registered name.
        model_text_path: LightGBM's text file.
        metadata: the training metadata, JSON values: serving needs `feature_names` and `categorical_levels`;
            `study_name` and the scores become tags.
        example: raw rows with the original feature columns; the first rows become the input example.
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
            signature=served_signature(card.metadata["feature_names"]),
            input_example=card.example[card.metadata["feature_names"]].head(EXAMPLE_ROWS),
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
    return {"python_model": str(code), "artifacts": artifacts}


def served_signature(feature_names: Iterable[str]) -> "ModelSignature":
    """A signature with the names of all features and type `any`; the model's code checks the values.

    MLflow compares dtypes before the model sees a row: a `long` column refuses floats (an integer column with a
    missing value), a `double` column refuses int64 (a CSV whose prices happen to be whole numbers), a `string`
    column refuses float64 and `category` (a day on which that category is missing in every row). No typed signature
    accepts all valid frames, so the columns are `any` and the model's code rejects invalid values. Drawback:
    `mlflow models serve` then parses JSON and Parquet but not CSV.

    Returns:
        Named, required inputs of any type; one double per row as output.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, ColSpec, Schema, TensorSpec

    any_type = AnyType()
    inputs = Schema([ColSpec(type=any_type, name=name) for name in feature_names])
    return ModelSignature(inputs=inputs, outputs=Schema([TensorSpec(np.dtype(np.float64), (-1,))]))


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


def load_served(uri: str) -> "PyFuncModel":
    """Loads a model for prediction.

    Args:
        uri: an MLflow model URI: `models:/<name>@champion`, `models:/<name>/3`, `runs:/...`, a folder.

    Raises:
        UserError: there is no such model, version or alias.
        TrackingError: MLflow or its artifact store cannot be reached.
    """
    import mlflow.pyfunc

    with _model_errors(uri):
        model: PyFuncModel = mlflow.pyfunc.load_model(uri)
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


def predict_rows(model: "PyFuncModel", features: pd.DataFrame) -> NDArray[np.float64]:
    """Predicts the rows of a table.

    Args:
        model: a loaded MLflow model that takes a frame and returns one number per row.
        features: (n_rows, at least the model's features), in any column order.

    Returns:
        (n_rows,) predictions.

    Raises:
        DataError: the rows do not fit the model; the message names the columns, or the column and the value.
    """
    from mlflow.exceptions import MlflowException

    metadata = served_metadata(model)
    schema = model.metadata.get_input_schema()
    needed = metadata.get("feature_names") or (schema.required_input_names() if schema else list(features.columns))
    # Checked before MLflow does, whose message contains the whole table.
    _check_columns(list(features.columns), needed)
    chosen = features.loc[:, needed]
    if metadata and "decimal_marks" not in metadata:
        chosen = _encode_for_older_models(chosen, metadata)
    try:
        return np.asarray(model.predict(chosen), dtype=np.float64)
    except MlflowException as error:  # from the checks in the model's code
        raise DataError(f"the table cannot be predicted: {one_line(error)}") from error


def unseen_warnings(frame: pd.DataFrame, metadata: Mapping[str, Any]) -> list[str]:
    """One warning for each category column with many values that were not in training.

    Args:
        frame: (n_rows, at least the model's features).
        metadata: the model's metadata.
    """
    warnings = []
    for name, levels in metadata.get("categorical_levels", {}).items():
        column = frame[name]
        given = encoding.texts_of(column)
        unseen = given.notna().to_numpy() & np.isnan(encoding.level_codes(column, levels))
        share = np.count_nonzero(unseen) / max(1, given.count())
        if share > UNSEEN_SHARE:
            warnings.append(
                f"column {name!r}: {100 * share:.3g} % of its values were not in the training data "
                f"({examples(given[unseen].unique())}; known are {examples(levels)}): they count as missing; "
                "check their spelling"
            )
    return warnings


def _check_columns(names: list[Any], needed: list[str]) -> None:
    if missing := [name for name in needed if name not in names]:
        close = did_you_mean(missing[0], map(str, names))
        raise DataError(
            f"column(s) {listing(missing)} missing{close}: the model needs {len(needed)} columns; the table has "
            f"{listing(names)}"
        )
    if duplicates := [name for name in needed if names.count(name) > 1]:
        raise DataError(f"column(s) {listing(duplicates)} are duplicated in the table: keep one of each")


def _encode_for_older_models(frame: pd.DataFrame, metadata: Mapping[str, Any]) -> pd.DataFrame:
    """Encodes levels and numbers for models of earlier versions, whose code compares texts exactly."""
    columns: dict[str, Any] = {}
    for name, column in frame.items():
        levels = metadata["categorical_levels"].get(name)
        if levels is not None:
            codes = np.nan_to_num(encoding.level_codes(column, levels), nan=-1).astype(np.int64)
            columns[str(name)] = np.array([*levels, None], dtype=object)[codes]
        else:
            plain = [encoding.BOOLEAN_TEXTS.get(value, value) if isinstance(value, str) else value for value in column]
            try:
                columns[str(name)] = encoding.to_numbers(pd.Series(plain), str(name))
            except encoding.NotANumber as error:
                raise DataError(f"the table cannot be predicted: {error}") from error
    return pd.DataFrame(columns, index=frame.index)
