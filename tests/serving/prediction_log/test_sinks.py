import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sqlalchemy

from src.data.sources.files import read_path
from src.errors import ConfigError
from src.serving.prediction_log.collect import Labels, LogError, LogSink, PredictionLog
from src.serving.prediction_log.sinks import FolderSink, TableSink, open_log

KEYS = ("account_id", "date")
ROWS = pd.DataFrame({"account_id": ["a", None], "date": ["2024-01-02", "2024-01-03"]})


def write(sink: LogSink | PredictionLog | None, values: list[float]) -> None:
    assert sink is not None
    log = sink if isinstance(sink, PredictionLog) else PredictionLog(sink, KEYS)
    log.add(ROWS, KEYS, np.array(values), Labels("pnl", "pnl", "3", "champion"))
    log.flush(now=True)


def test_a_folder_gets_one_file_per_write(tmp_path: Path) -> None:
    sink = open_log(str(tmp_path / "new" / "log"), "unused", KEYS)
    assert list((tmp_path / "new" / "log").iterdir()) == []
    for values in ([1.0, 2.0], [3.0, np.nan]):
        write(sink, values)
    assert len(list((tmp_path / "new" / "log").iterdir())) == 2
    found = read_path(tmp_path / "new" / "log", "log").sort_values("time", kind="stable")
    assert found["prediction"].tolist()[:3] == [1.0, 2.0, 3.0]
    assert found["account_id"].isna().tolist() == [False, True] * 2
    assert str(found["time"].dtype) == "datetime64[us, UTC]"


def test_a_folder_that_has_become_a_file_is_tried_again(tmp_path: Path) -> None:
    sink = FolderSink(tmp_path / "log", KEYS)
    (tmp_path / "log").rmdir()
    (tmp_path / "log").write_text("")
    with pytest.raises(LogError, match=r"--log-predictions .*log: ") as raised:
        write(sink, [1.0, 2.0])
    assert raised.value.is_transient


def test_a_table_is_created_and_grows(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    for _ in range(2):
        write(open_log(url, "answers", KEYS), [1.0, 2.0])
    with sqlalchemy.create_engine(url).connect() as connection:
        found = connection.execute(sqlalchemy.text("SELECT account_id, date, prediction, role FROM answers")).all()
    assert found == [("a", "2024-01-02", 1.0, "champion"), (None, "2024-01-03", 2.0, "champion")] * 2


def test_a_table_with_other_columns_is_refused_before_the_first_row(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'log.db'}"
    with sqlalchemy.create_engine(url).begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE mine (account_id TEXT, date TEXT, prediction REAL)"))
    with pytest.raises(ConfigError, match=r"'mine' .* has no column.*target, model, version, role, time: give another"):
        open_log(url, "mine", KEYS)
    with pytest.raises(LogError, match="refuses the predictions") as raised:
        write(TableSink(url, "mine", KEYS), [1.0, 2.0])
    assert raised.value.is_transient, "the table may be corrected"


def test_a_database_that_is_down_keeps_nothing_from_starting(caplog: pytest.LogCaptureFixture) -> None:
    url = "postgresql://user:secret@127.0.0.1:9/db"
    with caplog.at_level(logging.ERROR):
        sink = open_log(url, "answers", KEYS)
    assert "cannot be opened" in caplog.text and "secret" not in caplog.text
    with pytest.raises(LogError) as raised:
        write(sink, [1.0, 2.0])
    assert raised.value.is_transient and "secret" not in str(raised.value)
