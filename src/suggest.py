"""Words for error messages: what there is, and what was probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice

_SHOWN = 20


def listing(names: Iterable[object]) -> str:
    """The names, comma-separated; a long list is cut so that the message stays one readable line."""
    words = [one_line(name) for name in names]
    more = f" and {len(words) - _SHOWN} more" if len(words) > _SHOWN else ""
    return ", ".join(words[:_SHOWN]) + more


def examples(values: Iterable[object]) -> str:
    """Up to three values in quotes, comma-separated."""
    return ", ".join(repr(one_line(value, 40)) for value in islice(values, 3))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`" (did you mean 'x'?)"` for the closest of the known names, or an empty text when none is close."""
    by_folded = {word.casefold(): word for word in known}
    close = get_close_matches(name.casefold(), by_folded, n=1, cutoff=0.7)
    return f" (did you mean {by_folded[close[0]]!r}?)" if close else ""


def one_line(value: object, limit: int = 300) -> str:
    """The text of a value or foreign error in one line: white space squeezed, long texts cut at `limit` characters."""
    text = " ".join(str(value).split())
    return text if len(text) <= limit else text[: limit - 1] + "…"
