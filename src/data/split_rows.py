"""Which rows are which: the search's folds, all rows that the search may see, and the hold-out."""

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
        folds: what trials are trained and judged on.
        search: all rows before the hold-out's purge gap; the final model is trained on them.
        test: the hold-out, empty when there is none.
    """

    folds: tuple[Fold, ...]
    search: np.ndarray
    test: np.ndarray

    @property
    def growth(self) -> float:
        """Rows of the final model over the mean of those that a fold trains on."""
        return len(self.search) / float(np.mean([len(fold.train) for fold in self.folds]))


def make_split_rows(data: Dataset, split: SplitSettings) -> SplitRows:
    """Divides a table.

    Raises:
        DataError: too few dates for the split, or a window in which a binary target has one class only, so that no
            AUC exists.
    """
    search, test = split_holdout(data.dates, len(data.y), split)
    rows = SplitRows(tuple(search_folds(data.dates, search, split)), search, test)
    if data.config.task == "binary":
        for name, window in _windows(rows):
            if len(window) and len(np.unique(data.y[window])) < 2:
                raise DataError(
                    f"target {data.target!r} is always {data.y[window][0]:g} in the {name} rows{_when(data, window)}: "
                    f"change --test-fraction, --valid-fraction or --n-folds, or take a longer table"
                )
    return rows


def split_record(data: Dataset, rows: SplitRows, split: SplitSettings) -> dict[str, Any]:
    """The split in words and numbers, for the metadata: settings, and first and last date of each part."""
    record: dict[str, Any] = asdict(split) | {"search_rows": len(rows.search), "test_rows": len(rows.test)}
    if data.dates is not None:
        record["search_dates"] = _span(data, rows.search)
        record["test_dates"] = _span(data, rows.test)
        record["folds"] = [{"train": _span(data, f.train), "valid": _span(data, f.valid)} for f in rows.folds]
    return record


def _windows(rows: SplitRows) -> Iterator[tuple[str, np.ndarray]]:
    yield "test", rows.test
    for number, fold in enumerate(rows.folds, 1):
        of_fold = f" of fold {number}" if len(rows.folds) > 1 else ""
        yield f"training{of_fold}", fold.train
        yield f"validation{of_fold}", fold.valid


def _when(data: Dataset, rows: np.ndarray) -> str:
    span = _span(data, rows)
    return f" ({span[0]} to {span[1]})" if span else ""


def _span(data: Dataset, rows: np.ndarray) -> list[str] | None:
    if data.dates is None or len(rows) == 0:
        return None
    return [str(data.dates[rows[0]]), str(data.dates[rows[-1]])]
