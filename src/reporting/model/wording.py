"""Sentences, captions and tables of a model's page: pure functions of its numbers, true also where they are bad."""

from collections.abc import Sequence

from src.reporting.document.blocks import Table
from src.reporting.document.words import drawn_intervals, format_number, format_percent, with_interval
from src.reporting.model.numbers import Bin, Choice, Feature, Groups, ModelNumbers, ProfitByPrediction, RankCurves, Span
from src.reporting.model.plots import SHIFTED, STABLE, sum_of

NO_TEST = (
    "There is no test period (--test-fraction 0): the final model was trained on every row, and none is left on which "
    "this could be seen honestly."
)
NO_DATES = "The table has no dates, so that nothing can be said about its course over time."
NO_ACCOUNTS = "Rows belong to no account, so that accounts cannot be compared."
NO_SPLIT = "The model never splits: it predicts one constant, whatever the features are."
ONE_CLASS = "The test rows hold one class only, so that there is no curve of how well the two are told apart."
SHUFFLED = "The table has no dates: rows were shuffled with the seed, so that there is no time axis to draw."
SAME_TABLE = "The numbers stand in the first table of the chapter before."
PERIOD_SKILL_CAPTION = "Above zero the model is better than the best naive forecast; bands: 95 % intervals as beside."
CALIBRATION_CAPTION = (
    "A point on the dashed line: what is said to happen with this probability happened as often. Each point is "
    "one bin of the table below."
)
EFFECTS_CAPTION = (
    "Each point is a row: right of zero the feature raised the prediction, left of it lowered it; the deeper the "
    "colour, the higher the feature's value among these rows."
)
PROFIT_CAVEAT = (
    "Net profit is what the table says each row earned, as it was traded; what is not taken earns nothing. The "
    "predictions are cut into bins over the whole test period, which nobody could do beforehand, and nobody had "
    "chosen a share to take: the best of these bars flatters."
)
TAKEN = 0.3
"""The share of rows whose profit is told in words: fixed, so that it is not the one that came out best."""


def why_no_profit(numbers: ModelNumbers) -> str:
    """Why net profit cannot be told."""
    if not numbers.has_net_profit:
        return (
            "The table has no column net_profit of numbers beside its features, so that it is not known what these "
            "predictions would have earned."
        )
    return "No test row says what it earned, so that these predictions cannot be counted in money."


def rows_word(numbers: ModelNumbers) -> str:
    """What a row is."""
    return "rows" if numbers.accounts_total is None else "account-days"


def profit_verdict(numbers: ModelNumbers, money: ProfitByPrediction) -> str:
    """What the highest and the lowest predictions earned, and whether choosing among them would have paid."""
    days = "" if money.days is None else f" of {money.days} days"
    said = f"The {money.rows:,} test {rows_word(numbers)}{days} earned {format_number(money.per_row)} each on average."
    if len(money.bins) < 2:
        return f"{said} Their predictions of {numbers.target} are too few or too equal to be told apart."
    top, low = money.bins[-1], money.bins[0]
    said += (
        f" Those with the highest predictions of {numbers.target} ({_share(top, money)}) earned {_mean(top)}, those "
        f"with the lowest ({_share(low, money)}) {_mean(low)}."
    )
    return said + _choice_sentence(money.choices)


def profit_in_short(money: ProfitByPrediction) -> str:
    """Whether choosing by prediction would have paid, for a reader in a hurry; empty where it cannot be told."""
    said = _choice_sentence(money.choices).strip()
    return f"In money, on the test days: {said[0].lower()}{said[1:]}" if said else ""


def _share(each: Bin, money: ProfitByPrediction) -> str:
    return f"{each.rows / money.rows:.0%} of rows".replace("%", " %")


def _mean(each: Bin) -> str:
    return with_interval(each.realised, _pair(each.low, each.high))


def _choice_sentence(choices: Sequence[Choice]) -> str:
    """About the choice next to the fixed share of rows."""
    fewer = range(len(choices) - 1)
    if not fewer:
        return ""
    at = min(fewer, key=lambda i: abs(sum_of(choices, i) - TAKEN))
    choice, everything = choices[at], choices[-1]
    share = f"{sum_of(choices, at):.0%}".replace("%", " %")
    said = (
        f" Taking only the highest {share} of predictions would have earned {format_number(choice.per_day)} a day in "
        f"all, taking everything {format_number(everything.per_day)}: a difference of {format_number(choice.gain)}"
    )
    bounds = _pair(choice.gain_low, choice.gain_high)
    if bounds is None:
        return f"{said}; there are too few days to say how sure that is."
    low, high = bounds
    is_sure = "includes zero: it may be chance" if low <= 0 <= high else "does not include zero"
    return f"{said}, whose 95 % interval, {format_number(low)} to {format_number(high)}, {is_sure}."


def bins_caption(money: ProfitByPrediction) -> str:
    """What the bars of net profit are."""
    said = f"Mean net profit of a row by prediction, {len(money.bins)} bins as equal in size as ties allow."
    return f"{said} {drawn_intervals([each.low for each in money.bins])}"


def choices_caption(choices: Sequence[Choice]) -> str:
    """What the bars of net profit a day are."""
    said = "Net profit a day if only the rows of the highest predictions are taken. Dotted: taking all."
    return f"{said} {drawn_intervals([each.low for each in choices])}"


def bins_table(bins: Sequence[Bin], realised: str) -> Table:
    """One row per bin."""
    columns = ("bin", "rows", "days", "mean prediction", realised, "95 % interval")
    rows = [
        (i, each.rows, each.days, each.prediction, each.realised, _interval(each.low, each.high))
        for i, each in enumerate(bins, 1)
    ]
    return _without_empty(Table(columns, tuple(rows)))


def choices_table(choices: Sequence[Choice]) -> Table:
    """One row per share taken."""
    columns = (
        "share taken", "rows", "net profit a row", "net profit a day", "95 % interval",
        "more than all, a day", "its 95 % interval",
    )  # fmt: skip
    rows = [
        (
            f"{sum_of(choices, i):.0%}".replace("%", " %"), each.rows, each.per_row, each.per_day,
            _interval(each.low, each.high), each.gain, _interval(each.gain_low, each.gain_high),
        )
        for i, each in enumerate(choices)
    ]  # fmt: skip
    return _without_empty(Table(columns, tuple(rows)))


def _without_empty(table: Table) -> Table:
    """Without columns that hold nothing in any row."""
    kept = [i for i in range(len(table.columns)) if any(row[i] is not None for row in table.rows)]
    return Table(tuple(table.columns[i] for i in kept), tuple(tuple(row[i] for i in kept) for row in table.rows))


def fit_sentence(numbers: ModelNumbers) -> str:
    """Whether higher predictions came with higher values, and whether their spread is right."""
    bins = numbers.deciles
    if len(bins) < 2:
        return "The predictions are too few or too equal to be told apart."
    predicted, realised = (getattr(bins[-1], name) - getattr(bins[0], name) for name in ("prediction", "realised"))
    said = (
        f"From the lowest to the highest predictions the mean prediction of {numbers.target} rises by "
        f"{format_number(predicted)}, what came true by {format_number(realised)}."
    )
    if realised <= 0:
        return f"{said} Higher predictions did not come with higher values."
    if numbers.metric == "mae":
        said += " A model judged by MAE aims at the median, which may lie far from the mean that is shown here."
    return said


def deciles_caption(numbers: ModelNumbers) -> str:
    """What bars and points are."""
    said = f"Bars: mean of {numbers.target} that came true on the test rows. Points: mean prediction."
    return f"{said} {drawn_intervals([each.low for each in numbers.deciles])}"


def roc_caption(curves: RankCurves) -> str:
    """The area and what it means."""
    area = format_number(curves.roc.area)
    return f"Area {area}: the chance that a row with a one gets a higher prediction than a row with a zero."


def precision_caption(curves: RankCurves) -> str:
    """The area beside chance."""
    return f"Average precision {format_number(curves.precision_recall.area)}; guessing has the base rate."


def periods_caption(groups: Groups, metric: str, n_left_out: int) -> str:
    """What is drawn, and how many periods of a few days are not."""
    lows = [group.low for group in groups.scores if group.score is not None]
    said = f"{metric} by {groups.kind}. {drawn_intervals(lows, 'Bands')}"
    if not n_left_out:
        return said
    return f"{said} Not drawn: {n_left_out} with too few days, in the table below."


def groups_sentence(groups: Groups) -> str:
    """In how many groups the model is better, and in how many that is more than chance."""
    known = [group for group in groups.scores if group.skill is not None]
    if not known:
        return f"By {groups.kind} ({groups.rule}) nothing could be scored."
    better = sum((group.skill or 0.0) > 0 for group in known)
    made = f" ({groups.rule})" if groups.kind.startswith("group") else ""
    said = f"By {groups.kind}{made}: the model is better than that forecast in {better} of {len(known)}."
    sure = [(g.skill_low, g.skill_high) for g in known if g.skill_low is not None and g.skill_high is not None]
    if sure:
        above, below = sum(low > 0 for low, _ in sure), sum(high < 0 for _, high in sure)
        said += f" The skill's 95 % interval lies above zero in {above} of {len(sure)}, below zero in {below}."
    return said


def skill_caption(groups: Groups) -> str:
    """What the bars are."""
    lows = [group.skill_low for group in groups.scores if group.skill is not None]
    return f"Right of zero the model is better than the best naive forecast. {drawn_intervals(lows)}"


def groups_table(groups: Groups, metric: str, limit: int) -> Table:
    """One row per group, the last ones where there are too many."""
    columns = (groups.kind, "rows", "days", metric, "95 % interval", "naive", "skill", "skill's 95 % interval")
    rows = [
        (
            group.name, group.rows, group.days, group.score, _interval(group.low, group.high), group.baseline,
            None if group.skill is None else format_percent(group.skill),
            None if group.skill_low is None or group.skill_high is None
            else f"{format_percent(group.skill_low)} to {format_percent(group.skill_high)}",
        )
        for group in groups.scores[-limit:]
    ]  # fmt: skip
    return _without_empty(Table(columns, tuple(rows)))


def features_sentence(numbers: ModelNumbers, used: Sequence[Feature]) -> str:
    """How many features count, and which most."""
    half, total = 0, 0.0
    while total < 0.5 and half < len(used):
        total += used[half].gain
        half += 1
    word = "feature makes" if half == 1 else f"{half} features make"
    first = "One" if half == 1 else "The first"
    said = f"The model splits on {len(used)} of {len(numbers.features)} features. {first} {word} half of the gain."
    if numbers.effects:
        said += f" {numbers.effects[0].feature} moves predictions most."
    return said


def gain_caption(n_used: int, is_ensemble: bool) -> str:
    """What gain is."""
    members = ", added up over the ensemble's members whatever their weight" if is_ensemble else ""
    return f"By how much splits on a feature lowered the training loss{members}.{_top(n_used)}"


def contribution_caption(numbers: ModelNumbers) -> str:
    """Which rows it was computed for."""
    part = "test" if numbers.explained_part == "test" else "training"
    return f"Mean size of a feature's contribution to a prediction, over {numbers.explained:,} {part} rows drawn."


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
    """What the rows are, and how wide the gaps: at this scale they may be too narrow to be seen."""
    said = "What each fit learns from and is judged on."
    gaps = [span for span in numbers.spans if span.part == "gap"]
    if not gaps:
        return f"{said} Nothing is purged between."
    return f"{said} Purged between: {'; '.join(_gap(span) for span in gaps)}."


def _gap(span: Span) -> str:
    return span.first if span.first == span.last else f"{span.first} to {span.last}"


def shift_caption(numbers: ModelNumbers, moved: Sequence[Feature]) -> str:
    """How to read the index, and how many features shifted."""
    count = {part.name: part.rows for part in numbers.parts}
    chance = 9 * (1 / count["search"] + 1 / count["test"])
    shifted = sum((feature.shift or 0.0) > SHIFTED for feature in moved)
    return (
        f"How differently a feature is distributed in test and search rows: below {STABLE} stable, above {SHIFTED} "
        f"shifted, as {shifted} of {len(moved)} are. About {chance:.1g} is chance with so many rows."
    )


def _pair(low: float | None, high: float | None) -> tuple[float, float] | None:
    return None if low is None or high is None else (low, high)


def _interval(low: float | None, high: float | None) -> str | None:
    return None if low is None or high is None else f"{format_number(low)} to {format_number(high)}"
