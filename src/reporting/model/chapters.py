"""The chapters of a final model: net profit, fit, stability, features, data.

If there are no test rows, the chapters about them say so. Scores of all naive baselines are in the report's chapter on
baselines.
"""

from src.config import NET_PROFIT
from src.reporting.document.blocks import Block, Chapter, Facts, Figure, Grid, Paragraph, TableBlock
from src.reporting.document.words import Metadata, describe_baseline, format_number, metric_name, short_period
from src.reporting.model import plots as draw
from src.reporting.model import wording as say
from src.reporting.model.derived_features import derived_chapter
from src.reporting.model.monotone import monotone_chapter
from src.reporting.model.numbers import Groups, ModelNumbers, RankCurves

MAX_MISSING = 15
MAX_SHIFTED = 15
MAX_ROWS_SHOWN = 60
LOWEST_FIRST = "Bins of predictions, the lowest first"


def model_chapters(numbers: ModelNumbers, metadata: Metadata) -> list[Chapter]:
    """The model's chapters, the most important first.

    Args:
        numbers: as measured when the model was trained.
        metadata: of the same model.
    """
    optional = [chapter for chapter in (derived_chapter(metadata), monotone_chapter(metadata)) if chapter is not None]
    return [
        _money(numbers),
        _fit(numbers),
        _stability(numbers, metric_name({"metric": numbers.metric} | dict(metadata))),
        _features(numbers, bool(metadata.get("members"))),
        *optional,
        _data(numbers),
    ]


def _money(numbers: ModelNumbers) -> Chapter:
    money = numbers.money
    if money is None:
        why = say.NO_TEST if not numbers.deciles else say.why_no_profit(numbers)
        return Chapter("money", "Net profit by prediction", [Paragraph(why, "note")])
    blocks: list[Block] = [Paragraph(say.profit_verdict(numbers, money), "verdict")]
    if len(money.bins) > 1:
        blocks += _short_test(numbers)
        figures = [
            Figure("money-bins", draw.bins_plot(money.bins, "mean net profit of a row"), say.bins_caption(money))
        ]
        if money.choices:
            figures.append(
                Figure("money-choices", draw.choices_plot(money.choices), say.choices_caption(money.choices))
            )
        blocks += [Grid(figures), Paragraph(say.PROFIT_CAVEAT, "note")]
        blocks.append(TableBlock(say.bins_table(money.bins, "mean net profit"), LOWEST_FIRST))
    if len(money.choices) > 1:
        blocks.append(TableBlock(say.choices_table(money.choices), "Taking only the highest predictions"))
    return Chapter("money", "Net profit by prediction", blocks)


def _short_test(numbers: ModelNumbers) -> list[Block]:
    warning = short_period(next((part.days for part in numbers.parts if part.name == "test"), None))
    return [Paragraph(warning, "note")] if warning else []


def _fit(numbers: ModelNumbers) -> Chapter:
    is_binary = numbers.task == "binary"
    title = "Ranking and calibration of probabilities" if is_binary else "Predicted and realised values"
    if not numbers.deciles:
        return Chapter("fit", title, [Paragraph(say.NO_TEST, "note")])
    table = TableBlock(say.bins_table(numbers.deciles, f"realised {numbers.target}"), LOWEST_FIRST)
    if is_binary:
        return Chapter("fit", title, [*_short_test(numbers), *_binary_figures(numbers, numbers.curves), table])
    intro = [Paragraph(say.fit_sentence(numbers)), *_short_test(numbers)]
    plot = draw.bins_plot(numbers.deciles, f"realised {numbers.target}", "mean prediction")
    shown = [Figure("deciles", plot, say.deciles_caption(numbers))] if len(numbers.deciles) > 1 else []
    is_same = numbers.target == NET_PROFIT and numbers.money is not None
    return Chapter("fit", title, [*intro, *shown, Paragraph(say.SAME_TABLE, "note") if is_same else table])


def _binary_figures(numbers: ModelNumbers, curves: RankCurves | None) -> list[Block]:
    figures = [Figure("calibration", draw.calibration_plot(numbers.deciles), say.CALIBRATION_CAPTION, "Calibration")]
    if curves is None:
        return [Paragraph(say.ONE_CLASS, "note"), Grid(figures)]
    roc, precision = curves.roc, curves.precision_recall
    figures = [
        Figure("roc", draw.roc_plot(roc), say.roc_caption(curves), "ROC"),
        Figure("precision", draw.precision_plot(precision, curves.base_rate), say.precision_caption(curves),
               "Precision by recall"),
        *figures,
    ]  # fmt: skip
    facts = [
        ("area under ROC (AUC)", format_number(roc.area)),
        ("average precision", f"{format_number(precision.area)}; by chance {format_number(curves.base_rate)}"),
    ]
    return [Facts(facts), Grid(figures)]


def _stability(numbers: ModelNumbers, metric: str) -> Chapter:
    if not numbers.deciles:
        return Chapter("stability", "Stability", [Paragraph(say.NO_TEST, "note")])
    against = describe_baseline(str(numbers.best_baseline))
    blocks: list[Block] = [Paragraph(f"The baseline here is the best one on all test rows: {against}.")]
    blocks += _short_test(numbers)
    blocks += _groups(numbers.months, "months", metric, say.NO_DATES)
    blocks += _groups(numbers.accounts, "accounts", metric, say.NO_ACCOUNTS)
    return Chapter("stability", "Stability", blocks)


def _groups(groups: Groups | None, key: str, metric: str, why_not: str) -> list[Block]:
    if groups is None:
        return [Paragraph(why_not, "note")]
    blocks: list[Block] = [Paragraph(say.groups_sentence(groups))]
    scored = [group for group in groups.scores if group.score is not None]
    if key == "months" and len(draw.drawn_periods(groups)) > 1:
        caption = say.periods_caption(groups, metric, len(scored) - len(draw.drawn_periods(groups)))
        figures = [Figure(key, draw.periods_plot(groups, metric, "best naive baseline"), caption, metric)]
        if any(group.skill is not None for group in scored):
            figures.append(Figure("skills", draw.period_skills_plot(groups), say.PERIOD_SKILL_CAPTION, "Skill"))
        blocks.append(Grid(figures))
    if key == "accounts" and any(group.skill is not None for group in scored):
        blocks.append(Figure(key, draw.skill_plot(groups), say.skill_caption(groups)))
    table = say.groups_table(groups, metric, MAX_ROWS_SHOWN)
    return [*blocks, TableBlock(table, f"By {groups.kind}", sortable=True)]


def _features(numbers: ModelNumbers, is_ensemble: bool) -> Chapter:
    used = [feature for feature in numbers.features if feature.gain > 0]
    if not used:
        return Chapter("features", "Features of the model", [Paragraph(say.NO_SPLIT, "note")])
    unit = "log odds" if numbers.task == "binary" else numbers.target
    by_size = sorted(used, key=lambda each: -each.contribution)
    figures = [
        Figure("gain", draw.gain_plot(used[: draw.MAX_BARS]), say.gain_caption(len(used), is_ensemble), "Gain"),
        Figure("contributions", draw.contribution_plot(by_size[: draw.MAX_BARS], unit),
               say.contribution_caption(numbers), "Contribution (SHAP)"),
    ]  # fmt: skip
    blocks: list[Block] = [Paragraph(say.features_sentence(numbers, used)), Grid(figures)]
    if numbers.effects:
        plot = draw.effects_plot(numbers.effects, unit)
        blocks.append(Figure("effects", plot, say.EFFECTS_CAPTION, "Contributions by row"))
    return Chapter("features", "Features of the model", blocks)


def _data(numbers: ModelNumbers) -> Chapter:
    blocks: list[Block] = [Paragraph(say.data_sentence(numbers)), TableBlock(say.parts_table(numbers))]
    if numbers.spans:
        blocks.append(Figure("split", draw.spans_plot(numbers.spans), say.spans_caption(numbers), "Split of the data"))
    else:
        blocks.append(Paragraph(say.SHUFFLED, "note"))
    holes = sorted((f for f in numbers.features if f.missing > 0), key=lambda f: -f.missing)
    if holes:
        n_shown = min(len(holes), MAX_MISSING)
        caption = f"Share of rows with a missing value: {n_shown} of {len(holes)} features with missing values."
        blocks.append(Figure("missing", draw.missing_plot(holes[:MAX_MISSING]), caption, "Missing values"))
    else:
        blocks.append(Paragraph("No feature has a missing value."))
    return Chapter("data", "Data and split", [*blocks, *_shift(numbers)])


def _shift(numbers: ModelNumbers) -> list[Block]:
    moved = sorted((f for f in numbers.features if f.shift is not None), key=lambda f: -(f.shift or 0.0))
    if not moved:
        return []
    plot = draw.shift_plot(moved[:MAX_SHIFTED])
    return [Figure("shift", plot, say.shift_caption(numbers, moved), "Distribution shift from search to test rows")]
