"""The page of an inspection, in a single file: what was found, with pictures, and what to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from markupsafe import Markup

from tlmed.findings import (
    GROUP,
    IDENTICAL,
    LABEL,
    MASK,
    NEAR_COPY,
    OUTLIER,
    PATIENT,
    SHORTCUT,
    TWO_LABELS,
    UNREADABLE,
    Finding,
)
from tlmed.gate import Findings
from tlmed.inference.masked_centre import NAME as NETWORK
from tlmed.inspection.check_sections import show_forecast, show_labels, show_shortcuts, show_views
from tlmed.inspection.check_tables import show_fingerprint
from tlmed.inspection.found_pictures import Album
from tlmed.inspection.subjects import Subject
from tlmed.pages.figures import Picture
from tlmed.pages.templating import make_page, render
from tlmed.source_forms import is_path
from tlmed.words import count

KINDS = {
    TWO_LABELS: "One image under two labels",
    IDENTICAL: "Identical images",
    NEAR_COPY: "Near-copies",
    GROUP: "Patients in several splits",
    PATIENT: "Patients under several names, or whom only file names tell",
    SHORTCUT: "Shortcuts",
    LABEL: "Labels that may be wrong",
    OUTLIER: "Odd images",
    UNREADABLE: "Files that cannot be read",
    MASK: "Masks",
}
MOST_SHOWN = 40  # findings of a kind that stand in full; the others are folded


@dataclass(frozen=True)
class Shown:
    """A finding as the page shows it.

    Attributes:
        finding: The finding.
        pictures: Of its first files.
    """

    finding: Finding
    pictures: Sequence[Picture]


def make_check_page(subject: Subject, found: Findings) -> str:
    """Return the whole page as HTML.

    Args:
        subject: The images, of which pictures are shown.
        found: What was found.

    Raises:
        RunFailed: An image changed while it was read.
    """
    album = Album(subject.images)
    lead = render(
        "check/lead.html",
        images=count(found.images, "image"),
        errors=len(found.errors),
        warnings=len(found.warnings),
        complete=found.complete,
        pictures=bool(found.findings),
        run=subject.run is not None,
    )
    sections = {
        "Errors": _show_findings(found.errors, album),
        "Warnings": _show_findings(found.warnings, album),
        "How sure labels are": show_labels(found.figures.get("labels", {}), album),
        "Enough images?": show_forecast(found.figures.get("forecast", {})),
        "What the network looks at": show_views(found.figures.get(NETWORK, {})),
        "What tells the class": show_shortcuts(found.figures.get("shortcuts", {})),
        "The data in numbers": show_fingerprint(found.fingerprint),
        "What was not checked": render("list.html", items=found.unchecked) if found.unchecked else Markup(),
        "Also seen": render("list.html", items=subject.notes) if subject.notes else Markup(),
    }
    return make_page(f"Check of {_name(subject.source)}", lead, sections)


def _name(source: str) -> str:
    """Return what the page calls a source: a path by its last name, as the folders above it are nobody's business."""
    return Path(source).expanduser().resolve().name if is_path(source) else source


def _show_findings(findings: Sequence[Finding], album: Album) -> Markup:
    """Return findings kind by kind; nothing where there are none."""
    if not findings:
        return Markup()
    order = list(KINDS)
    kinds = groupby(sorted(findings, key=lambda finding: order.index(finding.kind)), key=lambda finding: finding.kind)
    shown = {}
    for kind, of_kind in kinds:
        of_kind = list(of_kind)
        full = [Shown(finding, album.show(finding.files)) for finding in of_kind[:MOST_SHOWN]]
        shown[KINDS[kind]] = full, of_kind[MOST_SHOWN:]
    return render("check/findings.html", kinds=shown)
