"""Findings as a text table and as JSON."""

import textwrap
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from src.suggest import one_line
from src.table_check.findings import SEVERITIES, Finding, verdict, worst_first

WIDTH = 120
_LONGEST_SUBJECT = 28


def as_text(findings: Sequence[Finding], source: str) -> str:
    """One row per finding, the worst first, and a last line with the verdict."""
    rows = [("severity", "check", "subject")]
    rows += [(f.severity, f.check, one_line(f.subject, _LONGEST_SUBJECT) or "-") for f in worst_first(findings)]
    texts = ["finding", *(finding.text for finding in worst_first(findings))]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    indent = sum(widths) + 6
    lines = []
    for row, text in zip(rows, texts, strict=True):
        head = "  ".join(map(str.ljust, row, widths)) + "  "
        wrapped = textwrap.wrap(text, max(40, WIDTH - indent), break_long_words=False, break_on_hyphens=False)
        lines += [head + wrapped[0], *(" " * indent + line for line in wrapped[1:])]
    lines.insert(1, "  ".join("-" * width for width in (*widths, WIDTH - indent)))
    return "\n".join([*lines, "", summary(findings, source)])


def summary(findings: Sequence[Finding], source: str) -> str:
    """The verdict in one line."""
    counts = Counter(finding.severity for finding in findings)
    said = ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES if counts[severity])
    worst = verdict(findings)
    return f"{source}: {'suspicious' if worst == 'suspicious' else 'nothing suspicious'} ({said})"


def as_json(findings: Sequence[Finding], source: str) -> dict[str, Any]:
    """The same for programs: source, verdict, and every finding in the order of the checks."""
    return {"source": source, "verdict": verdict(findings), "findings": [asdict(finding) for finding in findings]}
