"""The report of several studies: which models earn their place, what their searches share, do they say the same."""

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
"""More than these a reader wants to sort."""
UNIT_FREE = (
    "Scores of different metrics or targets cannot be compared; the skill can: the share of the best naive forecast's "
    "error that the model removes (for AUC: of what that forecast lacks to 1)."
)


def comparison_document(items: Sequence[ComparedStudy]) -> Document:
    """The report of several studies.

    Args:
        items: at least one, with labels of their own.
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
    return Document(f"Ensemble of {len(items)} models" if len(items) > 1 else "Ensemble of 1 model", names, chapters)


def _summary(items: Sequence[ComparedStudy]) -> Chapter:
    found = numbers.skills(items)
    counts = [count_states(item.snapshot) for item in items]
    tiles = [("models", str(len(items)))]
    tiles += [(f"skill of {each.label}, {each.part}", words.format_percent(each.skill)) for each in found]
    tiles.append(("finished trials", str(sum(each["complete"] + each["pruned"] for each in counts))))
    blocks: list[Block] = [Tiles(tiles), Paragraph(verdict(items), "verdict")]
    for what, said in numbers.differences(items):
        listed = "; ".join(f"{label}: {value}" for label, value in said)
        blocks.append(Paragraph(f"The models were not judged on the same {what}: {listed}. Compare with care.", "note"))
    return Chapter("summary", "Summary", blocks)


def verdict(items: Sequence[ComparedStudy]) -> str:
    """How many models beat the best naive forecast on test rows, and how surely."""
    found = [each for each in numbers.skills(items) if each.part == "test"]
    unjudged = [item.label for item in items if item.label not in {each.label for each in found}]
    missing = f" Without a skill on test rows: {', '.join(unjudged)}." if unjudged else ""
    if not found:
        return "No model was judged on test rows: what follows describes the searches." + missing
    better = [each for each in found if each.skill > 0]
    sure = [each.label for each in better if each.low is not None and each.low > 0]
    said = f"{len(better)} of {len(found)} models beat the best naive forecast on test rows, which no search saw."
    if better:
        said += f" The 95 % interval of the skill lies above zero for {', '.join(sure) or 'none of them'}."
        said += f" The largest skill is that of {found[0].label}, {words.format_percent(found[0].skill)}."
    return said + missing


def _performance(items: Sequence[ComparedStudy]) -> Chapter:
    said = (
        "Each model by its own metric. Best naive forecast and skill are those of the test rows, or of the validation "
        "rows where there is no test. The search chose by the validation score, which flatters."
    )
    if any(members(item.metadata) for item in items):
        said += " A model made of several trials has their score together; its best trial's stands under the searches."
    if unknown := [item.label for item in items if item.judged is None]:
        said += f" No final model is known of {', '.join(unknown)}."
    many = len(items) > MANY_MODELS
    return Chapter("performance", "Individual performance", [
        Paragraph(said, "note"),
        TableBlock(numbers.performance(items), "The final models", many),
        TableBlock(numbers.searches(items), "The searches", many),
    ])  # fmt: skip


def _comparison(items: Sequence[ComparedStudy]) -> Chapter:
    found = numbers.skills(items)
    title = "The models compared"
    if not found:
        none = "No model was scored beside a naive forecast: there is nothing that could be compared."
        return Chapter("comparison", title, [Paragraph(none, "note")])
    caption = (
        "Green: better than the best naive forecast on the same rows. Line: 95 % interval, where it is known "
        f"({words.INTERVAL_METHOD})."
    )
    on_validation = [each.label for each in found if each.part == "validation"]
    if on_validation:
        caption += f" On validation rows, which flatter: {', '.join(on_validation)}."
    return Chapter("comparison", title, [
        Paragraph(UNIT_FREE, "note"), Figure("skills", draw.skill_plot(found), caption)
    ])  # fmt: skip


def _convergence(items: Sequence[ComparedStudy]) -> Chapter:
    enough = [item for item in items if numbers.n_complete(item) >= numbers.MIN_TRIALS]
    found = [each for item in enough if (each := numbers.convergence(item)) is not None]
    blocks = _too_few(items, "compare how the search came to its best value")
    if found:
        columns = (
            "model", "finished trials", "first value", "best value", "95 % of the gain by trial",
            "after this share of the trials",
        )  # fmt: skip
        rows = [
            (each.label, each.n_finished, each.first, each.best, each.most_number, f"{100 * each.most_share:.0f} %")
            for each in found
        ]
        caption = (
            "0 % is a study's first value, 100 % its best; dashed: 95 % of the way. A line that is flat at its right "
            "end says that more trials of the same kind would hardly help; one that still climbs asks for more."
        )
        plot = draw.convergence_plot(found, [item.label for item in items])
        blocks = [Figure("convergence", plot, caption), TableBlock(Table(columns, tuple(rows))), *blocks]
    return Chapter("convergence", "Convergence", blocks)


def _hyperparameters(items: Sequence[ComparedStudy]) -> Chapter:
    found = numbers.spreads(items)
    blocks = _too_few(items, "tell a study's good trials from the others")
    good = {item.label: len(numbers.good_trials(item.snapshot)) for item in items}
    if found:
        counted = ", ".join(f"{n} of {label}" for label, n in good.items() if n)
        said = f"The good trials are the best tenth of the complete ones, at least five: {counted}."
        said += " Bar: the middle half of them; point: median; thin line: lowest to highest; the axis is the range."
        if len(found) > MAX_PARAMETERS:
            said += f" {MAX_PARAMETERS} of {len(found)} parameters are drawn, those that most studies have."
        blocks = [Paragraph(said, "note"), Grid(_figures(found[:MAX_PARAMETERS], list(good))), *blocks]
    elif any(good.values()):
        blocks.append(Paragraph("The trials have no parameters.", "note"))
    return Chapter("hyperparameters", "Hyperparameters of the good trials", blocks)


def _figures(found: Sequence[NumericSpread | numbers.ChoiceSpread], labels: Sequence[str]) -> list[Figure]:
    figures = []
    for i, spread in enumerate(found):
        plot = draw.spread_plot(spread, labels) if isinstance(spread, NumericSpread) else draw.choice_plot(spread)
        figures.append(Figure(f"spread-{i}", plot, title=spread.name))
    return figures


def _too_few(items: Sequence[ComparedStudy], purpose: str) -> list[Block]:
    """A line for each study that has fewer trials than a view needs."""
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
            "1 is the same order, 0 none, \N{MINUS SIGN}1 the opposite."
        )
        blocks = [Figure("agreement", draw.agreement_plot(pairs, labels), caption), TableBlock(_pairs_table(pairs))]
        blocks.append(Paragraph(
            "Within a day: over the accounts of one day, mean of the days. Days on the same side: both models' mean "
            "prediction of the day is above, or below, its own median day; half of the days by chance. Top tenth "
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
        f"Without test predictions that can be paired by account and day: {', '.join(missing)}. They are kept when a "
        "final model is judged on test rows, as test_predictions.parquet beside the study's report."
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
    title, found = "What the rankings earned", predictions.earned_profit(items)
    if found is None:
        none = (
            f"This needs a model of {NET_PROFIT} among them, whose test predictions were kept with the "
            f"realised values, and {predictions.MIN_ROWS} account-days that all models predicted."
        )
        return Chapter("money", title, [Paragraph(none, "note")])
    caption = (
        f"Mean realised net profit of an account-day in each model's top tenth, on the {found.n_rows:,} account-days "
        f"({found.n_days} days) that all models predicted; over all of them it is "
        f"{words.format_number(found.everything)} (dashed). Line: 95 % interval ({words.INTERVAL_METHOD})."
    )
    columns = ("ranked by", "mean net profit in its top tenth", "95 % interval", "more than all rows")
    rows = tuple((label, mean, _bounds(interval), mean - found.everything) for label, mean, interval in found.rows)
    return Chapter("money", title, [
        Figure("money", draw.profit_plot(found), caption), TableBlock(Table(columns, rows))
    ])  # fmt: skip


def _bounds(interval: tuple[float, float] | None) -> str | None:
    return None if interval is None else " to ".join(words.format_number(bound) for bound in interval)


def _studies(items: Sequence[ComparedStudy]) -> Chapter:
    facts = [(item.label, _study(item)) for item in items]
    said = "The report of each study says how to train its model again."
    return Chapter("studies", "The studies", [Paragraph(said, "note"), Facts(facts)])


def _study(item: ComparedStudy) -> str:
    counts = ", ".join(f"{n} {state}" for state, n in count_states(item.snapshot).items() if n) or "no trials"
    trained = item.metadata.get("trained_at")
    return f"{item.snapshot.name} ({counts})" + (f", final model of {trained}" if trained else ", no final model")
