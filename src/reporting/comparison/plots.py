"""Figures of the multi-target report. A study has the same colour and the same row in all of them."""

from collections.abc import Sequence

from src.reporting.comparison.agreement import MEAN_RANK, EarnedProfit, ModelPair
from src.reporting.comparison.numbers import MOST_OF_THE_GAIN, ChoiceSpread, Convergence, NumericSpread, Skill
from src.reporting.document.plot import Axis, Bars, Heat, Line, Mark, Plot, Points, Role, Rule
from src.reporting.document.words import format_number, format_percent

HEAD, ROW = 90, 34
"""Height in CSS pixels of a figure's axis and margins, and of one row."""


def skill_plot(skills: Sequence[Skill]) -> Plot:
    """A bar for each model, with its interval if known; zero is the best naive baseline."""
    roles: list[Role] = ["good" if skill.skill > 0 else "bad" for skill in skills]
    bars = Bars(
        range(len(skills)),
        [skill.skill for skill in skills],
        roles=roles,
        low=[skill.skill if skill.low is None else skill.low for skill in skills],
        high=[skill.skill if skill.high is None else skill.high for skill in skills],
        texts=[format_percent(skill.skill) for skill in skills],
        across=True,
    )
    x = Axis("skill over the best naive baseline", percent=True)
    return _rows([skill.label for skill in skills], x, [Rule(0.0, upright=True), bars])


def convergence_plot(convergences: Sequence[Convergence], labels: Sequence[str]) -> Plot:
    """A step line for each study."""
    marks = [
        Line(
            convergence.shares,
            convergence.gains,
            convergence.label,
            role="series",
            series_index=labels.index(convergence.label),
            step=True,
        )
        for convergence in convergences
    ]
    x = Axis("share of the finished trials", limits=(0.0, 1.02), percent=True)
    y = Axis("share of the improvement from first to best", limits=(-0.03, 1.05), percent=True)
    return Plot(x, y, [Rule(MOST_OF_THE_GAIN), *marks], height=380)


def spread_plot(spread: NumericSpread, labels: Sequence[str]) -> Plot:
    """A row for each study: range of the good values as a line, middle half as a bar, median as a point."""
    marks: list[Mark] = []
    for row, quartiles in enumerate(spread.rows):
        index, note = (
            labels.index(quartiles.label),
            f"{quartiles.label}: median {format_number(quartiles.median)} of {quartiles.n} trials",
        )
        marks += [
            Line([quartiles.low, quartiles.high], [row, row], role="muted", width=1.0),
            Line(
                [quartiles.first, quartiles.third],
                [row, row],
                role="series",
                series_index=index,
                width=12.0,
                opacity=0.4,
            ),
            Points([quartiles.median], [row], role="series", series_index=index, size=9.0, opacity=1.0, notes=[note]),
        ]
    x = Axis(scale="log" if spread.log else "linear", limits=_wider(spread))
    return _rows([quartiles.label for quartiles in spread.rows], x, marks)


def choice_plot(spread: ChoiceSpread) -> Plot:
    """A row for each study, a column for each choice; the darker, the more good trials have it."""
    texts = [[f"{share:.0%}".replace("%", " %") for share in row] for row in spread.shares]
    heat = Heat(range(len(spread.choices)), range(len(spread.labels)), spread.shares, "share", texts)
    return _rows(spread.labels, _named(spread.choices), [heat])


def agreement_plot(pairs: Sequence[ModelPair], labels: Sequence[str]) -> Plot:
    """Spearman's correlation of every two models; blank if there is none."""
    correlations = {frozenset(pair.labels): pair.correlation for pair in pairs}
    z = [[1.0 if a == b else correlations.get(frozenset((a, b))) for b in labels] for a in labels]
    texts = [["" if value is None else f"{value:.2f}" for value in row] for row in z]
    heat = Heat(range(len(labels)), range(len(labels)), z, "rank correlation", texts, centred=True)
    return _rows(labels, _named(labels), [heat])


def profit_plot(earned: EarnedProfit) -> Plot:
    """A bar with interval for each ranking; the line is the mean of all rows."""
    values = [mean for _, mean, _ in earned.rows]
    bounds = [interval or (mean, mean) for _, mean, interval in earned.rows]
    bars = Bars(
        range(len(values)),
        values,
        roles=["accent" if label == MEAN_RANK else "main" for label, _, _ in earned.rows],
        low=[low for low, _ in bounds],
        high=[high for _, high in bounds],
        across=True,
    )
    rule = Rule(earned.mean_of_all, upright=True)
    return _rows([label for label, _, _ in earned.rows], Axis("mean net profit"), [bars, rule])


def _rows(labels: Sequence[str], x: Axis, marks: Sequence[Mark]) -> Plot:
    ticks = [(float(i), label) for i, label in enumerate(labels)]
    y = Axis(ticks=ticks, limits=(-0.6, len(labels) - 0.4), reverse=True)
    return Plot(x, y, marks, height=HEAD + ROW * len(labels), legend=False)


def _named(names: Sequence[str]) -> Axis:
    return Axis(ticks=[(float(i), name) for i, name in enumerate(names)], limits=(-0.5, len(names) - 0.5))


def _wider(spread: NumericSpread) -> tuple[float, float]:
    """The search range of the parameter, with room for marks at its ends."""
    low, high = spread.limits
    if spread.log:
        margin = (high / low) ** 0.03
        return low / margin, high * margin
    margin = 0.03 * (high - low) or 0.5
    return low - margin, high + margin
