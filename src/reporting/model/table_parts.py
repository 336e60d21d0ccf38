"""The parts of a model's table, and the split on a time axis."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from src.data.split_rows import SplitRows
from src.data.table import Dataset
from src.reporting.model.numbers import Part, Span

RowNumbers = NDArray[np.int64]
ONE_DAY = np.timedelta64(1, "D")


def table_parts(data: Dataset, rows: SplitRows) -> tuple[Part, ...]:
    """Search, purged and test rows; a part without rows is left out."""
    purged = np.setdiff1d(np.arange(len(data.y)), np.concatenate([rows.search, rows.test]))
    parts = [("search", rows.search), ("purged", purged), ("test", rows.test)]
    return tuple(_part(name, data, part) for name, part in parts if len(part))


def _part(name: str, data: Dataset, rows: RowNumbers) -> Part:
    days = None if data.dates is None else np.unique(data.dates[rows])
    return Part(
        name,
        len(rows),
        None if days is None else len(days),
        None if data.accounts is None else len(set(data.accounts[rows])),
        None if days is None else str(days[0]),
        None if days is None else str(days[-1]),
        float(data.y[rows].mean()),
    )


def split_spans(data: Dataset, rows: SplitRows) -> tuple[Span, ...]:
    """The dates that each fit was trained and scored on, and the purged dates between; empty without dates."""
    if data.dates is None:
        return ()
    days = np.unique(data.dates)
    fits = [("search", fold.train, fold.valid) for fold in rows.folds]
    if len(fits) > 1:
        fits = [(f"fold {number}", train, valid) for number, (_, train, valid) in enumerate(fits, 1)]
    spans = [span for name, train, valid in fits for span in _fit(name, data, (train, valid, "validation"), days)]
    return (*spans, *_fit("final model", data, (rows.search, rows.test, "test"), days))


def _fit(
    name: str, data: Dataset, windows: tuple[RowNumbers, RowNumbers, str], days: NDArray[np.datetime64]
) -> Iterator[Span]:
    train, scored, part = windows
    assert data.dates is not None  # the caller has checked
    trained = data.dates[train]
    yield Span(name, "training", str(trained.min()), str(trained.max()))
    if not len(scored):
        return
    scored_days = data.dates[scored]
    if np.any((days > trained.max()) & (days < scored_days.min())):
        yield Span(name, "gap", str(trained.max() + ONE_DAY), str(scored_days.min() - ONE_DAY))
    yield Span(name, part, str(scored_days.min()), str(scored_days.max()))
