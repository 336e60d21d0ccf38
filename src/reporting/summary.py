"""The summary printed at the end of a command: one row per target, and what to do next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src.errors import RunError
from src.reporting.document.words import interval_notes
from src.suggest import number, text_table


@dataclass(frozen=True)
class Outcome:
    """One target's result.

    Attributes:
        metadata: as written with the model; its scores are the registered model's.
        report: the HTML report; None if it could not be drawn.
        version: `models:/<name>/<number>` with its alias, or the reason why there is none.
        failure: the reason why a part of the report could not be written; the command ends with this error.
        page: path of the report in MLflow's UI, appended to the server's address.
    """

    metadata: dict[str, Any]
    report: Path | None
    version: str
    failure: RunError | None = None
    page: str = ""


HEADER = ("target", "metric", "validation", "test", "95 % interval", "best baseline", "skill", "model")


def summary_text(outcomes: Sequence[Outcome], tracking_uri: str) -> str:
    """The table, features and trials of each model, the reports and the command that opens MLflow's UI."""
    lines = text_table(HEADER, map(_row, outcomes))
    features = dict.fromkeys(f"features {features_of(outcome.metadata)}" for outcome in outcomes)
    models = [f"model    {made_of(outcome.metadata)}" for outcome in outcomes]
    models += [
        f"time     {outcome.metadata['target']}: {cut}" for outcome in outcomes for cut in cuts(outcome.metadata)
    ]
    notes = [
        f"interval {outcome.metadata['target']}, {name}: {note}"
        for outcome in outcomes
        for name, note in interval_notes(outcome.metadata)
    ]
    at_server = tracking_uri.startswith("http")
    # The server's page opens from any machine; the file may be in a pod that no longer exists.
    places = [
        (each.report, f"{tracking_uri.rstrip('/')}/{each.page}" if at_server else each.report) for each in outcomes
    ]
    reports = [f"report   {place}" for report, place in places if report is not None]
    command = "mlflow ui"
    if tracking_uri.startswith("sqlite:"):  # a relative path is shorter, if the file is in this folder
        command += f" --backend-store-uri {tracking_uri.replace(f'sqlite:///{Path.cwd()}/', 'sqlite:///')}"
    elif at_server:
        command = f"open {tracking_uri}"
    return "\n".join(["", *lines, "", *notes, *features, *models, *reports, f"MLflow   {command}"])


def _row(outcome: Outcome) -> tuple[str, ...]:
    metadata = outcome.metadata
    interval = metadata["test_interval"]
    name = metadata["best_baseline"] or metadata["validation_best_baseline"]
    baselines = metadata["baselines"] or metadata["validation_baselines"]
    skill = metadata["skill"] if metadata["test_score"] is not None else metadata["validation_skill"]
    return (
        metadata["target"],
        metadata["metric"].upper(),
        number(metadata["validation_score"]),
        number(metadata["test_score"]),
        "-" if interval is None else f"{number(interval[0])} … {number(interval[1])}",
        f"{number(baselines[name])} {name}",
        "-" if skill is None else f"{100 * skill:+.1f} %",
        outcome.version,
    )


def features_of(metadata: Mapping[str, Any]) -> str:
    """`own: the table has 43 feature columns`, or `net_profit: 30 of 176 derived ones, the table has …`."""
    mode, reason, derived = metadata["feature_mode"], metadata["feature_mode_reason"], metadata.get("derived_features")
    if derived is None:
        return f"{mode}: {reason}"
    own = f"{len(metadata['feature_names']) - len(derived['features'])} own and " if mode == "both" else ""
    kept = f"{own}{len(derived['features'])} of {derived['considered']} derived ones"
    return f"{metadata['target']}: {kept}, {reason}"


def cuts(metadata: Mapping[str, Any]) -> list[str]:
    """What a time limit has cut of the final model; empty without a limit."""
    return list(metadata.get("cuts", []))


def made_of(metadata: Mapping[str, Any]) -> str:
    """`net_profit is the weighted mean of 2 trials: 7 (60 %), 2 (40 %)`, or `net_profit is trial 7`."""
    members = metadata.get("members")
    if not members:
        return f"{metadata['target']} is trial {metadata.get('trial', metadata['best_trial']['number'])}"
    listed = ", ".join(f"{member['trial']} ({100 * member['weight']:.0f} %)" for member in members)
    return f"{metadata['target']} is the weighted mean of {len(members)} trials: {listed}"
