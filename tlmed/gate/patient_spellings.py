"""Patients under two names: groups whose names differ in spelling only, and file names that tell patients."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from tlmed.columns import is_missing, spell
from tlmed.data.leaks import list_paths
from tlmed.data.units import find_repeated, list_present
from tlmed.findings import ERROR, GROUP, PATIENT, WARNING, Finding
from tlmed.gate.checked import Checked
from tlmed.gate.evidence import Evidence
from tlmed.gate.file_stems import find_stems
from tlmed.gate.table_forms import find_lacking
from tlmed.patient_columns import is_patient_word
from tlmed.pseudonyms import is_file_group
from tlmed.words import count, join_names, listed

NAMED = 3  # groups and stems that a sentence names; it counts the others
LEAST_NUMBERINGS = 3  # names with and without a word for a patient that would have to be one patient
COHERENT = 0.8  # of the stems that several images share: so many must lie in one group each, if stems are patients
# A number keeps its point, 1.05 is not 1.5; all other signs are tokens, + is not -.
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+|[^\w\s\-./\\:#^,;|()\[\]{}]")
_ONE_NAME, _DOES_SO = "If they are one patient, write one name in the column of groups", "`--write FIXED.csv` does so"
_COLUMN = "If it is a patient, name it in a column of groups (`--group COLUMN`)"
_FROM_NAMES = "or let `--write FIXED.csv` write such a column from the file names"
_SPLIT = "splits that are given stay as they are: put the patient's images into one"


@dataclass(frozen=True)
class Alike:
    """Names of groups that may mean one patient.

    Attributes:
        names: Two or more, sorted.
        by_word: Whether they differ by a word for a patient too, as `P12` and `12` do.
    """

    names: tuple[str, ...]
    by_word: bool


def check_patients(evidence: Evidence) -> Checked:
    """Find groups whose names may mean one patient, and file names that name patients whom no group names.

    Args:
        evidence: Of the images.

    Returns:
        Names in several spellings: errors if their images are in several splits, else warnings. (Where names differ
        only in case, spaces or zeros, splits of tlmed keep them together, and `check_copies` names those in several
        given splits.) Stems of file names (`file_stems`): one warning where no groups are named, or where images of
        one stem are in several groups although stems and groups agree elsewhere. Figures: the sets of names, and how
        many stems there are, are shared, and are in several splits.
    """
    table = evidence.table
    named = table.groups is not None and not all(map(is_file_group, table.groups))
    findings, unchecked = [], []
    alike, unlike = find_alike_groups(evidence) if named else ((), 0)
    rows_of = defaultdict(list)
    for row, name in enumerate(table.groups or ()):
        rows_of[name].append(row)
    cure = _say_one_name(evidence)
    for one in alike:
        findings += _tell_alike(evidence, one, rows_of, cure)
    if unlike:
        unchecked.append(
            f"{count(unlike, 'group')} with and without a word for a patient in front, such as P12 and 12, have the "
            "same number and never the same label: they were taken for two numberings, not for one patient."
        )
    if table.pseudonyms and named:
        unchecked.append("Patients' names of DICOM headers were compared in case, spaces and leading zeros only.")
    found, figures = _check_stems(evidence, named)
    findings += found
    if table.root is None:
        unchecked.append("File names were not searched for patients: the images are no files.")
    findings.sort(key=lambda finding: finding.level != ERROR)
    return Checked("patients", tuple(findings), {"names_alike": len(alike), **figures}, tuple(unchecked))


def spell_loosely(name: str) -> tuple[str, ...]:
    """Return what a patient's name has in common with other spellings of it: its words and numbers.

    Case, zeros in front of numbers, and what separates a word from a number make no difference. Between two numbers it
    does: 1-1 is not 11.

    >>> spell_loosely("P-001") == spell_loosely("p1"), spell_loosely("S1-1") == spell_loosely("S11")
    (True, False)
    """
    tokens: list[str] = []
    for token in _TOKEN.findall(spell(name)):
        if tokens and token[0].isalpha() and tokens[-1][0].isalpha():
            tokens[-1] += token
        else:
            tokens.append(token)
    return tuple(tokens)


def drop_word(tokens: Sequence[str]) -> tuple[str, ...]:
    """Return a name without the word for a patient before its number.

    >>> drop_word(("patient", "12")), drop_word(("b", "12"))
    (('12',), ('b', '12'))
    """
    if len(tokens) > 1 and tokens[1][0].isdigit() and is_patient_word(tokens[0]):
        return tuple(tokens[1:])
    return tuple(tokens)


def find_alike_groups(evidence: Evidence) -> tuple[tuple[Alike, ...], int]:
    """Return the names of groups that may mean one patient, and how many names were taken for another numbering.

    Two ways of writing names, such as `P12` and `12`, are two numberings if there are `LEAST_NUMBERINGS` or more
    numbers under both, and no image of the one has the label of an image of the other under the same number: patients
    and controls are often counted so.

    Args:
        evidence: Of images with groups.
    """
    labels: dict[str, set[str]] = defaultdict(set)
    for group, text in zip(evidence.table.groups, evidence.table.texts, strict=True):
        labels[group].add(text)
    spelled: dict[tuple, dict[tuple, list[str]]] = defaultdict(lambda: defaultdict(list))
    for name in sorted(labels):
        if not is_missing(name) and not is_file_group(name) and (tokens := spell_loosely(name)):
            spelled[drop_word(tokens)][tokens].append(name)
    apart = _find_numberings(spelled, labels)
    alike, unlike = [], 0
    for ways in spelled.values():
        joined = list(ways) if len(ways) > 1 and not any(pair in apart for pair in _pair_words(ways)) else []
        unlike += len(ways) if len(ways) > 1 and not joined else 0
        sets = [[name for way in joined for name in ways[way]]] if joined else list(ways.values())
        alike += [Alike(tuple(sorted(names)), bool(joined)) for names in sets if len(names) > 1]
    return tuple(alike), unlike


def _find_numberings(spelled, labels) -> set[tuple[str, str]]:
    """Return pairs of words before numbers, "" for none, under which different patients have the same numbers."""
    met: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for ways in spelled.values():
        said = {_word_of(way): set().union(*(labels[name] for name in names)) for way, names in ways.items()}
        for pair in _pair_words(ways):
            met[pair].append(bool(said[pair[0]] & said[pair[1]]))
    return {pair for pair, shared in met.items() if len(shared) >= LEAST_NUMBERINGS and not any(shared)}


def _pair_words(ways: Iterable[Sequence[str]]) -> list[tuple[str, str]]:
    words = sorted(map(_word_of, ways))
    return [(one, other) for place, one in enumerate(words) for other in words[place + 1 :]]


def _word_of(tokens: Sequence[str]) -> str:
    return "" if tokens[0][0].isdigit() else tokens[0]


def _tell_alike(evidence: Evidence, alike: Alike, rows_of: Mapping[str, list[int]], cure: str) -> Iterable[Finding]:
    """Yield a finding on names that may mean one patient, unless `check_copies` names them."""
    where = {name: list_present(evidence.splits[rows_of[name]]) for name in alike.names}
    crosses = len({split for there in where.values() for split in there}) > 1
    if crosses and len(set(map(spell, alike.names))) == 1:
        return
    named = listed((f"'{name}' ({join_names(there)})" for name, there in where.items()), NAMED)
    ways = "case, separators, zeros in front of a number or a word for a patient"
    ways = ways if alike.by_word else "case, separators or zeros in front of a number"
    if evidence.table.pseudonyms:  # they differ as the names in the headers do
        ways = "case, spaces or zeros in front of a number, as do the names in DICOM headers for which they stand"
    text = f"The groups {named} may be one patient: their names differ only in {ways}."
    files = list_paths(evidence.table, _join(rows_of[name] for name in alike.names))
    if crosses:
        yield Finding(GROUP, text, files, ERROR, cure if evidence.split_made else f"{cure[:-1]}; {_SPLIT}.")
    else:
        yield Finding(PATIENT, text, files, WARNING, cure)


def _say_one_name(evidence) -> str:
    does_so = "" if find_lacking(evidence.table) else f"; {_DOES_SO}"
    return f"{_ONE_NAME}{does_so}. If they are not, nothing is wrong."


def _join(sets: Iterable[Sequence[int]]) -> list[int]:
    return sorted(chain.from_iterable(sets))


def _check_stems(evidence: Evidence, named: bool) -> tuple[list[Finding], dict[str, int]]:
    table = evidence.table
    stems = find_stems(table.paths, len(table.classes)) if table.root is not None else []
    shared = [rows for rows in find_repeated(stems) if stems[rows[0]]]
    crossing = [rows for rows in shared if len(list_present(evidence.splits[rows])) > 1]
    figures = {
        "file_name_stems": len(set(stems) - {""}),
        "stems_shared_by_images": len(shared),
        "stems_in_several_splits": len(crossing),
    }
    if not shared:
        return [], figures
    if not named:
        return [_tell_stems(evidence, stems, shared, crossing)], figures
    return _find_doubtful(evidence, stems, shared), figures


def _tell_stems(evidence: Evidence, stems, shared, crossing) -> Finding:
    """Return the finding on stems of file names where no groups are named."""
    paths, sizes = evidence.table.paths, Counter(map(len, shared))
    one, other = shared[0][:2]
    most = max(sizes)
    many = f"{min(sizes)} to {most:,}" if len(sizes) > 1 else f"{most:,}"
    text = (
        f"{count(len(shared), 'stem')} of file names {'is' if len(shared) == 1 else 'are'} shared by {many} images "
        f"each, {sum(map(len, shared)):,} of {len(stems):,} in all, such as '{stems[one]}' by '{paths[one]}' and "
        f"'{paths[other]}'. A stem may be a patient, and {_say_none(evidence)}."
    )
    writes = "" if find_lacking(evidence.table) else f", {_FROM_NAMES}"
    cure = f"{_COLUMN}{writes}. If it is not, nothing is wrong."
    if not crossing:
        return Finding(PATIENT, text, list_paths(evidence.table, _join(shared)), WARNING, cure)
    named = listed(
        (f"'{stems[rows[0]]}' ({join_names(list_present(evidence.splits[rows]))})" for rows in crossing), NAMED
    )
    are = "1 of them is" if len(crossing) == 1 else f"{len(crossing):,} of them are"
    text += f" {are} in several splits: {named}."
    return Finding(GROUP, text, list_paths(evidence.table, _join(crossing)), WARNING, cure)


def _say_none(evidence: Evidence) -> str:
    return "groups are switched off" if evidence.table.alone else "no groups are named"


def _find_doubtful(evidence: Evidence, stems, shared) -> list[Finding]:
    """Return a finding on stems whose images are in several groups, if nearly all other stems lie in one each."""
    groups = [spell(group) for group in evidence.table.groups]
    split_up = [rows for rows in shared if len({groups[row] for row in rows}) > 1]
    if not split_up or len(split_up) > (1 - COHERENT) * len(shared):
        return []
    told = [
        f"'{stems[rows[0]]}' ({listed(sorted({repr(evidence.table.groups[row]) for row in rows}), NAMED)})"
        for rows in split_up
    ]
    rows = _join(split_up)
    crosses = any(len(list_present(evidence.splits[own])) > 1 for own in split_up)
    are = "is" if len(split_up) == 1 else "are"
    text = (
        f"{count(len(split_up), 'stem')} of file names {are} shared by images of several groups, although "
        f"{len(shared) - len(split_up):,} others lie in one group each: {listed(told, NAMED)}. Images of one patient "
        f"may have several names there{', and are in several splits' if crosses else ''}."
    )
    return [
        Finding(GROUP if crosses else PATIENT, text, list_paths(evidence.table, rows), WARNING, _say_one_name(evidence))
    ]
