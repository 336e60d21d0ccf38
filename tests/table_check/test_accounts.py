from src.table_check.accounts import check_accounts
from src.table_check.findings import Finding
from tests.table_check.panels import panel, read

FRAME = panel()


def findings_without(lost: object) -> list[Finding]:
    return check_accounts(read(FRAME[~lost]))  # type: ignore[operator]


def test_lasting_accounts_are_fine() -> None:
    (finding,) = check_accounts(read(FRAME))
    assert (finding.severity, finding.text) == ("ok", "10 accounts with 260 to 260 rows, none with gaps")


def test_who_ends_and_who_starts_is_named() -> None:
    ended = (FRAME["account_id"] == "A3") & (FRAME["date"] > "2023-05-01")
    late = (FRAME["account_id"] == "A7") & (FRAME["date"] < "2023-09-01")
    end, start = findings_without(ended | late)
    assert (end.severity, end.subject) == ("note", "A3")
    assert "1 of 10 accounts end early (A3 on 2023-05-01)" in end.text
    assert (start.subject, "2023-09-01" in start.text) == ("A7", True)


def test_many_that_end_on_one_day_are_suspicious() -> None:
    cut = FRAME["account_id"].isin([f"A{i}" for i in range(6)]) & (FRAME["date"] > "2023-08-01")
    (finding,) = findings_without(cut)
    assert (finding.severity, finding.subject) == ("suspicious", "2023-08-01")
    assert "6 of 10 accounts" in finding.text


def test_few_rows_and_gaps_are_named() -> None:
    short = (FRAME["account_id"] == "A1") & (FRAME["date"] > "2023-01-10")
    gappy = (FRAME["account_id"] == "A2") & (FRAME["date"].dt.day % 2 == 0)
    by_subject = {finding.subject: finding.text for finding in findings_without(short | gappy)}
    assert "fewer than 20 rows (A1)" in by_subject["A1"] or "end early" in by_subject["A1"]
    assert "A2 with 50 %" in by_subject["A2"] or "A2 with 49 %" in by_subject["A2"]


def test_that_no_account_ever_ends_is_striking_in_a_large_table() -> None:
    (finding,) = check_accounts(read(panel(n_accounts=25)))
    assert finding.severity == "note"
    assert "all 25 accounts last to the end" in finding.text
