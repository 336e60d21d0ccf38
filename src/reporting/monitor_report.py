"""The report page of `monitor`."""

from src.monitoring.answered import Answered
from src.monitoring.result import HEADER, SCORE_HEADER, Monitored, row_of, score_rows, shown_lines, verdict
from src.reporting.document.blocks import Block, Chapter, Document, Facts, Figure, Paragraph, Table, TableBlock
from src.reporting.document.plot import Axis, Bars, Line, Plot, Rule

_LINES = 20
_LABEL = 30


def monitor_document(result: Monitored) -> Document:
    """The result as a document: verdict, drift, score over time, every statistic."""
    chapters = [_summary(result), Chapter("drift", "Drift", _drift(result))]
    if result.score is not None and result.score.parts:
        chapters.append(Chapter("score", "Score over time", _score(result)))
    if result.answered is not None:
        chapters.append(Chapter("answered", "Logged predictions", _answered(result.answered)))
    chapters.append(Chapter("statistics", "All statistics", [_statistics(result)]))
    subtitle = f"{result.model}, {result.new.first} to {result.new.last}"
    return Document(f"Monitoring of {result.target}", subtitle, chapters)


def _summary(result: Monitored) -> Chapter:
    periods = [
        (name, f"{span.first} to {span.last}, {span.dates} dates, {span.rows} rows")
        for name, span in (
            ("Reference period", result.reference),
            ("New period", result.new),
            ("Drift is judged on", result.judged),
        )
    ]
    notes = [Paragraph(note, "note") for note in result.notes]
    return Chapter("summary", "Summary", [Paragraph(verdict(result), "verdict"), Facts(periods), *notes])


def _drift(result: Monitored) -> list[Block]:
    judged = [line for line in result.lines if line.distance is not None and line.threshold is not None]
    table = TableBlock(Table(HEADER, tuple(row_of(line) for line in shown_lines(result.lines))))
    if not judged:
        return [table]
    shown = sorted(judged, key=lambda line: -(line.distance or 0.0))[:_LINES]
    names = [(float(i), f"{line.what[:_LABEL]}: {line.statistic}") for i, line in enumerate(shown)]
    bars = Bars(
        range(len(shown)),
        [line.distance for line in shown],
        roles=["bad" if line.alarm else "main" for line in shown],
        across=True,
    )
    plot = Plot(
        Axis("standard deviations between blocks of the reference period"),
        Axis(ticks=names, reverse=True),
        [bars],
        height=80 + 22 * len(shown),
        legend=False,
    )
    caption = "The most unusual statistics of the new period. Red ones are alarms."
    return [table, Figure("drift-bars", plot, caption)]


def _score(result: Monitored) -> list[Block]:
    score = result.score
    assert score is not None
    place = [float(i) for i in range(len(score.parts))]
    low = [part.score if part.low is None else part.low for part in score.parts]
    high = [part.score if part.high is None else part.high for part in score.parts]
    marks: list[Bars | Line | Rule] = [
        Bars(place, [part.score for part in score.parts], name="new rows", low=low, high=high)
    ]
    if score.registered is not None:
        marks.append(Rule(score.registered, label="at registration"))
    ticks = [(float(i), part.last) for i, part in enumerate(score.parts)]
    plot = Plot(Axis("last date of the part", ticks=ticks), Axis(score.metric.upper()), marks, legend=False)
    table = TableBlock(Table(SCORE_HEADER, tuple(score_rows(score))))
    return [Figure("score-parts", plot, "Score of the new rows by 20 dates, with 95 % intervals."), table]


def _answered(answered: Answered) -> list[Block]:
    notes = [Paragraph(note, "note") for note in answered.notes]
    if not answered.versions:
        return list(notes)
    what = f"{answered.metric.upper()} of the predictions that were given, with 95 % intervals"
    said = f"{what}; they are no part of the alarm."
    table = TableBlock(Table(answered.header, tuple(answered.rows)))
    return [Paragraph(said), table, *(Paragraph(line) for line in answered.lines), *notes]


def _statistics(result: Monitored) -> TableBlock:
    rows = tuple(
        (line.what, line.statistic, line.value, line.threshold, line.distance, "ALARM" if line.alarm else "-")
        for line in result.lines
    )
    columns = ("what", "statistic", "value", "threshold", "standard deviations", "alarm")
    return TableBlock(Table(columns, rows), sortable=True)
