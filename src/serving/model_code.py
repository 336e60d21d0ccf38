"""The registered model's own code: a copy of this file is logged with every model ("models from code").

It must stand alone: where a model is served there is no trace of this repository, so this file imports the standard
library and what the model's own requirements list, never `src`. The encoding below says again what
`src/data/encoding.py` does in training, and the number of threads what `src/modeling/cpus.py` says; tests hold them
together.
"""

import json
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from numpy.typing import NDArray


class DailyProfitModel(PythonModel):
    """A LightGBM model that takes the table as people have it.

    Attributes:
        booster: the raw LightGBM model; its own feature names are positions (`f0`...), not column names.
        metadata: the training's record, `feature_names` and `categorical_levels` among it.
    """

    booster: lgb.Booster
    metadata: dict[str, Any]

    def load_context(self, context: PythonModelContext) -> None:
        """Reads the artifacts `model` (LightGBM text) and `metadata` (JSON).

        Raises:
            MlflowException: the two do not belong together.
        """
        with open(context.artifacts["metadata"], encoding="utf-8") as file:
            self.metadata = json.load(file)
        self.booster = lgb.Booster(model_file=context.artifacts["model"])
        names, trained_on = self.metadata["feature_names"], self.booster.num_feature()
        if len(names) != trained_on:
            raise MlflowException.invalid_parameter_value(
                f"the metadata names {len(names)} features, the model was trained on {trained_on}: log them together"
            )

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> NDArray[np.float64]:
        """Predicts a plain frame.

        Args:
            context: unused; MLflow passes it.
            model_input: (n_rows, at least the feature columns), in any column order: numbers, booleans, and
                categories as strings. Further columns are ignored. A level that training never saw is missing.
            params: unused; there are none.

        Returns:
            (n_rows,) in the order of the rows: the target's own unit, or for a binary target the probability of 1.

        Raises:
            MlflowException: feature columns are missing or doubled, or a numeric column holds something else.
        """
        matrix = encode(model_input, self.metadata["feature_names"], self.metadata["categorical_levels"])
        if len(matrix) == 0:  # LightGBM refuses an empty matrix
            return np.empty(0)
        return np.asarray(self.booster.predict(matrix, **thread_options()), dtype=np.float64)


def thread_options(root: Path = Path("/")) -> dict[str, Any]:
    """LightGBM's `num_threads` for a prediction: as many as the CPUs that this process may use, by affinity and cgroup.

    Left to itself, LightGBM starts a thread for each core of the host, which a container's CPU limit then throttles.

    Args:
        root: where the files of Linux are looked for, so that tests can show other machines.

    Returns:
        Nothing where the user has set OMP_NUM_THREADS, which LightGBM follows by itself.
    """
    if os.environ.get("OMP_NUM_THREADS"):
        return {}
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"num_threads": max(1, math.ceil(min([float(affinity), *_cpu_quotas(root)])))}


def _cpu_quotas(root: Path) -> Iterator[float]:
    """CPUs that the cgroups (version 1 or 2) of this process allow, its own and those above it."""
    base = root / "sys/fs/cgroup"
    for line in _lines(root / "proc/self/cgroup"):
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            tops = [base, base / "unified"]
        elif "cpu" in controllers.split(","):
            tops = [base / controllers, base / "cpu"]
        else:
            continue
        for top in tops:
            inner = top / path.strip("/")
            for folder in [inner, *inner.parents]:
                if folder.is_relative_to(top):
                    yield from _cpu_quota(folder)


def _cpu_quota(folder: Path) -> Iterator[float]:
    """The quota of one cgroup in CPUs; nothing where there is no limit."""
    if v2 := _lines(folder / "cpu.max"):
        quota, _, period = v2[0].partition(" ")
        period = period or "100000"
    else:
        quota, period = ("".join(_lines(folder / f"cpu.cfs_{name}_us")[:1]) for name in ("quota", "period"))
    if quota.isdecimal() and period.isdecimal() and int(quota) > 0 and int(period) > 0:  # "max" and -1 are no limit
        yield int(quota) / int(period)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:  # not Linux, the other version of cgroups, or closed to this user: no limit that can be seen
        return []


def encode(frame: pd.DataFrame, feature_names: list[str], levels: dict[str, list[str]]) -> NDArray[np.float64]:
    """Turns a frame into the matrix that the booster was trained on.

    Args:
        frame: (n_rows, any columns).
        feature_names: the columns of the matrix, in order.
        levels: the training levels of each category column; a level's code is its position.

    Returns:
        (n_rows, n_features), C-contiguous; missing values and unseen levels are NaN, booleans 1 and 0.

    Raises:
        MlflowException: feature columns are missing or doubled, or a numeric column holds something else.
    """
    names = [str(name) for name in frame.columns]
    if missing := [name for name in feature_names if name not in names]:
        raise MlflowException.invalid_parameter_value(
            f"columns {', '.join(missing)} are missing: the model needs all of its {len(feature_names)} features; "
            f"the table has {', '.join(names)}"
        )
    if doubled := [name for name in feature_names if names.count(name) > 1]:
        raise MlflowException.invalid_parameter_value(f"columns {', '.join(doubled)} stand twice: keep one of each")
    matrix = np.empty((len(frame), len(feature_names)), dtype=np.float64)
    for position, name in enumerate(feature_names):
        column = frame.iloc[:, names.index(name)]
        matrix[:, position] = _codes(column, levels[name]) if name in levels else _numbers(column, name)
    return matrix


def _codes(column: pd.Series, levels: list[str]) -> NDArray[np.float64]:
    """Position of each value's text among the levels."""
    code_of = {level: float(code) for code, level in enumerate(levels)}
    if not isinstance(column.dtype, pd.StringDtype):
        # factorize takes 1, 1.0 and True for one value, `str` does not.
        texts = [None if missing else str(value) for value, missing in zip(column, column.isna(), strict=True)]
        column = pd.Series(texts, dtype="str")
    positions, found = pd.factorize(column)
    # A missing value has position -1 and so takes the last entry.
    codes = np.array([code_of.get(str(text), np.nan) for text in found] + [np.nan])
    return codes[positions]


def _numbers(column: pd.Series, name: str) -> NDArray[np.float64]:
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(object)
    if pd.api.types.is_bool_dtype(column.dtype) or pd.api.types.is_numeric_dtype(column.dtype):
        return np.asarray(column.to_numpy(dtype=np.float64, na_value=np.nan))
    # Booleans or numbers among missing values come as objects, and so does text, which is numeric or wrong.
    missing = column.isna().to_numpy()
    if pd.api.types.is_datetime64_any_dtype(column.dtype) or pd.api.types.is_timedelta64_dtype(column.dtype):
        numbers = np.full(len(column), np.nan)  # to_numeric would quietly make nanoseconds of them
    else:
        numbers = pd.to_numeric(column.astype(object).mask(missing, np.nan), errors="coerce").to_numpy(np.float64)
    if (wrong := np.isnan(numbers) & ~missing).any():
        row = int(wrong.argmax())
        raise MlflowException.invalid_parameter_value(
            f"column {name} holds {str(column.iloc[row])!r} in row {row}: the model was trained on numbers there; "
            "correct the value or leave it missing"
        )
    return numbers


set_model(DailyProfitModel())
