"""A private folder for what processes of one search share on disk; nothing stays behind, not even after a kill."""

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from src.study.worker_identity import is_known_dead, worker_identity

log = logging.getLogger(__name__)

PREFIX = "daily-profit-search-"
OWNER_FILE = "owner"


@contextlib.contextmanager
def work_folder(parent: Path | None = None) -> Iterator[Path]:
    """A new folder that only this user may read; it is gone when the block ends.

    A process that was killed cannot tidy up: the next one to come here does it, by the name of the dead owner.

    Args:
        parent: where; the system's folder for temporary files, which TMPDIR names, when None.

    Raises:
        OSError: the disk is full, or the folder cannot be made.
    """
    parent = Path(tempfile.gettempdir()) if parent is None else parent
    _remove_leftovers(parent)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        (folder / OWNER_FILE).write_text(worker_identity(), encoding="utf-8")
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_leftovers(parent: Path) -> None:
    for folder in parent.glob(f"{PREFIX}*"):
        try:
            owner = (folder / OWNER_FILE).read_text(encoding="utf-8")
        except OSError:  # another user's, or its owner is about to write its name
            continue
        if is_known_dead(owner):
            log.info("removing %s: its process was killed", folder)
            shutil.rmtree(folder, ignore_errors=True)  # another process may be removing it too
