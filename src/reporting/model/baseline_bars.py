"""The model beside naive forecasts, drawn."""

from src.reporting.document.plot import Axis, Bars, Plot, Role
from src.reporting.document.words import BaselineComparison, format_number

ROW_HEIGHT = 36


def baseline_plot(judged: BaselineComparison, best_trial: float | None = None) -> Plot:
    """The model's bar, with its interval, above those of the baselines, the hardest to beat first.

    Bars of AUC start at 0.5, the score of a coin; bars of an error at 0.

    Args:
        judged: the model and the baselines on the same rows.
        best_trial: the score of the best trial alone where the model is an ensemble; it stands below the model.
    """
    alone = {} if best_trial is None else {"its best trial alone": best_trial}
    scores = {"the model": judged.model, **alone, **judged.baselines}
    values = list(scores.values())
    base = 0.5 if judged.metric == "AUC" else 0.0
    low, high = judged.interval or (judged.model, judged.model)
    own: list[Role] = ["main" for _ in range(1 + len(alone))]
    naive: list[Role] = ["muted" if place else "accent" for place in range(len(judged.baselines))]
    bars = Bars(
        place=list(range(len(values))), end=values, start=[base] * len(values), roles=own + naive, across=True,
        low=[low, *values[1:]] if judged.interval else (), high=[high, *values[1:]] if judged.interval else (),
        texts=[format_number(value) for value in values],
    )  # fmt: skip
    rows = Axis(ticks=list(enumerate(scores)), reverse=True)
    return Plot(Axis(judged.metric), rows, [bars], height=90 + ROW_HEIGHT * len(values), legend=False)
