"""The split of a table's rows: folds of the search, all search rows, and the hold-out (test rows)."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from src.config import SplitSettings
from src.data.splits import Fold, search_folds, split_holdout
from src.data.table import Dataset
from src.errors import DataError


@dataclass(frozen=True)
class SplitRows:
    """Row indices of one split.

    Attributes:
        folds: training and validation rows of the trials.
        search: all rows before the hold-out's purge gap; the final model is trained on them.
        test: the hold-out; empty with `--test-fraction 0`.
    """

    folds: tuple[Fold, ...]
    search: np.ndarray
    test: np.ndarray

    @property
    def growth(self) -> float:
        """Training rows of the final model, divided by the mean number of training rows of a fold."""
        return len(self.search) / float(np.mean([len(fold.train) for fold in self.folds]))


def make_split_rows(data: Dataset, split: SplitSettings) -> SplitRows:
    """Splits a table.

    Raises:
        DataError: there are too few dates for the split, or a binary target has one class only in some part, so that
            the AUC is undefined.
    """
    search, test = split_holdout(data.dates, len(data.y), split)
    rows = SplitRows(tuple(search_folds(data.dates, search, split)), search, test)
    if data.config.task == "binary":
        for name, window in _windows(rows):
            if len(window) and len(np.unique(data.y[window])) < 2:
                dates = _dates_text(data, window)
                raise DataError(
                    f"target {data.target!r} is always {data.y[window][0]:g} in the {name} rows{dates}: "
                    f"change --test-fraction, --valid-fraction or --n-folds, or give more dates"
                )
    return rows


def split_record(data: Dataset, rows: SplitRows, split: SplitSettings) -> dict[str, Any]:
    """The split for the metadata: settings, row counts, and first and last date of each part."""
    record: dict[str, Any] = asdict(split) | {"search_rows": len(rows.search), "test_rows": len(rows.test)}
    if data.dates is not None:
        record["search_dates"] = _date_range(data, rows.search)
        record["test_dates"] = _date_range(data, rows.test)
        record["folds"] = [
            {"train": _date_range(data, fold.train), "valid": _date_range(data, fold.valid)} for fold in rows.folds
        ]
    return record


def _windows(rows: SplitRows) -> Iterator[tuple[str, np.ndarray]]:
    yield "test", rows.test
    for number, fold in enumerate(rows.folds, 1):
        of_fold = f" of fold {number}" if len(rows.folds) > 1 else ""
        yield f"training{of_fold}", fold.train
        yield f"validation{of_fold}", fold.valid


def _dates_text(data: Dataset, rows: np.ndarray) -> str:
    dates = _date_range(data, rows)
    return f" ({dates[0]} to {dates[1]})" if dates else ""


def _date_range(data: Dataset, rows: np.ndarray) -> list[str] | None:
    if data.dates is None or len(rows) == 0:
        return None
    return [str(data.dates[rows[0]]), str(data.dates[rows[-1]])]
