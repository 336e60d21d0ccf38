"""A table that the processes of a search share: the main process writes it once, workers memory-map it.

This module does not import LightGBM: the command writes the table while the fork server imports LightGBM.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from src.data.encoding import encode, learn_levels
from src.data.splits import Fold
from src.data.table import Dataset
from src.disk import names_file

MATRIX, TRAIN, VALID, Y, FRAME = "matrix-{}.npy", "train-{}.npy", "valid-{}.npy", "y.npy", "features.arrow"


@dataclass(frozen=True)
class SharedTable:
    """The location of one target's table; small, so that it can be sent to other processes.

    Attributes:
        features: folder of the encoded matrices and the folds' rows; targets of one table share it.
        target: folder of the target's values.
        matrices: the number of each fold's matrix; folds with the same category levels share a matrix.
        empty_table: the table without its rows.
        has_frame: whether the raw features are stored too, for a user's own objective.
    """

    features: Path
    target: Path
    matrices: tuple[int, ...]
    empty_table: Dataset
    has_frame: bool

    def matrix(self, fold_number: int) -> np.ndarray:
        """(n_rows, n_features) encoded for one fold; rows after the last fold (the hold-out) are not included."""
        return np.load(self.features / MATRIX.format(self.matrices[fold_number]), mmap_mode="r")  # type: ignore[no-any-return]

    def folds(self) -> tuple[Fold, ...]:
        """The folds' row positions."""
        return tuple(
            Fold(*(np.load(self.features / name.format(number), mmap_mode="r") for name in (TRAIN, VALID)))
            for number in range(len(self.matrices))
        )

    def data(self) -> Dataset:
        """The table with its raw features if `has_frame`, else without rows of features."""
        y = np.load(self.target / Y, mmap_mode="r")
        features = _read_frame(self.features / FRAME) if self.has_frame else self.empty_table.features
        return replace(self.empty_table, y=y, features=features)


class TableSharer:
    """Writes tables into a folder; targets with the same features and folds share everything but their values.

    Args:
        folder: a folder that all processes can read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: list[tuple[Dataset, tuple[Fold, ...], SharedTable]] = []

    def share(self, data: Dataset, folds: Sequence[Fold], with_frame: bool = False) -> SharedTable:
        """Writes the part of the table that trials on these folds need.

        Args:
            data: one target of a table.
            folds: training and validation rows of the trials.
            with_frame: whether to write the raw features too, for a user's own objective.

        Raises:
            OSError: the disk is full.
        """
        with names_file(self._folder):
            return self._share(data, folds, with_frame)

    def _share(self, data: Dataset, folds: Sequence[Fold], with_frame: bool) -> SharedTable:
        number = len(self._written)
        target = self._folder / f"target-{number}"
        target.mkdir()
        np.save(target / Y, data.y)
        existing = next(
            (shared for known, known_folds, shared in self._written if _same(known, known_folds, data, folds)), None
        )
        if existing is None:
            features = self._folder / f"features-{number}"
            features.mkdir()
            _write_folds(features, folds)
            matrices = _write_matrices(features, data, folds)
        else:
            features, matrices = existing.features, existing.matrices
        if with_frame and not (features / FRAME).exists():
            _write_frame(data.features, features / FRAME)
        shared = SharedTable(features, target, matrices, _without_rows(data), with_frame)
        self._written.append((data, tuple(folds), shared))
        return shared


def _same(known: Dataset, known_folds: Sequence[Fold], data: Dataset, folds: Sequence[Fold]) -> bool:
    """Whether two targets have the same features in the same rows and folds."""
    return (
        known.categorical == data.categorical
        and len(known_folds) == len(folds)
        and all(
            np.array_equal(a.train, b.train) and np.array_equal(a.valid, b.valid)
            for a, b in zip(known_folds, folds, strict=True)
        )
        and known.features.equals(data.features)
    )


def _without_rows(data: Dataset) -> Dataset:
    """The table without rows, keys and results, which a worker does not need."""
    empty = replace(data, features=data.features.iloc[:0], y=data.y[:0], warnings=())
    return replace(empty, dates=None, accounts=None, net_profit=None, positions=None)


def _write_folds(folder: Path, folds: Sequence[Fold]) -> None:
    for number, fold in enumerate(folds):
        np.save(folder / TRAIN.format(number), fold.train)
        np.save(folder / VALID.format(number), fold.valid)


def _write_matrices(folder: Path, data: Dataset, folds: Sequence[Fold]) -> tuple[int, ...]:
    """Writes one matrix per distinct set of category levels, without the rows of the hold-out."""
    stop = 1 + max(int(rows[-1]) for fold in folds for rows in (fold.train, fold.valid))
    known: list[dict[str, list[str]]] = []
    numbers = []
    for fold in folds:
        levels = learn_levels(data.features, data.categorical, fold.train)
        if levels not in known:
            np.save(folder / MATRIX.format(len(known)), encode(data.features.iloc[:stop], levels))
            known.append(levels)
        numbers.append(known.index(levels))
    return tuple(numbers)


def _write_frame(features: pd.DataFrame, path: Path) -> None:
    """Writes Arrow's file format uncompressed, so that it can be memory-mapped; NaN stays a value, not a null."""
    import pyarrow as pa

    columns = []
    for _, column in features.items():
        is_text = isinstance(column.dtype, pd.StringDtype)
        columns.append(pa.array(column if is_text else column.to_numpy(), from_pandas=is_text))
    table = pa.Table.from_arrays(columns, names=[str(name) for name in features.columns])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _read_frame(path: Path) -> pd.DataFrame:
    """Reads the written frame; numbers are not copied."""
    import pyarrow as pa

    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    return table.to_pandas(split_blocks=True)  # type: ignore[no-any-return]
