"""Checks that two collections of the tests give the same names in the same order, which pytest-xdist requires.

    python .ci/collect.py [ARGUMENTS OF PYTEST]   exit status 1 and the first names that differ

The second collection starts a second later and simulates another machine: another hash seed, clock, time zone and
temporary folder, and every folder lists its files in reverse order.
"""

import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import zip_longest

log = logging.getLogger(__name__)

SHOWN = 5
LONGEST_NAME = 200
SECONDS_APART = 1.1
ADDRESS = re.compile(r"\b0x[0-9a-f]{8,}\b")
COLLECT = ("--collect-only", "--quiet", "--no-header", "-p", "no:cacheprovider", "-p", "no:xdist")
ELSEWHERE = """
import os, sys, time

class Listed:
    def __init__(self, entries): self.left = iter(entries)
    def __iter__(self): return self
    def __next__(self): return next(self.left)
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def close(self): pass

now, scandir, listdir = time.time, os.scandir, os.listdir
time.time = lambda: now() + 86_401
os.scandir = lambda *path: Listed(reversed(list(scandir(*path))))
os.listdir = lambda *path: listdir(*path)[::-1]
import pytest
sys.exit(pytest.main(sys.argv[1:]))
"""
HERE = "import sys, pytest; sys.exit(pytest.main(sys.argv[1:]))"


def start(code: str, arguments: Sequence[str], environ: dict[str, str]) -> "subprocess.Popen[str]":
    """Starts a process that prints the names of the tests."""
    command = [sys.executable, "-c", code, *COLLECT, *arguments]
    return subprocess.Popen(command, env=os.environ | environ, stdout=subprocess.PIPE, text=True, encoding="utf-8")


def names_of(process: "subprocess.Popen[str]") -> list[str] | None:
    """The names that it printed; if it failed or found no test, prints its output and returns None."""
    out = process.communicate()[0]
    names = [line for line in out.splitlines() if "::" in line]
    if process.returncode or not names:
        sys.stderr.write(out)
        return None
    return names


def differences(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """One line for each position at which two lists of names differ or may differ; empty if they are the same."""
    pairs = list(zip_longest(first, second, fillvalue="nothing"))
    differ = [f"{one[:LONGEST_NAME]} is then {two[:LONGEST_NAME]}" for one, two in pairs if one != two]
    # Two processes may put an object at the same address by chance.
    return differ + [
        f"{one[:LONGEST_NAME]} contains a memory address" for one, two in pairs if one == two and ADDRESS.search(one)
    ]


def main(argv: Sequence[str]) -> int:
    """Collects twice at the same time and compares; 0 when both name the same tests."""
    logging.basicConfig(level=logging.INFO, format="collect: %(message)s")
    with tempfile.TemporaryDirectory(prefix="collect-") as folder:
        plain = {"PYTHONIOENCODING": "utf-8"}
        one = start(HERE, argv, plain | {"PYTHONHASHSEED": "1"})
        time.sleep(SECONDS_APART)
        other = start(ELSEWHERE, argv, plain | {"PYTHONHASHSEED": "2", "TZ": "Asia/Kathmandu", "TMPDIR": folder})
        first, second = names_of(one), names_of(other)
    if first is None or second is None:
        log.error("the tests cannot be collected: see the output of pytest above")
        return 1
    found = differences(first, second)
    for line in found[:SHOWN]:
        log.error("%s", line)
    if found:
        log.error("%d names differ between collections: give these parameters explicit ids", len(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
