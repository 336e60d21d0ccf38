"""The numbers of a model's page on disk, beside the report: written at the finish, read by every later report."""

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
    """Writes `model_numbers.json`, and `test_predictions.parquet` where there is a hold-out.

    Each file is there whole or as it was before; predictions of an earlier model never stay beside a new one's numbers.

    Returns:
        The files that were written.

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
    """The numbers that were written beside a report; None where there are none that can be read, with a warning."""
    path = folder / NUMBERS_FILE
    try:
        return ModelNumbers.from_json(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:  # a study without a final model, or one of another version
        return None
    except ValueError as error:  # another version's, or cut short by a power cut; JSON's and Unicode's errors are such
        log.warning("%s cannot be used: %s; the report leaves the model's page out", path, error)
        return None
