"""Files and folders: written whole or not at all, and what the operating system refuses, in words.

A write to a full disk raises an error that names no file, and Python's text of it is an error number. So whoever writes
a file names it (`names_file`), and whoever shows the error explains it (`explain`).
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
_CURES = {
    errno.ENOSPC: "free space on its disk",
    errno.EDQUOT: "free space of this user's quota",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: "its file system is read-only, name another place",
    errno.EIO: "look at the system's log for errors of its disk",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "close other programs, this machine has too many files open",
    errno.ENOMEM: "give the process more memory",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EPIPE: "give the output a reader that stays to the end, or a file",
    errno.ENOENT: "see what has removed it or its folder meanwhile",
}
LONGEST_FOLDER = 1000
"""Bytes of the whole path; its files' names come on top, and a system takes some 4,000."""
_AGAIN = "then give the same command again"
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FULL_WORDS = ("no space left", "disk is full", "disk quota exceeded")
"""Of SQLite, of Postgres and of a server that passes on what its own disk said."""
_SHORT_WRITE = re.compile(r"\d+ requested and \d+ written")
"""NumPy's words for a write that was cut short; it keeps the reason to itself, nearly always a full disk."""


@contextmanager
def names_file(path: Path | str) -> Iterator[None]:
    """Puts a file's name into what the system raises while it is written.

    Raises:
        OSError: that of the block, whose `filename` is `path`.
    """
    try:
        yield
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


def explain(error: OSError, then: str = _AGAIN, done: str = "used") -> str:
    """One line: the file, as far as the system says which, why it cannot be used, and what to do.

    Args:
        error: of the operating system.
        then: what to do after the cure.
        done: what cannot be done with the file, as a participle.
    """
    where = " and ".join(shorten(name, 200) for name in (error.filename, error.filename2) if name is not None)
    code = errno.ENOSPC if error.errno is None and is_full(error) else error.errno
    reason = error.strerror or str(error) or type(error).__name__
    cure = _CURES.get(code or 0, "see to that")
    return f"{where or 'standard output, a file or a connection'} cannot be {done}: {reason}: {cure}, {then}"


def is_full(error: BaseException | None) -> bool:
    """Whether a disk without space is the reason, of this machine or of a server that says so."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _FULL:
            return True
        text = str(error)
        if any(words in text.casefold() for words in _FULL_WORDS) or _SHORT_WRITE.search(text):
            return True
        error = error.__cause__ or error.__context__
    return False


def check_folder(option: str, folder: Path, remedy: str = "name another folder") -> None:
    """Refuses a folder that cannot be written, or cannot be made where it does not exist yet.

    Args:
        option: what names the folder, for messages.
        folder: the folder.
        remedy: what would be right.

    Raises:
        ConfigError: says which part of its path is no folder or closed to this user.
    """
    there = folder.absolute()
    if len(os.fsencode(there)) > LONGEST_FOLDER:
        raise ConfigError(
            f"{option} {shorten(folder, 100)} is too long, with more than {LONGEST_FOLDER} bytes: name another folder"
        )
    try:
        while not there.exists() and not there.is_symlink():
            there = there.parent
        is_folder = there.is_dir()
    except OSError as error:  # a name that is too long, a closed folder on the way
        raise ConfigError(f"{option} {folder} cannot be used: {error.strerror}: {remedy}") from error
    if not is_folder:
        raise ConfigError(f"{option} {folder} cannot be a folder: {there} is a file: {remedy}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ConfigError(f"{option} {folder} cannot be written: no permission in {there}: {remedy}")


def write_atomically(path: Path, content: str | bytes) -> None:
    """The whole content or, after a kill or on a full disk, what was there before.

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
    """Writes a hidden file beside a path, to be given its name; it is on the disk when this returns."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)  # mkstemp's files are private, results are not
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return Path(name)
