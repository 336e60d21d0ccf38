"""Renders a document as one self-contained HTML page."""

from html import escape
from pathlib import Path

from src.disk import write_atomically
from src.reporting.document.blocks import Document
from src.reporting.html.blocks import block_html

CONTENT_POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:"
"""The page may load nothing: it contains everything it shows."""
STYLE, SCRIPT = (
    "\n" + Path(__file__).with_name(name).read_text(encoding="utf-8") for name in ("style.css", "script.js")
)


def page_html(document: Document) -> str:
    """The whole page, including plotly.js; equal documents give equal pages."""
    from plotly.offline import get_plotlyjs

    title, chapters = escape(document.title), document.chapters
    links = "".join(f'<li><a href="#{escape(c.key)}">{escape(c.title)}</a></li>' for c in chapters)
    body = "".join(
        f'<section id="{escape(c.key)}"><h2>{escape(c.title)}</h2>{"".join(map(block_html, c.blocks))}</section>'
        for c in chapters
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{CONTENT_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{STYLE}</style>
<script>{get_plotlyjs()}</script>
</head>
<body>
<header><h1>{title}</h1><p>{escape(document.subtitle)}</p></header>
<nav aria-label="Contents"><ul>{links}</ul></nav>
<main>
<noscript><p class="note">The figures need JavaScript; tables and text do not.</p></noscript>
{body}
</main>
<script>{SCRIPT}</script>
</body>
</html>
"""


def write_html(document: Document, path: Path) -> Path:
    """Writes the page; a failed write leaves an earlier file unchanged.

    Args:
        document: the report.
        path: the file to write; its folder is created if missing.

    Returns:
        The same path.

    Raises:
        OSError: the file cannot be written.
    """
    text = page_html(document)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
    return path
