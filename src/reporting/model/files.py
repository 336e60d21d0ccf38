"""Files with a model's numbers and test predictions: written when a study is finished, read by every later report."""

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING

from src.disk import write_atomically
from src.reporting.model.numbers import ModelNumbers

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)

NUMBERS_FILE = "model_numbers.json"
PREDICTIONS_FILE = "test_predictions.parquet"


def write_model_numbers(numbers: ModelNumbers, predictions: "pd.DataFrame | None", folder: Path) -> list[Path]:
    """Writes `model_numbers.json`, and `test_predictions.parquet` if there is a hold-out.

    A failed write leaves the earlier file unchanged; predictions of an earlier model are removed before new numbers are
    written.

    Returns:
        The written files.

    Raises:
        OSError: the folder cannot be written, or the disk is full.
    """
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / PREDICTIONS_FILE
    if predictions is None:
        target.unlink(missing_ok=True)
    else:
        write_atomically(target, predictions.to_parquet(index=False))
    path = folder / NUMBERS_FILE
    write_atomically(path, json.dumps(numbers.to_json(), allow_nan=False) + "\n")
    return [path] if predictions is None else [path, target]


def read_model_numbers(folder: Path) -> ModelNumbers | None:
    """The numbers in a report folder; None if there are none, None and a warning if the file is unreadable."""
    path = folder / NUMBERS_FILE
    try:
        return ModelNumbers.from_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:  # a study without a final model, or of another version
        return None
    except ValueError as error:  # of another version, or truncated; JSON and Unicode errors are ValueErrors
        log.warning("%s cannot be read: %s; the report omits the model's chapters", path, error)
        return None
