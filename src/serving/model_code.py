"""The registered model's own code: a copy of this file is logged with every model ("models from code").

It must work without this repository, so it imports only the standard library and the model's own requirements, never
`src`. Rows are encoded by `src/data/encoding.py` alone; a copy of that file is an artifact of the model and is loaded
from there, as are `src/data/key_values.py` and the folder `src/features` if the model has derived features. The number
of threads is computed as in `src/workers/cpus.py`; a test compares both.
"""

import difflib
import importlib
import importlib.util
import json
import logging
import math
import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext
from numpy.typing import NDArray

log = logging.getLogger(__name__)

_SHOWN = 20


class DailyProfitModel(PythonModel):
    """A LightGBM model that takes a raw table.

    A model with derived features takes history: rows whose target is missing are predicted, the others are their past.

    Attributes:
        booster: the LightGBM model; its feature names are positions (`f0`...), not column names.
        metadata: the training metadata; `feature_names`, `categorical_levels`, `boolean_features` and `decimal_marks`
            define the encoding of rows.
        encoding: the encoding code of the training.
        keys: the code that reads accounts and dates; None without derived features.
        raw_rows: the code that derives features; None without derived features.
    """

    booster: lgb.Booster
    metadata: dict[str, Any]
    encoding: ModuleType
    keys: ModuleType | None = None
    raw_rows: ModuleType | None = None

    def load_context(self, context: PythonModelContext) -> None:
        """Reads the artifacts `model` (LightGBM text), `metadata` (JSON) and `encoding` (Python).

        Raises:
            MlflowException: model and metadata do not belong together.
        """
        with open(context.artifacts["metadata"], encoding="utf-8") as file:
            self.metadata = json.load(file)
        self.booster = lgb.Booster(model_file=context.artifacts["model"])
        self.encoding = _load_module(context.artifacts["encoding"])
        if "features" in context.artifacts:
            self.keys = _load_module(context.artifacts["keys"])
            self.raw_rows = _load_package(context.artifacts["features"], "raw_rows")
        names, trained_on = self.metadata["feature_names"], self.booster.num_feature()
        if len(names) != trained_on:
            raise MlflowException.invalid_parameter_value(
                f"the metadata has {len(names)} features, but the model was trained on {trained_on}: log both together"
            )

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> NDArray[np.float64] | pd.DataFrame:
        """Predicts a raw frame.

        Args:
            context: unused; MLflow passes it.
            model_input: (n_rows, at least the input columns), in any column order and of any type; values are read as
                in `src/data/encoding.py`. Further columns are ignored. A category level that was not in training
                counts as missing.
            params: of a model with derived features: with `answer_all` rows with a target are predicted too.

        Returns:
            (n_rows,) in the order of the rows: the target's own unit, or for a binary target the probability of 1. With
            derived features a frame with the account, the date and the `prediction` of each predicted row.

        Raises:
            MlflowException: input columns are missing or duplicated, have invalid values, or no row is to be predicted.
        """
        frame = self._with_text_names(model_input)
        if self.raw_rows is None:
            return self._scores(self._own_matrix(frame))
        rows = self.read_history(frame)
        answered = np.ones(len(frame), dtype=bool)
        if not (params or {}).get("answer_all"):
            answered[rows.order] = rows.to_predict
            self._check_answered(answered)
            for line in self.history_warnings(rows):
                log.warning("%s", line)
        matrix = self._whole_matrix(frame, rows)
        history = self.metadata["derived_features"]["history"]
        keys = frame.loc[answered, [name for name in (history["account"], history["date"]) if name is not None]]
        return keys.assign(prediction=self._scores(matrix[answered]))

    def encode(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """Turns a frame into the (n_rows, n_features) matrix that the booster was trained on.

        Raises:
            MlflowException: input columns are missing or duplicated, or have invalid values.
        """
        frame = self._with_text_names(frame)
        return self._own_matrix(frame) if self.raw_rows is None else self._whole_matrix(frame, self.read_history(frame))

    def read_history(self, frame: pd.DataFrame) -> Any:
        """The past and the rows to predict, of a model with derived features (`RawHistory`).

        Raises:
            MlflowException: a value cannot be read, or an account has two rows for one date.
        """
        assert self.raw_rows is not None
        record = self.metadata["derived_features"]["history"]
        try:
            return self.raw_rows.read_rows(frame, record, self.encoding, self.keys)
        except ValueError as error:  # the message has column, value and row
            raise MlflowException.invalid_parameter_value(f"the rows do not fit the model: {error}") from error

    def history_warnings(self, rows: Any, chosen: NDArray[np.int64] | None = None) -> list[str]:
        """How the past of the rows to predict differs from that in training.

        Args:
            rows: from `read_history`.
            chosen: positions of the rows to predict; None means those without a target.
        """
        assert self.raw_rows is not None
        lines: list[str] = self.raw_rows.history_warnings(rows, self.metadata["derived_features"], chosen)
        return lines

    def _with_text_names(self, frame: pd.DataFrame) -> pd.DataFrame:
        frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
        _check_names(list(frame.columns), self.metadata.get("input_columns") or self.metadata["feature_names"])
        return frame

    def _check_answered(self, answered: NDArray[np.bool_]) -> None:
        if not answered.any():
            target = self.metadata["target"]
            raise MlflowException.invalid_parameter_value(
                f"no row is to be predicted: all {len(answered)} rows have a {target!r}; leave it empty in the rows to "
                "predict, the others are their past"
            )

    def _scores(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        if len(matrix) == 0:  # LightGBM refuses an empty matrix
            return np.empty(0)
        return np.asarray(self.booster.predict(matrix, **thread_options()), dtype=np.float64)

    def _whole_matrix(self, frame: pd.DataFrame, rows: Any) -> NDArray[np.float64]:
        """Own columns, then derived features, as in training."""
        assert self.raw_rows is not None
        derived = self.raw_rows.derived_matrix(rows, self.metadata["derived_features"])
        return np.hstack([self._own_matrix(frame), derived])

    def _own_matrix(self, frame: pd.DataFrame) -> NDArray[np.float64]:
        """The features that are columns of the table."""
        derived = self.metadata.get("derived_features", {}).get("features", ())
        names = self.metadata["feature_names"]
        needed = names[: len(names) - len(derived)]
        try:
            matrix: NDArray[np.float64] = self.encoding.encode(
                frame[needed],
                self.metadata["categorical_levels"],
                self.metadata.get("boolean_features", ()),
                self.metadata.get("decimal_marks", {}),
            )
        except ValueError as error:  # the message has column, value and row
            raise MlflowException.invalid_parameter_value(f"the rows do not fit the model: {error}") from error
        infinite = np.isinf(matrix)
        if infinite.any():
            row, column = np.argwhere(infinite)[0]
            count = np.count_nonzero(infinite[:, column])
            raise MlflowException.invalid_parameter_value(
                f"column {needed[column]!r} holds {count} infinite values, the first in row {row + 1}: replace them, "
                "or leave them empty if they are unknown"
            )
        return matrix


def thread_options(root: Path = Path("/")) -> dict[str, Any]:
    """LightGBM's `num_threads` for a prediction: the CPUs of this process by affinity and cgroup.

    By default LightGBM starts a thread for every core of the host, which a container's CPU limit then throttles.

    Args:
        root: root folder of the Linux system files; tests pass another one to simulate other machines.

    Returns:
        An empty dict if the user has set OMP_NUM_THREADS, which LightGBM reads itself.
    """
    if os.environ.get("OMP_NUM_THREADS"):
        return {}
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"num_threads": max(1, math.ceil(min([float(affinity), *_cpu_quotas(root)])))}


def _cpu_quotas(root: Path) -> Iterator[float]:
    """The CPU limits of this process's cgroup (version 1 or 2) and of its parents."""
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
    """The quota of one cgroup in CPUs; empty if there is no limit."""
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
    except OSError:  # not Linux, the other version of cgroups, or no permission: no known limit
        return []


def _check_names(names: Sequence[str], needed: Sequence[str]) -> None:
    if missing := [name for name in needed if name not in set(names)]:
        close = difflib.get_close_matches(missing[0], names, n=1, cutoff=0.7)
        raise MlflowException.invalid_parameter_value(
            f"{len(missing)} of the model's {len(needed)} columns are missing: {_listing(missing)}"
            + (f" (did you mean {close[0]!r} by {missing[0]!r}?)" if close else "")
            + f"; the table has {_listing(names)}"
        )
    if duplicates := [name for name in needed if names.count(name) > 1]:
        raise MlflowException.invalid_parameter_value(
            f"columns are duplicated: {_listing(duplicates)}; keep one of each"
        )


def _listing(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(name[:60] for name in names[:_SHOWN]) + more


def _load_module(path: str) -> ModuleType:
    """Loads a separate module per model, because two versions in one process may read rows differently."""
    return _load(f"daily_profit_{Path(path).stem}", path)


def _load_package(folder: str, module: str) -> ModuleType:
    """Loads a module of a package under a name of its own, with the modules that it imports from there."""
    package = f"daily_profit_{uuid.uuid4().hex}"
    sys.modules[package] = _load(package, str(Path(folder) / "__init__.py"), [folder])
    return importlib.import_module(f"{package}.{module}")


def _load(name: str, path: str, folders: list[str] | None = None) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=folders)
    if spec is None or spec.loader is None:
        raise MlflowException.invalid_parameter_value(f"artifact {path} is not a Python file: log the model again")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


set_model(DailyProfitModel())
