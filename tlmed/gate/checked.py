"""What a check of the gate returns: findings, figures, and what it could not check."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tlmed.findings import Finding


@dataclass(frozen=True, eq=False)
class Checked:
    """What one check found.

    Attributes:
        name: Of the check, and of its part of `check.json`: "copies", "shortcuts", "labels" ...
        findings: The worst first.
        figures: What was measured, as plain JSON: numbers, texts, lists and dictionaries.
        unchecked: Sentences on what could not be checked, and why.
    """

    name: str
    findings: tuple[Finding, ...] = ()
    figures: Mapping[str, object] = field(default_factory=dict)
    unchecked: tuple[str, ...] = ()
