"""A table on disk gives the same Datasets and frames as the one in memory, to the bit."""

import os
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightgbm as lgb
import numpy as np
import pandas as pd
import pytest

from src.config import SplitSettings, TableConfig
from src.data.split_rows import make_split_rows
from src.data.splits import Fold
from src.data.table import Dataset, load_dataset
from src.search.binned_folds import BinnedFolds
from src.search.search_space import lightgbm_params
from src.workers.shared_folds import SharedFolds
from src.workers.shared_table import SharedTable, TableSharer
from tests.small_table import small_table

SAMPLING: list[dict[str, Any]] = [
    {"boosting_type": "gbdt", "bagging_fraction": 0.7, "bagging_freq": 2, "feature_fraction": 0.6},
    {"boosting_type": "dart", "drop_rate": 0.2, "max_drop": 10, "skip_drop": 0.3, "bagging_fraction": 0.9},
    {"boosting_type": "goss"},
]


def table_with_many_kinds() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    frame = small_table(n_days=100, n_accounts=20)
    frame["city"] = rng.choice([f"city {i}" for i in range(60)], size=len(frame))
    frame["city"] = frame["city"].where(rng.random(len(frame)) < 0.9)
    frame["rare"] = (rng.random(len(frame)) < 0.01).astype(int)
    return frame


def load(target: str = "net_profit", **table: Any) -> Dataset:
    return load_dataset(table_with_many_kinds(), TableConfig(**table), target)


def folds_of(data: Dataset, use_cv: bool = True) -> Sequence[Fold]:
    return make_split_rows(data, SplitSettings(use_cv=use_cv, n_folds=3)).folds


def curve(folds: BinnedFolds, number: int, max_bin: int, sampling: dict[str, Any]) -> list[float]:
    params = lightgbm_params({**sampling, "max_bin": max_bin, "num_leaves": 15}, folds.data.config, seed=5)
    train, valid = folds.datasets(max_bin)[number]
    booster = lgb.Booster(params, train).add_valid(valid, "valid")
    scores = []
    for _ in range(15):
        booster.update()
        scores.append(booster.eval_valid()[0][2])
    return scores


@pytest.mark.parametrize("target", ["net_profit", "is_profitable"])
@pytest.mark.parametrize("max_bin", [32, 256, 512])
def test_scores_are_those_of_datasets_in_memory_to_the_bit(tmp_path: Path, target: str, max_bin: int) -> None:
    data = load(target)
    folds = folds_of(data)
    here, shared = BinnedFolds(data, folds), SharedFolds(TableSharer(tmp_path).share(data, folds))
    for number in range(3):
        for sampling in SAMPLING:
            expected = curve(here, number, max_bin, sampling)
            assert curve(shared, number, max_bin, sampling) == expected
            assert len(set(expected)) > 10, "it has learned something"


def test_results_are_not_sent_to_workers(tmp_path: Path) -> None:
    data = load("num_trades")
    assert data.net_profit is not None
    shared = TableSharer(tmp_path).share(data, folds_of(data), with_frame=True)
    assert (shared.empty_table.net_profit, shared.data().net_profit) == (None, None)


def test_rows_that_are_shuffled_too(tmp_path: Path) -> None:
    frame = table_with_many_kinds().drop(columns=["date", "account_id"])
    data = load_dataset(frame, TableConfig(account=None, date=None), "num_trades")
    folds = folds_of(data)
    here, shared = BinnedFolds(data, folds), SharedFolds(TableSharer(tmp_path).share(data, folds))
    assert [curve(shared, k, 64, SAMPLING[0]) for k in range(3)] == [curve(here, k, 64, SAMPLING[0]) for k in range(3)]


def test_targets_of_one_table_share_binned_rows(tmp_path: Path) -> None:
    sharer = TableSharer(tmp_path)
    first, second = load("net_profit"), load("num_trades")
    shared = [sharer.share(data, folds_of(data)) for data in (first, second)]
    assert shared[0].features == shared[1].features
    assert shared[0].target != shared[1].target
    for data, table in zip((first, second), shared, strict=True):
        expected = curve(BinnedFolds(data, folds_of(data)), 1, 64, SAMPLING[0])
        assert curve(SharedFolds(table), 1, 64, SAMPLING[0]) == expected


def test_other_rows_or_folds_are_not_shared(tmp_path: Path) -> None:
    sharer, data = TableSharer(tmp_path), load()
    fewer = replace(data, features=data.features.drop(columns="rare"))
    pairs = ((data, folds_of(data)), (data, folds_of(data, False)), (fewer, folds_of(fewer)))
    assert len({sharer.share(*pair).features for pair in pairs}) == 3


def test_folds_that_saw_the_same_levels_share_a_matrix_and_the_hold_out_is_not_in_it(tmp_path: Path) -> None:
    data = load()
    folds = folds_of(data, use_cv=True)
    table = TableSharer(tmp_path).share(data, folds)
    assert len(set(table.matrices)) == len(list(table.features.glob("matrix-*.npy")))
    assert table.matrices[1] == table.matrices[2], "all cities were seen by then"
    last = max(int(fold.valid[-1]) for fold in folds)
    assert table.matrix(0).shape == (last + 1, data.features.shape[1])
    assert last + 1 < len(data.y)


def test_a_worker_gets_no_rows_by_pickle(tmp_path: Path) -> None:
    import cloudpickle

    data = load_dataset(small_table(n_days=2000, n_accounts=20), TableConfig(), "net_profit")
    table = TableSharer(tmp_path).share(data, folds_of(data))
    assert len(cloudpickle.dumps(table)) < 6000 < data.features.memory_usage(deep=True).sum() / 100
    assert len(table.data().features) == 0
    assert list(table.data().features) == list(data.features)


def test_frames_for_a_users_objective(tmp_path: Path) -> None:
    data = load()
    folds = folds_of(data)
    table = TableSharer(tmp_path).share(data, folds, with_frame=True)
    here, there = BinnedFolds(data, folds), BinnedFolds(table.data(), table.folds())
    for number in range(3):
        x_train, y_train, x_valid, y_valid = here.frames(number)
        x_train_2, y_train_2, x_valid_2, y_valid_2 = there.frames(number)
        pd.testing.assert_frame_equal(x_train, x_train_2)
        pd.testing.assert_frame_equal(x_valid, x_valid_2)
        np.testing.assert_array_equal(y_train, y_train_2)
        np.testing.assert_array_equal(y_valid, y_valid_2)


def share(folder: Path) -> SharedTable:
    data = load()
    return TableSharer(folder).share(data, folds_of(data, False))


@pytest.mark.parametrize("is_large", [False, True])
def test_one_process_bins_and_the_others_read(tmp_path: Path, is_large: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if is_large:
        monkeypatch.setattr("src.workers.shared_folds.ONE_AT_A_TIME_BYTES", 0)
    table = share(tmp_path)
    folds = [SharedFolds(table) for _ in range(4)]
    threads = [threading.Thread(target=item.prepare, args=(64,)) for item in folds]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ((train, valid),) = folds[0].prepare(64)
    inode = train.stat().st_ino
    files = {path.name for path in train.parent.iterdir()} | {"lock"}
    assert files == {"lock", train.name, valid.name}, "no part is left"
    assert (table.features / "lock").exists() is is_large
    folds[1].datasets(64)
    assert train.stat().st_ino == inode


def test_incomplete_files_of_a_killed_process_are_written_again(tmp_path: Path) -> None:
    table = share(tmp_path)
    folder = table.features / "bins-64"
    folder.mkdir()
    (folder / "lock").touch()
    (folder / f"train-0.{os.getpid()}").write_bytes(b"half")
    ((train, _),) = SharedFolds(table).prepare(64)
    assert lgb.Dataset(str(train), params={"max_bin": 64, "verbosity": -1}).construct().num_data() > 0


def test_the_last_used_datasets_are_cached_up_to_the_limit(tmp_path: Path) -> None:
    table = share(tmp_path)
    size = sum(path.stat().st_size for path in SharedFolds(table).prepare(64)[0])
    folds = SharedFolds(table, keep_bytes=int(2.5 * size))
    first = folds.datasets(64)
    assert folds.datasets(64) is first
    second = folds.datasets(32)
    assert folds.datasets(64) is first
    third = folds.datasets(96)
    assert folds.datasets(64) is first, "32 was used longest ago"
    assert folds.datasets(96) is third
    assert folds.datasets(32) is not second
    tiny = SharedFolds(table, keep_bytes=0)
    first = tiny.datasets(64)
    assert tiny.datasets(64) is first, "the one in use is kept in any case"
    tiny.datasets(96)
    assert tiny.datasets(64) is not first
