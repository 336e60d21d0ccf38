"""A private temporary folder shared by the processes of one search; it is removed even after a kill."""

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
    """Creates a folder that only this user may read, and removes it when the block ends.

    A killed process cannot remove its folder: the next search does, because the owner file names a dead process.

    Args:
        parent: parent folder; the system's folder for temporary files (TMPDIR) when None.

    Raises:
        OSError: the disk is full, or the folder cannot be created.
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
        except OSError:  # of another user, or the owner file is not written yet
            continue
        if is_known_dead(owner):
            log.info("removing %s: its process was killed", folder)
            shutil.rmtree(folder, ignore_errors=True)  # another process may be removing it too
