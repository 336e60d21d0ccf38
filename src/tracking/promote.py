"""Makes the challenger champion if it is better on rows that neither model was trained on.

    python -m src.tracking.promote --targets net_profit --data table.parquet --dry-run
    python -m src.tracking.promote --targets net_profit --history
    python -m src.tracking.promote --targets net_profit --rollback

Two conditions: the challenger's score is strictly better, and the one-sided confidence that it is better, by Student's
t over groups of dates (see `intervals`), is as high as this contest needs (see `contests`). All targets are compared
before any alias is moved. Every decision is an MLflow run and is recorded with the compared dates, also if the champion
stays; with `--dry-run` nothing is written. Scheduled jobs pass their promotion setting as `--mode`, and validate the
options with `--check`.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from src.cli import chosen_targets, command_parser, data_settings, run_command, settings_of
from src.config import PromotionSettings
from src.errors import ConfigError, UserError
from src.options import PROMOTE_MODES
from src.tracking.champion_commands import approve_targets, complete_promotions, roll_back_targets, show_history
from src.tracking.connection.tracking_uri import check_tracking_uri
from src.tracking.decision_table import table_text, write_decision

if TYPE_CHECKING:
    from src.tracking.connection.session import TrackingSession
    from src.tracking.registry.comparison import ModelComparison
    from src.tracking.registry.contests import Verdict

log = logging.getLogger(__name__)


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
    complete_promotions(targets, settings.dry_run)
    pairs = {target: _pair(target, settings) for target in targets}
    results = _compare({target: uris for target, uris in pairs.items() if uris is not None}, settings)
    verdicts: list[Verdict] = []
    decisions: dict[str, str] = {}
    try:
        for result in results:
            verdict, decisions[result.target] = _decide(result, settings)
            verdicts.append(verdict)
    finally:  # promotions before an error are printed too
        if decisions:
            done = results[: len(decisions)]
            sys.stdout.write(table_text(done, verdicts, list(decisions.values())) + "\n")
    return decisions


def _pair(target: str, settings: PromotionSettings) -> tuple[str, str] | None:
    """The URIs of champion and challenger; None if there is no challenger to compare."""
    from src.tracking.registry.approval import pending_approval
    from src.tracking.registry.model_versions import CHALLENGER, CHAMPION, version_aliases, version_number
    from src.tracking.registry.rollback import rolled_back_on

    aliases = version_aliases(target)
    if CHAMPION not in aliases:
        raise UserError(
            f"model {target!r} has no champion: set the alias champion on a version, or train and register one"
        )
    champion, challenger = aliases[CHAMPION], aliases.get(CHALLENGER)
    if challenger is None or challenger == champion:
        sys.stdout.write(f"{target}: no challenger to promote, champion is v{version_number(champion)}\n")
        return None
    number = version_number(challenger)
    if (day := rolled_back_on(target, number)) is not None:
        remedy = "to compare it again, delete its tag rolled_back_at"
        sys.stdout.write(f"{target}: challenger v{number} was rolled back on {day} and is not compared; {remedy}\n")
        return None
    pending = pending_approval(target)
    if pending is not None and settings.approve_by is None:
        sys.stdout.write(f"{target}: challenger v{number} waits for the approval of {pending.approver} (--approve)\n")
        return None
    return champion, challenger


def _compare(pairs: dict[str, tuple[str, str]], settings: PromotionSettings) -> list["ModelComparison"]:
    if not pairs:
        return []
    from src.data.sources.dispatch import describe_source, read_table
    from src.data.table import load_dataset
    from src.tracking.registry.comparison import compare_models, with_column_types_of_models
    from src.tracking.registry.contests import judged_until, recorded_contests, version_pair
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
        last_date = None if data.dates is None else str(data.dates.max())
        until = judged_until(recorded_contests(target), version_pair(uris), last_date)
        results.append(compare_models(data, frame, models, settings.test_fraction, settings.purge_days, until))
    return results


def _decide(result: "ModelComparison", settings: PromotionSettings) -> "tuple[Verdict, str]":
    from src.tracking.connection.session import TrackingSession
    from src.tracking.registry.contests import enter_contest, record_verdict, recorded_contests, verdict_on
    from src.tracking.registry.decision_run import open_decision_run

    if settings.dry_run:
        verdict = verdict_on(result, recorded_contests(result.target), settings.min_probability)
        decision = "would be promoted" if verdict.refusal is None else f"kept: {verdict.refusal}"
    else:
        verdict, session = enter_contest(result, settings.min_probability), TrackingSession()
        run_id = open_decision_run(session, result, verdict, settings)
        record_verdict(result, verdict, settings.min_probability, run_id)
        decision = _act(session, result, verdict, settings, run_id)
    if settings.output_dir is not None:
        folder = settings.output_dir / "promotions"
        write_decision(result, verdict, decision, settings.min_probability, folder)
    return verdict, decision


def _act(
    session: "TrackingSession",
    result: "ModelComparison",
    verdict: "Verdict",
    settings: PromotionSettings,
    run_id: str,
) -> str:
    """Moves the alias or asks for approval where the challenger passed, ends the run, and returns the decision."""
    from src.tracking.connection.run_tags import current_user
    from src.tracking.registry.approval import request_approval
    from src.tracking.registry.decision_run import FAILED, KEPT, PROMOTED, WAITING, end_decision_run
    from src.tracking.registry.model_versions import CHAMPION, version_aliases
    from src.tracking.registry.promotion import promote_challenger

    if verdict.refusal is not None:
        end_decision_run(session, run_id, KEPT, verdict.refusal)
        return f"kept: {verdict.refusal}"
    if settings.approve_by is not None:
        request_approval(result, verdict, current_user(), settings.approve_by, run_id)
        end_decision_run(session, run_id, WAITING, f"waits for the approval of {settings.approve_by}")
        return f"waits for the approval of {settings.approve_by}"
    try:
        promote_challenger(result.target, result.comparison, current_user())
    except UserError as error:
        # The same command may have run twice at once, with one run for both: then the other one has promoted.
        if version_aliases(result.target).get(CHAMPION) != result.comparison.challenger_uri:
            end_decision_run(session, run_id, FAILED, str(error))
        raise
    end_decision_run(session, run_id, PROMOTED, "better with the confidence that this contest needs")
    return "promoted"


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
        action = _action(args)
        if args.mode == "off" and action != "history":
            sys.stdout.write("nothing is promoted: --mode is off\n")
            return 0
        check_tracking_uri(os.environ)
        dry_run = args.dry_run or args.mode == "dry-run"
        settings = settings_of(PromotionSettings, args, data=data_settings(args), dry_run=dry_run)
        targets = chosen_targets(args.targets, settings.data.table.targets)
        if not args.check:
            _run(action, _registered(targets, args.targets), settings, args.json)
        return 0

    return run_command(command, args.verbose)


def _action(args: argparse.Namespace) -> str:
    """Which of `--rollback`, `--approve` and `--history` is given; `compare` without any."""
    given = [name for name in ("rollback", "approve", "history") if getattr(args, name)]
    if len(given) > 1 or (given and args.approve_by):
        both = " and ".join(f"--{name}" for name in [*given, *(["approve-by"] if args.approve_by else [])])
        raise ConfigError(f"{both} contradict each other: give one of them")
    if given in (["rollback"], ["approve"]) and ",".join(args.targets) in ("", "all"):
        raise ConfigError(f"--{given[0]} moves aliases without a comparison: name the models with --targets")
    if args.json is not None and given != ["history"]:
        raise ConfigError(f"--json {args.json} is for --history: use --output-dir for decisions")
    return given[0] if given else "compare"


def _run(action: str, targets: list[str], settings: PromotionSettings, json_path: str | None) -> None:
    if action == "history":
        show_history(targets, json_path)
    elif action == "rollback":
        roll_back_targets(targets, settings.dry_run)
    elif action == "approve":
        approve_targets(targets, settings.dry_run)
    else:
        _refuse_own_approval(settings)
        promote_targets(targets, settings)


def _refuse_own_approval(settings: PromotionSettings) -> None:
    from src.tracking.connection.run_tags import current_user

    if settings.approve_by is not None and settings.approve_by == current_user():
        raise ConfigError(f"--approve-by {settings.approve_by!r} is this user: name a second person")


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
