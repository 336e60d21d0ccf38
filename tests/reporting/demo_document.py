"""A document with every block, every mark and every kind of axis, for tests of what writes documents."""

import math
from collections.abc import Sequence

from src.reporting.document.blocks import (
    Block,
    Chapter,
    Document,
    Facts,
    Figure,
    Grid,
    Paragraph,
    Table,
    TableBlock,
    Tiles,
)
from src.reporting.document.plot import Axis, Band, Bars, Heat, Line, Mark, Plot, Points, Role, Rule

DAYS = [f"2024-{month:02d}-{day:02d}" for month in range(1, 7) for day in (1, 11, 21)]
WORDS = "The model beats the best naive baseline by a little, and the interval of its skill includes zero. "
NAMES = ("the model", "account_mean", "mean_20_days", "previous_day", "median")


def history() -> Plot:
    """Points of two kinds and a stepped line, as a study's history is."""
    complete = [i for i in range(60) if i % 5]
    pruned = [i for i in range(60) if i % 5 == 0]
    values = [100 + 10 * math.cos(i) / (1 + i / 10) for i in complete]
    best = [min(values[: i + 1]) for i in range(len(values))]
    marks: list[Mark] = [
        Points(pruned, [105.0 + i % 7 for i in pruned], "pruned (last reported)", role="muted", cross=True),
        Points(complete, values, "complete", notes=[f"trial {i}" for i in complete]),
        Line(complete, best, "best so far", role="accent", step=True),
        Rule(40, upright=True, label="no better since"),
    ]
    return Plot(Axis("trial"), Axis("MAE"), marks, zoom=True)


def scores() -> Plot:
    """Bars across with an interval and texts."""
    ends = [104.0, 100.0, 110.0, 119.5, 131.0]
    low, high = [95.0, *ends[1:]], [112.0, *ends[1:]]
    roles: tuple[Role, ...] = ("main", "accent", "muted", "muted", "muted")
    bars = Bars(range(5), ends, roles=roles, low=low, high=high, texts=[f"{v:g}" for v in ends], across=True)
    return Plot(Axis("MAE"), Axis(ticks=tuple(enumerate(NAMES)), reverse=True), [bars], height=250, legend=False)


def gains() -> Plot:
    """Upright bars on both sides of zero, with intervals."""
    ends = [-40.0, -12.0, 3.0, 25.0, 60.0]
    bars = Bars(
        range(1, 6), ends, low=[e - 10 for e in ends], high=[e + 10 for e in ends], texts=[f"{e:g}" for e in ends]
    )
    return Plot(Axis("decile of the prediction"), Axis("net profit per day"), [bars, Rule(5.0, label="all days")])


def timeline() -> Plot:
    """Bars across on a date axis."""
    start, end = (DAYS[0], DAYS[9], DAYS[10]), (DAYS[9], DAYS[10], DAYS[17])
    bars = Bars((0, 1, 2), end, start, roles=("main", "muted", "accent"), across=True)
    rows = ((0, "training"), (1, "gap"), (2, "test"))
    return Plot(Axis(scale="date"), Axis(ticks=rows, reverse=True), [bars], height=180, legend=False)


def drift() -> Plot:
    """A band, a dashed line and a gap in a line on a date axis."""
    ys = [math.sin(i / 3) for i in range(len(DAYS))]
    band = Band(DAYS, [y - 0.3 for y in ys], [y + 0.3 for y in ys], "95 % interval")
    broken = [None if i in (5, 6) else y for i, y in enumerate(ys)]
    marks: list[Mark] = [band, Line(DAYS, broken, "skill"), Line(DAYS, [0.1] * len(DAYS), "mean", "bad", dashed=True)]
    return Plot(Axis("month", "date"), Axis("skill", percent=True), [*marks, Rule(DAYS[14], True, "test begins")])


def series(count: int = 5) -> Plot:
    """Lines over several powers of ten on both axes."""
    xs = [10.0**i for i in range(-6, 2)]
    lines = [
        Line(xs, [(k + 1) * x**0.5 for x in xs], f"net_profit_2024010{k}_120000", "series", k) for k in range(count)
    ]
    return Plot(Axis("lambda_l1", "log"), Axis("gain", "log"), lines)


def matrix() -> Plot:
    """A matrix with texts around zero, and a blank."""
    z: list[list[float | None]] = [[1.0, 0.4, -0.3], [0.4, 1.0, None], [-0.3, None, 1.0]]
    texts = [["" if v is None else f"{v:.2f}" for v in row] for row in z]
    names = tuple(enumerate(("net_profit", "gross_profit", "num_trades")))
    heat = Heat((0, 1, 2), (0, 1, 2), z, "correlation", texts, centred=True)
    return Plot(Axis(ticks=names), Axis(ticks=names, reverse=True), [heat], height=320)


def contour() -> Plot:
    """Cells on a logarithmic axis with shaded points on them."""
    xs, ys = [0.01, 0.03, 0.1, 0.3], [20, 60, 100, 140, 180]
    heat = Heat(xs, ys, [[None if (i + j) % 4 == 3 else i * j + 1.0 for i in range(4)] for j in range(5)], "mean MAE")
    points = Points([0.012, 0.05, 0.29], [30, 90, 175], shade=[1, 2, 3], notes=["trial 1", "trial 2", "trial 3"])
    return Plot(Axis("learning_rate", "log"), Axis("num_leaves"), [heat, points])


def cut(name: str, place: int) -> Figure:
    """A small figure: shaded points over names."""
    xs = [float((i * 7 + place) % 3) for i in range(40)]
    points = Points(xs, [math.sin(i) for i in range(40)], shade=list(range(40)), size=6)
    ticks = ((0, "gbdt"), (1, "dart"), (2, "goss"))
    return Figure(f"cut-{place}", Plot(Axis(name, ticks=ticks), Axis("MAE"), [points], height=240))


def figures() -> list[Figure]:
    """Every plot above, with words."""
    plots = (history, scores, gains, timeline, drift, series, matrix, contour)
    named = {plot.__name__: plot() for plot in plots}
    return [Figure(key, plot, f"What {key} shows. {WORDS}", f"Of {key}") for key, plot in named.items()]


def trial_table(rows: int, columns: int = 12) -> Table:
    """A table as wide as the best trials' is."""
    names = ("number", "value", *(f"parameter_{i}" for i in range(columns - 2)))
    cells = [(i, 100 + i / 7, *((i * k) / 13 if k % 3 else "gbdt" for k in range(columns - 2))) for i in range(rows)]
    return Table(names, tuple(cells))


def demo(title: str = "Study net_profit_20240101_120000", more: Sequence[Chapter] = ()) -> Document:
    """The whole document; `more` are chapters after the others."""
    tiles = Tiles((("MAE on test", "104"), ("best naive baseline", "100"), ("skill over it", "\N{MINUS SIGN}4.0 %")))
    facts = Facts((("metric", "MAE, lower is better"), ("trials", "48 complete, 12 pruned"), ("split", WORDS * 3)))
    small = Grid([cut(name, i) for i, name in enumerate(("boosting_type", "num_leaves", "max_depth", "lambda_l1"))])
    summary: list[Block] = [tiles, Paragraph(WORDS * 2, "verdict"), facts]
    tables: list[Block] = [
        Paragraph("What was found.", "note"),
        TableBlock(trial_table(30), "Best trials", sortable=True),
        TableBlock(Table(("parameter", "value"), (("rate", 0.0123456), ("kind", None)))),
    ]
    chapters = [
        Chapter("summary", "Summary", summary),
        Chapter("figures", "Figures of every kind", figures()),
        Chapter("grid", "Small figures", [Paragraph(WORDS), small]),
        Chapter("tables", "Tables", tables),
        *more,
    ]
    return Document(title, "Search and judgement of a model of net_profit", chapters)
