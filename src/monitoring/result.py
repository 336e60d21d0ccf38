"""The result of a run of `monitor` as a text table and as JSON."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from src.monitoring.answered import Answered
from src.monitoring.drift import Line
from src.monitoring.score_over_time import ScoreOverTime
from src.suggest import number, one_line, text_table

SHOWN = 12
"""Columns in the text table, besides all alarms; JSON has every statistic."""
_LONGEST_NAME = 32


@dataclass(frozen=True)
class Span:
    """First and last date of a period, its dates and rows."""

    first: str
    last: str
    dates: int
    rows: int


@dataclass(frozen=True)
class Monitored:
    """What a run found.

    Attributes:
        target: the registered name.
        model: `models:/<name>/<version>`.
        reference: the training rows.
        new: the newer rows.
        judged: the newest of them, whose drift is judged; the score is that of all new rows.
        false_alarm_rate: of the run, over everything together.
        lines: every statistic, alarms first, then the most unusual.
        score: on new rows with a target; None if there are none.
        notes: what could not be judged, and why.
        daily: (date, rows, mean prediction) of each new date.
        answered: scores of logged predictions; None without `--predictions`.
    """

    target: str
    model: str
    reference: Span
    new: Span
    judged: Span
    false_alarm_rate: float
    lines: tuple[Line, ...]
    score: ScoreOverTime | None
    notes: tuple[str, ...]
    daily: tuple[tuple[str, int, float], ...]
    answered: Answered | None = None

    @property
    def alarms(self) -> tuple[Line, ...]:
        """The lines that ring."""
        return tuple(line for line in self.lines if line.alarm)


HEADER = ("what", "statistic", "value", "threshold", "alarm", "what to do")


def as_text(result: Monitored) -> str:
    """The table, the score over time, notes, and the verdict in the last line."""
    shown = shown_lines(result.lines)
    lines = [
        f"{result.target}: {result.model}",
        f"reference  {_span(result.reference)}",
        f"new        {_span(result.new)}",
        f"judged     {_span(result.judged)}",
        "",
        *text_table(HEADER, [row_of(line) for line in shown]),
    ]
    if len(shown) < len(result.lines):
        lines.append(f"{len(result.lines) - len(shown)} less unusual statistics are in --json and in the report")
    if result.score is not None and result.score.parts:
        lines += ["", *text_table(SCORE_HEADER, score_rows(result.score))]
    notes = result.notes
    if (answered := result.answered) is not None:
        table = text_table(answered.header, answered.rows) if answered.versions else []
        lines += ["", f"logged predictions, {answered.metric.upper()}", *table, *answered.lines]
        notes += answered.notes
    return "\n".join([*lines, "", *(f"note: {note}" for note in notes), verdict(result)])


SCORE_HEADER = ("dates", "rows", "score", "95 % interval")


def score_rows(score: ScoreOverTime) -> list[tuple[str, ...]]:
    """The score at registration, if there is one, and that of each part of the new dates."""
    rows: list[tuple[str, ...]] = []
    if score.registered is not None:
        rows.append(("at registration", "-", number(score.registered), _interval(score.registered_interval)))
    for part in score.parts:
        interval = None if part.low is None or part.high is None else (part.low, part.high)
        rows.append((f"{part.first} … {part.last}", str(part.rows), number(part.score), _interval(interval)))
    return rows


def shown_lines(lines: Sequence[Line]) -> list[Line]:
    """All alarms and the score, then the most unusual statistic of each further column, `SHOWN` at most."""
    shown = [line for line in lines if line.alarm or line.measure == "score"]
    seen = {line.what for line in shown}
    for line in lines:
        if line.what not in seen and len(seen) < SHOWN:
            seen.add(line.what)
            shown.append(line)
    return shown


def row_of(line: Line) -> tuple[str, ...]:
    """The cells of a line."""
    alarm, advice = ("ALARM", line.advice) if line.alarm else ("-", "-")
    return (
        one_line(line.what, _LONGEST_NAME),
        line.statistic,
        number(line.value),
        number(line.threshold),
        alarm,
        advice,
    )


def verdict(result: Monitored) -> str:
    """The outcome in one line."""
    rate = f"{100 * result.false_alarm_rate:g} % of runs without drift ring"
    if not result.alarms:
        judged = any(line.threshold is not None for line in result.lines)
        return f"{result.target}: {'no alarm' if judged else 'nothing could be judged, no alarm'} ({rate})"
    named = list(dict.fromkeys(line.what for line in result.alarms))
    more = f" and {len(named) - 5} more" if len(named) > 5 else ""
    return f"{result.target}: ALARM: {', '.join(one_line(name, 60) for name in named[:5])}{more} ({rate})"


def as_json(result: Monitored) -> dict[str, Any]:
    """The same for programs; numbers that are not finite are null."""
    record = asdict(result) | {"alarm": bool(result.alarms), "verdict": verdict(result)}
    cleaned: dict[str, Any] = _finite(record)
    return cleaned


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _span(span: Span) -> str:
    return f"{span.first} … {span.last}, {span.dates} dates, {span.rows} rows"


def _interval(interval: tuple[float, float] | None) -> str:
    return "-" if interval is None else f"{interval[0]:.5g} … {interval[1]:.5g}"
