"""What a check found: a severity, a subject, and one line with figures and what to do."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["ok", "note", "suspicious"]
SEVERITIES: tuple[Severity, ...] = ("suspicious", "note", "ok")
"""The worst first."""


@dataclass(frozen=True)
class Finding:
    """One result of a check.

    Attributes:
        severity: `ok` is a check that found nothing, `note` is worth a look, `suspicious` makes the exit status 3.
        check: the check's name, such as `leaks`.
        subject: the column, date or account concerned; empty for the whole table.
        text: one line with figures and, unless the severity is `ok`, what to do.
    """

    severity: Severity
    check: str
    subject: str
    text: str


def verdict(findings: Iterable[Finding]) -> Severity:
    """The worst severity; `ok` without any finding."""
    found = {finding.severity for finding in findings}
    return next((severity for severity in SEVERITIES if severity in found), "ok")


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """The findings by severity; the order of the checks is kept within one."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
