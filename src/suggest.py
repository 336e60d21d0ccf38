"""Parts of messages: lists of names, suggestions for misspelled names, numbers, and a bounded length."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import islice

LONGEST_MESSAGE = 490
"""Characters. The limit is 500; the rest is a reserve for `…`, which becomes `...` on some terminals."""
_SHOWN = 20
_SHOWN_CHARACTERS = 200


def listing(names: Iterable[object]) -> str:
    """Comma-separated names; a long list is cut so that the message stays short."""
    words = [one_line(name, _SHOWN_CHARACTERS) for name in names]
    shown = words[:_SHOWN]
    while len(shown) > 1 and len(", ".join(shown)) > _SHOWN_CHARACTERS:
        shown.pop()
    more = f" and {len(words) - len(shown)} more" if len(words) > len(shown) else ""
    return ", ".join(shown) + more


def examples(values: Iterable[object]) -> str:
    """Up to three values in quotes, comma-separated."""
    return ", ".join(repr(one_line(value, 40)) for value in islice(values, 3))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`" (did you mean 'x'?)"` with the most similar known name, or an empty text when none is similar."""
    by_folded = {word.casefold(): word for word in known}
    close = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.7)
    return f" (did you mean {by_folded[close[0]]!r}?)" if close else ""


def one_line(value: object, limit: int = 300) -> str:
    """The text of a value or of another library's error in one line; cut at `limit` characters."""
    text = " ".join(str(value).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def shorten(message: object, limit: int = LONGEST_MESSAGE) -> str:
    """A message in one line of at most `limit` characters; the middle of a longer one is cut.

    The beginning names the value and the end gives the remedy, so both remain.
    """
    line = " ".join(part.strip() for part in str(message).splitlines() if part.strip())
    if len(line) <= limit:
        return line
    end = limit * 2 // 5
    return f"{line[: limit - end - 3].rstrip()} … {line[-end:].lstrip()}"


def number(value: float | None) -> str:
    """Five significant digits; a dash for a missing value."""
    return "-" if value is None else f"{value:.5g}"


def text_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table with aligned columns and a line of dashes below the header."""
    all_rows = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*all_rows, strict=True)]
    all_rows.insert(1, ["-" * width for width in widths])
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in all_rows]
