"""Predicts the rows of a table with a loaded model."""

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from src.data import encoding
from src.errors import DataError
from src.suggest import did_you_mean, examples, listing
from src.tracking.connection.tracking_errors import one_line
from src.tracking.registry.served_model import ANSWER_ALL, PREDICTION, served_metadata

if TYPE_CHECKING:
    from mlflow.pyfunc import PyFuncModel

UNSEEN_SHARE = 0.05
"""Share of unseen values above which a category column is probably written differently than in training."""
MOST_EXAMPLES = 3


def predict_rows(
    model: "PyFuncModel", frame: pd.DataFrame, rows: NDArray[np.int64] | None = None
) -> NDArray[np.float64]:
    """Predicts rows of a table.

    Args:
        model: a loaded MLflow model that takes a frame and returns one number per row, or one with derived features.
        frame: (n_rows, at least the model's input columns), in any column order. Other rows than the predicted ones
            are the past of a model with derived features.
        rows: positions of the rows to predict; None means all.

    Returns:
        (n_rows,) or (len(rows),) predictions.

    Raises:
        DataError: the rows do not fit the model; the message names the columns, or the column and the value.
    """
    from mlflow.exceptions import MlflowException

    metadata = served_metadata(model)
    chosen = frame.loc[:, check_columns(model, list(frame.columns))]
    try:
        if "derived_features" in metadata:
            # MLflow would copy each value as a Python object to check columns of type `any`.
            code: Any = model.unwrap_python_model()
            answered: Any = code.predict(None, chosen, {ANSWER_ALL: True})
            answers: NDArray[np.float64] = answered[PREDICTION].to_numpy(dtype=np.float64)
            return answers if rows is None else answers[rows]
        chosen = chosen if rows is None else chosen.iloc[rows]
        if metadata and "decimal_marks" not in metadata:
            chosen = _encode_for_older_models(chosen, metadata)
        if "decimal_marks" in metadata:
            code = model.unwrap_python_model()
            return np.asarray(code.predict(None, chosen), dtype=np.float64)
        return np.asarray(model.predict(chosen), dtype=np.float64)
    except MlflowException as error:  # from the checks in the model's code
        raise DataError(f"the table cannot be predicted: {one_line(error)}") from error


def history_warnings(model: "PyFuncModel", frame: pd.DataFrame, rows: NDArray[np.int64] | None = None) -> list[str]:
    """How the past of the rows to predict differs from that in training; empty without derived features.

    Args:
        model: a loaded MLflow model.
        frame: (n_rows, at least the model's input columns); `predict_rows` has checked them.
        rows: positions of the rows to predict; None means those without a target.
    """
    if "derived_features" not in served_metadata(model):
        return []
    code: Any = model.unwrap_python_model()
    lines: list[str] = code.history_warnings(code.read_history(frame), rows)
    return lines


def unseen_warnings(frame: pd.DataFrame, metadata: Mapping[str, Any]) -> list[str]:
    """One warning for each category column with many values that were not in training.

    Args:
        frame: (n_rows, at least the model's features).
        metadata: the model's metadata.
    """
    unseen = UnseenValues(metadata)
    unseen.add(frame)
    return unseen.warnings()


class UnseenValues:
    """Counts the values of category columns that were not in training, over the blocks of a table.

    Args:
        metadata: the model's metadata.
    """

    def __init__(self, metadata: Mapping[str, Any]) -> None:
        self._levels: Mapping[str, list[str]] = metadata.get("categorical_levels", {})
        self._given, self._unseen = Counter[str](), Counter[str]()
        self._examples: dict[str, dict[str, None]] = {name: {} for name in self._levels}

    def add(self, frame: pd.DataFrame) -> None:
        """Counts the values of (n_rows, at least the model's features)."""
        for name, levels in self._levels.items():
            positions, distinct = encoding.distinct(frame[name])
            values = pd.Series(distinct, dtype=object)
            texts = encoding.texts_of(values)
            counts = np.bincount(positions[positions >= 0], minlength=len(values))
            given = texts.notna().to_numpy() & (counts > 0)
            unseen = given & np.isnan(encoding.level_codes(values, levels))
            self._given[name] += int(counts[given].sum())
            self._unseen[name] += int(counts[unseen].sum())
            if len(self._examples[name]) < MOST_EXAMPLES:
                self._examples[name] |= dict.fromkeys(texts[unseen].unique()[:MOST_EXAMPLES])

    def warnings(self) -> list[str]:
        """One line for each column with many such values."""
        return [
            f"column {name!r}: {100 * self._unseen[name] / self._given[name]:.3g} % of its values were not in the "
            f"training data ({examples(list(shown))}; known are {examples(self._levels[name])}): they count as "
            "missing; check their spelling"
            for name, shown in self._examples.items()
            if self._unseen[name] > UNSEEN_SHARE * self._given[name]
        ]


def check_values(model: "PyFuncModel", frame: pd.DataFrame) -> None:
    """Checks all numeric columns of the first rows at once; `predict_rows` stops at the first wrong one.

    Args:
        model: a loaded MLflow model.
        frame: (n_rows, at least the model's input columns).

    Raises:
        DataError: several columns hold values that are not numbers.
    """
    metadata = served_metadata(model)
    if "decimal_marks" not in metadata:  # a model of another project, or of an earlier version with its own rules
        return
    derived = metadata.get("derived_features", {})
    own = metadata["feature_names"][: len(metadata["feature_names"]) - len(derived.get("features", ()))]
    history = derived.get("history", {"past": (), "decimal_marks": {}, "booleans": ()})
    wrong: dict[str, str] = {}
    for names, marks, booleans in (
        (own, metadata["decimal_marks"], metadata.get("boolean_features", ())),
        (history["past"], history["decimal_marks"], history["booleans"]),
    ):
        for name in names:
            try:
                if name not in metadata.get("categorical_levels", {}):
                    encoding.to_numbers(frame[name], name, marks.get(name), boolean=name in booleans)
            except encoding.NotANumber as error:  # collected
                wrong[name] = f"{name} ({error.shown!r} in row {error.row + 1})"
    if len(wrong) > 1:
        raise DataError(
            f"{len(wrong)} columns hold values that the model cannot read as numbers: {listing(list(wrong.values()))}: "
            "correct or empty them"
        )


def check_columns(model: "PyFuncModel", names: list[Any]) -> list[str]:
    """The columns of a table that a model needs; checked before MLflow does, whose message contains the whole table.

    Args:
        model: a loaded MLflow model.
        names: of the table's columns.

    Raises:
        DataError: columns are missing or duplicated.
    """
    metadata, schema = served_metadata(model), model.metadata.get_input_schema()
    needed: list[str] = metadata.get("input_columns") or metadata.get("feature_names") or []
    needed = needed or (schema.required_input_names() if schema else list(names))
    if missing := [name for name in needed if name not in names]:
        close = did_you_mean(missing[0], map(str, names))
        raise DataError(
            f"column(s) {listing(missing)} missing{close}: the model needs {len(needed)} columns; the table has "
            f"{listing(names)}"
        )
    if duplicates := [name for name in needed if names.count(name) > 1]:
        raise DataError(f"column(s) {listing(duplicates)} are duplicated in the table: keep one of each")
    return needed


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
