"""One loaded version of a registered model: loading, warm-up, and the answer to a request in MLflow's protocol."""

import logging
import shutil
import tempfile
import weakref
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.pyfunc import PyFuncModel, scoring_server
from numpy.typing import NDArray

from src.data.sources.csv_bytes import read_csv_bytes
from src.errors import DataError, UserError
from src.serving.online.http import Answer, error_answer
from src.suggest import one_line
from src.tracking.registry.served_model import ANSWER_ALL, PREDICTION, load_served, served_metadata
from src.tracking.registry.served_rows import check_columns

log = logging.getLogger(__name__)

UNSUPPORTED = 415


@dataclass(frozen=True, eq=False)
class ServedVersion:
    """A version that answers requests.

    It is freed, with its files, when the last request that uses it has ended: nothing else holds it after a swap.

    Attributes:
        target: the registered name.
        number: the version's number.
        role: the alias by which it was found.
        model: the loaded model.
        folder: of its files; it is deleted with the object.
        metadata: its training metadata; empty for a model of another project.
        loaded_at: UTC.
    """

    target: str
    number: int
    role: str
    model: PyFuncModel
    folder: str
    metadata: dict[str, Any]
    loaded_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def study(self) -> str | None:
        """The study that the model comes from, if the metadata says so."""
        return self.metadata.get("study_name")

    @property
    def headers(self) -> dict[str, str]:
        """What says in an answer which version gave it."""
        return {"X-Model-Name": self.target, "X-Model-Version": str(self.number)}

    @property
    def has_history(self) -> bool:
        """Whether the features are derived from past rows: the request then holds the past too."""
        return "derived_features" in self.metadata

    @cached_property
    def code(self) -> Any:
        """The model's own code, where it accepts rows of any type; None for other models.

        Its columns have type `any`, so MLflow's check of types changes nothing, and takes half the time of a request.
        """
        return self.model.unwrap_python_model() if "decimal_marks" in self.metadata else None

    def predict(self, rows: Any, params: dict[str, Any] | None = None) -> Any:
        """Predicts rows whose columns have been checked.

        Raises:
            MlflowException: the rows do not fit the model.
        """
        if self.code is None or params or not isinstance(rows, pd.DataFrame):
            return self.model.predict(rows, params=params)
        return self.code.predict(None, rows)

    @cached_property
    def ranges(self) -> "NDArray[np.float64] | None":
        """(n_features, 2) lowest and highest training value, NaN for categories; None if they are not known.

        LightGBM writes them into the model text, in `feature_infos`.
        """
        if self.code is None or self.has_history:
            return None
        lines = self.code.booster.model_to_string(num_iteration=1).splitlines()
        infos = next((line.partition("=")[2] for line in lines if line.startswith("feature_infos=")), "")
        return np.array([_range(info) for info in infos.split(" ")])


def _range(info: str) -> tuple[float, float]:
    low, _, high = info.strip("[]").partition(":") if info.startswith("[") else ("nan", "", "nan")
    return float(low), float(high)


def load_version(target: str, number: int, role: str) -> ServedVersion:
    """Loads a version and predicts its input example with it.

    Raises:
        UserError: the version does not exist, or its predictions are no finite numbers.
        TrackingError: MLflow or its artifact store cannot be reached.
        Exception: whatever the model's code raises.
    """
    folder = tempfile.mkdtemp(prefix="daily-profit-serve-")
    try:
        model = load_served(f"models:/{target}/{number}", folder)
        version = ServedVersion(target, number, role, model, folder, served_metadata(model))
        _warm_up(version)
    except BaseException:  # is raised again
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(version, shutil.rmtree, folder, ignore_errors=True)
    return version


def _warm_up(version: ServedVersion) -> None:
    example = version.model.input_example
    if example is None:
        return
    answered = version.model.predict(example, params={ANSWER_ALL: True} if version.has_history else None)
    if not version.metadata:  # another project's model may answer anything
        return
    values = answers_of(answered)
    if not len(values) or not np.isfinite(values).all():
        raise UserError("the predictions of its input example are not finite numbers: train and register it again")


def answers_of(predictions: Any) -> "NDArray[np.float64]":
    """(n_rows,) predictions, from an array or from the frame that a model with derived features returns."""
    column = predictions[PREDICTION] if isinstance(predictions, pd.DataFrame) else predictions
    return np.asarray(column, dtype=np.float64)


@dataclass(frozen=True)
class Scored:
    """The answer to a request, and what is known of it afterwards.

    Attributes:
        answer: what the client gets.
        rows: rows of the request.
        frame: the request's rows; None if they could not be read.
        predictions: what the model returned; None if it refused the rows.
        params: the request's `params`.
    """

    answer: Answer
    rows: int = 0
    frame: pd.DataFrame | None = None
    predictions: Any = None
    params: dict[str, Any] | None = None


def score(version: ServedVersion, body: bytes, content_type: str, max_rows: int) -> Scored:
    """Answers a request in MLflow's scoring protocol.

    JSON and Parquet are read by MLflow's scoring server. CSV is read here: every field is text, which the model's
    code parses as in training; MLflow's server refuses CSV for columns of type `any`.

    Args:
        version: answers the whole request.
        body: the request's body.
        content_type: of the body, with parameters.
        max_rows: a request with more rows is refused.
    """
    model = _CheckedModel(version, max_rows)
    try:
        answer = _answer(model, body, content_type)
    except (MlflowException, DataError) as error:
        answer = model.refusal or _refusal(error)
    return Scored(answer, model.rows, model.frame, model.predictions, model.params)


def _answer(model: "_CheckedModel", body: bytes, content_type: str) -> Answer:
    from io import StringIO

    kind = content_type.partition(";")[0].strip().lower()
    if kind not in scoring_server.CONTENT_TYPES:
        known = ", ".join(scoring_server.CONTENT_TYPES)
        return error_answer(UNSUPPORTED, f"Content-Type {one_line(content_type, 60)!r} is not supported: use {known}")
    if kind == scoring_server.CONTENT_TYPE_CSV:
        written = StringIO()
        scoring_server.predictions_to_json(model.predict(read_csv_bytes(body)), written)
        return Answer(200, written.getvalue().encode())
    found = scoring_server.invocations(body, content_type, model, model.metadata.get_input_schema())
    if found.status != 200:
        return error_answer(found.status, found.response)
    return Answer(200, found.response.encode())


def _refusal(error: MlflowException | DataError) -> Answer:
    """MLflow's status and reason, without the request's content and the traceback that its messages contain."""
    if isinstance(error, DataError):
        return error_answer(400, str(error).removeprefix("--data "))
    cause = error.__context__
    text = error.message.partition("\nInput:")[0]
    if isinstance(cause, Exception) and "unexpected error" in text:
        log.warning("a model's code failed: %s: %s", type(cause).__name__, one_line(cause))
        text = f"the rows do not fit the model: {type(cause).__name__}: {cause}"
    return error_answer(error.get_http_status_code(), text, error.error_code)


class _CheckedModel:
    """What MLflow's scoring code takes for the model: counts and checks the rows, and keeps rows and predictions."""

    def __init__(self, version: ServedVersion, max_rows: int) -> None:
        self.metadata = version.model.metadata
        self.rows = 0
        self.frame: pd.DataFrame | None = None
        self.predictions: Any = None
        self.params: dict[str, Any] | None = None
        self.refusal: Answer | None = None
        self._version = version
        self._max_rows = max_rows

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """Predicts the rows as they were parsed.

        Raises:
            MlflowException: too many rows, or rows that do not fit the model; `refusal` is then the answer.
        """
        try:
            rows = data if isinstance(data, pd.DataFrame) or not self._version.metadata else pd.DataFrame(data)
        except (ValueError, TypeError) as error:  # columns of different lengths, a scalar
            raise self._refuse(400, f"the rows are no table: {one_line(error)}") from error
        self.rows = len(rows)
        if self.rows > self._max_rows:
            reason = f"{self.rows} rows are more than the {self._max_rows} of --max-rows: send fewer rows per request"
            raise self._refuse(413, reason)
        try:
            if isinstance(rows, pd.DataFrame):
                self.frame, self.params = rows, params
                rows = rows[check_columns(self._version.model, list(rows.columns))]  # MLflow warns of others each time
            self.predictions = self._version.predict(rows, params)
        except DataError as error:
            raise self._refuse(400, str(error)) from error
        except MlflowException as error:
            raise self._refuse(error.get_http_status_code(), error.message, error.error_code) from error
        return self.predictions

    def _refuse(self, status: int, reason: str, code: str | None = None) -> MlflowException:
        self.refusal = error_answer(status, reason, code)
        return MlflowException(reason)
