"""Failed trials and their reasons."""

from typing import TYPE_CHECKING

from src.reporting.document.blocks import Table
from src.reporting.study.numbers import Snapshot
from src.secrets import scrub

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

ERROR_ATTR = "error"
"""The user attribute in which `src.search.trial_loop` and `src.study.study_storage` store the reason."""
NO_REASON = "no reason was recorded"
MAX_REASONS = 20
MAX_NUMBERS = 8
MAX_LENGTH = 200


def failures(snapshot: Snapshot) -> Table:
    """Reasons, the most frequent first, with the number of failed trials and the first trial numbers.

    Passwords in URLs are masked, because a user's objective may have raised an error that contains one.
    """
    numbers: dict[str, list[int]] = {}
    for trial in snapshot.in_state("FAIL"):
        numbers.setdefault(_reason(trial), []).append(trial.number)
    often = sorted(numbers.items(), key=lambda item: (-len(item[1]), item[1][0]))
    rows = tuple((reason, len(which), _list(which)) for reason, which in often[:MAX_REASONS])
    return Table(("reason", "failed trials", "numbers"), rows)


def _reason(trial: "FrozenTrial") -> str:
    noted = str(trial.user_attrs.get(ERROR_ATTR) or NO_REASON)
    line = " ".join(scrub(noted, "").split())
    return line if len(line) <= MAX_LENGTH else f"{line[: MAX_LENGTH - 1]}…"


def _list(numbers: list[int]) -> str:
    more = len(numbers) - MAX_NUMBERS
    listed = ", ".join(str(number) for number in numbers[:MAX_NUMBERS])
    return f"{listed} and {more} more" if more > 0 else listed
