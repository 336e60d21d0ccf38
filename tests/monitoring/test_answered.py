import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from src.config import TableConfig
from src.data.sources.blocks import FrameBlocks, open_table
from src.errors import ConfigError, DataError
from src.monitoring.answered import Answered, Outcomes, read_log, score_log

DAYS = np.datetime64("2024-01-01") + np.arange(60)
DATES = DAYS.repeat(3)
ACCOUNTS = np.tile(np.array(["1", "2", "x"], object), 60)
RNG = np.random.default_rng(0)
Y = RNG.normal(size=180)
OUTCOMES = Outcomes("mae", ACCOUNTS, DATES, Y)


def log(version: int, role: str, error: float, first: int = 0, last: int = 180) -> pd.DataFrame:
    """Rows as `serve` logs them; the prediction misses the outcome by about `error`, on either side."""
    rows = slice(first, last)
    predictions = Y[rows] + error * np.where(np.arange(180)[rows] % 2, 1, -1) + 0.01 * RNG.normal(size=180)[rows]
    return pd.DataFrame(
        {
            "account_id": ACCOUNTS[rows],
            "date": DATES[rows].astype(str),
            "prediction": predictions,
            "target": "pnl",
            "model": "pnl",
            "version": str(version),
            "role": role,
            "time": pd.Timestamp("2024-03-01T12:00:00", tz="UTC"),
        }
    )


def scored(*parts: pd.DataFrame) -> Answered:
    frame = pd.concat(parts, ignore_index=True)
    return score_log(read_log(FrameBlocks(frame), "pnl", TableConfig(), "log"), OUTCOMES)


def test_champion_and_challenger_side_by_side() -> None:
    other = log(9, "champion", 5).assign(target="another target")
    found = scored(log(1, "champion", 1.0), log(2, "challenger", 0.5), other)
    assert found.notes == ()
    first, second = found.versions
    assert (first.shown, second.shown) == ("champion v1", "challenger v2")
    for version, error in ((first, 1.0), (second, 0.5)):
        assert version.score == pytest.approx(error, abs=0.01)
        assert version.low is not None and version.high is not None and version.low < version.score < version.high
        assert (version.first, version.last, version.rows) == ("2024-01-01", "2024-02-29", 180)
        assert [(part.first, part.rows) for part in version.parts] == [
            ("2024-01-01", 60), ("2024-01-21", 60), ("2024-02-10", 60),
        ]  # fmt: skip
    (difference,) = found.differences
    assert (difference.challenger, difference.champion, difference.rows) == ("challenger v2", "champion v1", 180)
    assert difference.difference == pytest.approx(-0.5, abs=0.01)
    assert difference.high is not None and difference.high < 0
    assert found.header == ("dates", "champion v1", "challenger v2")
    assert [row[0] for row in found.rows] == [
        "2024-01-01 … 2024-01-20", "2024-01-21 … 2024-02-09", "2024-02-10 … 2024-02-29", "all",
    ]  # fmt: skip
    assert found.lines[0].startswith("challenger v2 minus champion v1: -0.5")


def test_a_challenger_that_became_champion_has_both_roles() -> None:
    found = scored(
        log(1, "champion", 1.0, last=90), log(2, "challenger", 0.5, last=90), log(2, "champion", 0.5, first=90)
    )
    assert [version.shown for version in found.versions] == ["champion v1", "champion v2", "challenger v2"]
    assert [row[1:] for row in found.rows][2][0] == "-", "version 1 did not answer any more"
    (difference,) = found.differences
    assert (difference.champion, difference.rows) == ("champion v1", 90)


def test_the_last_answer_for_a_row_counts() -> None:
    early = log(1, "champion", 7.0).assign(time=pd.Timestamp("2024-02-01", tz="UTC"))
    found = scored(log(1, "champion", 1.0), early)
    assert found.versions[0].rows == 180
    assert found.versions[0].score == pytest.approx(1.0, abs=0.01)


def test_rows_that_cannot_be_joined_are_counted() -> None:
    odd = log(1, "champion", 1.0, last=4)
    odd["date"] = ["2024-01-01", "no date", None, "2024-01-02"]
    odd["account_id"] = ["1", "1", "1", None]
    odd.loc[0, "prediction"] = math.nan
    found = scored(log(1, "champion", 1.0, first=6), odd)
    assert found.versions[0].rows == 174
    assert found.notes == ("4 of 178 logged predictions have no account, date or finite value",)
    later = scored(log(1, "champion", 1.0).assign(date="2030-01-01"))
    assert later.versions == () and "no logged prediction has an outcome yet" in later.notes[0]


def test_an_auc_of_one_class_is_left_out() -> None:
    frame = read_log(FrameBlocks(log(1, "champion", 1.0)), "pnl", TableConfig(), "log")
    found = score_log(frame, Outcomes("auc", ACCOUNTS, DATES, np.ones(180)))
    assert found.versions == () and found.notes == ("logged predictions whose outcomes are of one class have no AUC",)


@pytest.mark.parametrize("name", ["predictions.parquet", "predictions.csv"])
def test_an_output_of_predict_is_a_log_too(tmp_path: Path, name: str) -> None:
    frame = log(3, "", 1.0)[["account_id", "date", "prediction", "model", "version"]]
    frame = frame.assign(date=pd.to_datetime(frame["date"]))
    write = frame.to_parquet if name.endswith("parquet") else frame.to_csv
    write(tmp_path / name, index=False)
    with open_table(str(tmp_path / name), None) as blocks:
        found = score_log(read_log(blocks, "pnl", TableConfig(), "log"), OUTCOMES)
    assert [(version.shown, version.rows) for version in found.versions] == [("v3", 180)]


def test_accounts_as_numbers_and_a_table_without_accounts() -> None:
    numbers = log(1, "champion", 1.0).assign(account_id=np.tile([1, 2, 3], 60))
    assert scored(numbers).versions[0].rows == 120
    alone = log(1, "champion", 1.0).drop(columns="account_id").iloc[::3]
    read = read_log(FrameBlocks(alone), "pnl", TableConfig(account=None), "log")
    assert score_log(read, Outcomes("mae", None, DAYS, Y[::3])).versions[0].rows == 60


def test_a_prediction_that_is_no_number_is_named() -> None:
    odd = log(1, "champion", 1.0, last=2).assign(prediction=["1.5", "many"])
    with pytest.raises(DataError, match="'prediction' holds 1 values that are not numbers, the first 'many' in row 2"):
        read_log(FrameBlocks(odd), "pnl", TableConfig(), "log")


def test_missing_columns_are_named() -> None:
    with pytest.raises(ConfigError, match=r"--predictions log has no column\(s\) version; it has account_id, date"):
        read_log(FrameBlocks(log(1, "champion", 1.0).drop(columns="version")), "pnl", TableConfig(), "log")
