"""The chapter on monotone features."""

from src.reporting.document.blocks import Chapter, Paragraph, Table, TableBlock
from src.reporting.document.words import Metadata

DIRECTIONS = {1: "only rise", -1: "only fall"}


def monotone_chapter(metadata: Metadata) -> Chapter | None:
    """What was asked by `--monotone`, and how it was checked; None without monotone features."""
    checked = metadata.get("monotone")
    if not checked:
        return None
    text = (
        "With these features, predictions move in one direction only. The final model was checked before it was "
        "registered: real rows were predicted with the feature set to each value of a grid, everything else unchanged, "
        "and no prediction moved in the other direction. A largest step of 0 means that the model does not use the "
        "feature on these rows."
    )
    columns = ("feature", "predictions", "rows", "values", "from", "to", "largest step (raw score)")
    rows = tuple(
        (name, DIRECTIONS[one["sign"]], one["rows"], one["grid"], one["low"], one["high"], one["largest_step"])
        for name, one in checked.items()
    )
    return Chapter("monotone", "Monotone features", [Paragraph(text), TableBlock(Table(columns, rows))])
