"""The chapter on features derived from past rows: what was compared, and what is used."""

from collections.abc import Iterator, Mapping
from typing import Any

from src.reporting.document.blocks import Block, Chapter, Paragraph, Table, TableBlock
from src.reporting.document.words import Metadata, metric_name

MEANINGS = {
    "lags": "the account's latest values",
    "means": "means of its last 5, 20 and 60 rows",
    "dispersion": "standard deviations of its last rows",
    "extremes": "smallest and largest of its last rows",
    "shares": "share of its last rows above 0",
    "quantiles": "quantiles of its last 20 rows",
    "exponential": "means with exponentially decaying weights",
    "streaks": "rows in a row with the same sign",
    "drawdown": "distance of its cumulative sum from the peak",
    "ratios": "recent against longer past",
    "rank": "its rank among all accounts",
    "market": "all accounts on earlier dates",
    "groups": "the account's peers on earlier dates",
    "calendar": "weekday, month, sessions",
    "gaps": "days since its last row, rows so far",
}


def derived_chapter(metadata: Metadata) -> Chapter | None:
    """The chapter; None for a model without derived features.

    Args:
        metadata: of the model.
    """
    derived: Mapping[str, Any] | None = metadata.get("derived_features")
    if derived is None:
        return None
    text = (
        f"{len(derived['features'])} of {derived['considered']} features that can be derived from past rows are used "
        f"({metadata['feature_mode']}: {metadata['feature_mode_reason']}). A prediction needs up to "
        f"{metadata['history_rows']} earlier rows of each account, and all rows of as many earlier dates."
    )
    blocks: list[Block] = [Paragraph(text)]
    choice = derived.get("choice") or {}
    if choice.get("scores"):
        caption = (
            f"Sets of features, scored on {choice['blocks']} later blocks of the search; test rows were not read. All "
            "candidates are used, unless a smaller set is better in every block, by 3 % of the error on average, "
            "and so again with more regularised configurations"
        )
        columns = ("set", f"mean {metric_name(metadata)}", "")
        rows = tuple(
            (name, value, "used" if name == choice["set"] else None) for name, value in choice["scores"].items()
        )
        blocks.append(TableBlock(Table(columns, rows), caption))
    families = Table(("family", "what", "candidates", "used"), tuple(_families(choice)))
    if families.rows:
        blocks.append(TableBlock(families, "Families of derived features"))
    return Chapter("derived-features", "Features derived from past rows", blocks)


def _families(choice: Mapping[str, Any]) -> Iterator[tuple[Any, ...]]:
    for name, counts in choice.get("families", {}).items():
        yield name, MEANINGS.get(name), counts["candidates"], counts["kept"]
