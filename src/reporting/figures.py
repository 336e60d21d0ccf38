"""Tables of numbers → plotly figures.

Colours stand on white and on near-black alike; text and grid take theirs from the page's style sheet, so one figure
serves light, dark and print. Names come from users and plotly reads a little HTML, hence `_text`.
"""

import html
import math
from collections.abc import Sequence

import plotly.graph_objects as go

from src.reporting.study_numbers import Curve, History, Importances, Slice
from src.reporting.words import Comparison, format_number

BLUE, ORANGE, GREY, INK = "#3d85c6", "#d9762b", "#8a9099", "#1c2128"
CURVE_STYLE = {"pruned": (GREY, 1, 0.5), "median": (ORANGE, 2, 1.0), "best": (BLUE, 3, 1.0)}
ROW_HEIGHT = 30
MAX_LABEL = 40


def history_figure(history: History, metric: str) -> go.Figure:
    """Value by trial, the best so far, and where pruned trials were stopped."""
    figure = _figure(360, "trial", metric)
    figure.update_layout(dragmode="zoom")
    figure.add_scatter(
        x=history.pruned.numbers, y=history.pruned.values, mode="markers", name="pruned (last reported)",
        marker={"symbol": "x-thin", "size": 7, "line": {"color": GREY, "width": 1.5}},
    )  # fmt: skip
    figure.add_scatter(
        x=history.complete.numbers, y=history.complete.values, mode="markers", name="complete",
        marker={"color": BLUE, "size": 7, "opacity": 0.75},
    )  # fmt: skip
    figure.add_scatter(
        x=history.best.numbers, y=history.best.values, mode="lines", name="best so far",
        line={"color": ORANGE, "width": 2, "shape": "hv"},
    )  # fmt: skip
    return figure


def importance_figure(importances: Importances) -> go.Figure:
    """One bar per parameter, the most important on top."""
    names, shares = list(importances.shares), list(importances.shares.values())
    figure = _figure(70 + ROW_HEIGHT * len(names), "share", "")
    figure.add_bar(
        x=shares, y=list(range(len(names))), orientation="h", marker={"color": BLUE}, textposition="outside",
        text=[f"{share:.0%}" for share in shares], hoverinfo="skip", cliponaxis=False,
    )  # fmt: skip
    figure.update_xaxes(tickformat=".0%", rangemode="tozero", range=[0, max(shares) * 1.15 or 1])
    _name_rows(figure, names)
    return figure


def slice_figure(cut: Slice, metric: str) -> go.Figure:
    """One parameter against the value; later trials are deeper in colour."""
    figure = _figure(240, _text(cut.name), metric)
    xs = cut.xs if cut.scale != "category" else [cut.order.index(str(x)) for x in cut.xs]
    figure.add_scatter(
        x=xs, y=cut.ys, mode="markers", customdata=cut.numbers, showlegend=False,
        hovertemplate="trial %{customdata}: %{y}<extra></extra>",
        marker={"size": 6, "color": cut.numbers, "colorscale": [[0, "#a9c8e8"], [1, "#1f6fb8"]], "opacity": 0.85},
    )  # fmt: skip
    if cut.scale == "category":
        labels = [_text(label) for label in cut.order]
        places = list(range(len(labels)))
        figure.update_xaxes(tickvals=places, ticktext=labels, range=[-0.5, len(labels) - 0.5])
    elif cut.scale == "log":
        ticks = _log_ticks([float(x) for x in cut.xs])
        figure.update_xaxes(type="log", tickvals=ticks, ticktext=[f"{tick:.3g}".replace("e-0", "e-") for tick in ticks])
    return figure


def curves_figure(curves: Sequence[Curve], metric: str) -> go.Figure:
    """Validation score by step: pruned trials thin, the median trial, the best."""
    figure = _figure(380, "step", metric)
    figure.update_layout(dragmode="zoom")
    named: set[str] = set()
    for curve in curves:
        color, width, opacity = CURVE_STYLE[curve.role]
        label = "pruned" if curve.role == "pruned" else f"{curve.role}: trial {curve.number}"
        figure.add_scatter(
            x=curve.steps, y=curve.values, mode="lines" if len(curve.steps) > 1 else "markers", name=label,
            legendgroup=label, showlegend=label not in named, opacity=opacity,
            line={"color": color, "width": width}, marker={"color": color, "size": 5},
            hovertemplate=f"trial {curve.number}, step %{{x}}: %{{y}}<extra></extra>",
        )  # fmt: skip
        named.add(label)
    return figure


def baseline_figure(comparison: Comparison) -> go.Figure:
    """The model's bar, with its interval, above those of the baselines, the hardest to beat first.

    Bars of AUC start at 0.5, the score of a coin; bars of an error at 0.
    """
    scores = {"the model": comparison.model, **comparison.baselines}
    values = list(scores.values())
    base = 0.5 if comparison.metric == "AUC" else 0.0
    low, high = comparison.interval or (comparison.model, comparison.model)
    figure = _figure(90 + (ROW_HEIGHT + 6) * len(values), comparison.metric, "")
    figure.add_bar(
        x=[value - base for value in values], y=list(range(len(values))), base=base, orientation="h",
        marker={"color": [BLUE] + [ORANGE] * bool(comparison.baselines) + [GREY] * (len(values) - 2)}, hoverinfo="skip",
    )  # fmt: skip
    if comparison.interval:
        reach = {"array": [high - comparison.model], "arrayminus": [comparison.model - low]}
        figure.add_scatter(
            x=[comparison.model], y=[0], mode="markers", marker={"opacity": 0}, hoverinfo="skip",
            error_x={**reach, "color": INK, "width": 5, "thickness": 2},
        )  # fmt: skip
    ends = [high, *values[1:]]
    figure.update_xaxes(range=_padded(base, [low, *ends]))
    for row, (end, value) in enumerate(zip(ends, values, strict=True)):
        figure.add_annotation(
            x=max(end, base), y=row, text=format_number(value), showarrow=False, xanchor="left", xshift=6
        )
    figure.update_layout(showlegend=False)
    _name_rows(figure, list(scores))
    return figure


def _log_ticks(values: Sequence[float]) -> list[float]:
    """At most six ticks: powers of ten, and threefold ones where those alone would be too few."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    if high - low <= 2:
        return [factor * 10.0**power for power in range(low, high + 1) for factor in (1, 3)]
    return [10.0**power for power in range(low, high + 1, math.ceil((high - low) / 5))]


def _padded(base: float, values: Sequence[float]) -> list[float]:
    """An axis that holds the bars and leaves a fifth of its length for the numbers at their ends."""
    low, high = min(base, *values), max(base, *values)
    width = high - low or 1.0
    return [low - (0.05 * width if low < base else 0.0), high + 0.22 * width]


def _figure(height: int, x_title: str, y_title: str) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        template="none", height=height, dragmode=False, paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)",
        margin={"l": 8, "r": 12, "t": 8, "b": 8}, font={"size": 12, "family": "system-ui, sans-serif"},
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "bgcolor": "rgba(0,0,0,0)"},
        hoverlabel={"bgcolor": "#333333", "bordercolor": "#333333", "font": {"color": "#ffffff"}},
    )  # fmt: skip
    figure.update_xaxes(title={"text": x_title, "standoff": 8}, automargin=True, zeroline=False)
    figure.update_yaxes(title={"text": y_title, "standoff": 8}, automargin=True, zeroline=False)
    return figure


def _name_rows(figure: go.Figure, names: Sequence[str]) -> None:
    places, labels = list(range(len(names))), [_text(name) for name in names]
    figure.update_yaxes(
        tickvals=places, ticktext=labels, range=[len(names) - 0.4, -0.6], showgrid=False, ticklabelstandoff=6
    )


def _text(name: str) -> str:
    """A user's name as plotly shall show it: short, and without markup of its own."""
    return html.escape(name if len(name) <= MAX_LABEL else f"{name[: MAX_LABEL - 1]}…")
