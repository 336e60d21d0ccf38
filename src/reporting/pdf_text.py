"""Text on paper: which characters can be printed, how wide they are, and where lines break.

The font is matplotlib's own DejaVu Sans: it is wherever matplotlib is, so that every machine makes the same pages.
Widths are sums of the characters' advances, in points; the font's kerning only ever brings them closer.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

UNKNOWN = "\N{WHITE SQUARE}"
"""Stands for a character that the font lacks, as Chinese ones; the HTML page shows them."""
BREAK_AFTER = frozenset("_-/.,;:|=&?")
ELLIPSIS = "…"
EM = 1000


@cache
def _font(bold: bool) -> "FT2Font":
    import matplotlib
    from matplotlib.ft2font import FT2Font

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    font = FT2Font(str(Path(matplotlib.get_data_path(), "fonts", "ttf", name)))
    font.set_size(EM, 72)
    return font


@cache
def _printable(character: str) -> str:
    if character.isspace() or not character.isprintable():
        return " " if character.isspace() else ""
    known = all(_font(bold).get_char_index(ord(character)) for bold in (False, True))
    return character if known else UNKNOWN


@cache
def _advance(character: str, bold: bool) -> float:
    """The width of what is printed for a character in a font of size 1."""
    from matplotlib.ft2font import LoadFlags

    shown = _printable(character)
    if not shown:
        return 0.0
    glyph = _font(bold).load_char(ord(shown), flags=LoadFlags.NO_HINTING)
    return float(glyph.linearHoriAdvance) / 65536 / EM


def printable(text: str) -> str:
    """The text on one line, with a square for each character that the font lacks."""
    return " ".join("".join(map(_printable, text)).split())


def text_width(text: str, size: float, bold: bool = False) -> float:
    """The width in points of a text on one line at a font size in points."""
    return size * sum(_advance(character, bold) for character in text)


def fitted(text: str, width: float, size: float, bold: bool = False) -> str:
    """The text on one line, cut with an ellipsis where it is wider than `width` points."""
    line = printable(text)
    if text_width(line, size, bold) <= width:
        return line
    return _head(line, width - text_width(ELLIPSIS, size, bold), size, bold).rstrip() + ELLIPSIS


def wrapped(text: str, width: float, size: float, bold: bool = False) -> list[str]:
    """The text in lines no wider than `width` points; a word that is wider breaks where it has to.

    Words break after `_`, `/` and the like if they can. There is at least one line, which may be empty.
    """
    lines, line = [], ""
    for word in printable(text).split(" "):
        longer = f"{line} {word}" if line else word
        if text_width(longer, size, bold) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        *full, line = _broken(word, width, size, bold)
        lines += full
    return [*lines, line]


def _broken(word: str, width: float, size: float, bold: bool) -> list[str]:
    pieces = []
    while text_width(word, size, bold) > width and len(word) > 1:
        head = _head(word, width, size, bold) or word[0]
        soft = max((i + 1 for i, c in enumerate(head) if c in BREAK_AFTER), default=0)
        worth_it = soft * 3 >= len(head) or (soft and text_width(word[soft:], size, bold) <= width)
        cut = soft if worth_it else len(head)
        pieces.append(word[:cut])
        word = word[cut:]
    return [*pieces, word]


def _head(line: str, width: float, size: float, bold: bool) -> str:
    """As many of the first characters as fit."""
    used = 0.0
    for i, character in enumerate(line):
        used += size * _advance(character, bold)
        if used > width:
            return line[:i]
    return line
