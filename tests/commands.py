"""Runs a command in this process as a user runs it: in a folder of his own, under his environment."""

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Main = Callable[[Sequence[str]], int]


@dataclass(frozen=True)
class Finished:
    """What the user saw."""

    status: int
    out: str
    err: str


def run_here(main: Main, argv: Sequence[str], folder: Path, environ: Mapping[str, str] | None = None) -> Finished:
    """Runs `main(argv)` in `folder`; whatever it changes of this process is taken back."""
    out, err = io.StringIO(), io.StringIO()
    with _restored(), contextlib.chdir(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        os.environ.update(environ or {})
        try:
            status = main(argv)
        except SystemExit as left:  # argparse ends the process itself
            status = left.code if isinstance(left.code, int) else 1
    return Finished(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _restored() -> Iterator[None]:
    """Environment, warnings and logging, which a command sets up for the whole of its process."""
    loggers = [logging.getLogger(name) for name in (None, "src", "__main__")]
    levels, handlers, environ = [logger.level for logger in loggers], logging.getLogger().handlers[:], dict(os.environ)
    logging.getLogger().handlers = []  # else the command would close those of the tests
    try:
        with warnings.catch_warnings():
            yield
    finally:
        os.environ.clear()
        os.environ.update(environ)
        logging.getLogger().handlers = handlers
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
