from src.table_check.findings import Finding, verdict
from src.table_check.report import WIDTH, as_json, as_text

FINDINGS = [
    Finding("ok", "dates", "", "250 dates"),
    Finding("note", "accounts", "A1", "ends early: " + "check that it was closed " * 10),
    Finding("suspicious", "leaks", "profit_" * 10, "is a copy of the target y: leave it out"),
]


def test_the_worst_comes_first_and_lines_are_short() -> None:
    lines = as_text(FINDINGS, "trades.csv").splitlines()
    assert [line.split()[0] for line in lines if line and not line.startswith(" ")] == [
        "severity", "----------", "suspicious", "note", "ok", "trades.csv:",
    ]  # fmt: skip
    assert max(map(len, lines)) <= WIDTH
    assert lines[-1] == "trades.csv: suspicious (1 suspicious, 1 note, 1 ok)"
    assert as_text(FINDINGS[:2], "t").splitlines()[-1] == "t: nothing suspicious (1 note, 1 ok)"


def test_json_holds_every_finding_as_it_is() -> None:
    record = as_json(FINDINGS, "trades.csv")
    assert (record["source"], record["verdict"]) == ("trades.csv", "suspicious")
    assert [Finding(**finding) for finding in record["findings"]] == FINDINGS


def test_the_verdict_is_the_worst_severity() -> None:
    assert [verdict(FINDINGS[:n]) for n in range(4)] == ["ok", "ok", "note", "suspicious"]
