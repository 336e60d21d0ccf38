"""The numbers' way through JSON, and what becomes of files that are not theirs."""

import json
import logging
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from src.reporting.model.files import NUMBERS_FILE, PREDICTIONS_FILE, read_model_numbers, write_model_numbers
from src.reporting.model.measure import measure_model
from src.reporting.model.numbers import ModelNumbers
from tests.reporting.trained import Trained, trained


def measured(one: Trained) -> tuple[ModelNumbers, pd.DataFrame | None]:
    return measure_model(one.model, one.data, one.rows, 7)


@pytest.mark.parametrize("target", ["net_profit", "is_profitable"])
def test_numbers_come_back_from_disk_as_they_were(target: str, tmp_path: Path) -> None:
    numbers, predictions = measured(trained(target))
    paths = write_model_numbers(numbers, predictions, tmp_path / "new" / "folder")
    assert [path.name for path in paths] == [NUMBERS_FILE, PREDICTIONS_FILE]
    assert read_model_numbers(paths[0].parent) == numbers
    pd.testing.assert_frame_equal(pd.read_parquet(paths[1]), predictions)  # type: ignore[arg-type]
    assert sorted(path.name for path in paths[0].parent.iterdir()) == [NUMBERS_FILE, PREDICTIONS_FILE]


def test_without_a_hold_out_no_old_predictions_stay(tmp_path: Path) -> None:
    numbers, predictions = measured(trained())
    write_model_numbers(numbers, predictions, tmp_path)
    assert write_model_numbers(numbers, None, tmp_path) == [tmp_path / NUMBERS_FILE]
    assert not (tmp_path / PREDICTIONS_FILE).exists()


def test_no_file_is_no_numbers(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert read_model_numbers(tmp_path) is None
    assert caplog.records == []


def spoil(found: dict[str, Any], how: str) -> str:
    if how == "cut short":
        return json.dumps(found)[:-10]
    if how == "a key missing":
        del found["money"]
    elif how == "an inner key missing":
        del found["months"]["scores"][0]["rows"]
    elif how == "another type":
        found["explained"] = "many"
    elif how == "no list":
        found["features"] = {}
    else:
        return "[]"
    return json.dumps(found)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("cut short", "cannot be read: the file: Invalid JSON"),
        ("a key missing", "cannot be read: money: Field required"),
        ("an inner key missing", "months.scores.0.rows: Field required"),
        ("another type", "explained: Input should be a valid integer"),
        ("no list", "features: Input should be a valid array"),
        ("a list", "the file: Input should be an object"),
    ],
)
def test_other_files_are_left_out_with_a_warning(
    how: str, said: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    numbers, _ = measured(trained())
    (tmp_path / NUMBERS_FILE).write_text(spoil(json.loads(json.dumps(numbers.to_json())), how))
    with caplog.at_level(logging.WARNING):
        assert read_model_numbers(tmp_path) is None
    (record,) = caplog.records
    assert said in record.message
    assert "the report omits the model's chapters" in record.message
    assert "\n" not in record.message
