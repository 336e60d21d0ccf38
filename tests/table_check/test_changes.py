"""Missing values, levels and numeric level shifts by month."""

import numpy as np
import pandas as pd

from benchmarks.leaky_tables import CLEAN, clean_table, datasets_of
from src.table_check.findings import Finding
from src.table_check.levels import check_levels
from src.table_check.missing_values import check_missing_values
from src.table_check.months import months_of
from src.table_check.shifts import check_shifts
from tests.table_check.panels import panel, read

FRAME = panel()
LATER = FRAME["date"] >= "2023-08-01"


def changes(frame: pd.DataFrame, without_accounts: bool = False) -> list[Finding]:
    data = read(frame, without_accounts)
    months = months_of(data)
    return [*check_missing_values(data, months), *check_levels(data, months), *check_shifts(data, months)]


def found(frame: pd.DataFrame) -> list[tuple[str, str]]:
    return [(each.severity, each.subject) for each in changes(frame) if each.severity != "ok"]


def test_a_steady_table_is_fine() -> None:
    assert [finding.severity for finding in changes(FRAME)] == ["ok", "ok", "ok"]


def test_months_follow_each_other() -> None:
    months = months_of(read(FRAME))
    assert months.names[:2] == ("2023-01", "2023-02")
    means = FRAME.groupby(FRAME["date"].dt.to_period("M"))["size"].mean()
    np.testing.assert_allclose(months.means(read(FRAME).features["size"]), means, rtol=1e-12)


def test_a_source_that_stopped_is_suspicious_and_one_bad_month_is_a_note() -> None:
    assert found(FRAME.assign(size=FRAME["size"].where(~LATER))) == [("suspicious", "size")]
    bad_month = FRAME["date"].dt.month == 5
    (finding,) = (each for each in changes(FRAME.assign(size=FRAME["size"].where(~bad_month))) if each.severity != "ok")
    assert (finding.severity, finding.subject) == ("note", "size")
    assert "100 % of the rows of 2023-05, usually in 0 %" in finding.text


def test_a_feature_that_lacks_the_last_days_has_not_stopped() -> None:
    until = FRAME[FRAME["date"] < "2023-11-03"]
    november = until["date"] >= "2023-11-01"
    assert found(until.assign(size=until["size"].where(~november))) == [("note", "size")]


def test_a_cold_start_is_no_gap() -> None:
    assert not found(FRAME.assign(size=FRAME.groupby("account_id")["size"].shift(60)))


def test_levels_that_come_go_or_are_all_replaced() -> None:
    new = FRAME["desk"].where(~LATER | (FRAME.index % 5 > 0), "east")
    (finding,) = (each for each in changes(FRAME.assign(desk=new)) if each.severity != "ok")
    assert (finding.severity, finding.subject) == ("note", "desk")
    assert "1 of 4 levels appear (east in 2023-08)" in finding.text
    gone = FRAME["desk"].where(~LATER | (FRAME["desk"] != "west"), "north")
    assert "1 of 3 levels disappear (west after 2023-07)" in "".join(
        each.text for each in changes(FRAME.assign(desk=gone))
    )
    assert found(FRAME.assign(desk=FRAME["desk"].where(~LATER, FRAME["desk"].str.upper()))) == [("suspicious", "desk")]


def test_a_key_is_no_category() -> None:
    tickets = FRAME.assign(desk=[f"T{i // 7}" for i in range(len(FRAME))])
    (finding,) = (each for each in changes(tickets) if each.severity != "ok")
    assert (finding.severity, finding.subject) == ("note", "desk")
    assert "recurs from month to month" in finding.text


def test_a_feature_that_is_mostly_missing_has_not_stopped() -> None:
    rare = np.random.default_rng(5).random(len(FRAME)) < 0.04
    assert ("suspicious", "size") not in found(FRAME.assign(size=FRAME["size"].where(rare)))


def test_another_unit_is_suspicious() -> None:
    cents = FRAME.assign(size=FRAME["size"].where(~LATER, 100 * FRAME["size"]))
    assert found(cents) == [("suspicious", "size")]
    (finding,) = (each for each in changes(cents, without_accounts=False) if each.severity == "suspicious")
    assert "times as large from 2023-08 on" in finding.text


def test_other_accounts_are_no_other_unit() -> None:
    large = FRAME.assign(size=FRAME["size"].where(FRAME["account_id"] < "A5", 100 * FRAME["size"]))
    first = (large["account_id"] < "A5") & ~LATER
    assert ("suspicious", "size") not in found(large[first | ((large["account_id"] >= "A5") & LATER)])


def test_another_level_is_a_note() -> None:
    assert found(FRAME.assign(size=FRAME["size"] + 20 * LATER)) in ([("note", "size")], [("suspicious", "size")])
    assert found(FRAME.assign(size=FRAME["y"] + 20 * LATER)) in ([("note", "size")], [("suspicious", "size")])


def test_walks_trends_and_cold_starts_are_no_break() -> None:
    for kind in CLEAN:
        for seed in range(2):
            data = datasets_of(clean_table(kind, seed))[0]
            severities = {finding.severity for finding in check_shifts(data, months_of(data))}
            assert "suspicious" not in severities, (kind, seed)
