"""How a study's run in MLflow ends, whatever ends the search: finished trials projected, the right status."""

import contextlib
import logging
from collections.abc import Iterator, Sequence

from optuna.exceptions import StorageInternalError

from src.errors import Interrupted, RunError, StoreError, TrackingError
from src.modeling.open_study import OpenStudy
from src.modeling.studies import store_error

log = logging.getLogger(__name__)


@contextlib.contextmanager
def parent_run(opened: OpenStudy) -> Iterator[None]:
    """Whatever ends the block, finished trials are projected and the parent run ends with the right status.

    Raises:
        StoreError: the store failed inside the block.
        RunError: a file could not be written or read; its name and the remedy are in the message.
    """
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    except Interrupted:
        status = "KILLED"
        raise
    except (StorageInternalError, OSError) as error:  # OSError: a full disk, say; no reason to skip the next target
        raise store_error(error, opened.study.study_name) from error
    finally:
        end_parent_run_as(opened, status)


def end_parent_run_as(opened: OpenStudy, status: str) -> bool:
    """Writes what MLflow lacks and ends the parent run with this status; False if that is left to a later time."""
    from src.tracking.session import end_parent_run

    try:
        end_parent_run(opened.session, opened.projection.project(), status)
    except (TrackingError, StorageInternalError, StoreError) as error:
        told = error if isinstance(error, RunError) else store_error(error, opened.study.study_name)
        log.warning("%s; missing MLflow runs are written when the study is resumed", told)
        return False
    return True


@contextlib.contextmanager
def ends_parent_runs(opened: Sequence[OpenStudy]) -> Iterator[None]:
    """An error that ends the block ends the parent runs of these studies too, each with its last trials."""
    try:
        yield
    except BaseException as error:
        for each in opened:
            with contextlib.suppress(type(error), RunError), parent_run(each):
                raise
        raise
