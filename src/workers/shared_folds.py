"""LightGBM Datasets of a shared table: the first process that needs them bins the rows, the others read the files.

LightGBM's binary file holds only the bins, a byte or two per value: reading takes milliseconds, binning takes seconds,
and no worker has the raw matrix in memory. A Dataset that was read gives exactly the same scores as the written one
(see `test_shared_folds`), so results do not depend on the process or mode of a trial.
"""

import os
from collections import OrderedDict
from pathlib import Path

import lightgbm as lgb
import numpy as np

from src.file_lock import file_lock
from src.search.binned_folds import BinnedFolds, TrainValid, binning_params, name_and_bin, take_rows
from src.search.device import CPU, usable_bins
from src.workers.shared_table import SharedTable

MAX_CACHED_BYTES = 64 * 2**20
"""Cache size of binned data per worker: all sixteen values of `max_bin` for 65,000 rows by 50 features, only the last
one for a million rows. Reading a file again costs a thousandth of a trial."""
ONE_AT_A_TIME_BYTES = 128 * 2**20
"""From this size on, one process at a time bins the table, for any `max_bin`: LightGBM briefly needs several times the
memory of the binned data, 250 MB for a million rows by 50, which all workers at once might exceed."""


class SharedFolds(BinnedFolds):
    """Like `BinnedFolds`, on a table that processes share; frames are available if the table stores them.

    Args:
        table: the shared table.
        num_threads: threads of LightGBM.
        device: on which the trials run.
        keep_bytes: cache size for binned data; the last used Datasets are always kept.
    """

    def __init__(
        self, table: SharedTable, num_threads: int = 1, device: str = CPU, keep_bytes: int = MAX_CACHED_BYTES
    ) -> None:
        super().__init__(table.data(), table.folds(), num_threads, device)
        self._table = table
        self._keep_bytes = keep_bytes
        self._cache: OrderedDict[int, tuple[int, list[TrainValid]]] = OrderedDict()

    def datasets(self, max_bin: int) -> list[TrainValid]:
        """One (training, validation) pair of constructed Datasets per fold; bins the rows if no process has done so.

        Raises:
            OSError: the disk is full.
        """
        max_bin = usable_bins(max_bin, self.device)
        if max_bin in self._cache:
            self._cache.move_to_end(max_bin)
            return self._cache[max_bin][1]
        paths = self.prepare(max_bin)
        size = sum(path.stat().st_size for pair in paths for path in pair)
        while self._cache and size + sum(cached for cached, _ in self._cache.values()) > self._keep_bytes:
            self._cache.popitem(last=False)  # before the new one is read, to limit the peak
        pairs = [self._load(number, *pair, max_bin) for number, pair in enumerate(paths)]
        self._cache[max_bin] = (size, pairs)
        return pairs

    def validation_matrix(self, n_rows: int) -> np.ndarray:
        """(at most n_rows, n_features): the first validation rows of the last fold, encoded."""
        return take_rows(self._table.matrix(len(self.folds) - 1), self.folds[-1].valid[:n_rows])

    def prepare(self, max_bin: int) -> list[tuple[Path, Path]]:
        """The binary files of all folds' training and validation rows; one process writes them while others wait.

        Raises:
            LockError: the process that writes them does not respond.
        """
        folder = self._table.features / f"bins-{max_bin}"
        paths = [(folder / f"train-{i}.bin", folder / f"valid-{i}.bin") for i in range(len(self.folds))]
        if all(path.exists() for pair in paths for path in pair):  # a file gets its name when it is complete
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
        train = name_and_bin(self.data, take_rows(matrix, fold.train), max_bin, self.num_threads, self.device)
        valid = lgb.Dataset(take_rows(matrix, fold.valid), reference=train, params=train.params)
        for dataset, path in ((train, train_path), (valid, valid_path)):
            _save(dataset.construct(), path)

    def _load(self, fold_number: int, train_path: Path, valid_path: Path, max_bin: int) -> TrainValid:
        fold, y = self.folds[fold_number], self.data.y
        params = binning_params(max_bin, self.num_threads, self.device)
        train = lgb.Dataset(str(train_path), params=params).construct()
        valid = lgb.Dataset(str(valid_path), reference=train, params=params).construct()
        for dataset, rows in ((train, fold.train), (valid, fold.valid)):
            dataset.set_label(np.ascontiguousarray(take_rows(y, rows)))
        return train, valid


def _save(dataset: lgb.Dataset, path: Path) -> None:
    """Saves under a temporary name and renames atomically, because LightGBM does not overwrite existing files."""
    part = path.with_suffix(f".{os.getpid()}")
    part.unlink(missing_ok=True)
    dataset.save_binary(str(part))
    part.rename(path)
