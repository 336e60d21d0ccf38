"""Files and folders: atomic writes, and messages for errors of the operating system.

A write to a full disk raises an OSError that names no file. Code that writes a file therefore adds its name
(`names_file`), and code that shows the error adds a remedy (`explain`).
"""

import errno
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.errors import ConfigError
from src.suggest import shorten

_PERMISSION = "let this user write there, or name another place"
_REMEDIES = {
    errno.ENOSPC: "free space on its disk",
    errno.EDQUOT: "free space of this user's quota",
    errno.EFBIG: "raise the limit of the file size (ulimit -f)",
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: "its file system is read-only, name another place",
    errno.EIO: "look for errors of its disk in the system log",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs, this machine has too many open files",
    errno.ENOMEM: "give the process more memory",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EPIPE: "the reader closed the pipe too early, write the output to a file",
    errno.ENOENT: "find out what has removed it or its folder",
}
MAX_FOLDER_BYTES = 1000
"""Of the whole path. File names are added to it; operating systems accept about 4,000."""
_RETRY = "then give the same command again"
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_DISK_FULL_TEXTS = ("no space left", "disk is full", "disk quota exceeded")
"""Messages of SQLite, of Postgres, and of servers that forward an error of their own disk."""
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")
"""NumPy's message for an incomplete write. It gives no reason; nearly always the disk is full."""


@contextmanager
def names_file(path: Path | str) -> Iterator[None]:
    """Adds a file name to an OSError of the block.

    Raises:
        OSError: the one of the block, with `path` as its `filename`.
    """
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def explain(error: OSError, then: str = _RETRY, done: str = "used") -> str:
    """One line: the file if it is known, what is wrong with it, and the remedy.

    Args:
        error: of the operating system.
        then: what to do after the remedy.
        done: what cannot be done with the file, as a participle.
    """
    where = " and ".join(shorten(name, 200) for name in (error.filename, error.filename2) if name is not None)
    code = errno.ENOSPC if error.errno is None and is_full(error) else error.errno
    reason = error.strerror or str(error) or type(error).__name__
    remedy = _REMEDIES.get(code or 0, "remove the cause")
    return f"{where or 'standard output, a file or a connection'} cannot be {done}: {reason}: {remedy}, {then}"


def is_full(error: BaseException | None) -> bool:
    """Whether the cause is a full disk, of this machine or of a server."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _DISK_FULL:
            return True
        text = str(error)
        if any(part in text.casefold() for part in _DISK_FULL_TEXTS) or _SHORT_WRITE.search(text):
            return True
        error = error.__cause__ or error.__context__
    return False


def check_folder(option: str, folder: Path, remedy: str = "name another folder") -> None:
    """Refuses a folder that cannot be written, or created if it does not exist.

    Args:
        option: the option that names the folder, for messages.
        folder: the folder.
        remedy: for messages.

    Raises:
        ConfigError: names the part of the path that is no folder or that this user may not write.
    """
    existing = folder.absolute()
    if len(os.fsencode(existing)) > MAX_FOLDER_BYTES:
        raise ConfigError(
            f"{option} {shorten(folder, 100)} is longer than {MAX_FOLDER_BYTES} bytes: name another folder"
        )
    try:
        while not existing.exists() and not existing.is_symlink():
            existing = existing.parent
        is_folder = existing.is_dir()
    except OSError as error:  # a name that is too long, a parent folder without permission
        raise ConfigError(f"{option} {folder} cannot be used: {error.strerror}: {remedy}") from error
    if not is_folder:
        raise ConfigError(f"{option} {folder} cannot be a folder: {existing} is a file: {remedy}")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ConfigError(f"{option} {folder} cannot be written: no permission in {existing}: {remedy}")


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file completely; after a kill or on a full disk the former content remains.

    Raises:
        OSError: the file cannot be written; its `filename` is the path.
    """
    with names_file(path):
        complete = write_temporary(path, content)
        try:
            os.replace(complete, path)
        except BaseException:
            complete.unlink(missing_ok=True)
            raise


def write_temporary(path: Path, content: str | bytes) -> Path:
    """Writes a hidden file next to a path, which the caller renames to it; the data is synced to the disk."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp makes private files; results are readable by other users
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)
