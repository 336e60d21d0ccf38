"""Text, tables and figures → one HTML page that needs nothing but itself.

Every text that comes in is escaped here, once; functions that return HTML say so in their names or take what such
functions returned.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

from src.reporting.blocks import Table
from src.reporting.words import Facts, format_number

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class Chapter:
    """One part of the page: `key` is its anchor, `html` its body."""

    key: str
    title: str
    html: str


def paragraph_html(text: str, kind: str = "") -> str:
    """A paragraph; `kind` is `verdict`, `note` or nothing."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def tiles_html(facts: Facts) -> str:
    """The few numbers that a reader in a hurry wants."""
    cells = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in facts)
    return f'<dl class="tiles">{cells}</dl>'


def facts_html(facts: Facts) -> str:
    """Names and their values, one a line."""
    rows = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{escape(value)}</td></tr>' for name, value in facts)
    return f'<div class="wide"><table class="facts"><tbody>{rows}</tbody></table></div>'


def table_html(table: Table, sortable: bool = False) -> str:
    """A table; a sortable one has a button in each heading."""
    heads = [escape(name) for name in table.columns]
    if sortable:
        heads = [f'<button type="button">{head}</button>' for head in heads]
    head = "".join(f'<th scope="col">{cell}</th>' for cell in heads)
    body = "".join(f"<tr>{''.join(_cell_html(cell) for cell in row)}</tr>" for row in table.rows)
    kind = ' class="sortable"' if sortable else ""
    return f'<div class="wide"><table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell_html(value: Any) -> str:
    if value is None:
        return "<td></td>"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"<td>{escape(str(value))}</td>"
    text = str(value) if isinstance(value, int) else format_number(value)
    key = repr(float(value)) if math.isfinite(value) else ""
    return f'<td class="number" data-value="{key}">{escape(text)}</td>'


def figure_html(figure: "go.Figure", key: str, caption: str) -> str:
    """A figure with its caption; `key` is unique on the page.

    Only the figure's numbers stand here. It is drawn when the whole page is there: a figure drawn earlier takes the
    room that those after it will need.
    """
    place = f'<div class="plot" id="figure-{key}" style="height: {figure.layout.height}px"></div>'
    numbers = f'<script type="application/json">{figure.to_json()}</script>'
    below = f"<figcaption>{escape(caption)}</figcaption>" if caption else ""
    return f"<figure>{place}{numbers}{below}</figure>"


def grid_html(items: Sequence[str]) -> str:
    """Small multiples: as many beside each other as there is room for."""
    return f'<div class="grid">{"".join(items)}</div>'


def page_html(title: str, subtitle: str, chapters: Sequence[Chapter]) -> str:
    """The whole page, plotly.js inside it once."""
    from plotly.offline import get_plotlyjs

    links = "".join(f'<li><a href="#{c.key}">{escape(c.title)}</a></li>' for c in chapters)
    body = "".join(f'<section id="{c.key}"><h2>{escape(c.title)}</h2>{c.html}</section>' for c in chapters)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{STYLE}</style>
<script>{get_plotlyjs()}</script>
</head>
<body>
<header><h1>{escape(title)}</h1><p>{escape(subtitle)}</p></header>
<nav aria-label="Contents"><ul>{links}</ul></nav>
<main>
<noscript><p class="note">The figures need JavaScript; tables and text do not.</p></noscript>
{body}
</main>
<script>{SCRIPT}</script>
</body>
</html>
"""


CONTENT_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""Nothing may be fetched: what the page shows is in the page."""

STYLE = """
:root { --ink: #1c2128; --soft: #59626e; --paper: #ffffff; --raised: #f4f6f8; --grid: #dfe3e8; --accent: #2569a8; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ed; --soft: #9aa4b0; --paper: #14181d; --raised: #1d232a; --grid: #343c46; --accent: #7db4ea; }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 4rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--grid); }
h3 { font-size: 1rem; margin: 1.5rem 0 .5rem; }
header p, figcaption, .note { color: var(--soft); }
header p { margin: 0; }
p { max-width: 46rem; }
a { color: var(--accent); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; list-style: none; margin: 1rem 0 0; padding: 0;
  font-size: .9rem; }
.verdict { background: var(--raised); border-left: 4px solid var(--accent); padding: .75rem 1rem; margin: 1rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1rem 0; }
.tiles div { background: var(--raised); padding: .6rem .8rem; border-radius: 6px; }
.tiles dt { color: var(--soft); font-size: .85rem; }
.tiles dd { margin: 0; font-size: 1.3rem; font-weight: 600; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
thead th { white-space: nowrap; color: var(--soft); font-weight: 600; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.facts th { font-weight: 400; color: var(--soft); }
.facts td { overflow-wrap: anywhere; }
th button { all: unset; cursor: pointer; }
th button:hover, th button:focus-visible { color: var(--accent); text-decoration: underline; }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
figure { margin: 1rem 0; min-width: 0; break-inside: avoid; }
figcaption { font-size: .85rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(18rem, 100%), 1fr)); gap: 0 1.25rem; }
.grid figure { margin: .5rem 0; }
/* A finger that scrolls must not zoom the figure below it. */
@media (pointer: coarse) { .main-svg .draglayer { display: none; } }
.main-svg text { fill: var(--ink) !important; }
.main-svg .hoverlayer text { fill: #ffffff !important; }
.main-svg .errorbar path { stroke: var(--ink) !important; }
.main-svg .gridlayer path { stroke: var(--grid) !important; }
@media print {
  @page { margin: 14mm; }
  body { max-width: none; padding: 0; font-size: 11pt; }
  nav { display: none; }
  h2, h3 { break-after: avoid; }
  table { font-size: 8pt; }
  .wide { overflow: visible; }
  .sortable { font-size: 5.5pt; }
  .sortable th, .sortable td { padding-right: .5em; }
  .sortable th { white-space: normal; overflow-wrap: anywhere; }
}
"""

SCRIPT = """
// No tool bar: it would cover small figures, and it offers to send them elsewhere.
for (const plot of document.querySelectorAll(".plot")) {
  const {data, layout} = JSON.parse(plot.nextElementSibling.textContent);
  Plotly.newPlot(plot, data, layout, {displayModeBar: false, responsive: true});
}
for (const head of document.querySelectorAll("table.sortable th")) {
  head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") === "ascending", table = head.closest("table");
    for (const other of table.querySelectorAll("th")) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const cell = row => row.cells[head.cellIndex], value = row => parseFloat(cell(row).dataset.value);
    const compare = (a, b) => value(a) - value(b) || cell(a).textContent.localeCompare(cell(b).textContent);
    const rows = [...table.tBodies[0].rows].sort((a, b) => down ? compare(b, a) : compare(a, b));
    const empty = rows.filter(row => cell(row).textContent === "");
    table.tBodies[0].append(...rows.filter(row => !empty.includes(row)), ...empty);
  });
}
// Paper is narrower than most windows, and a figure keeps the width that it was drawn with.
const redraw = width => {
  document.body.style.width = width;
  for (const plot of document.querySelectorAll(".plot")) Plotly.Plots.resize(plot);
};
addEventListener("beforeprint", () => redraw("640px"));
addEventListener("afterprint", () => redraw(""));
"""
