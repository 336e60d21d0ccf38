"""Datasets of a shared table: binned once for all processes, whoever needs them first, and read by the others.

LightGBM's binary file holds the bins alone, a byte or two per value: reading it takes milliseconds where binning takes
seconds, and the raw matrix is in no worker's memory. A Dataset that was read scores to the bit as the one that was
written (`test_shared_folds` holds it), so it does not matter which process ran a trial, or in which mode.
"""

import os
from collections import OrderedDict
from pathlib import Path

import lightgbm as lgb
import numpy as np

from src.file_lock import file_lock
from src.search.binned_folds import BinnedFolds, TrainValid, binning_params, name_and_bin, take_rows
from src.workers.shared_table import SharedTable

MAX_CACHED_BYTES = 64 * 2**20
"""Binned data that a worker keeps, beside what it uses: of a table of 65,000 rows by 50 features all sixteen values of
`max_bin`, of one of a million rows only the last. To read a file again costs a thousandth of a trial on it."""
ONE_AT_A_TIME_BYTES = 128 * 2**20
"""A table of this size is binned by one process at a time, whatever its `max_bin`: for a moment it takes LightGBM
several times the binned data, 250 MB for a million rows by 50, and all workers at once might have no room for it."""


class SharedFolds(BinnedFolds):
    """As `BinnedFolds`, on a table that other processes share; frames are there if the table has them.

    Args:
        table: where it lies.
        num_threads: LightGBM's.
        keep_bytes: binned data to keep at most; the last used is kept in any case.
    """

    def __init__(self, table: SharedTable, num_threads: int = 1, keep_bytes: int = MAX_CACHED_BYTES) -> None:
        super().__init__(table.data(), table.folds(), num_threads)
        self._table = table
        self._keep_bytes = keep_bytes
        self._read: OrderedDict[int, tuple[int, list[TrainValid]]] = OrderedDict()

    def datasets(self, max_bin: int) -> list[TrainValid]:
        """One (training, validation) pair of constructed Datasets per fold; binned here if nobody has done it yet.

        Raises:
            OSError: the disk is full.
        """
        if max_bin in self._read:
            self._read.move_to_end(max_bin)
            return self._read[max_bin][1]
        paths = self.prepare(max_bin)
        size = sum(path.stat().st_size for pair in paths for path in pair)
        while self._read and size + sum(kept for kept, _ in self._read.values()) > self._keep_bytes:
            self._read.popitem(last=False)  # before the new one is read: never more than that at a time
        pairs = [self._load(number, *pair, max_bin) for number, pair in enumerate(paths)]
        self._read[max_bin] = (size, pairs)
        return pairs

    def prepare(self, max_bin: int) -> list[tuple[Path, Path]]:
        """The binary files of each fold's training and validation rows, made by one process while others wait.

        Raises:
            LockError: the process that makes them shows no sign of life.
        """
        folder = self._table.features / f"bins-{max_bin}"
        paths = [(folder / f"train-{i}.bin", folder / f"valid-{i}.bin") for i in range(len(self.folds))]
        if all(path.exists() for pair in paths for path in pair):  # each came to its name complete
            return paths
        folder.mkdir(exist_ok=True)
        is_large = self._table.matrix(0).nbytes > ONE_AT_A_TIME_BYTES
        with file_lock((folder.parent if is_large else folder) / "lock", f"the lock of the binned rows in {folder}"):
            for number, pair in enumerate(paths):
                if not all(path.exists() for path in pair):
                    self._write(number, *pair, max_bin)
        return paths

    def _write(self, fold_number: int, train_path: Path, valid_path: Path, max_bin: int) -> None:
        fold, matrix = self.folds[fold_number], self._table.matrix(fold_number)
        train = name_and_bin(self.data, take_rows(matrix, fold.train), max_bin, self.num_threads)
        valid = lgb.Dataset(take_rows(matrix, fold.valid), reference=train, params=train.params)
        for dataset, path in ((train, train_path), (valid, valid_path)):
            _save(dataset.construct(), path)

    def _load(self, fold_number: int, train_path: Path, valid_path: Path, max_bin: int) -> TrainValid:
        fold, y, params = self.folds[fold_number], self.data.y, binning_params(max_bin, self.num_threads)
        train = lgb.Dataset(str(train_path), params=params).construct()
        valid = lgb.Dataset(str(valid_path), reference=train, params=params).construct()
        for dataset, rows in ((train, fold.train), (valid, fold.valid)):
            dataset.set_label(np.ascontiguousarray(take_rows(y, rows)))
        return train, valid


def _save(dataset: lgb.Dataset, path: Path) -> None:
    """LightGBM leaves a file alone that is there: a new name, then the right one at once."""
    part = path.with_suffix(f".{os.getpid()}")
    part.unlink(missing_ok=True)
    dataset.save_binary(str(part))
    part.rename(path)
