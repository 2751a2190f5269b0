"""Names that tlmed gives to the groups of DICOM folders, and what they tell without the images."""

from collections.abc import Iterable
from pathlib import Path

PATIENT, STUDY, NOBODY = "patient", "study", "unknown"  # so begin pseudonyms


def are_patients(groups: Iterable[str], pseudonyms: bool) -> bool:
    """Tell whether groups are patients as far as a source says; not if it names only studies and single images.

    Args:
        groups: The names of groups; none if images have none.
        pseudonyms: Whether tlmed made these names.

    >>> are_patients(["study-0001", "unknown-0001"], True), are_patients(["study-0001"], False), are_patients([], False)
    (False, True, False)
    """
    return any(not (pseudonyms and group.startswith((f"{STUDY}-", f"{NOBODY}-"))) for group in groups)


def gives_pseudonyms(source: str) -> bool:
    """Tell whether groups of a source, if it has any, are pseudonyms: in a folder only DICOM headers name patients.

    Args:
        source: The source of a run; it may be gone by now.

    >>> gives_pseudonyms("scans/"), gives_pseudonyms("scans.csv"), gives_pseudonyms("tfds:tlmed_phantoms")
    (True, False, False)
    """
    path = Path(source).expanduser()
    return not source.startswith("tfds:") and (path.is_dir() or path.suffix.lower() not in (".csv", ".npz"))
