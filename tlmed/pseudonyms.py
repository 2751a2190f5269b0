"""Names that tlmed gives to the groups of DICOM folders, and what they tell without the images."""

from collections.abc import Iterable

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
