"""Names that tlmed gives to the groups of DICOM folders, and what they tell without the images."""

from collections.abc import Iterable

PATIENT, STUDY, NOBODY = "patient", "study", "unknown"  # so begin pseudonyms
_FILE = "file:"  # so begin groups that are files, where nothing else tells which samples belong together


def name_file_group(path: str) -> str:
    """Return the name of the group of samples of a file, where no patient is known."""
    return f"{_FILE}{path}"


def is_file_group(group: str) -> bool:
    """Tell whether a group is no more than the samples of one file.

    >>> is_file_group(name_file_group("scan.nii.gz")), is_file_group("patient-0001")
    (True, False)
    """
    return group.startswith(_FILE)


def names_owner(group: str) -> bool:
    """Tell whether a group says to whom an image belongs: it is neither "" nor a file.

    >>> names_owner("p1"), names_owner(""), names_owner(name_file_group("scan.nii.gz"))
    (True, False, False)
    """
    return bool(group) and not is_file_group(group)


def are_patients(groups: Iterable[str], pseudonyms: bool) -> bool:
    """Tell whether groups are patients as far as a source says; not if it names only studies, files and single images.

    Args:
        groups: The names of groups; none if images have none.
        pseudonyms: Whether tlmed made these names.

    >>> are_patients(["study-0001", "unknown-0001"], True), are_patients(["study-0001"], False), are_patients([], False)
    (False, True, False)
    """
    named = (group for group in groups if not is_file_group(group))
    return any(not (pseudonyms and group.startswith((f"{STUDY}-", f"{NOBODY}-"))) for group in named)


def say_unknown(asked: bool, groups: Iterable[str], pseudonyms: bool) -> str:
    """Return that patients are not known, after a semicolon; "" where they are, or where groups are switched off.

    >>> say_unknown(True, [], False), say_unknown(False, [], False), say_unknown(True, ["7"], False)
    ('; patients: not known', '', '')
    """
    return "; patients: not known" if asked and not are_patients(groups, pseudonyms) else ""


def name_units(groups: Iterable[str]) -> str:
    """Return what groups are that are no patients: "files", or "studies".

    >>> name_units(["file:scan.nii.gz"]), name_units(["study-0001"])
    ('files', 'studies')
    """
    return "files" if all(map(is_file_group, groups)) else "studies"
