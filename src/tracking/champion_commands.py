"""What `promote` does without a comparison: `--rollback`, `--approve` and `--history`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from src.tracking.decision_table import history_json, history_text


def roll_back_targets(targets: Sequence[str], dry_run: bool) -> None:
    """Makes the former champion of each target champion again, and prints a line for each.

    Raises:
        UserError: a name has no former champion; then nothing is rolled back.
        TrackingError: MLflow cannot be reached.
    """
    from src.tracking.connection.run_tags import current_user
    from src.tracking.connection.session import TrackingSession
    from src.tracking.registry.decision_run import ROLLED_BACK, end_decision_run, open_rollback_run
    from src.tracking.registry.rollback import plan_rollback, roll_back

    complete_promotions(targets, dry_run)
    plans = {target: plan_rollback(target) for target in targets}
    session = TrackingSession()
    for target, (present, former) in plans.items():
        if not dry_run:
            run_id = open_rollback_run(session, target, present, former)
            roll_back(target, present, former, current_user(), run_id)
            end_decision_run(session, run_id, ROLLED_BACK, f"v{former} is champion again, v{present} has no alias")
        would_be = "would be" if dry_run else "is"
        sys.stdout.write(f"{target}: v{former} {would_be} champion again, v{present} {would_be} rolled back\n")


def approve_targets(targets: Sequence[str], dry_run: bool) -> None:
    """Approves the promotion of each target that waits for this user, and prints a line for each.

    Raises:
        UserError: nothing waits for the approval of this user; then no alias moves.
        TrackingError: MLflow cannot be reached.
    """
    from src.tracking.connection.run_tags import current_user
    from src.tracking.connection.session import TrackingSession
    from src.tracking.registry.approval import approvable
    from src.tracking.registry.decision_run import PROMOTED, end_decision_run
    from src.tracking.registry.promotion import promote_challenger

    complete_promotions(targets, dry_run)
    user = current_user()
    found = {target: approvable(target, user) for target in targets}
    for target, (pending, comparison) in found.items():
        if not dry_run:
            by = f"{pending.requested_by}, approved by {user}"
            promote_challenger(target, comparison, by)
            end_decision_run(TrackingSession(), pending.run_id, PROMOTED, f"approved by {user}", user)
        done = "would be promoted" if dry_run else "promoted"
        sys.stdout.write(f"{target}: v{pending.challenger} {done}, requested by {pending.requested_by}\n")


def show_history(targets: Sequence[str], json_path: str | None) -> None:
    """Prints who was champion of each target, from when to when, and why.

    Args:
        targets: registered names.
        json_path: also write it as JSON to this file; `-` prints JSON instead of the table.

    Raises:
        UserError: a name has no version.
        TrackingError: MLflow cannot be reached.
        OSError: the file cannot be written.
    """
    from src.disk import write_atomically
    from src.tracking.registry.champion_history import champion_changes, champion_periods
    from src.tracking.registry.model_versions import version_aliases

    for target in targets:
        version_aliases(target)  # refuses a name without versions
    periods = {target: champion_periods(champion_changes(target)) for target in targets}
    text = history_json(periods)
    if json_path is not None and json_path != "-":
        write_atomically(Path(json_path), text)
    sys.stdout.write(text if json_path == "-" else history_text(periods) + "\n")


def complete_promotions(targets: Sequence[str], dry_run: bool) -> None:
    """Completes promotions that were interrupted after the alias had moved, with their runs; not in a dry run.

    Raises:
        UserError: a name has no version.
        TrackingError: MLflow cannot be reached, or refuses.
    """
    from src.tracking.connection.session import TrackingSession
    from src.tracking.registry.decision_run import PROMOTED, decision_run_of, end_decision_run
    from src.tracking.registry.promotion import complete_promotion

    for target in () if dry_run else targets:
        number = complete_promotion(target)
        if number is not None:
            sys.stdout.write(f"{target}: an interrupted promotion is completed\n")
            run_id = decision_run_of(target, number)
            if run_id is not None:
                end_decision_run(TrackingSession(), run_id, PROMOTED, "completed after an interruption")
