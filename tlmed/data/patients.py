"""Patients whom image files themselves name, as DICOM does: they become groups, under pseudonyms."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tlmed.columns import count_spellings, is_stand_in, spell
from tlmed.data.kinds import read_head
from tlmed.data.readers import find_patient, names_patients
from tlmed.errors import InputError
from tlmed.pseudonyms import NOBODY, PATIENT, STUDY
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
        found = list(pool.map(_find, files))
    if all(ids is None for ids in found):
        return None, ()
    known = _find_study_patients(filter(None, found))
    owners = [_choose(*ids, known) if ids else None for ids in found]
    joined = sum(1 for ids in found if ids and not ids[0] and ids[1] in known)
    groups, named = _replace(owners), [name for kind, name in filter(None, owners) if kind == PATIENT]
    return groups, (
        _describe_groups(owners),
        *_describe_joined(joined),
        *count_spellings(named, "PatientIDs"),
        *_describe_stand_ins(owners, groups),
    )


def _find_study_patients(found: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the patient of each study whose images name one, in whatever spelling; DICOM has one patient in a study.

    >>> _find_study_patients([("p1", "s"), ("", "s"), ("p2", "t"), ("p3", "t"), ("", "u")])
    {'s': 'p1'}
    """
    patients: dict[str, dict[str, str]] = {}
    for patient, study in found:
        if patient and study:
            patients.setdefault(study, {}).setdefault(spell(patient), patient)
    return {study: next(iter(named.values())) for study, named in patients.items() if len(named) == 1}


def _choose(patient: str, study: str, known: Mapping[str, str]) -> tuple[str, str] | None:
    """Return what an image is grouped by and its name; None if nothing tells which images it belongs to.

    Args:
        patient: The patient that it names, "" for none.
        study: Its study, "" for none.
        known: The patients whom other images of their studies name.
    """
    if patient or study in known:
        return PATIENT, patient or known[study]
    return (STUDY, study) if study else None


def _describe_joined(images: int) -> list[str]:
    """Say how many images name no patient and belong to the one of their study."""
    if not images:
        return []
    one = images == 1
    return [
        f"{count(images, 'image')} without a PatientID {'belongs' if one else 'belong'} to the patient whom other "
        f"images of {'its' if one else 'their'} study name."
    ]


def _describe_groups(owners) -> str:
    """Say by what images are grouped, and what is not certain of it; no text of a header is in it."""
    kinds = Counter(kind for kind, _ in set(filter(None, owners)))
    studied, alone = sum(kind == STUDY for kind, _ in filter(None, owners)), owners.count(None)
    images, names, are = (count(studied, "image"), *(("names", "is") if studied == 1 else ("name", "are")))
    said = "No DICOM header names a patient."
    if named := kinds[PATIENT]:
        rest = f", and {images} that {names} none by study ({kinds[STUDY]:,})" if studied else ""
        said = f"Images are grouped by the {count(named, 'patient')} of their DICOM headers{rest}, under pseudonyms."
    elif studied:
        said = f"{said[:-1]}: {images} {are} grouped by study ({kinds[STUDY]:,}), under pseudonyms."
    if studied:
        said += " A patient may have several studies, which may be in several splits."
    if alone:
        said += f" {count(alone, 'image')} without either {'counts' if alone == 1 else 'count'} alone."
    return said


def _describe_stand_ins(owners, groups) -> tuple[str, ...]:
    """Name pseudonyms of patients who may be none, because their PatientID is a number such as 0 or 999."""
    names = [name for _, name in filter(None, owners)]
    pairs = sorted({(group, owner) for group, owner in zip(groups, owners, strict=True) if owner})
    return tuple(
        f"{count(groups.count(group), 'image')} of {len(groups):,} have a PatientID such as 0, 999 or x, and count as "
        f"one patient ({group}); if it means that the patient is not known, list the images in a CSV."
        for group, (kind, name) in pairs
        if kind == PATIENT and is_stand_in(name, names)
    )


def align_pseudonyms(groups: Sequence[str], recorded: Sequence[str]) -> tuple[str, ...]:
    """Return groups under the pseudonyms that were recorded: new patients in a folder shift those of others.

    Args:
        groups: The pseudonym of every image now.
        recorded: The one that was recorded for it.

    Returns:
        The recorded ones where both divide images alike; other names where they do not.

    >>> align_pseudonyms(["patient-0002", "patient-0003", "patient-0003"], ["patient-0001", "a", "b"])
    ('patient-0001', 'patient-0003 of other images', 'patient-0003 of other images')
    """
    pairs = set(zip(groups, recorded, strict=True))
    here, there = (Counter(pair[side] for pair in pairs) for side in (0, 1))
    names = {now: then for now, then in pairs if here[now] == there[then] == 1}
    return tuple(names.get(group, f"{group} of other images") for group in groups)


def align_rows(rows: Iterable[Mapping[str, str]], recorded: Iterable[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return rows of `splits.csv` under the pseudonyms that were recorded, as `align_pseudonyms` does for groups.

    Args:
        rows: Of the images now.
        recorded: The rows that were recorded; images that are in one of both only stay as they are.
    """
    rows, groups = list(rows), {row["path"]: row["group"] for row in recorded}
    both = [row for row in rows if row["path"] in groups]
    names = align_pseudonyms([row["group"] for row in both], [groups[row["path"]] for row in both])
    aligned = {row["path"]: group for row, group in zip(both, names, strict=True)}
    return [{**row, "group": aligned.get(row["path"], row["group"])} for row in rows]


def _find(file: Path) -> tuple[str, str] | None:
    if not names_patients(read_head(file)):
        return None
    try:
        return find_patient(read_regular(file))
    except InputError:
        raise
    except (OSError, ValueError):
        return "", ""  # reading its pixels names this fault


def _replace(owners: Sequence[tuple[str, str] | None]) -> tuple[str, ...]:
    """Return a pseudonym for each name, and one of its own for each image without a name.

    Names that differ only in spelling get pseudonyms that do so too, by one more zero: a split keeps them together.

    >>> _replace([("patient", "b"), None, ("patient", "a"), ("patient", "B"), ("study", "1")])
    ('patient-00002', 'unknown-0001', 'patient-0001', 'patient-0002', 'study-0003')
    """
    spelled = defaultdict(set)
    for kind, name in filter(None, owners):
        spelled[kind, spell(name)].add(name)
    digits = max(_DIGITS, len(str(len(spelled))))
    pseudonyms = {
        (kind, name): f"{kind}-{number:0{digits + zeros}}"
        for number, ((kind, _), alike) in enumerate(sorted(spelled.items()), 1)
        for zeros, name in enumerate(sorted(alike))
    }
    alone = iter(range(1, len(owners) + 1))
    return tuple(pseudonyms[owner] if owner else f"{NOBODY}-{next(alone):0{_DIGITS}}" for owner in owners)
