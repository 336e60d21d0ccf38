import json
from dataclasses import replace

from src.monitoring.drift import Line
from src.monitoring.result import SHOWN, Monitored, Span, as_json, as_text, shown_lines, verdict
from src.monitoring.score_over_time import Part, ScoreOverTime


def line(what: str, alarm: bool = False, distance: float = 1.0, measure: str = "psi") -> Line:
    return Line(what, measure, "PSI", 0.25, 0.5, distance, alarm, "look at its source")


PARTS = (Part("2024-02-01", "2024-02-28", 80, 1.5, 1.25, 1.75), Part("2024-03-01", "2024-03-28", 80, 1.5, None, None))
RESULT = Monitored(
    "pnl",
    "models:/pnl/4",
    Span("2023-01-02", "2024-01-31", 250, 1000),
    Span("2024-02-01", "2024-03-28", 40, 160),
    Span("2024-03-11", "2024-03-28", 12, 48),
    0.05,
    (line("signal", alarm=True), line("signal", measure="ks"), *(line(f"x{i}") for i in range(30))),
    ScoreOverTime("mae", 1.4, (1.2, 1.6), PARTS, None, ()),
    ("only 40 dates",),
    (("2024-02-01", 4, 0.5),),
)


def test_the_table_has_alarms_first_and_one_line_per_column() -> None:
    shown = shown_lines(RESULT.lines)
    assert [each.what for each in shown] == ["signal", *(f"x{i}" for i in range(SHOWN - 1))]
    lines = as_text(RESULT).splitlines()
    assert lines[0] == "pnl: models:/pnl/4"
    (alarm,) = [text for text in lines if " ALARM  " in text]
    assert alarm.split() == ["signal", "PSI", "0.25", "0.5", "ALARM", "look", "at", "its", "source"]
    assert any(text.startswith("at registration") and "1.2 … 1.6" in text for text in lines)
    assert "note: only 40 dates" in lines
    assert lines[-1] == "pnl: ALARM: signal (5 % of runs without drift ring)"


def test_without_an_alarm_the_verdict_says_whether_anything_was_judged() -> None:
    quiet = replace(RESULT, lines=(line("signal"),))
    assert verdict(quiet) == "pnl: no alarm (5 % of runs without drift ring)"
    unknown = replace(RESULT, lines=(replace(line("signal"), threshold=None),))
    assert "nothing could be judged" in verdict(unknown)


def test_json_has_everything_and_no_infinite_number() -> None:
    record = as_json(replace(RESULT, lines=(*RESULT.lines, line("x", distance=float("inf")))))
    assert json.loads(json.dumps(record, allow_nan=False)) == record
    assert record["alarm"] is True and len(record["lines"]) == len(RESULT.lines) + 1
    assert record["lines"][-1]["distance"] is None
    assert record["score"]["parts"][0]["low"] == 1.25
