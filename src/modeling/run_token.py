"""Which run a shared study is prepared for: how its workers and its finish know that `--mode create` is done.

The three Jobs of `make fanout` start at the same moment. On a study that exists already, a worker or a finish that is
faster than create would read the total and the timeout of an earlier run. Each run therefore has a token: create writes
it on the study after everything else, and nobody else of the run does anything before it is there. A mistake that only
one pod of a run can see is written on the study too, so that the others end at once.
"""

import logging
from collections.abc import Mapping
from typing import Any

import optuna

from src.modeling.recipe import BEGAN_ATTR, note_timeout

log = logging.getLogger(__name__)

RUN_ATTR = "run_token"
FAILED_RUN_ATTR = "failed_run"


def begin_run(study: optuna.Study, token: str | None, timeout: float | None) -> None:
    """Prepares a study for a run, as the last act of create; repeated with the same token it changes nothing.

    Every run has the whole timeout: it counts from the run's first worker.

    Args:
        study: with its total noted.
        token: of the run; None for a create by hand, which orders nothing.
        timeout: seconds for the search, if they were given; None keeps the study's own.
    """
    attributes = study.user_attrs
    if token is not None and attributes.get(RUN_ATTR) == token:
        return
    changed = timeout is not None and note_timeout(study, timeout)
    if (changed or token is not None) and attributes.get(BEGAN_ATTR) is not None:
        study.set_user_attr(BEGAN_ATTR, None)
    if token is not None:
        study.set_user_attr(RUN_ATTR, token)


def note_failure(study: optuna.Study, token: str, who: str, message: str) -> None:
    """Writes on the study that the run cannot go on, and why."""
    study.set_user_attr(FAILED_RUN_ATTR, {"token": token, "who": who, "message": message})


def failure_of(attributes: Mapping[str, Any], token: str | None) -> str | None:
    """Why the run with this token cannot go on; None if nothing is known.

    Args:
        attributes: the study's user attributes.
        token: of the run; the failure of another run says nothing.
    """
    noted = attributes.get(FAILED_RUN_ATTR)
    if token is None or not isinstance(noted, Mapping) or noted.get("token") != token:
        return None
    return f"{noted['who']} failed: {noted['message']}"
