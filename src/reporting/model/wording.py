"""Sentences, captions and tables of a model's chapters: pure functions of its numbers, also true of a bad model."""

from collections.abc import Sequence

from src.reporting.document.blocks import Table
from src.reporting.document.words import drawn_intervals, format_interval, format_number, format_percent, with_interval
from src.reporting.model.numbers import Bin, Choice, Feature, Groups, ModelNumbers, ProfitByPrediction, RankCurves, Span
from src.reporting.model.plots import SHIFTED, STABLE, sum_of

NO_TEST = (
    "There is no test period (--test-fraction 0): the final model was trained on all rows, and there are no unseen "
    "rows to measure this on."
)
NO_DATES = "The table has no dates, so there are no scores over time."
NO_ACCOUNTS = "The table has no accounts, so there are no scores by account."
NO_SPLIT = "The model has no splits: it predicts one constant for all rows."
ONE_CLASS = "The test rows have only one class, so there are no ROC and precision-recall curves."
SHUFFLED = "The table has no dates: rows were shuffled with the seed, so there is no time axis to draw."
SAME_TABLE = "The numbers are in the first table of the previous chapter."
PERIOD_SKILL_CAPTION = (
    "Above zero the model is better than the best naive baseline. Bands: 95 % intervals, as in the other figure."
)
CALIBRATION_CAPTION = (
    "On the dashed line, the realised rate equals the predicted probability. Each point is one bin of the table below."
)
EFFECTS_CAPTION = (
    "Each point is a row: right of zero the feature raised the prediction, left of zero it lowered it. The darker the "
    "colour, the higher the feature's value among these rows."
)
PROFIT_CAVEAT = (
    "Net profit is the table's net profit of each row as it was traded; a row that is not taken earns 0. The bins are "
    "computed from the whole test period, which is not possible in advance, and no share to take was chosen in "
    "advance: the best of these bars is too optimistic."
)
TAKEN = 0.3
"""The share of rows whose profit the text states: fixed in advance, so that it is not selected by its result."""


def why_no_profit(numbers: ModelNumbers) -> str:
    """Why there is no net profit."""
    if not numbers.has_net_profit:
        return (
            "The table has no numeric column net_profit beside its features, so the net profit of these predictions "
            "is unknown."
        )
    return "No test row has a net profit, so the net profit of these predictions is unknown."


def rows_word(numbers: ModelNumbers) -> str:
    """The word for rows: account-days, if the table has accounts."""
    return "rows" if numbers.accounts_total is None else "account-days"


def profit_verdict(numbers: ModelNumbers, money: ProfitByPrediction) -> str:
    """Net profit of the highest and the lowest predictions, and of taking only the highest ones."""
    days = "" if money.days is None else f" of {money.days} days"
    text = f"The {money.rows:,} test {rows_word(numbers)}{days} earned {format_number(money.per_row)} each on average."
    if len(money.bins) < 2:
        return f"{text} There are too few rows, or too few different predictions of {numbers.target}, for bins."
    top, low = money.bins[-1], money.bins[0]
    text += (
        f" Those with the highest predictions of {numbers.target} ({_share(top, money)}) earned {_mean(top)}, those "
        f"with the lowest ({_share(low, money)}) {_mean(low)}."
    )
    return text + _choice_sentence(money.choices)


def profit_in_short(money: ProfitByPrediction) -> str:
    """The sentence of the summary on taking only the highest predictions; empty if unknown."""
    sentence = _choice_sentence(money.choices).strip()
    return f"Net profit on the test days: {sentence[0].lower()}{sentence[1:]}" if sentence else ""


def _share(item: Bin, money: ProfitByPrediction) -> str:
    return f"{item.rows / money.rows:.0%} of rows".replace("%", " %")


def _mean(item: Bin) -> str:
    return with_interval(item.realised, _pair(item.low, item.high))


def _choice_sentence(choices: Sequence[Choice]) -> str:
    """A sentence on the choice nearest to the fixed share of rows."""
    fewer = range(len(choices) - 1)
    if not fewer:
        return ""
    at = min(fewer, key=lambda i: abs(sum_of(choices, i) - TAKEN))
    choice, everything = choices[at], choices[-1]
    share = f"{sum_of(choices, at):.0%}".replace("%", " %")
    text = (
        f" Taking only the highest {share} of predictions would have earned {format_number(choice.per_day)} per day, "
        f"taking all {format_number(everything.per_day)}: a difference of {format_number(choice.gain)}"
    )
    bounds = _pair(choice.gain_low, choice.gain_high)
    if bounds is None:
        return f"{text}; there are too few days for an interval."
    low, high = bounds
    is_sure = "includes zero: it may be chance" if low <= 0 <= high else "does not include zero"
    return f"{text}, whose 95 % interval, {format_number(low)} to {format_number(high)}, {is_sure}."


def bins_caption(money: ProfitByPrediction) -> str:
    """Caption of the bars of net profit by bin."""
    text = f"Mean net profit of a row by prediction, in {len(money.bins)} bins of equal size, as far as ties allow."
    return f"{text} {drawn_intervals([item.low for item in money.bins])}"


def choices_caption(choices: Sequence[Choice]) -> str:
    """Caption of the bars of net profit per day."""
    text = "Net profit per day if only the rows with the highest predictions are taken. Dotted: taking all rows."
    return f"{text} {drawn_intervals([choice.low for choice in choices])}"


def bins_table(bins: Sequence[Bin], realised: str) -> Table:
    """One row per bin."""
    columns = ("bin", "rows", "days", "mean prediction", realised, "95 % interval")
    rows = [
        (i, item.rows, item.days, item.prediction, item.realised, format_interval((item.low, item.high)))
        for i, item in enumerate(bins, 1)
    ]
    return _without_empty(Table(columns, tuple(rows)))


def choices_table(choices: Sequence[Choice]) -> Table:
    """One row per share taken."""
    columns = (
        "share taken", "rows", "net profit per row", "net profit per day", "95 % interval",
        "difference to all, per day", "its 95 % interval",
    )  # fmt: skip
    rows = [
        (
            f"{sum_of(choices, i):.0%}".replace("%", " %"), choice.rows, choice.per_row, choice.per_day,
            format_interval((choice.low, choice.high)),
            choice.gain, format_interval((choice.gain_low, choice.gain_high)),
        )
        for i, choice in enumerate(choices)
    ]  # fmt: skip
    return _without_empty(Table(columns, tuple(rows)))


def _without_empty(table: Table) -> Table:
    """The table without its empty columns."""
    kept = [i for i in range(len(table.columns)) if any(row[i] is not None for row in table.rows)]
    return Table(tuple(table.columns[i] for i in kept), tuple(tuple(row[i] for i in kept) for row in table.rows))


def fit_sentence(numbers: ModelNumbers) -> str:
    """Whether higher predictions had higher realised values, and whether their spread is right."""
    bins = numbers.deciles
    if len(bins) < 2:
        return "There are too few rows, or too few different predictions, for bins."
    predicted, realised = (getattr(bins[-1], name) - getattr(bins[0], name) for name in ("prediction", "realised"))
    text = (
        f"From the lowest to the highest bin, the mean prediction of {numbers.target} rises by "
        f"{format_number(predicted)}, the mean realised value by {format_number(realised)}."
    )
    if realised <= 0:
        return f"{text} Higher predictions did not have higher realised values."
    if numbers.metric == "mae":
        text += " MAE is minimised by the median, which may be far from the mean that is shown here."
    return text


def deciles_caption(numbers: ModelNumbers) -> str:
    """Caption of the bars and points."""
    text = f"Bars: mean realised {numbers.target} on the test rows. Points: mean prediction."
    return f"{text} {drawn_intervals([item.low for item in numbers.deciles])}"


def roc_caption(curves: RankCurves) -> str:
    """The area under the ROC curve and its meaning."""
    area = format_number(curves.roc.area)
    return f"Area {area}: the probability that a row with a one has a higher prediction than a row with a zero."


def precision_caption(curves: RankCurves) -> str:
    """The average precision; random guessing for comparison."""
    return f"Average precision {format_number(curves.precision_recall.area)}; random guessing has the base rate."


def periods_caption(groups: Groups, metric: str, n_left_out: int) -> str:
    """What is drawn, and how many periods are left out because they have few days."""
    lows = [group.low for group in groups.scores if group.score is not None]
    text = f"{metric} by {groups.kind}. {drawn_intervals(lows, 'Bands')}"
    if not n_left_out:
        return text
    return f"{text} Not drawn: {n_left_out} with too few days; the table below has them."


def groups_sentence(groups: Groups) -> str:
    """In how many groups the model is better, and in how many the interval excludes zero."""
    known = [group for group in groups.scores if group.skill is not None]
    if not known:
        return f"By {groups.kind} ({groups.rule}): no group could be scored."
    better = sum((group.skill or 0.0) > 0 for group in known)
    made = f" ({groups.rule})" if groups.kind.startswith("group") else ""
    text = f"By {groups.kind}{made}: the model is better than the baseline in {better} of {len(known)}."
    sure = [(g.skill_low, g.skill_high) for g in known if g.skill_low is not None and g.skill_high is not None]
    if sure:
        above, below = sum(low > 0 for low, _ in sure), sum(high < 0 for _, high in sure)
        text += f" The skill's 95 % interval is above zero in {above} of {len(sure)}, below zero in {below}."
    return text


def skill_caption(groups: Groups) -> str:
    """Caption of the bars of skill."""
    lows = [group.skill_low for group in groups.scores if group.skill is not None]
    return f"Right of zero the model is better than the best naive baseline. {drawn_intervals(lows)}"


def groups_table(groups: Groups, metric: str, limit: int) -> Table:
    """One row per group; if there are more than `limit`, the last ones."""
    columns = (groups.kind, "rows", "days", metric, "95 % interval", "baseline", "skill", "skill's 95 % interval")
    rows = [
        (
            group.name, group.rows, group.days, group.score, format_interval((group.low, group.high)), group.baseline,
            None if group.skill is None else format_percent(group.skill),
            format_interval((group.skill_low, group.skill_high), format_percent),
        )
        for group in groups.scores[-limit:]
    ]  # fmt: skip
    return _without_empty(Table(columns, tuple(rows)))


def features_sentence(numbers: ModelNumbers, used: Sequence[Feature]) -> str:
    """How many features the model uses, and which is the most important."""
    half, total = 0, 0.0
    while total < 0.5 and half < len(used):
        total += used[half].gain
        half += 1
    word = "feature makes" if half == 1 else f"{half} features make"
    first = "One" if half == 1 else "The first"
    text = f"The model splits on {len(used)} of {len(numbers.features)} features. {first} {word} half of the gain."
    if numbers.effects:
        text += f" {numbers.effects[0].feature} has the largest mean contribution."
    return text


def gain_caption(n_used: int, is_ensemble: bool) -> str:
    """Caption of the bars of gain."""
    members = ", summed over the ensemble's members, unweighted" if is_ensemble else ""
    return f"Reduction of the training loss by splits on the feature{members}.{_top(n_used)}"


def contribution_caption(numbers: ModelNumbers) -> str:
    """Caption of the bars of contribution."""
    part = "test" if numbers.explained_part == "test" else "training"
    return f"Mean absolute contribution of a feature to a prediction, over {numbers.explained:,} drawn {part} rows."


def _top(n: int, limit: int = 20) -> str:
    return f" The top {limit} of {n}." if n > limit else ""


def data_sentence(numbers: ModelNumbers) -> str:
    """Rows, features, accounts."""
    rows = sum(part.rows for part in numbers.parts)
    accounts = "" if numbers.accounts_total is None else f" of {numbers.accounts_total:,} accounts"
    return f"{rows:,} {rows_word(numbers)}{accounts}, {len(numbers.features):,} features."


def parts_table(numbers: ModelNumbers) -> Table:
    """One row per part of the table."""
    columns = ("part", "rows", "days", "accounts", "from", "to", f"mean {numbers.target}")
    rows = [(p.name, p.rows, p.days, p.accounts, p.first, p.last, p.target_mean) for p in numbers.parts]
    return _without_empty(Table(columns, tuple(rows)))


def spans_caption(numbers: ModelNumbers) -> str:
    """Caption of the split, with the dates of the gaps, which may be too narrow to see."""
    text = "The dates that each fit is trained and scored on."
    gaps = [span for span in numbers.spans if span.part == "gap"]
    if not gaps:
        return f"{text} No dates are purged between them."
    return f"{text} Purged between them: {'; '.join(_gap(span) for span in gaps)}."


def _gap(span: Span) -> str:
    return span.first if span.first == span.last else f"{span.first} to {span.last}"


def shift_caption(numbers: ModelNumbers, moved: Sequence[Feature]) -> str:
    """Caption of the index: how to read it, and how many features shifted."""
    count = {part.name: part.rows for part in numbers.parts}
    chance = 9 * (1 / count["search"] + 1 / count["test"])
    shifted = sum((feature.shift or 0.0) > SHIFTED for feature in moved)
    return (
        f"Population stability index of test rows against search rows: below {STABLE} stable, above {SHIFTED} shifted; "
        f"{shifted} of {len(moved)} features are shifted. By chance alone it is about {chance:.1g} with so many rows."
    )


def _pair(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)
