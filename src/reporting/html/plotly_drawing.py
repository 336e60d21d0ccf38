"""Converts a `Plot` to a plotly figure.

Text and grid get their colours from the page's style sheet, so that one figure works in light mode, dark mode and
print. Plotly interprets some HTML in users' names, so `plain_text` escapes them. The figures are plain dictionaries for
plotly.js: plotly's Python classes would validate every number, which is many times slower.
"""

from typing import Any

from src.reporting.document.palette import GREY, color_of
from src.reporting.document.plot import Plot, Rule
from src.reporting.document.plot_layout import Limits, holds_names, limits, place, rules_of, ticks, zero_inside
from src.reporting.html.plotly_marks import Digits, moment, plain_text, traces

Spec = dict[str, Any]
CLEAR = "rgba(0,0,0,0)"


def plotly_spec(plot: Plot) -> Spec:
    """The plot as `{"data": [...], "layout": {...}}`, valid as JSON: without infinity and NaN."""
    x_limits, y_limits = limits(plot)
    rounded = Digits(plot.x, x_limits), Digits(plot.y, y_limits)
    drawn: list[Spec] = []
    named: set[str] = set()
    for mark in plot.marks:
        for trace in traces(mark, *rounded):
            name = trace.get("name", "")
            trace["showlegend"] = bool(name) and name not in named
            named.add(name)
            drawn.append(trace)
    layout = _layout(plot, (x_limits, y_limits))
    layout["showlegend"] = plot.legend and bool(named - {""})
    return {"data": drawn, "layout": layout}


def _layout(plot: Plot, ends: tuple[Limits, Limits]) -> Spec:
    layout: Spec = {
        "height": plot.height, "dragmode": "zoom" if plot.zoom else False, "barmode": "overlay",
        "paper_bgcolor": CLEAR, "plot_bgcolor": CLEAR, "hovermode": "closest",
        "margin": {"l": 8, "r": 12, "t": 8, "b": 8}, "font": {"size": 12, "family": "system-ui, sans-serif"},
        "legend": {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "bgcolor": CLEAR},
        "hoverlabel": {"bgcolor": "#333333", "bordercolor": "#333333", "font": {"color": "#ffffff"}},
        "xaxis": _axis(plot, ends[0], upright=False), "yaxis": _axis(plot, ends[1], upright=True),
    }  # fmt: skip
    rules = rules_of(plot)
    layout["shapes"] = [_rule_line(rule) for rule in rules]
    layout["annotations"] = [_rule_label(rule, plot, ends[0], row) for row, rule in enumerate(rules) if rule.label]
    return layout


def _axis(plot: Plot, ends: Limits, upright: bool) -> Spec:
    axis = plot.y if upright else plot.x
    spec: Spec = {
        "title": {"text": plain_text(axis.title, short=False), "standoff": 8}, "automargin": True, "type": axis.scale,
        "zeroline": zero_inside(axis, ends), "zerolinecolor": GREY,
        "range": [moment(end) if axis.scale == "date" else end for end in (ends[::-1] if axis.reverse else ends)],
        "showgrid": not holds_names(plot, upright),
    }  # fmt: skip
    if axis.percent:
        spec["tickformat"] = "~%"
    if fixed := ticks(axis, ends):
        spec |= {"tickvals": [at for at, _ in fixed], "ticktext": [plain_text(label) for _, label in fixed]}
        spec["ticklabelstandoff"] = 6 if upright else 2
    return spec


def _rule_line(rule: Rule) -> Spec:
    along, across = ("x", "y") if rule.upright else ("y", "x")
    at = moment(place(rule.at, "date") or 0.0) if isinstance(rule.at, str) else rule.at
    return {
        "type": "line", f"{along}0": at, f"{along}1": at, f"{across}ref": "paper", f"{across}0": 0, f"{across}1": 1,
        "layer": "above", "line": {"color": color_of(rule), "width": 1.5, "dash": "dot"},
    }  # fmt: skip


def _rule_label(rule: Rule, plot: Plot, x_limits: Limits, row: int) -> Spec:
    """The label beside the line, on the side with more room; each label one line below the previous one."""
    text = {"text": plain_text(rule.label), "showarrow": False, "bgcolor": "#ffffff"}
    axis = plot.x if rule.upright else plot.y
    at = place(rule.at, axis.scale)
    where = moment(at or 0.0) if axis.scale == "date" else at
    if not rule.upright:
        return text | {"xref": "paper", "x": 1, "xanchor": "right", "y": where, "yanchor": "bottom"}
    right = at is not None and (at > sum(x_limits) / 2) != axis.reverse
    beside = {"xanchor": "right", "xshift": -4} if right else {"xanchor": "left", "xshift": 4}
    return text | beside | {"yref": "paper", "y": 1, "yanchor": "top", "yshift": -15 * row, "x": where}
