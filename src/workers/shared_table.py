"""A table that the processes of a search share: written once by the one that read it, memory-mapped by all others.

Nothing here needs LightGBM: a command writes the table while the fork server still imports it.
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
    """Where the table of one target lies; small, and travels to other processes.

    Attributes:
        features: folder of the encoded matrices and the folds' rows. Targets of one table share it.
        target: folder of the target's values.
        matrices: for each fold the number of its matrix: folds that saw the same category levels share one.
        shell: the table without its rows.
        has_frame: whether the features also lie there as they were read, for an objective of the user's own.
    """

    features: Path
    target: Path
    matrices: tuple[int, ...]
    shell: Dataset
    has_frame: bool

    def matrix(self, fold_number: int) -> np.ndarray:
        """(n_rows, n_features) encoded for one fold; the rows after the last fold's are not there."""
        return np.load(self.features / MATRIX.format(self.matrices[fold_number]), mmap_mode="r")  # type: ignore[no-any-return]

    def folds(self) -> tuple[Fold, ...]:
        """The folds' row positions."""
        return tuple(
            Fold(*(np.load(self.features / name.format(number), mmap_mode="r") for name in (TRAIN, VALID)))
            for number in range(len(self.matrices))
        )

    def data(self) -> Dataset:
        """The table as it was read where `has_frame` says so, else without the rows of its features."""
        y = np.load(self.target / Y, mmap_mode="r")
        features = _read_frame(self.features / FRAME) if self.has_frame else self.shell.features
        return replace(self.shell, y=y, features=features)


class TableSharer:
    """Writes tables into a folder; targets with the same features and folds share all but their own values.

    Args:
        folder: of the processes that are to share them.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: list[tuple[Dataset, tuple[Fold, ...], SharedTable]] = []

    def share(self, data: Dataset, folds: Sequence[Fold], with_frame: bool = False) -> SharedTable:
        """Writes what trials on these folds need of the table.

        Args:
            data: one target of a table.
            folds: what trials are trained and judged on.
            with_frame: also as it was read, for an objective of the user's own.

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
        twin = next((shared for known, of, shared in self._written if _same(known, of, data, folds)), None)
        if twin is None:
            features = self._folder / f"features-{number}"
            features.mkdir()
            _write_folds(features, folds)
            matrices = _write_matrices(features, data, folds)
        else:
            features, matrices = twin.features, twin.matrices
        if with_frame and not (features / FRAME).exists():
            _write_frame(data.features, features / FRAME)
        shared = SharedTable(features, target, matrices, _shell(data), with_frame)
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


def _shell(data: Dataset) -> Dataset:
    """What is not a column: neither keys nor results travel, a worker needs none of them."""
    empty = replace(data, features=data.features.iloc[:0], y=data.y[:0], warnings=())
    return replace(empty, dates=None, accounts=None, net_profit=None, positions=None)


def _write_folds(folder: Path, folds: Sequence[Fold]) -> None:
    for number, fold in enumerate(folds):
        np.save(folder / TRAIN.format(number), fold.train)
        np.save(folder / VALID.format(number), fold.valid)


def _write_matrices(folder: Path, data: Dataset, folds: Sequence[Fold]) -> tuple[int, ...]:
    """One matrix per distinct set of levels; the hold-out's rows are left out."""
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
    """Arrow's file format, uncompressed, so that it can be memory-mapped; NaN stays a value, not a null."""
    import pyarrow as pa

    columns = []
    for _, column in features.items():
        is_text = isinstance(column.dtype, pd.StringDtype)
        columns.append(pa.array(column if is_text else column.to_numpy(), from_pandas=is_text))
    table = pa.Table.from_arrays(columns, names=[str(name) for name in features.columns])
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)


def _read_frame(path: Path) -> pd.DataFrame:
    """The frame that was written; numbers without a copy."""
    import pyarrow as pa

    table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    return table.to_pandas(split_blocks=True)  # type: ignore[no-any-return]
