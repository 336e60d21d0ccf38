import dataclasses
from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from src.serving.prediction_log import collect
from src.serving.prediction_log.collect import Labels, LogError, PredictionLog, log_columns

KEYS = ("account_id", "date")
LABELS = Labels("pnl", "pnl", "3", "champion")
ROWS = pd.DataFrame({"account_id": [7, 8], "date": pd.to_datetime(["2024-01-02", "2024-01-03"]), "x": [1.0, 2.0]})


@dataclasses.dataclass
class Sink:
    """Keeps what is written, and fails as often as it is told to."""

    failures: list[LogError] = dataclasses.field(default_factory=list)
    written: list[pd.DataFrame] = dataclasses.field(default_factory=list)

    def write(self, rows: pd.DataFrame) -> None:
        if self.failures:
            raise self.failures.pop()
        self.written.append(rows)


def failure(*, is_transient: bool) -> LogError:
    return LogError("the database is down", is_transient=is_transient)


def test_a_row_has_keys_as_text_prediction_labels_and_time() -> None:
    sink, when = Sink(), datetime(2024, 1, 4, 12, tzinfo=UTC)
    log = PredictionLog(sink, KEYS)
    log.add(ROWS, KEYS, np.array([0.5, -1.0]), LABELS, when)
    log.add(ROWS.drop(columns="date"), KEYS, np.array([1.0, 2.0]), LABELS)
    log.flush(now=True)
    (found,) = sink.written
    assert list(found.columns) == list(log_columns(KEYS))
    assert found["account_id"].tolist() == ["7", "8", "7", "8"]
    assert (
        found["date"].tolist()[:2] == ["2024-01-02", "2024-01-03"] and found["date"].isna().tolist()[2:] == [True] * 2
    )
    assert found["prediction"].tolist() == [0.5, -1.0, 1.0, 2.0]
    assert set(found["version"]) == {"3"} and set(found["role"]) == {"champion"}
    assert found["time"].tolist()[:2] == [when] * 2 and (found["time"].tolist()[2] - when).days > 300


def test_a_model_with_other_key_names_and_a_table_without_accounts() -> None:
    sink = Sink()
    log = PredictionLog(sink, (None, "day"))
    log.add(ROWS, ("account_id", "date"), np.zeros(2), LABELS)
    log.flush(now=True)
    assert list(sink.written[0].columns)[:2] == ["day", "prediction"]
    assert sink.written[0]["day"].tolist() == ["2024-01-02", "2024-01-03"]


def test_texts_that_no_database_takes_are_replaced() -> None:
    sink = Sink()
    log = PredictionLog(sink, ("account_id", None))
    log.add(pd.DataFrame({"account_id": ["a\0b", "c\ud800", None]}, dtype=object), KEYS, np.zeros(3), LABELS)
    log.flush(now=True)
    assert sink.written[0]["account_id"].tolist()[:2] == ["a\ufffdb", "c?"]
    assert sink.written[0]["account_id"].isna().tolist() == [False, False, True]


def test_a_write_is_due_after_rows_or_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Sink()
    log = PredictionLog(sink, KEYS)
    log.add(ROWS, KEYS, np.zeros(2), LABELS)
    log.flush()
    assert not sink.written
    monkeypatch.setattr(collect, "WRITE_ROWS", 1)
    log.flush()
    assert len(sink.written) == 1
    log.flush(now=True)
    assert len(sink.written) == 1, "nothing is left"


def test_rows_are_kept_while_the_log_cannot_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    sink = Sink([failure(is_transient=True)])
    monkeypatch.setattr(collect, "WRITE_ROWS", 1)
    log = PredictionLog(sink, KEYS)
    log.add(ROWS, KEYS, np.zeros(2), LABELS)
    with pytest.raises(LogError) as raised:
        log.flush()
    assert raised.value.lost == 0
    log.add(ROWS, KEYS, np.ones(2), LABELS)
    assert not log.flush() and not sink.written, "not before some seconds have passed"
    assert log.flush(now=True), "it was written"
    assert sink.written[0]["prediction"].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("reason", ["refused", "too many", "the end"])
def test_rows_that_cannot_be_kept_are_counted(monkeypatch: pytest.MonkeyPatch, reason: str) -> None:
    sink = Sink([failure(is_transient=reason != "refused")])
    monkeypatch.setattr(collect, "WRITE_ROWS", 1)
    monkeypatch.setattr(collect, "MAX_ROWS", 1 if reason == "too many" else 100)
    log = PredictionLog(sink, KEYS)
    log.add(ROWS, KEYS, np.zeros(2), LABELS)
    with pytest.raises(LogError) as raised:
        log.flush(now=reason == "the end")
    assert raised.value.lost == 2
    log.flush(now=True)
    assert not sink.written
