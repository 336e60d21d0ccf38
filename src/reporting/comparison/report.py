"""The multi-target report: scores and skill of several models, their searches, and the agreement of predictions."""

from collections.abc import Sequence

from src.config import NET_PROFIT
from src.reporting.comparison import agreement as predictions
from src.reporting.comparison import numbers
from src.reporting.comparison import plots as draw
from src.reporting.comparison.numbers import ComparedStudy, NumericSpread
from src.reporting.document import words
from src.reporting.document.blocks import (
    Block,
    Chapter,
    Document,
    Facts,
    Figure,
    Grid,
    Paragraph,
    Table,
    TableBlock,
    Tiles,
)
from src.reporting.model.members import members
from src.reporting.study.numbers import count_states

MAX_PARAMETERS = 24
MANY_MODELS = 5
"""Tables with more models are sortable."""
UNIT_FREE = (
    "Scores of different metrics or targets cannot be compared. The skill can: the share of the best naive baseline's "
    "error that the model removes (for AUC: of the baseline's distance to 1)."
)


def comparison_document(items: Sequence[ComparedStudy]) -> Document:
    """The multi-target report.

    Args:
        items: at least one, with different labels.
    """
    chapters = [
        _summary(items),
        _performance(items),
        _comparison(items),
        _convergence(items),
        _hyperparameters(items),
        _agreement(items),
        _money(items),
        _studies(items),
    ]
    names = ", ".join(item.label for item in items)
    return Document(f"Report of {len(items)} models" if len(items) > 1 else "Report of 1 model", names, chapters)


def _summary(items: Sequence[ComparedStudy]) -> Chapter:
    skills = numbers.skills(items)
    counts = [count_states(item.snapshot) for item in items]
    tiles = [("models", str(len(items)))]
    tiles += [(f"skill of {each.label}, {each.part}", words.format_percent(each.skill)) for each in skills]
    tiles.append(("finished trials", str(sum(each["complete"] + each["pruned"] for each in counts))))
    blocks: list[Block] = [Tiles(tiles), Paragraph(verdict(items), "verdict")]
    for what, values in numbers.differences(items):
        listed = "; ".join(f"{label}: {value}" for label, value in values)
        text = f"The models were not scored on the same {what}: {listed}. Their skills may not be comparable."
        blocks.append(Paragraph(text, "note"))
    return Chapter("summary", "Summary", blocks)


def verdict(items: Sequence[ComparedStudy]) -> str:
    """How many models beat the best naive baseline on test rows, and for how many the interval excludes zero."""
    scored = [skill for skill in numbers.skills(items) if skill.part == "test"]
    unscored = [item.label for item in items if item.label not in {skill.label for skill in scored}]
    missing = f" Without a skill on test rows: {', '.join(unscored)}." if unscored else ""
    if not scored:
        return "No model was scored on test rows: this report describes the searches." + missing
    better = [skill for skill in scored if skill.skill > 0]
    sure = [skill.label for skill in better if skill.low is not None and skill.low > 0]
    text = f"{len(better)} of {len(scored)} models beat the best naive baseline on test rows, which no search used."
    if better:
        text += f" The 95 % interval of the skill is above zero for {', '.join(sure) or 'none'}."
        text += f" {scored[0].label} has the largest skill, {words.format_percent(scored[0].skill)}."
    return text + missing


def _performance(items: Sequence[ComparedStudy]) -> Chapter:
    note = (
        "Each model is scored by its own metric. Best naive baseline and skill are those of the test rows, or of the "
        "validation rows if there is no test. The search selected by the validation score, which is too optimistic."
    )
    if any(members(item.metadata) for item in items):
        note += " A model made of several trials has the score of their mean; the best trial's is under the searches."
    if unknown := [item.label for item in items if item.comparison is None]:
        note += f" Without a scored final model: {', '.join(unknown)}."
    many = len(items) > MANY_MODELS
    return Chapter("performance", "Individual performance", [
        Paragraph(note, "note"),
        TableBlock(numbers.performance(items), "The final models", many),
        TableBlock(numbers.searches(items), "The searches", many),
    ])  # fmt: skip


def _comparison(items: Sequence[ComparedStudy]) -> Chapter:
    skills = numbers.skills(items)
    title = "Skill of the models"
    if not skills:
        none = "No model was compared with a naive baseline: there is no skill to show."
        return Chapter("comparison", title, [Paragraph(none, "note")])
    caption = (
        "Green: better than the best naive baseline on the same rows. Line: 95 % interval, if known "
        f"({words.INTERVAL_METHOD})."
    )
    on_validation = [skill.label for skill in skills if skill.part == "validation"]
    if on_validation:
        caption += f" On validation rows, which is too optimistic: {', '.join(on_validation)}."
    return Chapter("comparison", title, [
        Paragraph(UNIT_FREE, "note"), Figure("skills", draw.skill_plot(skills), caption)
    ])  # fmt: skip


def _convergence(items: Sequence[ComparedStudy]) -> Chapter:
    enough = [item for item in items if numbers.n_complete(item) >= numbers.MIN_TRIALS]
    convergences = [convergence for item in enough if (convergence := numbers.convergence(item)) is not None]
    blocks = _too_few(items, "show the convergence")
    if convergences:
        columns = (
            "model", "finished trials", "first value", "best value", "95 % of the improvement by trial",
            "after this share of the trials",
        )  # fmt: skip
        rows = [
            (
                convergence.label,
                convergence.n_finished,
                convergence.first,
                convergence.best,
                convergence.most_number,
                f"{100 * convergence.most_share:.0f} %",
            )
            for convergence in convergences
        ]
        caption = (
            "0 % is a study's first value, 100 % its best value; dotted: 95 % of the improvement. A line that is flat "
            "at its right end means that more trials would hardly help; a line that still rises, that they may."
        )
        plot = draw.convergence_plot(convergences, [item.label for item in items])
        blocks = [Figure("convergence", plot, caption), TableBlock(Table(columns, tuple(rows))), *blocks]
    return Chapter("convergence", "Convergence", blocks)


def _hyperparameters(items: Sequence[ComparedStudy]) -> Chapter:
    spreads = numbers.spreads(items)
    blocks = _too_few(items, "select the good trials of a study")
    good = {item.label: len(numbers.good_trials(item.snapshot)) for item in items}
    if spreads:
        counted = ", ".join(f"{n} of {label}" for label, n in good.items() if n)
        note = f"The good trials are the best tenth of the complete ones, at least five: {counted}."
        note += " Bar: their middle half; point: median; thin line: lowest to highest; the axis is the search range."
        if len(spreads) > MAX_PARAMETERS:
            note += f" The {MAX_PARAMETERS} of {len(spreads)} parameters that most studies have are drawn."
        blocks = [Paragraph(note, "note"), Grid(_figures(spreads[:MAX_PARAMETERS], list(good))), *blocks]
    elif any(good.values()):
        blocks.append(Paragraph("The trials have no parameters.", "note"))
    return Chapter("hyperparameters", "Hyperparameters of the good trials", blocks)


def _figures(spreads: Sequence[NumericSpread | numbers.ChoiceSpread], labels: Sequence[str]) -> list[Figure]:
    figures = []
    for i, spread in enumerate(spreads):
        plot = draw.spread_plot(spread, labels) if isinstance(spread, NumericSpread) else draw.choice_plot(spread)
        figures.append(Figure(f"spread-{i}", plot, title=spread.name))
    return figures


def _too_few(items: Sequence[ComparedStudy], purpose: str) -> list[Block]:
    """A note for each study that has too few trials."""
    few = [item for item in items if numbers.n_complete(item) < numbers.MIN_TRIALS]
    return [
        Paragraph(f"{item.label}: {words.too_few(purpose, numbers.MIN_TRIALS, numbers.n_complete(item))}", "note")
        for item in few
    ]


def _agreement(items: Sequence[ComparedStudy]) -> Chapter:
    pairs, missing = predictions.agreement(items), predictions.without_predictions(items)
    blocks: list[Block] = []
    if pairs:
        labels = [item.label for item in items if any(item.label in pair.labels for pair in pairs)]
        caption = (
            "Spearman's rank correlation of the predictions on the test account-days that both models predicted: "
            "1 is the same order, 0 no relation, \N{MINUS SIGN}1 the opposite order."
        )
        blocks = [Figure("agreement", draw.agreement_plot(pairs, labels), caption), TableBlock(_pairs_table(pairs))]
        blocks.append(Paragraph(
            "Within a day: over the accounts of one day, mean over the days. Days on the same side: days on which both "
            "models' daily mean predictions are above, or both below, their medians; 50 % by chance. Top tenth "
            "shared: 10 % by chance.", "note"
        ))  # fmt: skip
    elif len(items) - len(missing) > 1:
        blocks.append(Paragraph(f"No two models have {predictions.MIN_ROWS} test account-days in common.", "note"))
    if missing or not blocks:
        blocks.append(Paragraph(_unpaired(items, missing), "note"))
    return Chapter("agreement", "Do the models agree?", blocks)


def _unpaired(items: Sequence[ComparedStudy], missing: Sequence[str]) -> str:
    if not missing:
        return f"There are {len(items)} models with test predictions: two are needed."
    return (
        f"Without test predictions that can be paired by account and day: {', '.join(missing)}. They are saved when a "
        "final model is scored on test rows, as test_predictions.parquet beside the study's report."
    )


def _pairs_table(pairs: Sequence[predictions.ModelPair]) -> Table:
    columns = (
        "models", "account-days", "days", "rank correlation", "within a day", "days on the same side",
        "top tenth shared",
    )  # fmt: skip
    rows = [
        (
            " and ".join(pair.labels),
            pair.n_rows,
            pair.n_days,
            pair.correlation,
            pair.within_day,
            None if pair.same_days is None else f"{100 * pair.same_days:.1f} %",
            f"{100 * pair.top_shared:.1f} %",
        )
        for pair in pairs
    ]
    return Table(columns, tuple(rows))


def _money(items: Sequence[ComparedStudy]) -> Chapter:
    title, earned = "Net profit of the top predictions", predictions.earned_profit(items)
    if earned is None:
        none = (
            f"This needs a model of {NET_PROFIT} with saved test predictions, which have the realised values, and "
            f"{predictions.MIN_ROWS} account-days that all models predicted."
        )
        return Chapter("money", title, [Paragraph(none, "note")])
    caption = (
        f"Mean realised net profit of an account-day in each model's top tenth, on the {earned.n_rows:,} account-days "
        f"({earned.n_days} days) that all models predicted; the mean over all of these is "
        f"{words.format_number(earned.mean_of_all)} (dotted). Line: 95 % interval ({words.INTERVAL_METHOD})."
    )
    columns = ("ranked by", "mean net profit in the top tenth", "95 % interval", "difference to all rows")
    rows = tuple(
        (label, mean, words.format_interval(interval), mean - earned.mean_of_all)
        for label, mean, interval in earned.rows
    )
    return Chapter("money", title, [
        Figure("money", draw.profit_plot(earned), caption), TableBlock(Table(columns, rows))
    ])  # fmt: skip


def _studies(items: Sequence[ComparedStudy]) -> Chapter:
    facts = [(item.label, _study(item)) for item in items]
    note = "The report of each study shows how to reproduce its model."
    return Chapter("studies", "The studies", [Paragraph(note, "note"), Facts(facts)])


def _study(item: ComparedStudy) -> str:
    counts = ", ".join(f"{n} {state}" for state, n in count_states(item.snapshot).items() if n) or "no trials"
    trained = item.metadata.get("trained_at")
    return f"{item.snapshot.name} ({counts})" + (f", final model of {trained}" if trained else ", no final model")
