import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.config import SearchSettings
from src.modeling.validation_predictions import MAX_KEPT, PredictionStore, predictions_dir, raw_scores

SCORES = np.linspace(-1, 1, 7, dtype=np.float32)


def numbers(folder: Path) -> set[int]:
    return {int(path.name.partition("_")[0]) for path in folder.iterdir()}


def test_what_is_kept_is_found_again(tmp_path: Path) -> None:
    store = PredictionStore(tmp_path / "predictions" / "study", maximize=False)
    assert store.load(3, 0.5, 7) is None, "not even a folder yet"
    store.keep(3, 0.5, SCORES)
    found = PredictionStore(store.folder, maximize=False).load(3, 0.5, 7)
    assert found is not None
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, SCORES)


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_value_is_told_apart_to_the_bit(tmp_path_factory: pytest.TempPathFactory, value: float) -> None:
    store = PredictionStore(tmp_path_factory.mktemp("store"), maximize=True)
    store.keep(1, np.float64(value), SCORES)
    assert store.load(1, value, 7) is not None
    with np.errstate(over="ignore"):  # of the largest number there is
        other = float(np.nextafter(value, np.inf))
    assert store.load(1, other, 7) is None, "another attempt of the trial"
    for better in range(MAX_KEPT):
        store.keep(2 + better, 1e308 + better, SCORES[:1])
    assert len(list(store.folder.iterdir())) == MAX_KEPT, "every name is understood"


@pytest.mark.parametrize("maximize", [False, True])
def test_only_the_best_are_kept_and_of_equal_ones_the_earlier(tmp_path: Path, maximize: bool) -> None:
    store = PredictionStore(tmp_path, maximize)
    values = np.random.default_rng(0).permutation(MAX_KEPT + 20) // 2 - 20.0
    for number, value in enumerate(values):
        store.keep(number, value, SCORES)
    ranked = sorted(range(len(values)), key=lambda number: (-values[number] if maximize else values[number], number))
    assert numbers(tmp_path) == set(ranked[:MAX_KEPT])
    worst = ranked[-1]
    assert store.load(worst, values[worst], 7) is None


def test_workers_that_keep_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    stores = [PredictionStore(tmp_path, maximize=True) for _ in range(8)]

    def work(number: int) -> None:
        stores[number % 8].keep(number, float(number), np.full(500, number, dtype=np.float32))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(200)))
    best = range(200 - MAX_KEPT, 200)
    assert numbers(tmp_path) == set(best), "and no part of a file is left"
    for number in best:
        found = stores[0].load(number, float(number), 500)
        assert found is not None
        assert set(found.tolist()) == {number}


def test_a_broken_file_is_as_good_as_none(tmp_path: Path) -> None:
    store = PredictionStore(tmp_path, maximize=False)
    store.keep(1, 0.5, SCORES)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for content in (b"", whole[:50], whole[:-4], b"PK\x03\x04" + whole):
        path.write_bytes(content)
        assert store.load(1, 0.5, 7) is None
    path.write_bytes(whole)
    assert store.load(1, 0.5, 8) is None, "of another split"
    store.keep(2, 0.25, np.full(7, np.nan))
    assert store.load(2, 0.25, 7) is None


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "3_x.npy").touch()
    (tmp_path / "notes.txt").touch()
    store = PredictionStore(tmp_path, maximize=True)
    for number in range(MAX_KEPT + 1):
        store.keep(number, float(number), SCORES)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"3_x.npy", "notes.txt"} < names
    assert len(names) == MAX_KEPT + 2


def test_a_disk_that_cannot_be_written_costs_only_the_cache(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "predictions").write_text("a file where the folder should be")
    store = PredictionStore(tmp_path / "predictions", maximize=True)
    with caplog.at_level(logging.WARNING):
        store.keep(7, 0.5, SCORES)
    (record,) = caplog.records
    assert "predictions of trial 7 cannot be kept" in record.getMessage()
    assert store.load(7, 0.5, 7) is None


def test_each_study_has_its_folder_in_the_store(tmp_path: Path) -> None:
    assert predictions_dir(SearchSettings(storage_dir=tmp_path)) == tmp_path / "predictions"


def test_raw_scores_of_probabilities_are_their_logits() -> None:
    raw = np.array([-700.0, -34.0, -20.0, -1e-9, 0.0, 0.1, 5.0, 15.0, 800.0])
    with np.errstate(over="ignore"):
        probabilities = 1 / (1 + np.exp(-raw))
    found = raw_scores("binary", probabilities)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[1:-1], raw[1:-1], rtol=1e-6, atol=1e-9)
    assert np.isfinite(found).all()
    assert (found[0], found[-1]) == (-35, 35)
    np.testing.assert_array_equal(raw_scores("regression", raw), raw.astype(np.float32))
