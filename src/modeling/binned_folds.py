"""The rows of a search, encoded and binned once per fold and `max_bin`, shared by every trial.

Levels of categories and the borders of bins are learned on a fold's own training rows: nothing of the days a trial is
judged on reaches what it learns from.
"""

from collections.abc import Sequence

import lightgbm as lgb
import numpy as np
import pandas as pd

from src.data.encoding import encode, learn_levels
from src.data.splits import Fold
from src.data.table import Dataset


class BinnedFolds:
    """Training and validation Datasets of every fold.

    Attributes:
        data: the whole table; only the folds' rows are read.
        folds: row indices of each fold.
    """

    def __init__(self, data: Dataset, folds: Sequence[Fold], num_threads: int = 1) -> None:
        self.data = data
        self.folds = tuple(folds)
        self.num_threads = num_threads
        self._levels = [learn_levels(data.features, data.categorical, fold.train) for fold in self.folds]
        self._encoded: list[tuple[dict[str, list[str]], np.ndarray]] = []
        self._binned: dict[int, list[tuple[lgb.Dataset, lgb.Dataset]]] = {}

    def datasets(self, max_bin: int) -> list[tuple[lgb.Dataset, lgb.Dataset]]:
        """One (training, validation) pair of constructed Datasets per fold."""
        if max_bin not in self._binned:
            self._binned[max_bin] = [self._bin(fold, i, max_bin) for i, fold in enumerate(self.folds)]
        return self._binned[max_bin]

    def frames(self, fold_number: int) -> tuple[pd.DataFrame, np.ndarray, pd.DataFrame, np.ndarray]:
        """(X_train, y_train, X_val, y_val) of a fold for an objective of the user's own.

        Category columns come as pandas categoricals with the levels of the training rows; others become missing.
        """
        fold, levels = self.folds[fold_number], self._levels[fold_number]
        features, y = self.data.features.copy(), self.data.y
        for name, known in levels.items():
            column = features[name]  # pandas deprecates to make a category of values that are none of its levels
            features[name] = pd.Categorical(column.where(column.isin(known)), categories=known)
        return features.iloc[fold.train], y[fold.train], features.iloc[fold.valid], y[fold.valid]

    def _bin(self, fold: Fold, fold_number: int, max_bin: int) -> tuple[lgb.Dataset, lgb.Dataset]:
        matrix = self._matrix(self._levels[fold_number])
        train = make_lightgbm_dataset(self.data, matrix, fold.train, max_bin, self.num_threads)
        valid = lgb.Dataset(matrix[fold.valid], self.data.y[fold.valid], reference=train, params=train.params)
        return train.construct(), valid.construct()

    def _matrix(self, levels: dict[str, list[str]]) -> np.ndarray:
        """The table encoded with these levels; folds that saw the same levels share one copy."""
        for known, matrix in self._encoded:
            if known == levels:
                return matrix
        matrix = encode(self.data.features, levels)
        self._encoded.append((levels, matrix))
        return matrix


def make_lightgbm_dataset(
    data: Dataset, matrix: np.ndarray, rows: np.ndarray, max_bin: int, num_threads: int = 1
) -> lgb.Dataset:
    """A training Dataset of some rows. Features are named by position: any column name is then allowed."""
    names = list(data.features.columns)
    return lgb.Dataset(
        matrix[rows],
        data.y[rows],
        feature_name=[f"f{i}" for i in range(len(names))],
        categorical_feature=[names.index(name) for name in data.categorical],
        params={"max_bin": max_bin, "feature_pre_filter": False, "verbosity": -1, "num_threads": num_threads},
    )
