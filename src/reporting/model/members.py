"""The report's texts and table about a final model made of several trials."""

from collections.abc import Mapping, Sequence
from typing import Any

from src.reporting.document.blocks import Table
from src.reporting.document.words import Metadata, format_number, format_share, metric_name

MEAN = "the weighted mean of the raw scores of {n} trials, written as one LightGBM model of {trees} trees"
CHOSEN = (
    "{who} were chosen by greedy selection on the validation rows (Caruana et al. 2004): starting with the best trial, "
    "the trial that improves the mean most is added repeatedly; a trial may be added more than once. "
    "Every member was then trained on all search rows."
)
FIXED = (
    "{n} of the members are fixed configurations, which every study tries first; together they have {share} of the "
    "weight. "
)
ROUNDS = (
    " The members' boosting rounds, except dart's, are {factor:.2f} times the best number on the single validation "
    "window: one or two members were also trained on three walk-forward folds, and the factor is the geometric mean "
    "of window and folds."
)
OPTIMISTIC = "Trials and members were chosen by this score, so it is too optimistic"
PARTLY_OPTIMISTIC = (
    "Trials and members, except the fixed configurations, were chosen by this score, so it is too optimistic"
)


def members(metadata: Metadata) -> Sequence[Mapping[str, Any]]:
    """The members, the best trial first; empty for a model of one trial."""
    value = metadata.get("members")
    return value if isinstance(value, list) and all(isinstance(member, Mapping) for member in value) else []


def members_table(metadata: Metadata) -> Table:
    """One row per member: trial, weight, validation score, rounds, then every parameter of any member."""
    rows = members(metadata)
    names = tuple(dict.fromkeys(name for row in rows for name in row.get("hyperparameters", {})))
    head: list[tuple[Any, ...]] = [
        (row.get("trial"), row.get("weight"), row.get("value"), row.get("rounds")) for row in rows
    ]
    cells = [tuple(row.get("hyperparameters", {}).get(name) for name in names) for row in rows]
    columns: tuple[str, ...] = ("trial", "weight", f"validation {metric_name(metadata)}", "rounds")
    if any(row.get("is_fixed_config") for row in rows):
        columns += ("chosen as",)
        head = [(*first, _origin(row)) for first, row in zip(head, rows, strict=True)]
    return Table((*columns, *names), tuple(first + rest for first, rest in zip(head, cells, strict=True)))


def _origin(member: Mapping[str, Any]) -> str:
    return "fixed configuration" if member.get("is_fixed_config") else "a good trial"


def explain(metadata: Metadata) -> str:
    """What the final model is, and how reliable its validation score is."""
    trees = metadata.get("best_iteration", "all their")
    text = f"The final model is {MEAN.format(n=len(members(metadata)), trees=trees)}. "
    fixed = [member for member in members(metadata) if member.get("is_fixed_config")]
    if fixed:
        text += FIXED.format(n=len(fixed), share=format_share(sum(member.get("weight", 0.0) for member in fixed)))
    text += CHOSEN.format(who="The others" if fixed else "They")
    factor = metadata.get("rounds_factor", 1.0)
    if isinstance(factor, float) and factor != 1:
        text += ROUNDS.format(factor=factor)
    score, alone = metadata.get("validation_score"), best_trial_alone(metadata)
    if isinstance(score, float) and alone is not None:
        both = f"{format_number(score)} together, {format_number(alone)} for the best trial alone"
        text += f" Validation {metric_name(metadata)}: {both}."
        text += f" {PARTLY_OPTIMISTIC if fixed else OPTIMISTIC}; only the test score is unbiased."
    return text


def best_trial_alone(metadata: Metadata) -> float | None:
    """The best trial's own validation score; None if the model is made of one trial."""
    best = metadata.get("best_trial")
    value = best.get("value") if members(metadata) and isinstance(best, Mapping) else None
    return value if isinstance(value, float) else None
