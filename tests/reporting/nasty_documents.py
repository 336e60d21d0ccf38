"""Documents that have broken page layouts before: nothing in them is the size that one expects."""

from dataclasses import replace
from typing import Literal

from src.reporting.document.blocks import Chapter, Document, Facts, Figure, Grid, Paragraph, Table, TableBlock, Tiles
from src.reporting.document.plot import Axis, Bars, Heat, Line, Mark, Plot, Points, Role, Rule
from tests.reporting.demo_document import cut, demo, trial_table

LONG = "an_endless_name_without_any_space_" * 12
WORD = "W" * 400
FOREIGN = "Gewinn je Tag: прибыль, κέρδος, 每日利润, الربح, $x_1$ & <b>50 %</b>\n\tend\x00"
KINDS: tuple[Literal["plain", "note", "verdict"], ...] = ("plain", "note", "verdict")


def _chapter(key: str, *blocks: object) -> Document:
    return Document(f"Study {key}", "A search", [Chapter(key, key.title(), blocks)])  # type: ignore[arg-type]


def _bars(count: int) -> Plot:
    names = tuple((i, f"parameter number {i} {'x' * (i % 40)}") for i in range(count))
    texts = [f"{i} %" for i in range(count)]
    bars = Bars(range(count), [i / count for i in range(count)], texts=texts, across=True)
    return Plot(Axis("share", percent=True), Axis(ticks=names, reverse=True), [bars], height=70 + 30 * count)


def _crowd() -> Plot:
    """Sixty named lines over sixty named places."""
    lines = [Line(range(60), [k * 1e6 + i for i in range(60)], f"{k} {LONG}", "series", k) for k in range(60)]
    rules = [Rule(i, True, f"rule number {i}") for i in range(4)]
    return Plot(Axis(LONG, ticks=tuple((i, f"category {i}") for i in range(60))), Axis(LONG), [*lines, *rules])


def _strange() -> Plot:
    """Values that have no place, and axes without a length."""
    inf, nan = float("inf"), float("nan")
    marks: list[Mark] = [
        Points([0, -1, nan, 5, None], [1.0, inf, 2.0, -inf, None]),
        Line([1.0], [1.0], "one"),
        Line([], [], "none"),
    ]
    return Plot(Axis("x", "log"), Axis("y"), [*marks, Rule(nan, label="nowhere"), Rule(-1.0, True, "below zero")])


def _huge() -> Plot:
    values: list[float] = [-1e300, 1e300, 1e-300, 0.0, 10**18]
    return Plot(Axis("x"), Axis("y"), [Points(values, values, shade=[1.0] * 5, shade_title=LONG)])


def _tiny() -> Plot:
    roles: tuple[Role, ...] = ("good", "bad")
    bars = Bars((0, 1), (100.000001, 100.000002), (100.0, 100.000003), roles=roles, texts=(LONG, FOREIGN))
    return Plot(Axis("x"), Axis("y"), [bars], height=40)


def _cells() -> Plot:
    z = [[float(i * j) for i in range(30)] for j in range(30)]
    names = tuple((i, f"target_{i}") for i in range(30))
    return Plot(Axis(ticks=names), Axis(ticks=names), [Heat(range(30), range(30), z, LONG)])


def _parameters(count: int) -> Table:
    rows = tuple(tuple(i * j / 7 for j in range(count)) for i in range(12))
    return Table(tuple(f"a_parameter_with_number_{j}" for j in range(count)), rows)


def strange_plots() -> dict[str, Plot]:
    """Plots that hold too much, too little, or what cannot be drawn."""
    return {"crowd": _crowd(), "strange": _strange(), "huge": _huge(), "tiny": _tiny(), "cells": _cells()}


def documents() -> dict[str, Document]:
    """All of them by name."""
    facts = [Facts([(LONG, LONG * 9), ("", ""), (FOREIGN, WORD)])]
    words = Table(("reason", "words", WORD[:50]), tuple((LONG, f"{i} " * i, None) for i in range(70)))
    plots = [Figure(key, plot, LONG, LONG) for key, plot in strange_plots().items()]
    return {
        "demo": demo(),
        "nothing": Document("", "", []),
        "empty chapters": Document("Study", "", [Chapter(f"c{i}", f"Chapter {i}", []) for i in range(70)]),
        "empty blocks": _chapter(
            "empty",
            Paragraph(""),
            Tiles(()),
            Facts(()),
            Grid([]),
            TableBlock(Table((), ())),
            TableBlock(Table(("a",), ())),
        ),
        "long words": _chapter("long", *(Paragraph(text, kind) for text in (LONG, WORD) for kind in KINDS)),
        "long paragraphs": _chapter("much", *(Paragraph("word " * 2000, kind) for kind in KINDS)),
        "long names": Document(LONG, LONG, [Chapter("x", LONG, [Tiles([(LONG, LONG), ("a", WORD)] * 4), *facts])]),
        "foreign": Document(FOREIGN, FOREIGN, [Chapter("y", FOREIGN, [Tiles([(FOREIGN, FOREIGN)]), *facts])]),
        "long tables": _chapter("tables", TableBlock(trial_table(200), "All", True), TableBlock(words)),
        "wide tables": _chapter("wide", *(TableBlock(_parameters(n)) for n in (16, 62))),
        "plots": _chapter("plots", *plots, Grid([replace(plot, key=f"small-{plot.key}") for plot in plots])),
        "many bars": _chapter("bars", *(Figure(f"bars-{n}", _bars(n), "Bars.") for n in (0, 1, 60, 200))),
        "many cuts": _chapter("cuts", Grid([cut(f"parameter_{i}", i) for i in range(20)])),
    }
