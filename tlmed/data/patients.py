"""Patients whom image files themselves name, as DICOM does: they become groups, under pseudonyms."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tlmed.data.kinds import read_head
from tlmed.data.readers import find_patient, names_patients
from tlmed.errors import InputError
from tlmed.regular_files import read_regular
from tlmed.words import count

_THREADS = 4  # each holds a file in memory
_DIGITS = 4  # of a pseudonym, or more if there are more patients


def name_patients(files: Sequence[Path]) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Group images by the patients that their files name.

    Args:
        files: The images.

    Returns:
        The group of every image: a pseudonym, numbered by the order of what the files say. None if no file is of a
        family that names patients. And sentences that say how images are grouped.

    Raises:
        InputError: An extra is missing.
    """
    with ThreadPoolExecutor(_THREADS) as pool:
        patients = list(pool.map(_find, files))
    if all(patient is None for patient in patients):
        return None, ()
    named, alone = len(set(filter(None, patients))), sum(not patient for patient in patients)
    rest = f" {count(alone, 'image')} without either {'counts' if alone == 1 else 'count'} alone." if alone else ""
    return _replace(patients), (
        f"Images are grouped by the {count(named, 'patient')} of their DICOM headers (PatientID, or StudyInstanceUID "
        f"where it is empty), under pseudonyms.{rest}",
    )


def align_pseudonyms(groups: Sequence[str], recorded: Sequence[str]) -> tuple[str, ...]:
    """Return groups under the pseudonyms that were recorded: new patients in a folder shift those of others.

    Args:
        groups: The pseudonym of every image now.
        recorded: The one that was recorded for it.

    Returns:
        The recorded ones where both divide images alike; other names where they do not.

    >>> align_pseudonyms(["patient-0002", "patient-0003", "patient-0003"], ["patient-0001", "a", "b"])
    ('patient-0001', 'patient-0003 now', 'patient-0003 now')
    """
    pairs = set(zip(groups, recorded, strict=True))
    here, there = (Counter(pair[side] for pair in pairs) for side in (0, 1))
    names = {now: then for now, then in pairs if here[now] == there[then] == 1}
    return tuple(names.get(group, f"{group} now") for group in groups)


def _find(file: Path) -> str | None:
    if not names_patients(read_head(file)):
        return None
    try:
        return find_patient(read_regular(file))
    except InputError:
        raise
    except (OSError, ValueError):
        return ""  # reading its pixels names this fault


def _replace(patients: Sequence[str | None]) -> tuple[str, ...]:
    """Return a pseudonym for each text, and one of its own for each image without a text.

    >>> _replace(["b", None, "a", "b"])
    ('patient-0002', 'unknown-0001', 'patient-0001', 'patient-0002')
    """
    numbers = {patient: number for number, patient in enumerate(sorted(set(filter(None, patients))), 1)}
    alone = iter(range(1, len(patients) + 1))
    return tuple(
        f"patient-{numbers[patient]:0{_DIGITS}}" if patient else f"unknown-{next(alone):0{_DIGITS}}"
        for patient in patients
    )
