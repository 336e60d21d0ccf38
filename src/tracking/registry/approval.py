"""A second person's confirmation of a promotion (`--approve-by`, `--approve`).

The tag `approval_pending` of the challenger says who asked whom, and for which contest. It holds as long as the aliases
are those of that contest. Names are those that MLflow records: a tracking server with authentication checks them, a
server without it believes them.
"""

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from src.errors import UserError
from src.tracking.connection.tracking_errors import tracking_errors
from src.tracking.registry.champion_history import utc_now
from src.tracking.registry.contests import Verdict, contest_record, json_tag, recorded_contests
from src.tracking.registry.model_versions import CHALLENGER, CHAMPION, ScoreComparison, version_aliases, version_number

if TYPE_CHECKING:
    from src.tracking.registry.comparison import ModelComparison

APPROVAL_PENDING = "approval_pending"


@dataclass(frozen=True)
class Pending:
    """A promotion that waits for approval.

    Attributes:
        requested_by: the user whose command compared the models.
        approver: the user who has to confirm.
        at: time of the request, ISO 8601 in UTC.
        champion, challenger: version numbers.
        contest: tag of the contest.
        run_id: the MLflow run of the decision.
    """

    requested_by: str
    approver: str
    at: str
    champion: int
    challenger: int
    contest: str
    run_id: str


def request_approval(result: "ModelComparison", verdict: Verdict, user: str, approver: str, run_id: str) -> None:
    """Records that a passed contest waits for approval.

    Args:
        result: the comparison.
        verdict: of the contest, without a refusal.
        user: who asks.
        approver: who has to confirm.
        run_id: the MLflow run of the decision.

    Raises:
        TrackingError: MLflow cannot be reached, or refuses.
    """
    from mlflow import MlflowClient

    record = contest_record(result)
    pending = Pending(user, approver, utc_now(), record["champion"], record["challenger"], verdict.key, run_id)
    with tracking_errors(f"ask for the approval of model {result.target!r}"):
        text = json.dumps(asdict(pending))
        MlflowClient().set_model_version_tag(result.target, str(record["challenger"]), APPROVAL_PENDING, text)


def pending_approval(name: str) -> Pending | None:
    """The promotion of a name that waits for approval; None if there is none, or if the champion has changed since.

    Raises:
        UserError: the name has no version, or the tag was edited.
        TrackingError: MLflow cannot be reached.
    """
    from mlflow import MlflowClient

    aliases = version_aliases(name)
    if CHALLENGER not in aliases or CHAMPION not in aliases:
        return None
    challenger, champion = version_number(aliases[CHALLENGER]), version_number(aliases[CHAMPION])
    with tracking_errors(f"read the challenger of model {name!r}"):
        text = MlflowClient().get_model_version(name, challenger).tags.get(APPROVAL_PENDING)
    if text is None:
        return None
    try:
        pending = Pending(**json_tag(name, APPROVAL_PENDING, text))
    except TypeError as error:  # other keys than those of `Pending`
        raise UserError(f"the tag {APPROVAL_PENDING} of model {name!r} was edited: delete it in MLflow") from error
    return pending if (str(pending.champion), str(pending.challenger)) == (champion, challenger) else None


def approvable(name: str, user: str) -> tuple[Pending, ScoreComparison]:
    """The promotion that a user may approve, with its comparison.

    Raises:
        UserError: nothing waits for approval, or for that of somebody else, or the user has requested it.
        TrackingError: MLflow cannot be reached.
    """
    pending = pending_approval(name)
    if pending is None:
        raise UserError(
            f"no promotion of {name!r} waits for approval, or its champion or challenger has changed since: run "
            f"promote with --approve-by first"
        )
    if user == pending.requested_by:
        raise UserError(f"{user!r} has requested the promotion of {name!r}: {pending.approver!r} has to approve it")
    if user != pending.approver:
        raise UserError(
            f"the promotion of {name!r} waits for the approval of {pending.approver!r}, and MLflow knows this user as "
            f"{user!r}: set MLFLOW_TRACKING_USERNAME, or request the approval of {user!r} with --approve-by"
        )
    record = recorded_contests(name).get(pending.contest)
    if record is None:
        raise UserError(f"the contest {pending.contest} of model {name!r} is no longer recorded: run promote again")
    scores = record["champion_score"], record["challenger_score"]
    uris = f"models:/{name}/{pending.champion}", f"models:/{name}/{pending.challenger}"
    difference, passed = scores[1] - scores[0], bool(record["passed"])
    return pending, ScoreComparison(record["metric"], *uris, *scores, difference, passed, record["rows"])
