"""Detects texts that look like numbers or dates, and the decimal mark of a column of formatted numbers."""

import re
from collections.abc import Iterable

from src.data.encoding import read_number

DECIMAL_MARKS = (".", ",")
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
_DATE = re.compile(
    r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/]\d{1,2}[-/]\d{2,4}|\d{1,2}\.\d{1,2}\.\d{4}"
    rf"|\d{{1,2}}[- ]{_MONTH}[- ,]+\d{{2,4}}|{_MONTH} \d{{1,2}},? \d{{4}})(?:[T ]+\d{{1,2}}:\d{{2}}.*)?",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"[0-9.,'\u2019\s]*[0-9]")


def looks_like_number(text: str) -> bool:
    """Whether a text is a number in a format that `numbers:` reads."""
    return any(read_number(text, mark) is not None for mark in DECIMAL_MARKS)


def looks_like_date(text: str) -> bool:
    """Whether a text is a date, perhaps with a time, in a usual format."""
    return _DATE.fullmatch(text.strip()) is not None


def decide_decimal_mark(texts: Iterable[str]) -> str | None:
    """The decimal mark of the numbers of a column.

    `1,234.5` and `3.25` have a point, `1.234,5` and `3,25` a comma; `1,234` alone is ambiguous. One unambiguous text
    decides for the column.

    Returns:
        `.` or `,`; None if no text has a mark.

    Raises:
        ValueError: the texts contradict each other, or all are ambiguous; quotes them.
    """
    clear: dict[str, str] = {}
    unclear = None
    for text in texts:
        mark = _mark_of(text)
        if mark in DECIMAL_MARKS:
            clear.setdefault(mark, text)
        elif mark:
            unclear = unclear or text
    if len(clear) > 1:
        raise ValueError(f"{clear['.']!r} has a decimal point, {clear[',']!r} a decimal comma")
    if clear:
        return next(iter(clear))
    if unclear is None:
        return None
    raise ValueError(f"{unclear!r} may have a decimal mark or a thousands separator, and no other value decides")


def _mark_of(text: str) -> str:
    """The decimal mark of one number; empty if it has no marks, `?` if its only mark is ambiguous."""
    match = _DIGITS.search(text)
    digits = match.group().strip() if match else ""
    marks = [character for character in digits if character in DECIMAL_MARKS]
    if not marks:
        return ""
    last = marks[-1]
    if len(set(marks)) == 2:
        return last
    other = DECIMAL_MARKS[1 - DECIMAL_MARKS.index(last)]
    if len(marks) > 1:
        return other
    before, _, after = digits.partition(last)
    return "?" if len(after) == 3 and before.isdecimal() and len(before) <= 3 and before.strip("0") else last
