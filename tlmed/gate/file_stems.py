"""Stems of file names that may be patients: what `P001_img1.png` and `P001_img2.png` have in common.

A name is read as words and numbers. Each number of it ends a stem: all before it, the number, and the words that follow
it, without those that tell views of one thing (left, slice, image). A stem is taken for an identifier if

- most of the names that share it have more than it, so that it is no counter of images, and
- a word for a patient, a case or the like stands before its number, or there are more than `FEW` different stems of its
  form (fewer may be classes, folds or sites), and no word such as slice or frame stands before its number, and
- two images or more share it; of forms without a word for a patient this must be so for two stems.

The single letter P is such a word if there are three stems or more. A bar code of The Cancer Genome Atlas, such as
TCGA-17-Z034, is a patient's as far as its participant.

Of several such stems in a name one with a word for a patient is taken, and else the shortest. Dates are no stems.
Where two folders hold files of the same name, numbers begin anew in each, and a stem means something only within one.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import NamedTuple

from tlmed.part_names import split_part
from tlmed.patient_columns import FEW, is_patient_word

_PART = re.compile(r"[^\W_]+")
_NUMBERED = re.compile(r"([^\W\d_]*)(\d+)([^\W\d_]*)")
_DAY = r"(?:19|20)\d\d([-_.]?)(?:0[1-9]|1[0-2])\1(?:0[1-9]|[12]\d|3[01])"
_DATE = re.compile(rf"(?<!\d){_DAY}(?:[-_.T ]?(?:[01]\d|2[0-3])[0-5]\d[0-5]\d)?(?!\d)")  # and a time of day
# Words before a number that counts parts of an image, or of a sequence.
_PARTS = {
    *("slice", "slices", "sl", "frame", "frames", "fr", "tile", "patch", "crop", "view", "aug", "augmented", "rot"),
    "roi",
}
_AXES = {"z", "t"}  # of planes and times, unless a name begins so
# Words that tell images of one thing from each other, besides single letters.
_VIEWS = (
    _PARTS
    | _AXES
    | {
        *("image", "images", "img", "imgs", "im", "pic", "picture", "photo", "scan", "series", "ser", "copy", "left"),
        *("right", "lt", "rt", "od", "os", "ap", "pa", "lat", "lateral", "frontal", "front", "cc", "mlo", "rcc", "lcc"),
        *("rmlo", "lmlo", "ax", "axial", "cor", "coronal", "sag", "sagittal", "pre", "post", "before", "after", "ct"),
        *("baseline", "followup", "fu", "contrast", "noncontrast", "mr", "mri", "us", "cr", "dr", "dx", "xray", "dcm"),
        *("png", "jpg", "jpeg", "orig", "original", "flip", "flipped", "ed", "es", "native"),
    }
)
# The Cancer Genome Atlas: project, site, participant; samples and slides follow.
_TCGA = re.compile(r"(?<![^\W_])tcga-[a-z0-9]{2}-[a-z0-9]{4}(?![^\W_])", re.IGNORECASE)
_NUMBER, _CODE, _WORD, _BARCODE = "#", "*", "w", "bar code"


class _Token(NamedTuple):
    kind: str  # _NUMBER, _CODE (letters and digits in turn), _WORD or _BARCODE (of a patient)
    text: str
    end: int  # in the name
    apart: bool  # whether a word stands by itself, not before a number without a separator


@dataclass(frozen=True)
class _Level:
    """A stem that a name may have.

    Attributes:
        form: Its words, with a mark in place of each number.
        key: What tells it from other stems.
        name: As it is written.
        has_rest: Whether the name has more than it.
        word: The word before its number; "" if there is none.
    """

    form: tuple[str, ...]
    key: tuple[str, ...]
    name: str
    has_rest: bool
    word: str


def find_stems(paths: Sequence[str], classes: int = 2) -> list[str]:
    """Return for each image the stem of its file's name that may be its patient; "" where there is none.

    Args:
        paths: Of files, or of parts of files.
        classes: How many classes there are: folders that may be theirs are no part of names.

    >>> find_stems(["a/P1_left.png", "b/p01_right.png", "a/P2_left.png", "b/P3_left.png", "c.png"])
    ['P1', 'P1', 'P2', 'P3', '']
    >>> find_stems([f"benign ({number}).png" for number in range(30)])[:2]
    ['', '']
    """
    names = _name_files([split_part(path)[0] for path in paths], classes)
    levels = {name: _list_levels(name) for name in set(names)}
    folders = [str(PurePosixPath(path).parent) for path in paths]
    restarting = _find_restarting(names, folders, levels)
    members: dict[tuple, dict[tuple, set[int]]] = defaultdict(lambda: defaultdict(set))
    for row, name in enumerate(names):
        for level in levels[name]:
            members[level.form][_place(level, folders[row], restarting)].add(row)
    accepted = {form for form, stems in members.items() if _is_identifier(form, stems, names, levels)}
    shown: dict[tuple, str] = {}
    found = []
    for row, name in enumerate(names):
        level = _choose(levels[name], accepted)
        if level is None:
            found.append("")
            continue
        place = _place(level, folders[row], restarting)
        named = f"{place[0]}/{level.name}" if place[0] else level.name
        found.append(shown.setdefault((level.form, *place), named))
    return found


def _name_files(files: Sequence[str], classes: int) -> list[str]:
    """Return names without their endings; with their folder's where there are many folders, as of patients."""
    whole = [PurePosixPath(file) for file in files]
    names = [path.name.split(".", 1)[0] if path.name.endswith(".nii.gz") else path.stem for path in whole]
    folders = {path.parent for path in whole}
    if len(folders) <= max(FEW, 3 * classes):
        return names
    return [f"{path.parent.name}/{name}" for path, name in zip(whole, names, strict=True)]


def _list_levels(name: str) -> list[_Level]:
    """Return the stems that a name may have, the shortest first."""
    tokens = _read(name)
    levels = []
    for place, token in enumerate(tokens):
        if token.kind == _WORD:
            continue
        last = place
        while last + 1 < len(tokens) and _belongs(tokens[last + 1]):
            last += 1
        word = tokens[place - 1].text if place and tokens[place - 1].kind == _WORD else ""
        word = "patient" if token.kind == _BARCODE else word
        # Numbers of slices before that of a patient are none of the patient's.
        own = [one for at, one in enumerate(tokens[: last + 1]) if at >= place or not _counts_parts(tokens, at)]
        form = tuple(one.text if one.kind == _WORD else one.kind for one in own)
        key = tuple(one.text for one in own)
        levels.append(_Level(form, key, name[: tokens[last].end], len(own) < len(tokens), word))
    return levels


def _read(name: str) -> list[_Token]:
    text = _DATE.sub(lambda found: " " * len(found[0]), name)
    tokens = [_Token(_BARCODE, found[0].casefold(), found.end(), True) for found in _TCGA.finditer(text)]
    text = _TCGA.sub(lambda found: " " * len(found[0]), text)
    for part in _PART.finditer(text):
        numbered = _NUMBERED.fullmatch(part[0])
        if numbered is None:
            kind = _CODE if any(map(str.isdigit, part[0])) else _WORD
            tokens.append(_Token(kind, part[0].casefold(), part.end(), True))
            continue
        for group in (1, 2, 3):
            if numbered[group]:
                kind = _NUMBER if group == 2 else _WORD
                written = numbered[group].lstrip("0") or "0" if group == 2 else numbered[group].casefold()
                tokens.append(_Token(kind, written, part.start() + numbered.end(group), group != 1))
    return sorted(tokens, key=lambda token: token.end)


def _belongs(token: _Token) -> bool:
    """Tell whether a token after a number is a word that belongs to the stem, as `person1_bacteria` has one."""
    return token.kind == _WORD and token.apart and len(token.text) > 1 and token.text not in _VIEWS


def _counts_parts(tokens: Sequence[_Token], at: int) -> bool:
    """Tell whether a token is a number of a slice or frame, or the word before it."""
    number = at if tokens[at].kind != _WORD else at + 1
    if not 0 < number < len(tokens) or tokens[number].kind == _WORD:
        return False
    word = tokens[number - 1]
    return word.kind == _WORD and (word.text in _PARTS or (word.text in _AXES and number > 1))


def _find_restarting(names: Sequence[str], folders: Sequence[str], levels) -> set[tuple[str, ...]]:
    """Return the forms of which two folders hold a file of the same name."""
    owners: dict[str, set[str]] = defaultdict(set)
    for name, folder in zip(names, folders, strict=True):
        owners[name].add(folder)
    forms = {level.form for name, where in owners.items() if len(where) > 1 for level in levels[name]}
    return {form for form in forms if _BARCODE not in form}  # which is one patient's wherever it stands


def _place(level: _Level, folder: str, restarting: set) -> tuple:
    return (folder if level.form in restarting else "", level.key)


def _is_identifier(form: tuple[str, ...], stems: dict[tuple, set[int]], names: Sequence[str], levels) -> bool:
    """Tell whether stems of a form look like identifiers."""
    shared = [rows for rows in stems.values() if len(rows) > 1]
    rows = [row for rows in shared for row in rows]
    at = [next(level for level in levels[names[row]] if level.form == form) for row in rows]
    if not shared or sum(level.has_rest for level in at) <= len(rows) / 2:
        return False
    word = Counter(level.word for level in at).most_common(1)[0][0]
    if is_patient_word(word):
        return len(stems) > 1 if len(word) > 1 else len(stems) > 2
    counts = word in _PARTS or (word in _AXES and form[0] != word)
    return len(stems) > FEW and len(shared) > 1 and not counts


def _choose(levels: Iterable[_Level], accepted: set) -> _Level | None:
    fitting = [level for level in levels if level.form in accepted]
    return next((level for level in fitting if is_patient_word(level.word)), next(iter(fitting), None))
