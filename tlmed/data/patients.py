"""Patients whom image files themselves name, as DICOM does: they become groups, under pseudonyms."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tlmed.columns import is_stand_in, spell
from tlmed.data.kinds import read_head
from tlmed.data.readers import find_patient, names_patients
from tlmed.errors import InputError
from tlmed.regular_files import read_regular
from tlmed.words import count

_THREADS = 4  # each holds a file in memory
_NAMED = "patient "  # so begins what names a patient; "study " begins what names only a study
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
    spelled = [patient and _spell(patient) for patient in patients]
    groups = _replace(spelled)
    return groups, (_describe_groups(patients, spelled), *_describe_stand_ins(spelled, groups))


def _describe_groups(patients, spelled) -> str:
    """Say by what images are grouped, and what is not certain of it; no text of a header is in it."""
    named = {text for text in spelled if text and text.startswith(_NAMED)}
    studies = len({*filter(None, spelled)} - named)
    alone = sum(not patient for patient in patients)
    alike = len({text for text in patients if text and text.startswith(_NAMED)}) - len(named)
    said = "No DICOM header names a patient."
    if named:
        said = f"Images are grouped by the {count(len(named), 'patient')} of their DICOM headers, under pseudonyms."
    if studies:
        said += (
            f" Images without a PatientID are grouped by study ({studies:,}), and a patient may have several: whether "
            "patients are in several splits cannot be told there."
        )
    if alone:
        said += f" {count(alone, 'image')} without either {'counts' if alone == 1 else 'count'} alone."
    if alike:
        are = "is" if alike == 1 else "are"
        said += f" {count(alike, 'PatientID')} more, written in another way only, {are} taken for the same."
    return said


def _describe_stand_ins(spelled, groups) -> tuple[str, ...]:
    """Name pseudonyms of patients who may be none, because their PatientID is a number such as 0 or 999."""
    named = [text.removeprefix(_NAMED) for text in spelled if text and text.startswith(_NAMED)]
    pairs = {(text, group) for text, group in zip(spelled, groups, strict=True) if text and text.startswith(_NAMED)}
    chosen = sorted(group for text, group in pairs if is_stand_in(text.removeprefix(_NAMED), named))
    return tuple(
        f"{count(groups.count(group), 'image')} of {len(groups):,} have a PatientID such as 0, 999 or x, and count as "
        f"one patient ({group}); if it means that the patient is not known, list the images in a CSV."
        for group in chosen
    )


def _spell(patient: str) -> str:
    """Return one spelling of what names a patient; a UID of a study has only one."""
    return f"{_NAMED}{spell(patient.removeprefix(_NAMED))}" if patient.startswith(_NAMED) else patient


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

    >>> _replace(["patient b", None, "patient a", "study 1"])
    ('patient-0002', 'unknown-0001', 'patient-0001', 'study-0003')
    """
    numbers = {patient: number for number, patient in enumerate(sorted(set(filter(None, patients))), 1)}
    alone = iter(range(1, len(patients) + 1))
    return tuple(
        f"{patient.partition(' ')[0]}-{numbers[patient]:0{_DIGITS}}" if patient else f"unknown-{next(alone):0{_DIGITS}}"
        for patient in patients
    )
