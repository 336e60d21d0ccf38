"""The parts of a table, and the split on the time axis."""

import datetime as dt

import numpy as np
import pytest

from src.config import SplitSettings
from src.reporting.model.numbers import Span
from src.reporting.model.table_parts import split_spans, table_parts
from tests.reporting.trained import NO_KEYS, train, trained


def test_parts_add_up_to_the_table() -> None:
    one = trained()
    parts = {part.name: part for part in table_parts(one.data, one.rows)}
    assert {name: (part.rows, part.days, part.accounts) for name, part in parts.items()} == {
        "search": (376, 47, 8), "purged": (8, 1, 8), "test": (96, 12, 8),
    }  # fmt: skip
    assert (parts["search"].first, parts["test"].last) == ("2024-01-01", "2024-03-22")
    assert parts["test"].target_mean == pytest.approx(one.data.y[one.rows.test].mean())


def test_without_dates_and_accounts_rows_are_left() -> None:
    one = train(table=NO_KEYS)
    assert {(part.days, part.accounts, part.first) for part in table_parts(one.data, one.rows)} == {(None, None, None)}
    assert split_spans(one.data, one.rows) == ()


def test_one_fold_and_the_final_fit_lie_side_by_side() -> None:
    one = trained()
    assert split_spans(one.data, one.rows) == (
        Span("search", "training", "2024-01-01", "2024-02-20"),
        Span("search", "gap", "2024-02-21", "2024-02-21"),
        Span("search", "validation", "2024-02-22", "2024-03-05"),
        Span("final model", "training", "2024-01-01", "2024-03-05"),
        Span("final model", "gap", "2024-03-06", "2024-03-06"),
        Span("final model", "test", "2024-03-07", "2024-03-22"),
    )


@pytest.mark.parametrize("purge", [0, 1, 3])
def test_gaps_hold_exactly_the_purged_dates(purge: int) -> None:
    one = train(split=SplitSettings(use_cv=True, n_folds=3, purge_days=purge))
    assert one.data.dates is not None
    days = [dt.date.fromisoformat(str(day)) for day in np.unique(one.data.dates)]
    gaps = [span for span in split_spans(one.data, one.rows) if span.part == "gap"]
    assert [span.fit for span in gaps] == (["fold 1", "fold 2", "fold 3", "final model"] if purge else [])
    for span in gaps:
        assert sum(span.first <= day.isoformat() <= span.last for day in days) == purge


def test_without_a_hold_out_the_final_fit_is_all_training() -> None:
    one = train(split=SplitSettings(test_fraction=0))
    last = split_spans(one.data, one.rows)[-1]
    assert last == Span("final model", "training", "2024-01-01", "2024-03-22")
    assert [part.name for part in table_parts(one.data, one.rows)] == ["search"]
