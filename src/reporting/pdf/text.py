"""Text in the PDF: printable characters and their widths.

The font is DejaVu Sans, which comes with matplotlib, so that every machine gives the same pages. Widths are sums of the
characters' advances, in points; kerning only makes a text narrower.
"""

from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.ft2font import FT2Font

UNKNOWN = "\N{WHITE SQUARE}"
"""Replaces a character that the font lacks, such as a Chinese one; the HTML page shows it."""
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
def _advance(character: str) -> float:
    """The width of a character, or of its replacement, at font size 1."""
    from matplotlib.ft2font import LoadFlags

    shown = _printable(character)
    if not shown:
        return 0.0
    glyph = _font(bold=False).load_char(ord(shown), flags=LoadFlags.NO_HINTING)
    return float(glyph.linearHoriAdvance) / 65536 / EM


def printable(text: str) -> str:
    """The text on one line, with a square for every character that the font lacks."""
    return " ".join("".join(map(_printable, text)).split())


def text_width(text: str, size: float) -> float:
    """The width in points of a text on one line at a font size in points."""
    return size * sum(map(_advance, text))


def fitted(text: str, width: float, size: float) -> str:
    """The text on one line, cut with an ellipsis if it is wider than `width` points."""
    line = printable(text)
    if text_width(line, size) <= width:
        return line
    room = width - text_width(ELLIPSIS, size)
    ends = accumulate(size * _advance(character) for character in line)
    return line[: sum(end <= room for end in ends)].rstrip() + ELLIPSIS
