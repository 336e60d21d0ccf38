"""Makes the challenger champion if it is better on rows that neither model was trained on.

    python -m src.tracking.promote --targets net_profit --data table.parquet --dry-run

Two conditions: the challenger's score is strictly better, and the one-sided confidence that it is better, by Student's
t over groups of dates (see `intervals`), is at least `--min-probability`. All targets are compared before any alias is
moved. Both versions are tagged with the compared dates and the result, also if the champion stays; with `--dry-run`
nothing is written. Scheduled jobs pass their promotion setting as `--mode`, and validate the options with `--check`.
"""

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.cli import chosen_targets, command_parser, data_settings, run_command, settings_of
from src.config import PromotionSettings
from src.errors import ConfigError, UserError
from src.options import PROMOTE_MODES
from src.suggest import number, text_table
from src.tracking.connection.tracking_uri import check_tracking_uri

if TYPE_CHECKING:
    from src.tracking.registry.comparison import ModelComparison

log = logging.getLogger(__name__)

HEADER = (
    "target", "metric", "champion", "challenger", "rows", "dates", "champion's score", "challenger's score",
    "difference", "95 % interval", "better with", "decision",
)  # fmt: skip


def promote_targets(targets: Sequence[str], settings: PromotionSettings) -> dict[str, str]:
    """Compares challengers with champions, moves the aliases of better challengers, and prints a table.

    Args:
        targets: registered names with a champion; a name without a challenger is reported and skipped.
        settings: rows, minimum probability, dry run.

    Returns:
        The decision of each target that has a challenger.

    Raises:
        UserError: a name has no champion, no row is new to both models, or an alias was moved meanwhile.
        TrackingError: MLflow or its artifact store cannot be reached.
        OSError: the decision cannot be written.
    """
    pairs = {target: _pair(target, settings.dry_run) for target in targets}
    results = _compare({target: uris for target, uris in pairs.items() if uris is not None}, settings)
    decisions: dict[str, str] = {}
    try:
        for result in results:
            decisions[result.target] = _decide(result, settings)
    finally:  # promotions before an error are printed too
        if decisions:
            sys.stdout.write(table_text(results[: len(decisions)], list(decisions.values())) + "\n")
    return decisions


def _pair(target: str, dry_run: bool) -> tuple[str, str] | None:
    """The URIs of champion and challenger; None without a challenger."""
    from src.tracking.registry.model_versions import CHALLENGER, CHAMPION, version_aliases
    from src.tracking.registry.promotion import complete_promotion, version_number

    if not dry_run and complete_promotion(target):
        sys.stdout.write(f"{target}: an interrupted promotion is completed\n")
    aliases = version_aliases(target)
    if CHAMPION not in aliases:
        raise UserError(
            f"model {target!r} has no champion: set the alias champion on a version, or train and register one"
        )
    champion, challenger = aliases[CHAMPION], aliases.get(CHALLENGER)
    if challenger is None or challenger == champion:
        sys.stdout.write(f"{target}: no challenger to promote, champion is v{version_number(champion)}\n")
        return None
    return champion, challenger


def _compare(pairs: dict[str, tuple[str, str]], settings: PromotionSettings) -> list["ModelComparison"]:
    if not pairs:
        return []
    from src.data.sources.dispatch import describe_source, read_table
    from src.data.table import load_dataset
    from src.tracking.registry.comparison import compare_models, with_column_types_of_models
    from src.tracking.registry.served_model import load_served, served_metadata

    given = settings.data
    frame, source = read_table(given.source, given.query), describe_source(given.source, given.query)
    frame = frame.set_axis([str(name) for name in frame.columns], axis=1)
    results = []
    for target, uris in pairs.items():
        models = [(uri, load_served(uri)) for uri in uris]
        trainings = [served_metadata(model) for _, model in models]
        data = load_dataset(
            frame, with_column_types_of_models(given.table, list(frame.columns), trainings), target, source
        )
        for warning in data.warnings:
            log.warning("%s", warning)
        results.append(compare_models(data, frame, models, settings.test_fraction, settings.purge_days))
    return results


def _decide(result: "ModelComparison", settings: PromotionSettings) -> str:
    from src.tracking.registry.promotion import promote_challenger, record_comparison

    refusal = _refusal(result, settings.min_probability)
    if not settings.dry_run:
        record_comparison(result.comparison, _record(result, settings.min_probability, passed=refusal is None))
    if refusal is not None:
        decision = f"kept: {refusal}"
    elif settings.dry_run:
        decision = "would be promoted"
    else:
        promote_challenger(result.target, result.comparison)
        decision = "promoted"
    if settings.output_dir is not None:
        _write(result, decision, settings, settings.output_dir / "promotions")
    return decision


def _refusal(result: "ModelComparison", min_probability: float) -> str | None:
    """Why the champion stays; None if the challenger passes."""
    if not result.comparison.better:
        return "the challenger is not better"
    if result.confidence is None:  # up to 0.5 the better score alone decides
        return "too few dates to be sure" if min_probability > 0.5 else None
    if result.confidence < min_probability:
        return f"better with less than {100 * min_probability:g} % confidence"
    return None


def _record(result: "ModelComparison", min_probability: float, passed: bool) -> dict[str, Any]:
    """The record of the comparison that is stored on both versions, besides their scores."""
    first, last = result.dates or (None, None)
    return {
        "first": first, "last": last, "dates": result.n_dates, "data_digest": result.data_digest,
        "difference": result.difference.value, "low": result.difference.low, "high": result.difference.high,
        "confidence": result.confidence, "min_probability": min_probability, "passed": passed,
    }  # fmt: skip


def _write(result: "ModelComparison", decision: str, settings: PromotionSettings, folder: Path) -> None:
    from src.disk import write_atomically

    champion, challenger = _versions(result)
    record = asdict(result) | {"decision": decision, "min_probability": settings.min_probability}
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{result.target}_{challenger}_against_{champion}.json"
    write_atomically(path, json.dumps(record, indent=2, allow_nan=False) + "\n")


def table_text(results: Sequence["ModelComparison"], decisions: Sequence[str]) -> str:
    """One row per comparison, then notes on the intervals."""
    notes = [f"{result.target}: {result.difference.note}" for result in results if result.difference.note]
    return "\n".join(text_table(HEADER, map(_row, results, decisions)) + notes)


def _row(result: "ModelComparison", decision: str) -> tuple[str, ...]:
    compared, interval = result.comparison, result.difference.interval
    return (
        result.target,
        compared.metric.upper(),
        *_versions(result),
        str(compared.n_rows),
        f"{result.dates[0]} … {result.dates[1]} ({result.n_dates})" if result.dates else "-",
        number(compared.champion_score),
        number(compared.challenger_score),
        f"{compared.difference:+.5g}",
        "-" if interval is None else f"{interval[0]:+.5g} … {interval[1]:+.5g}",
        "-" if result.confidence is None else f"{100 * result.confidence:.1f} %",
        decision,
    )


def _versions(result: "ModelComparison") -> tuple[str, str]:
    from src.tracking.registry.promotion import version_number

    champion, challenger = result.comparison.champion_uri, result.comparison.challenger_uri
    return f"v{version_number(champion)}", f"v{version_number(challenger)}"


def build_parser() -> argparse.ArgumentParser:
    """The command's options."""
    return command_parser(
        "promote", "Compares challenger and champion on dates new to both, and promotes the challenger if it is better."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit status, which is 0 also if the champion stays."""
    args = build_parser().parse_args(argv)

    def command() -> int:
        if args.mode not in PROMOTE_MODES:
            raise ConfigError(f"--mode {args.mode!r} is unknown: use {', '.join(PROMOTE_MODES)}")
        if args.mode == "off":
            sys.stdout.write("nothing is promoted: --mode is off\n")
            return 0
        check_tracking_uri(os.environ)
        dry_run = args.dry_run or args.mode == "dry-run"
        settings = settings_of(PromotionSettings, args, data=data_settings(args), dry_run=dry_run)
        targets = chosen_targets(args.targets, settings.data.table.targets)
        if not args.check:
            promote_targets(_registered(targets, args.targets), settings)
        return 0

    return run_command(command, args.verbose)


def _registered(targets: list[str], named: Sequence[str]) -> list[str]:
    """The named targets, else all targets with a model; a named target without one is refused later."""
    from src.tracking.connection.session import TrackingSession
    from src.tracking.connection.tracking_check import refuse_denied_access
    from src.tracking.registry.model_versions import is_registered

    refuse_denied_access(os.environ)
    _ = TrackingSession().client  # creates a missing store, and limits the wait for a dead server
    if ",".join(named).strip() not in ("", "all"):
        return targets
    registered = [target for target in targets if is_registered(target)]
    if not registered:
        raise UserError(f"none of {', '.join(targets)} has a registered model: train and register one first")
    return registered


if __name__ == "__main__":
    sys.exit(main())
