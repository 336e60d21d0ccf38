"""Checks that a command's error is one line that a user understands, and not just the text of an exception."""

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.commands import Finished

WORD = re.compile(r"[A-Za-z]{2,}")


@contextmanager
def errors_seen() -> Iterator[list[BaseException]]:
    """The exceptions that end a command, as `--verbose` shows them."""
    seen: list[BaseException] = []

    class Collector(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.exc_info and record.exc_info[1]:
                seen.append(record.exc_info[1])

    logger, collector = logging.getLogger("src.cli"), Collector()
    logger.addHandler(collector)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    try:
        yield seen
    finally:
        logger.removeHandler(collector)
        logger.setLevel(logging.NOTSET)
        logger.propagate = True


def assert_readable(done: Finished, seen: Sequence[BaseException]) -> str:
    """Checks all lines; returns the line of the error."""
    assert "Traceback" not in done.err
    lines = done.err.splitlines()
    assert [line for line in lines if len(line) > 500] == []
    (line,) = [line for line in lines if line.startswith("error: ")]
    assert len(WORD.findall(line)) >= 4
    for error in seen:
        for cause in _causes(error):
            text = " ".join(str(cause).split())
            own_words = line.replace(text, "") if text else line
            assert len(WORD.findall(own_words)) >= 4, f"{line!r} is nothing but the text of {cause!r}"
    return line


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause = error.__cause__ or error.__context__
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__
