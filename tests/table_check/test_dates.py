import pandas as pd

from src.table_check.dates import check_dates
from tests.table_check.panels import panel, read

FRAME = panel()


def test_regular_dates_are_fine() -> None:
    (finding,) = check_dates(read(FRAME))
    assert finding.severity == "ok"
    assert "260 dates from 2023-01-02" in finding.text


def test_single_holidays_are_fine() -> None:
    kept = ~FRAME["date"].isin(pd.to_datetime(["2023-04-07", "2023-04-10", "2023-05-01"]))
    assert [finding.severity for finding in check_dates(read(FRAME[kept]))] == ["ok"]


def test_long_gaps_are_named_by_length() -> None:
    week = FRAME["date"].between("2023-03-06", "2023-03-10")
    month = FRAME["date"].between("2023-07-03", "2023-07-31")
    note, suspicious = check_dates(read(FRAME[~week & ~month]))
    assert (note.severity, note.subject) == ("note", "2023-03-06")
    assert "5 usual dates from 2023-03-06 to 2023-03-10" in note.text
    assert (suspicious.severity, suspicious.subject) == ("suspicious", "2023-07-03")
    assert "21 usual dates" in suspicious.text


def test_a_rare_weekday_is_named() -> None:
    saturday = FRAME[FRAME["date"] == "2023-03-10"].assign(date=pd.Timestamp("2023-03-11"))
    (finding,) = check_dates(read(pd.concat([FRAME, saturday])))
    assert (finding.severity, finding.subject) == ("note", "2023-03-11")
    assert "1 of 261 dates are a Saturday" in finding.text


def test_a_date_with_few_rows_is_named() -> None:
    lost = (FRAME["date"] == "2023-06-06") & (FRAME.index % 10 > 2)
    (finding,) = check_dates(read(FRAME[~lost]))
    assert (finding.severity, finding.subject) == ("note", "2023-06-06")
    assert "with 3 instead of about 10" in finding.text


def test_monthly_dates_have_no_usual_weekday() -> None:
    monthly = FRAME[FRAME["date"].dt.day <= 1].assign()
    assert {finding.severity for finding in check_dates(read(monthly))} <= {"ok", "note"}
