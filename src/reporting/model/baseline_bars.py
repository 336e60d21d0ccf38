"""Bar chart of the model and the naive baselines."""

from src.reporting.document.plot import Axis, Bars, Plot, Role
from src.reporting.document.words import BaselineComparison, format_number

ROW_HEIGHT = 36


def baseline_plot(comparison: BaselineComparison, best_trial: float | None = None) -> Plot:
    """The model's bar with its interval, below it the baselines, the best first.

    Bars of AUC start at 0.5, the score of random guessing; bars of an error start at 0.

    Args:
        comparison: the model and the baselines on the same rows.
        best_trial: the score of the best trial alone, if the model is an ensemble; drawn below the model.
    """
    alone = {} if best_trial is None else {"best trial alone": best_trial}
    scores = {"the model": comparison.model, **alone, **comparison.baselines}
    values = list(scores.values())
    base = 0.5 if comparison.metric == "AUC" else 0.0
    low, high = comparison.interval or (comparison.model, comparison.model)
    own: list[Role] = ["main" for _ in range(1 + len(alone))]
    naive: list[Role] = ["muted" if place else "accent" for place in range(len(comparison.baselines))]
    bars = Bars(
        place=list(range(len(values))), end=values, start=[base] * len(values), roles=own + naive, across=True,
        low=[low, *values[1:]] if comparison.interval else (), high=[high, *values[1:]] if comparison.interval else (),
        texts=[format_number(value) for value in values],
    )  # fmt: skip
    rows = Axis(ticks=list(enumerate(scores)), reverse=True)
    return Plot(Axis(comparison.metric), rows, [bars], height=90 + ROW_HEIGHT * len(values), legend=False)
