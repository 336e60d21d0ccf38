"""Ends a study's parent run in MLflow with its status and the outcome in the tag `daily_profit.outcome`.

An MLflow outage never delays a trial or a model: a tag that could not be written is written when the command is
repeated.
"""

import contextlib
import logging
from collections.abc import Iterator, Sequence

from optuna.exceptions import StorageInternalError
from sqlalchemy.engine import URL

from src.errors import DailyProfitError, Interrupted, RunError, StoreError, TrackingError
from src.modeling.open_study import OpenStudy
from src.secrets import scrub
from src.study.studies import store_error
from src.suggest import shorten
from src.tracking.projection.parent_run import RunEnding, end_parent_run

log = logging.getLogger(__name__)


@contextlib.contextmanager
def ends_parent_run(opened: OpenStudy) -> Iterator[None]:
    """After the block, also after an error, projects finished trials and ends the parent run with status and tag.

    Raises:
        StoreError: the store failed inside the block.
        RunError: a file could not be written or read; the message names it and the remedy.
    """
    ending = RunEnding("KILLED", "stopped")
    try:
        yield
        ending = opened.ending
    except Interrupted:  # a stop request, not a failure
        raise
    except (StorageInternalError, OSError) as error:  # OSError, for example a full disk: the next target still runs
        run_error = store_error(error, opened.study.study_name)
        ending = RunEnding("FAILED", failure_text(run_error, opened.manager.url))
        raise run_error from error
    except Exception as error:
        ending = RunEnding("FAILED", failure_text(error, opened.manager.url))
        raise
    finally:
        end_parent_run_as(opened, ending)


def failure_text(error: Exception, store: URL) -> str:
    """The tag's text for an error, without the store's password; for an unexpected error it includes the type."""
    kind = "" if isinstance(error, DailyProfitError) else f"{type(error).__name__}: "
    text = scrub(str(error), store.render_as_string(hide_password=False))
    return shorten(f"failed: {kind}{text}")


def end_parent_run_as(opened: OpenStudy, ending: RunEnding) -> bool:
    """Writes missing MLflow runs and ends the parent run; False if MLflow or the store is unavailable."""
    try:
        end_parent_run(opened.session, opened.projection.project(), ending)
    except (TrackingError, StorageInternalError, StoreError) as error:
        run_error = error if isinstance(error, RunError) else store_error(error, opened.study.study_name)
        log.warning("%s; missing MLflow runs are written when the study is resumed", run_error)
        return False
    return True


@contextlib.contextmanager
def ends_parent_runs_on_error(opened: Sequence[OpenStudy]) -> Iterator[None]:
    """If the block raises, ends the parent runs of these studies too, after their last trials are projected."""
    try:
        yield
    except BaseException as error:
        for study in opened:
            with contextlib.suppress(type(error), RunError), ends_parent_run(study):
                raise
        raise
