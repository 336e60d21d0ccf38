"""The figures of a model's chapters, from `ModelNumbers` to `Plot`."""

from collections.abc import Sequence
from datetime import date, timedelta
from itertools import groupby

from src.reporting.document.plot import Axis, Band, Bars, Line, Mark, Number, Plot, Points, Role, Rule
from src.reporting.document.words import format_number, format_percent
from src.reporting.model.numbers import Bin, Choice, Effect, Feature, Groups, GroupScore, RankCurve, Span

ROW_HEIGHT = 24
MARGIN_HEIGHT = 110
MAX_BARS = 20
MIN_DAYS_DRAWN = 10
STABLE, SHIFTED = 0.1, 0.25
"""Thresholds of the population stability index, after Siddiqi."""
_ROLE_OF_PART: dict[str, Role] = {"training": "main", "gap": "muted", "validation": "accent", "test": "good"}
_DASHED_LEVEL: Role = "muted"


def periods_plot(groups: Groups, metric: str, baseline: str) -> Plot:
    """Score of model and baseline over time, with the model's interval."""
    known = drawn_periods(groups)
    x = [period_start(group.name) for group in known]
    marks: list[Mark] = [*_bands(x, [(group.low, group.high) for group in known])]
    marks.append(Line(x, [group.baseline for group in known], baseline, "accent", dashed=True))
    marks.append(Line(x, [group.score for group in known], "model"))
    notes = [f"{group.name}: {group.rows} rows" for group in known]
    marks.append(Points(x, [group.score for group in known], "model", notes=notes))
    return Plot(Axis(groups.kind, "date"), Axis(metric), marks, height=320)


def period_skills_plot(groups: Groups) -> Plot:
    """Skill over the baseline by period, with its interval."""
    known = [group for group in drawn_periods(groups) if group.skill is not None]
    x, y = [period_start(group.name) for group in known], [group.skill for group in known]
    marks: list[Mark] = [*_bands(x, [(group.skill_low, group.skill_high) for group in known])]
    marks += [Rule(0), Line(x, y, "skill"), Points(x, y, "skill")]
    return Plot(Axis(groups.kind, "date"), Axis("skill", percent=True), marks, height=320)


def drawn_periods(groups: Groups) -> list[GroupScore]:
    """The scored periods without those of a few days, which would stretch the y axis; the table has them.

    If no period has enough days, all scored periods.
    """
    scored = [group for group in groups.scores if group.score is not None]
    return [group for group in scored if (group.days or 0) >= MIN_DAYS_DRAWN] or scored


def _bands(x: Sequence[str], intervals: Sequence[tuple[float | None, float | None]]) -> list[Band]:
    """A band for each run of consecutive periods with an interval; a single one would have no width."""
    bands = []
    for has_interval, run in groupby(zip(x, intervals, strict=True), key=lambda item: item[1][0] is not None):
        of_run = list(run)
        if has_interval and len(of_run) > 1:
            lows, highs = ([bounds[side] or 0.0 for _, bounds in of_run] for side in (0, 1))
            bands.append(Band([place for place, _ in of_run], lows, highs, "95 % interval"))
    return bands


def period_start(name: str) -> str:
    """`2024-03` → `2024-03-01`, `2024 Q2` → `2024-04-01`, `2024` → `2024-01-01`."""
    year, _, quarter = name.partition(" Q")
    if quarter:
        return f"{year}-{3 * int(quarter) - 2:02d}-01"
    return f"{name}-01" if "-" in name else f"{name}-01-01"


def skill_plot(groups: Groups) -> Plot:
    """Skill over the baseline in each group, with its interval."""
    known = [group for group in groups.scores if group.skill is not None]
    skills = [group.skill or 0.0 for group in known]
    bounds = _bounds([(group.skill_low, group.skill_high) for group in known], skills)
    bars = Bars(
        place=range(len(known)),
        end=skills,
        roles=["good" if value > 0 else "bad" for value in skills],
        low=bounds[0],
        high=bounds[1],
        texts=[format_percent(value) for value in skills],
        across=True,
    )
    names = [group.name for group in known]
    return _listing(Axis("skill over the best naive baseline", percent=True), names, [bars, Rule(0, upright=True)])


def bins_plot(bins: Sequence[Bin], realised: str, predicted: str = "") -> Plot:
    """Mean realised value by bin of the prediction; the mean prediction as points, if it has the same unit."""
    means = [item.realised for item in bins]
    place = list(range(1, len(bins) + 1))
    bounds = _bounds([(item.low, item.high) for item in bins], means)
    roles: list[Role] = ["main"] if predicted else ["good" if mean > 0 else "bad" for mean in means]
    bars = Bars(place, means, name=realised if predicted else "", roles=roles, low=bounds[0], high=bounds[1])
    marks: list[Mark] = [bars]
    if predicted:
        marks.append(Points(place, [item.prediction for item in bins], predicted, "accent", size=9))
    x = Axis("predictions, from the lowest to the highest", ticks=[(i, str(i)) for i in place])
    return Plot(x, Axis(realised), [*marks, Rule(0)], legend=bool(predicted))


def _bounds(
    intervals: Sequence[tuple[float | None, float | None]], values: Sequence[float]
) -> tuple[Sequence[float], Sequence[float]]:
    """Both ends of each interval; empty if no value has one. A value without an interval gets one of width 0."""
    if all(low is None for low, _ in intervals):
        return (), ()
    known = [(value if low is None else low, value if high is None else high)
             for (low, high), value in zip(intervals, values, strict=True)]  # fmt: skip
    return [low for low, _ in known], [high for _, high in known]


def choices_plot(choices: Sequence[Choice]) -> Plot:
    """Net profit per day of taking only the highest bins, and of taking all."""
    place = list(range(len(choices)))
    means = [choice.per_day for choice in choices]
    bounds = _bounds([(choice.low, choice.high) for choice in choices], means)
    roles: list[Role] = ["good" if mean > 0 else "bad" for mean in means]
    bars = Bars(place, means, roles=roles, low=bounds[0], high=bounds[1])
    share = [f"{sum_of(choices, i) * 100:.0f}" for i in place]
    x = Axis("% of rows taken, highest predictions first", ticks=list(zip(place, share, strict=True)))
    everything = Rule(choices[-1].per_day, label="all", role="accent")
    return Plot(x, Axis("net profit per day"), [bars, Rule(0), everything], legend=False)


def sum_of(choices: Sequence[Choice], i: int) -> float:
    """The share of all rows that choice `i` takes."""
    return choices[i].rows / choices[-1].rows


def roc_plot(curve: RankCurve) -> Plot:
    """True positive rate against false positive rate, at every threshold."""
    marks = [Line((0, 1), (0, 1), "chance", _DASHED_LEVEL, dashed=True), Line(curve.x, curve.y, "model")]
    ends = (0.0, 1.0)
    recall = Axis("true positive rate", limits=ends, percent=True)
    return Plot(Axis("false positive rate", limits=ends, percent=True), recall, marks)


def precision_plot(curve: RankCurve, base_rate: float) -> Plot:
    """Precision by recall, with the base rate, which is the precision of random guessing."""
    ends = (0.0, 1.0)
    marks = [
        Line((0, 1), (base_rate, base_rate), "chance", _DASHED_LEVEL, dashed=True),
        Line(curve.x, curve.y, "model"),
    ]
    precision = Axis("precision", limits=ends, percent=True)
    return Plot(Axis("recall", limits=ends, percent=True), precision, marks)


def calibration_plot(bins: Sequence[Bin]) -> Plot:
    """Mean predicted probability against the realised rate, by bin."""
    x = [item.prediction for item in bins]
    top = max(value for item in bins for value in (item.prediction, item.realised, item.high or 0.0))
    marks: list[Mark] = [Line((0, top), (0, top), "perfect calibration", _DASHED_LEVEL, dashed=True)]
    if len(bins) > 1 and all(item.low is not None for item in bins):
        lows, highs = ([getattr(item, side) for item in bins] for side in ("low", "high"))
        marks.append(Band(x, lows, highs, "95 % interval"))
    rates, notes = [item.realised for item in bins], [f"{item.rows} rows" for item in bins]
    marks += [Line(x, rates, "model"), Points(x, rates, "model", notes=notes)]
    return Plot(Axis("predicted probability", percent=True), Axis("realised rate", percent=True), marks)


def gain_plot(features: Sequence[Feature]) -> Plot:
    """Share of the gain of the top features."""
    return _feature_bars(features, [feature.gain for feature in features], Axis("share of gain", percent=True))


def contribution_plot(features: Sequence[Feature], unit: str) -> Plot:
    """Mean absolute contribution of the top features."""
    return _feature_bars(
        features, [feature.contribution for feature in features], Axis(f"mean contribution, in {unit}")
    )


def missing_plot(features: Sequence[Feature]) -> Plot:
    """Share of rows in which a feature is missing."""
    return _feature_bars(features, [feature.missing for feature in features], Axis("missing", percent=True))


def shift_plot(features: Sequence[Feature]) -> Plot:
    """Population stability index, with the thresholds of stable and shifted."""
    values = [feature.shift or 0.0 for feature in features]
    roles: list[Role] = ["bad" if v > SHIFTED else "accent" if v > STABLE else "main" for v in values]
    bars = Bars(range(len(values)), values, roles=roles, texts=[f"{v:.2f}" for v in values], across=True)
    rules = [Rule(bound, upright=True) for bound in (STABLE, SHIFTED) if bound < max(values)]
    return _listing(Axis("population stability index"), [feature.name for feature in features], [bars, *rules])


def _feature_bars(features: Sequence[Feature], values: Sequence[float], axis: Axis) -> Plot:
    texts = [_share(value) if axis.percent else format_number(value) for value in values]
    bars = Bars(range(len(values)), values, texts=texts, across=True)
    return _listing(axis, [feature.name for feature in features], [bars])


def _share(value: float) -> str:
    """A share in per cent; a small positive share is not shown as 0."""
    return "<0.1 %" if 0 < value < 0.0005 else f"{100 * value:.1f} %"


def _listing(x: Axis, names: Sequence[str], marks: Sequence[Mark]) -> Plot:
    y = Axis(ticks=list(enumerate(names)), reverse=True)
    return Plot(x, y, marks, MARGIN_HEIGHT + ROW_HEIGHT * len(names), legend=False)


def effects_plot(effects: Sequence[Effect], unit: str) -> Plot:
    """A point per row: the feature's contribution to its prediction; the darker, the higher the feature's value."""
    shaded: tuple[list[Number], list[Number], list[float]] = ([], [], [])
    plain: tuple[list[Number], list[Number]] = ([], [])
    for row, effect in enumerate(effects):
        for value, offset, quantile in zip(
            effect.contributions, spread(effect.contributions), effect.quantiles, strict=True
        ):
            kept = plain if quantile is None else shaded
            kept[0].append(value)
            kept[1].append(round(row + offset, 3))
            if quantile is not None:
                shaded[2].append(quantile)
    marks: list[Mark] = [Rule(0, upright=True)]
    if plain[0]:
        marks.append(Points(*plain, "category or missing", "muted", size=4, opacity=0.5))
    if shaded[0]:
        low_to_high = "value, from low to high"
        marks.append(Points(shaded[0], shaded[1], size=4, opacity=0.7, shade=shaded[2], shade_title=low_to_high))
    y = Axis(ticks=[(i, effect.feature) for i, effect in enumerate(effects)], reverse=True)
    return Plot(Axis(f"contribution, in {unit}"), y, marks, MARGIN_HEIGHT + 44 * len(effects), legend=bool(plain[0]))


def spread(values: Sequence[float], n_bins: int = 40, width: float = 0.38) -> list[float]:
    """Vertical offsets that separate nearly equal values: the more there are, the wider; in the order of `values`."""
    low, high = min(values), max(values)
    scale = (n_bins - 1) / (high - low) if high > low else 0.0
    bins = [int((value - low) * scale) for value in values]
    crowd = {code: bins.count(code) for code in set(bins)}
    most, seen, offsets = max(crowd.values()), dict.fromkeys(crowd, 0), []
    for code in bins:
        rank, seen[code] = seen[code], seen[code] + 1
        side = 1 if rank % 2 else -1
        offsets.append(side * ((rank + 1) // 2) * 2 * width / max(most, 2))
    return offsets


def spans_plot(spans: Sequence[Span]) -> Plot:
    """The split on a time axis, one row per fit."""
    fits = list(dict.fromkeys(span.fit for span in spans))
    marks: list[Mark] = []
    for part, role in _ROLE_OF_PART.items():
        of_part = [span for span in spans if span.part == part]
        if of_part:
            ends = [str(date.fromisoformat(span.last) + timedelta(days=1)) for span in of_part]
            place = [fits.index(span.fit) for span in of_part]
            starts = [span.first for span in of_part]
            marks.append(Bars(place, ends, starts, part, [role], across=True, thickness=0.5))
    y = Axis(ticks=list(enumerate(fits)), reverse=True)
    return Plot(Axis("date", "date"), y, marks, MARGIN_HEIGHT + 40 * len(fits))
