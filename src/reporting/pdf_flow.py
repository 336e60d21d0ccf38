"""The pages of a PDF as plain things at places, filled from top to bottom.

Places are points (1/72 inch) from the upper left corner of an A4 page; a text's `y` is its base line. Nothing is drawn
here, so that what lies where can be reasoned about, and tested, without a drawing.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from src.reporting.pdf_text import text_width, wrapped
from src.reporting.plot import Plot

PAGE_WIDTH, PAGE_HEIGHT = 595.28, 841.89
LEFT, TOP, BOTTOM = 48.0, 52.0, 52.0
WIDTH = PAGE_WIDTH - 2 * LEFT
BODY = PAGE_HEIGHT - TOP - BOTTOM
"""Height of what a page holds."""
INK, SOFT, RAISED, GRID, ACCENT = "#1c2128", "#59626e", "#f4f6f8", "#dfe3e8", "#2569a8"


@dataclass(frozen=True)
class Font:
    """How a text looks; `leading` is the distance between lines as a multiple of the size."""

    size: float
    bold: bool = False
    color: str = INK
    leading: float = 1.35

    @property
    def line(self) -> float:
        """The height of a line in points."""
        return self.size * self.leading


@dataclass(frozen=True)
class Word:
    """A piece of one line."""

    x: float
    y: float
    text: str
    font: Font
    align: Literal["left", "right"] = "left"

    @property
    def ends(self) -> tuple[float, float]:
        """Where it begins and ends from left to right."""
        width = text_width(self.text, self.font.size, self.font.bold)
        return (self.x - width, self.x) if self.align == "right" else (self.x, self.x + width)


@dataclass(frozen=True)
class Box:
    """A coloured area; lines are thin ones."""

    x: float
    y: float
    width: float
    height: float
    color: str


@dataclass(frozen=True)
class Drawing:
    """Room for a plot with its axes, labels and legend."""

    x: float
    y: float
    width: float
    height: float
    plot: Plot


Item = Word | Box | Drawing


@dataclass
class Flow:
    """Pages that fill up: whoever writes asks for room, puts things at `y` and moves it down."""

    pages: list[list[Item]] = field(default_factory=lambda: [[]])
    y: float = TOP

    @property
    def room(self) -> float:
        """What is left of this page, in points."""
        return PAGE_HEIGHT - BOTTOM - self.y

    def put(self, *items: Item) -> None:
        """Puts things on this page."""
        self.pages[-1].extend(items)

    def turn(self) -> None:
        """Begins a new page, unless this one is empty."""
        if self.pages[-1]:
            self.pages.append([])
        self.y = TOP

    def need(self, height: float) -> None:
        """Begins a new page where less than `height` is left."""
        if self.room < height:
            self.turn()

    def space(self, height: float) -> None:
        """Leaves a gap, but none at the top of a page."""
        if self.pages[-1]:
            self.y += height

    def lines(self, texts: Sequence[str], font: Font, indent: float = 0.0) -> None:
        """Writes lines below each other, over several pages where it takes them."""
        for text in texts:
            self.need(font.line)
            self.put(Word(LEFT + indent, self.y + font.size, text, font))
            self.y += font.line

    def text(self, text: str, font: Font) -> None:
        """Writes a text as wide as the page."""
        self.lines(wrapped(text, WIDTH, font.size, font.bold), font)
