"""LightGBM Datasets of the folds, encoded and binned once per fold and `max_bin`, and shared by all trials.

Category levels and bin borders are learned on the fold's training rows only, so that no information of the validation
rows reaches the training.
"""

from collections.abc import Sequence

import lightgbm as lgb
import numpy as np
import pandas as pd

from src.data.encoding import encode, learn_levels
from src.data.splits import Fold
from src.data.table import Dataset
from src.search.device import CPU, usable_bins, with_device

TrainValid = tuple[lgb.Dataset, lgb.Dataset]
"""Training and validation rows of one fold."""


class BinnedFolds:
    """Training and validation Datasets of every fold, in this process's memory.

    Attributes:
        data: the whole table; only the folds' rows are read.
        folds: row indices of each fold.
        num_threads: of LightGBM. One on all machines, so that a trial's score does not depend on the process.
        device: on which the trials run.
    """

    def __init__(self, data: Dataset, folds: Sequence[Fold], num_threads: int = 1, device: str = CPU) -> None:
        self.data = data
        self.folds = tuple(folds)
        self.num_threads = num_threads
        self.device = device
        self._learned: list[dict[str, list[str]]] | None = None
        self._encoded: list[tuple[dict[str, list[str]], np.ndarray]] = []
        self._binned: dict[int, list[TrainValid]] = {}

    def datasets(self, max_bin: int) -> list[TrainValid]:
        """One (training, validation) pair of constructed Datasets per fold; a GPU has fewer bins."""
        max_bin = usable_bins(max_bin, self.device)
        if max_bin not in self._binned:
            self._binned[max_bin] = [self._bin(number, max_bin) for number in range(len(self.folds))]
        return self._binned[max_bin]

    def frames(self, fold_number: int) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray]:
        """(X_train, y_train, X_val, y_val) of a fold for a user's objective.

        Category columns are pandas categoricals with the levels of the training rows; other levels become missing.
        """
        fold, levels = self.folds[fold_number], self._levels[fold_number]
        features, y = self.data.features.copy(), self.data.y
        for name, known in levels.items():
            column = features[name]  # pandas deprecates values that are not among the categories
            features[name] = pd.Categorical(column.where(column.isin(known)), categories=known)
        return features.iloc[fold.train], y[fold.train], features.iloc[fold.valid], y[fold.valid]

    def validation_matrix(self, n_rows: int) -> np.ndarray:
        """(at most n_rows, n_features): the first validation rows of the last fold, encoded."""
        rows = self.folds[-1].valid[:n_rows]
        return take_rows(self._matrix(self._levels[-1]), rows)

    @property
    def _levels(self) -> list[dict[str, list[str]]]:
        """The category levels of each fold's training rows."""
        if self._learned is None:
            self._learned = fold_levels(self.data, self.folds)
        return self._learned

    def _bin(self, fold_number: int, max_bin: int) -> TrainValid:
        fold = self.folds[fold_number]
        matrix = self._matrix(self._levels[fold_number])
        train = make_lightgbm_dataset(self.data, matrix, fold.train, max_bin, self.num_threads, self.device)
        valid = lgb.Dataset(take_rows(matrix, fold.valid), self.data.y[fold.valid], train, params=train.params)
        return train.construct(), valid.construct()

    def _matrix(self, levels: dict[str, list[str]]) -> np.ndarray:
        """The table encoded with these levels; folds with equal levels share one copy."""
        for known, matrix in self._encoded:
            if known == levels:
                return matrix
        matrix = encode(self.data.features, levels)
        self._encoded.append((levels, matrix))
        return matrix


def fold_levels(data: Dataset, folds: Sequence[Fold]) -> list[dict[str, list[str]]]:
    """Levels of the category columns for each fold, learned on its training rows."""
    return [learn_levels(data.features, data.categorical, fold.train) for fold in folds]


def take_rows(matrix: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows at ascending positions; a view without a copy if they are contiguous, as in a split by date."""
    are_contiguous = len(rows) and rows[-1] - rows[0] + 1 == len(rows)
    taken: np.ndarray = matrix[rows[0] : rows[-1] + 1] if are_contiguous else matrix[rows]
    return taken


def binning_params(max_bin: int, num_threads: int = 1, device: str = CPU) -> dict[str, object]:
    """Parameters for making a Dataset, and for reading it from a binary file."""
    params = {"max_bin": max_bin, "feature_pre_filter": False, "verbosity": -1, "num_threads": num_threads}
    return with_device(params, device)


def make_lightgbm_dataset(
    data: Dataset, matrix: np.ndarray, rows: np.ndarray, max_bin: int, num_threads: int = 1, device: str = CPU
) -> lgb.Dataset:
    """A training Dataset of some rows. Features are named by position, so that any column name is allowed."""
    return name_and_bin(data, take_rows(matrix, rows), max_bin, num_threads, device).set_label(data.y[rows])


def name_and_bin(
    data: Dataset, matrix: np.ndarray, max_bin: int, num_threads: int = 1, device: str = CPU
) -> lgb.Dataset:
    """A training Dataset of a feature matrix, without the target, which binning does not need."""
    names = list(data.features.columns)
    return lgb.Dataset(
        matrix,
        feature_name=[f"f{i}" for i in range(len(names))],
        categorical_feature=[names.index(name) for name in data.categorical],
        params=binning_params(max_bin, num_threads, device),
    )
