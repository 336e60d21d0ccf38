"""What the operating system refuses, in words: which file, why, and what to do about it.

A write to a full disk raises an error that names no file, and Python's text of it is an error number. So whoever writes
a file names it (`names_file`), and whoever shows the error explains it (`explain`).
"""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
