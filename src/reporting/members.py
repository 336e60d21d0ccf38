"""What the report says of a final model that is made of several trials: the members as a table, and what they are."""

from collections.abc import Mapping, Sequence
from typing import Any

from src.reporting.blocks import Table
from src.reporting.words import Metadata, format_number, metric_name

SUMMED = "the weighted mean of the raw scores of {n} trials, written as one LightGBM model of {trees} trees"
CHOSEN = (
    "They were chosen by greedy selection on the validation rows (Caruana et al. 2004): from the best trial on, "
    "whichever trial improves the mean most is added, also a second time. "
    "Each was then trained on all rows that the search saw."
)
FLATTERED = "Trials and ensemble were both chosen by this score, so it flatters the ensemble more than the trial"


def members(metadata: Metadata) -> Sequence[Mapping[str, Any]]:
    """The ensemble's members, the best trial first; none for a model of one trial."""
    found = metadata.get("ensemble")
    return found if isinstance(found, list) and all(isinstance(member, Mapping) for member in found) else []


def members_table(metadata: Metadata) -> Table:
    """One row per member: trial, weight, validation score, rounds, then every parameter that one of them has."""
    rows = members(metadata)
    names = tuple(dict.fromkeys(name for row in rows for name in row.get("hyperparameters", {})))
    head = [(row.get("trial"), row.get("weight"), row.get("value"), row.get("best_iteration")) for row in rows]
    cells = [tuple(row.get("hyperparameters", {}).get(name) for name in names) for row in rows]
    columns = ("trial", "weight", f"validation {metric_name(metadata)}", "rounds", *names)
    return Table(columns, tuple(first + rest for first, rest in zip(head, cells, strict=True)))


def explain(metadata: Metadata) -> str:
    """What the final model is, and how far its validation score can be believed."""
    trees = metadata.get("n_trees", "all their")
    said = f"The final model is {SUMMED.format(n=len(members(metadata)), trees=trees)}. {CHOSEN}"
    score, alone = metadata.get("validation_score_ensemble"), metadata.get("validation_score")
    if isinstance(score, float) and isinstance(alone, float):
        both = f"{format_number(score)} together, {format_number(alone)} for the best trial alone"
        said += f" Validation {metric_name(metadata)}: {both}."
        said += f" {FLATTERED}; only the test score says what it is worth."
    return said
