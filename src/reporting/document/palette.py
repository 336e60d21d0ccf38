"""Colours of marks by their meaning, the same in HTML and PDF.

All colours are legible on white and on near-black. Neighbouring colours also differ in brightness, for readers who
cannot distinguish red and green.
"""

from src.reporting.document.plot import Band, Bars, Line, Points, Role, Rule

BLUE, ORANGE, GREY = "#3d85c6", "#d9762b", "#8a9099"
ROLES: dict[Role, str] = {"main": BLUE, "accent": ORANGE, "muted": GREY, "good": "#3a9d6e", "bad": "#cc4b4b"}
SERIES = (BLUE, ORANGE, "#3a9d6e", "#a765b5", "#b8930f", "#d1556a", "#3fa3b0", GREY)
SHADES = ("#a9c8e8", "#1f6fb8")
"""From the lowest number to the highest."""
HEAT_OPACITY = (0.06, 0.85)
"""Opacity of blue from a matrix's lowest number to its highest; text on it stays legible."""


def color_of(mark: Line | Points | Bars | Band | Rule, role: Role | None = None) -> str:
    """The colour of a mark, `#rrggbb`; `role` overrides the mark's own, because each bar may have another role."""
    own: Role = role or (mark.roles[0] if isinstance(mark, Bars) else mark.role)
    return SERIES[getattr(mark, "series_index", 0) % len(SERIES)] if own == "series" else ROLES[own]


def rgba(color: str, opacity: float) -> str:
    """`#rrggbb` with an opacity, in CSS notation."""
    return f"rgba({','.join(map(str, _parts(color)))},{opacity:g})"


def on_white(color: str, opacity: float) -> str:
    """The opaque `#rrggbb` that a colour of this opacity gives on white."""
    return "#" + "".join(f"{round(255 + (part - 255) * opacity):02x}" for part in _parts(color))


def _parts(color: str) -> list[int]:
    return [int(color[i : i + 2], 16) for i in (1, 3, 5)]
