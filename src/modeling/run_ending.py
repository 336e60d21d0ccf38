"""How a study's parent run ends in MLflow: its status and, in the tag `daily_profit.outcome`, what became of the study.

The tag is for whoever looks the next morning. An outage of MLflow keeps no trial and no model waiting: a tag that could
not be written is written when the command is repeated.
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
    """Whatever ends the block, finished trials are projected and the parent run ends with the right status and tag.

    Raises:
        StoreError: the store failed inside the block.
        RunError: a file could not be written or read; its name and the remedy are in the message.
    """
    ending = RunEnding("KILLED", "stopped")
    try:
        yield
        ending = opened.ending
    except Interrupted:  # the one error that says that nothing failed
        raise
    except (StorageInternalError, OSError) as error:  # OSError: a full disk, say; no reason to skip the next target
        told = store_error(error, opened.study.study_name)
        ending = RunEnding("FAILED", failure_text(told, opened.manager.url))
        raise told from error
    except Exception as error:
        ending = RunEnding("FAILED", failure_text(error, opened.manager.url))
        raise
    finally:
        end_parent_run_as(opened, ending)


def failure_text(error: Exception, store: URL) -> str:
    """What the tag says of an error, without the store's password; of an unexpected error it names the type, too."""
    kind = "" if isinstance(error, DailyProfitError) else f"{type(error).__name__}: "
    text = scrub(str(error), store.render_as_string(hide_password=False))
    return shorten(f"failed: {kind}{text}")


def end_parent_run_as(opened: OpenStudy, ending: RunEnding) -> bool:
    """Writes what MLflow lacks and ends the parent run; False if that is left to a later time."""
    try:
        end_parent_run(opened.session, opened.projection.project(), ending)
    except (TrackingError, StorageInternalError, StoreError) as error:
        told = error if isinstance(error, RunError) else store_error(error, opened.study.study_name)
        log.warning("%s; missing MLflow runs are written when the study is resumed", told)
        return False
    return True


@contextlib.contextmanager
def ends_parent_runs_on_error(opened: Sequence[OpenStudy]) -> Iterator[None]:
    """An error that ends the block ends the parent runs of these studies too, each with its last trials."""
    try:
        yield
    except BaseException as error:
        for each in opened:
            with contextlib.suppress(type(error), RunError), ends_parent_run(each):
                raise
        raise
