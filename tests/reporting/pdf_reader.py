"""What stands where in a PDF, as PDFium finds it: an eye that knows nothing of how the file was made."""

import ctypes
import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import pypdfium2
from pypdfium2 import raw

SLACK = 1.3
"""Points by which boxes may overlap: accents reach out of their own, and kerning moves an `a` below a `T`."""


@dataclass(frozen=True)
class Piece:
    """Characters beside each other in one line, and the box around their ink, in points from the lower left corner."""

    text: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class PageText:
    """One page."""

    size: tuple[float, float]
    text: str
    pieces: list[Piece]

    @property
    def outside(self) -> list[str]:
        """Texts that reach over the paper's edge."""
        width, height = self.size
        return [p.text for p in self.pieces if p.box[0] < 0 or p.box[1] < 0 or p.box[2] > width or p.box[3] > height]

    @property
    def overlaps(self) -> list[tuple[str, str]]:
        """Pairs of texts that stand on each other."""
        return [(a.text, b.text) for a, b in combinations(self.pieces, 2) if _cross(a.box, b.box)]


def _cross(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    wide, high = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return wide > SLACK and high > SLACK


def _straight(text: pypdfium2.PdfTextPage, box: tuple[float, float, float, float]) -> bool:
    """Whether letters stand upright or lie on their side: boxes around slanted ones cover each other in any case."""
    at = text.get_index((box[0] + box[2]) / 2, (box[1] + box[3]) / 2, 5, 5)
    angle = 0.0 if at is None else math.degrees(raw.FPDFText_GetCharAngle(text, at))
    return abs(angle / 90 - round(angle / 90)) < 0.02


def read_pages(path: Path) -> list[PageText]:
    """Every page of a PDF."""
    document = pypdfium2.PdfDocument(path)
    pages = []
    for page in document:
        text = page.get_textpage()
        boxes = [text.get_rect(i) for i in range(text.count_rects())]
        pieces = [Piece(text.get_text_bounded(*box).strip(), box) for box in boxes if _straight(text, box)]
        pages.append(PageText(page.get_size(), text.get_text_range(), [piece for piece in pieces if piece.text]))
        text.close()
        page.close()
    document.close()
    return pages


def read_bookmarks(path: Path) -> list[tuple[int, str, int]]:
    """The bookmarks in their order: level from 0, title, and number of the page from 1."""
    document = pypdfium2.PdfDocument(path)
    found = [(mark.level, mark.get_title(), mark.get_dest().get_index() + 1) for mark in document.get_toc()]
    document.close()
    return found


def read_links(path: Path) -> list[tuple[str, int]]:
    """What stands below each link, and the number of the page that it leads to, from 1."""
    document = pypdfium2.PdfDocument(path)
    found = []
    for page in document:
        text = page.get_textpage()
        for link in _links(page):
            box = raw.FS_RECTF()
            raw.FPDFLink_GetAnnotRect(link, ctypes.byref(box))
            target = raw.FPDFDest_GetDestPageIndex(document, raw.FPDFLink_GetDest(document, link)) + 1
            found.append((text.get_text_bounded(box.left, box.bottom, box.right, box.top).strip(), target))
        text.close()
        page.close()
    document.close()
    return found


def _links(page: pypdfium2.PdfPage) -> Iterator[raw.FPDF_LINK]:
    place, link = ctypes.c_int(0), raw.FPDF_LINK()
    while raw.FPDFLink_Enumerate(page, ctypes.byref(place), ctypes.byref(link)):
        yield link


@dataclass(frozen=True)
class Made:
    """What a PDF is made of: its objects' kinds, `FPDF_PAGEOBJ_…`, and its fonts' names with whether it holds them."""

    kinds: set[int]
    fonts: dict[str, bool]


def read_parts(path: Path) -> Made:
    """Kinds and fonts of all that is drawn on any page."""
    document = pypdfium2.PdfDocument(path)
    kinds, fonts, name = set(), {}, ctypes.create_string_buffer(200)
    for page in document:
        for part in page.get_objects(max_depth=8):
            kinds.add(part.type)
            if part.type == raw.FPDF_PAGEOBJ_TEXT:
                font = raw.FPDFTextObj_GetFont(part)
                raw.FPDFFont_GetBaseFontName(font, name, 200)
                fonts[name.value.decode().partition("+")[2]] = bool(raw.FPDFFont_GetIsEmbedded(font))
        page.close()
    document.close()
    return Made(kinds, fonts)
