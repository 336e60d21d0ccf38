"""A report's page as its reader has it: texts, tables, tiles, and the figures' numbers."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

VOID = {"meta", "br", "hr", "img", "input", "link"}


@dataclass
class Cell:
    """A cell's text and, where it is a number, the number itself."""

    text: str = ""
    value: float | None = None


@dataclass
class Section:
    """One chapter: its tiles and facts by name, and its tables, each a list of rows by column."""

    title: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    tables: list[list[dict[str, Cell]]] = field(default_factory=list)


class Page(HTMLParser):
    """A parsed report: its tags must nest, and its texts, anchors, tables and figures are kept."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.figures: dict[str, dict[str, Any]] = {}
        self.sections: dict[str, Section] = {}
        self._key = self._figure = ""
        self._rows: list[list[Cell]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.tags.append((tag, found))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "section":
            self._key = str(found["id"])
            self.sections[self._key] = Section()
        elif tag == "div" and found.get("class") == "plot":
            self._figure = str(found["id"]).removeprefix("figure-")
        elif tag in ("table", "dl"):
            self._rows = []
        elif tag == "tr" or (tag == "div" and "dl" in self.open):
            self._rows.append([])
        elif tag in ("th", "td", "dt", "dd"):
            value = found.get("data-value")
            self._rows[-1].append(Cell(value=float(value) if value else None))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in ("table", "dl") and self._key:
            self._keep_rows()

    def _keep_rows(self) -> None:
        section = self.sections[self._key]
        if all(len(row) == 2 for row in self._rows) and not self._has_heads():
            section.facts |= {name.text: value.text for name, value in self._rows}
            return
        heads, *rows = self._rows
        names = [cell.text for cell in heads]
        section.tables.append([dict(zip(names, row, strict=True)) for row in rows])

    def _has_heads(self) -> bool:
        last = next(i for i in range(len(self.tags) - 1, -1, -1) if self.tags[i][0] in ("table", "dl"))
        return any(tag == "thead" for tag, _ in self.tags[last:])

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            if self.tags[-1][1].get("type") == "application/json":
                assert self._figure not in self.figures, "two figures of one name"
                self.figures[self._figure] = json.loads(data)
            else:
                self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.texts.append(data)
            if {"th", "td", "dt", "dd"} & set(self.open):
                self._rows[-1][-1].text += data
            elif self.open[-1] == "h2" and self._key:
                self.sections[self._key].title += data

    @property
    def text(self) -> str:
        """All that is not script or style, in one line."""
        return " ".join(" ".join(self.texts).split())
