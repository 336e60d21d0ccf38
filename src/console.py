"""Output of text: any character in any encoding, one line of bounded length per message.

A terminal, a pipe or a log may accept Latin-1 or ASCII only. Other characters are replaced, so that a long run does
not fail at its last message.
"""

import codecs
import io
import logging
import os
import sys
import unicodedata
from typing import cast

from src.suggest import shorten

REPLACE = "daily_profit.replace"


def accept_any_text() -> None:
    """Makes stdout and stderr replace characters that their encoding lacks: `…` by `...`, most others by `?`."""
    codecs.register_error(REPLACE, _replace)
    for stream in (sys.stdout, sys.stderr):  # None without a console; another class in tests and notebooks
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=REPLACE)


def _replace(error: UnicodeError) -> tuple[str, int]:
    failed = cast(UnicodeEncodeError, error)
    return "".join(map(_to_ascii, failed.object[failed.start : failed.end])), failed.end


def _to_ascii(character: str) -> str:
    """The ASCII part of a character's compatibility decomposition, such as a letter without its accent, or `?`."""
    return unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode() or "?"


def output_failure() -> OSError | None:
    """Flushes standard output and returns the error if that fails: a closed pipe, a full disk.

    The rest of the output then goes to the null device; otherwise Python would report the error again at exit.
    """
    if sys.stdout is None:
        return None
    try:
        sys.stdout.flush()
    except OSError as error:
        null_device = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null_device, sys.stdout.fileno())
        os.close(null_device)
        error.filename = "standard output"
        return error
    return None


class LineFormatter(logging.Formatter):
    """Formats a record as one line of bounded length; a traceback, if any, follows unchanged."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The record without its traceback."""
        return shorten(super().formatMessage(record))
