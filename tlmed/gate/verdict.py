"""What all checks of the gate found together, and the content of `check.json`."""

from collections.abc import Mapping
from dataclasses import dataclass

from tlmed.findings import ERROR, WARNING, Finding
from tlmed.gate.checked import Checked

FINGERPRINT = "fingerprint"  # the name of the check whose figures describe the data


@dataclass(frozen=True, eq=False)
class Findings:
    """What the gate found in images, and what it could not check.

    Attributes:
        source: The images, as a user named them.
        images: How many there are.
        parts: What each check found, in the order in which they ran.
        complete: Whether all checks ran to their end; False where somebody stopped them.
    """

    source: str
    images: int
    parts: tuple[Checked, ...] = ()
    complete: bool = True

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All findings: errors first, otherwise in the order of the checks."""
        found = [finding for part in self.parts for finding in part.findings]
        return tuple(sorted(found, key=lambda finding: finding.level != ERROR))

    @property
    def errors(self) -> tuple[Finding, ...]:
        """Findings because of which scores or labels cannot be trusted."""
        return tuple(finding for finding in self.findings if finding.level == ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        """Findings that somebody should look at."""
        return tuple(finding for finding in self.findings if finding.level == WARNING)

    @property
    def unchecked(self) -> tuple[str, ...]:
        """Sentences on what could not be checked, and why; each once."""
        return tuple(dict.fromkeys(sentence for part in self.parts for sentence in part.unchecked))

    @property
    def fingerprint(self) -> Mapping[str, object]:
        """What the data are, in numbers; nothing where that was not measured."""
        return next((part.figures for part in self.parts if part.name == FINGERPRINT), {})

    @property
    def figures(self) -> Mapping[str, Mapping[str, object]]:
        """What each of the other checks measured, by its name."""
        return {part.name: part.figures for part in self.parts if part.figures and part.name != FINGERPRINT}

    def to_json(self) -> dict:
        """Return the content of `check.json`."""
        return {
            "source": self.source,
            "images": self.images,
            "complete": self.complete,
            "findings": [_to_json(finding) for finding in self.findings],
            "unchecked": list(self.unchecked),
            "fingerprint": dict(self.fingerprint),
            "figures": {name: dict(figures) for name, figures in self.figures.items()},
        }


def _to_json(finding: Finding) -> dict:
    return {
        "kind": finding.kind,
        "level": finding.level,
        "files": list(finding.files),
        "text": finding.text,
        "cure": finding.cure,
    }
