"""What the report says of a final model that is made of several trials: the members as a table, and what they are."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from src.modeling.scoring import skill
from src.reporting.blocks import Table
from src.reporting.words import Comparison, Metadata, format_number, format_share, metric_name

SUMMED = "the weighted mean of the raw scores of {n} trials, written as one LightGBM model of {trees} trees"
CHOSEN = (
    "{who} were chosen by greedy selection on the validation rows (Caruana et al. 2004): from the best trial on, "
    "whichever trial improves the mean most is added, also a second time. "
    "Every member was then trained on all rows that the search saw."
)
KNOWN = (
    "{share} of the weight belongs to known configurations that every study starts with ({n} of the members), "
    "whatever they scored. "
)
STRETCHED = (
    " Their rounds are {stretch:.2f} times those that the one validation window speaks for, dart's apart: one or two "
    "of them were trained on three walk-forward folds too, and this is the middle between what window and folds say."
)
PARTLY_FLATTERED = "Trials and members were chosen by this score, the known configurations apart, so it flatters both"
FLATTERED = "Trials and ensemble were both chosen by this score, so it flatters the ensemble more than the trial"


def members(metadata: Metadata) -> Sequence[Mapping[str, Any]]:
    """The ensemble's members, the best trial first; none for a model of one trial."""
    found = metadata.get("ensemble")
    return found if isinstance(found, list) and all(isinstance(member, Mapping) for member in found) else []


def members_table(metadata: Metadata) -> Table:
    """One row per member: trial, weight, validation score, rounds, then every parameter that one of them has."""
    rows = members(metadata)
    names = tuple(dict.fromkeys(name for row in rows for name in row.get("hyperparameters", {})))
    head: list[tuple[Any, ...]] = [
        (row.get("trial"), row.get("weight"), row.get("value"), row.get("best_iteration")) for row in rows
    ]
    cells = [tuple(row.get("hyperparameters", {}).get(name) for name in names) for row in rows]
    columns: tuple[str, ...] = ("trial", "weight", f"validation {metric_name(metadata)}", "rounds")
    if any(row.get("anchor") for row in rows):
        columns += ("chosen as",)
        head = [(*first, _origin(row)) for first, row in zip(head, rows, strict=True)]
    return Table((*columns, *names), tuple(first + rest for first, rest in zip(head, cells, strict=True)))


def _origin(member: Mapping[str, Any]) -> str:
    return "known configuration" if member.get("anchor") else "a good trial"


def explain(metadata: Metadata) -> str:
    """What the final model is, and how far its validation score can be believed."""
    trees = metadata.get("n_trees", "all their")
    said = f"The final model is {SUMMED.format(n=len(members(metadata)), trees=trees)}. "
    known = [member for member in members(metadata) if member.get("anchor")]
    if known:
        said += KNOWN.format(n=len(known), share=format_share(sum(member.get("weight", 0.0) for member in known)))
    said += CHOSEN.format(who="The others" if known else "They")
    stretch = metadata.get("ensemble_rounds_stretch", 1.0)
    if isinstance(stretch, float) and stretch != 1:
        said += STRETCHED.format(stretch=stretch)
    score, alone = metadata.get("validation_score_ensemble"), metadata.get("validation_score")
    if isinstance(score, float) and isinstance(alone, float):
        both = f"{format_number(score)} together, {format_number(alone)} for the best trial alone"
        said += f" Validation {metric_name(metadata)}: {both}."
        said += f" {PARTLY_FLATTERED if known else FLATTERED}; only the test score says what it is worth."
    return said


def judge_together(alone: Comparison, metadata: Metadata) -> Comparison:
    """The ensemble in the place of its best trial, with the skill that its own validation score has.

    Args:
        alone: of the validation rows, as `compare` makes it from the best trial's score.
        metadata: the model's; without an ensemble's validation score `alone` comes back.
    """
    score = metadata.get("validation_score_ensemble")
    if not members(metadata) or not isinstance(score, float):
        return alone
    reference = next(iter(alone.baselines.values()), None)
    gained = None if reference is None else skill("auc" if alone.direction == "maximize" else "mae", score, reference)
    return replace(alone, model=score, interval=None, skill=gained, skill_interval=None)
