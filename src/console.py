"""What leaves the process as text: any sign in any encoding, one line of bounded length for each message.

A terminal, a pipe or a log may take Latin-1 or ASCII only. What it lacks is replaced, because an error after hours of
work, about a dash in the last line, helps nobody.
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
    """Makes standard output and standard error replace what their encoding lacks: `…` by `...`, other signs by `?`."""
    codecs.register_error(REPLACE, _replace)
    for stream in (sys.stdout, sys.stderr):  # None without a console; something else in tests and notebooks
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=REPLACE)


def _replace(error: UnicodeError) -> tuple[str, int]:
    failed = cast(UnicodeEncodeError, error)
    return "".join(map(_plain, failed.object[failed.start : failed.end])), failed.end


def _plain(sign: str) -> str:
    """What Unicode says that a sign is made of, as far as ASCII has it: dots, a letter without its accent."""
    return unicodedata.normalize("NFKD", sign).encode("ascii", "ignore").decode() or "?"


def output_failure() -> OSError | None:
    """Writes what standard output still holds back, and returns why that failed: the reader is gone, the disk is full.

    What is left of the output is then dropped, or Python would complain of it once more when it ends.
    """
    if sys.stdout is None:
        return None
    try:
        sys.stdout.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        error.filename = "standard output"
        return error
    return None


class LineFormatter(logging.Formatter):
    """One line of bounded length for each record; a traceback that is asked for follows as it is."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The record without its traceback."""
        return shorten(super().formatMessage(record))
