"""Codes of classes: those that a recipe or a user states, else names in a coding scheme of tlmed's own."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tlmed.errors import InputError, did_you_mean
from tlmed.sections.coded_terms import is_code
from tlmed.words import listed

# Private schemes begin with 99 (PS3.16, 8.2). A code of this one is the name of a class: it means the same in all runs.
SCHEME = "99TLMED"
SCHEME_NAME = "Names of classes and measurements of tlmed"
# How PS3.16, 8.2 spells schemes that are often called otherwise.
_SPELLINGS = {
    **dict.fromkeys(("sct", "snomed", "snomed ct", "snomed-ct", "snomedct"), "SCT"),
    **dict.fromkeys(("icd10", "icd-10", "icd 10", "i10"), "I10"),
    **dict.fromkeys(("ln", "loinc"), "LN"),
    **{"dcm": "DCM", "radlex": "RADLEX"},
}
_LONGEST = 64  # characters of a meaning (LO)
_STATED = re.compile(r"(.+?)=([^=,]+),([^=,]+),(.+)")  # names of classes may hold = and commas


@dataclass(frozen=True)
class ClassCode:
    """A code with its meaning, as DICOM writes it.

    Attributes:
        value: The code, such as "86049000".
        scheme: Where it is defined, such as "SCT" for SNOMED CT.
        meaning: What it means, for people.
    """

    value: str
    scheme: str
    meaning: str


def name_code(name: str) -> ClassCode:
    """Return the code of tlmed's own scheme for a name.

    >>> name_code("malignant")
    ClassCode(value='malignant', scheme='99TLMED', meaning='malignant')
    """
    plain = name.replace("\\", "/").strip()  # DICOM divides values by backslashes
    return ClassCode(plain, SCHEME, plain if len(plain) <= _LONGEST else plain[: _LONGEST - 3] + "...")


def code_classes(classes: Sequence[str], stated: Mapping[str, Sequence[str]] | None) -> dict[str, ClassCode]:
    """Return the code of each class.

    Args:
        classes: Their names.
        stated: Code, scheme and meaning of some of them.

    Raises:
        InputError: There is no such class, two classes have the same code, or a known scheme is called otherwise.

    >>> code_classes(["benign", "malignant"], {"malignant": ("86049000", "SCT", "Malignant neoplasm")})["malignant"]
    ClassCode(value='86049000', scheme='SCT', meaning='Malignant neoplasm')
    """
    stated = stated or {}
    if strangers := [name for name in stated if name not in classes]:
        raise InputError(
            f"Codes must be of classes of the run: {listed(classes)}.{did_you_mean(strangers[0], classes)} "
            f"Received: a code of {strangers[0]!r}."
        )
    for name, (_, scheme, _) in stated.items():
        if (right := _SPELLINGS.get(scheme.lower(), scheme)) != scheme:
            raise InputError(f"DICOM calls the coding scheme {right!r}. Received: {scheme!r} for {name!r}.")
    found = {name: ClassCode(*stated[name]) if name in stated else name_code(name) for name in classes}
    first = {}
    for name, code in found.items():
        other = first.setdefault((code.value, code.scheme), name)
        if other != name:
            raise InputError(
                f"Each class must have a code of its own. Received: {code.scheme} {code.value} for {other!r} and "
                f"{name!r}."
            )
    return found


def read_code(text: str) -> tuple[str, tuple[str, str, str]]:
    """Return a class and its code from what a user typed.

    Args:
        text: `CLASS=CODE,SCHEME,MEANING`.

    Raises:
        InputError: It has another form.

    >>> read_code("malignant=86049000,SCT,Malignant neoplasm")
    ('malignant', ('86049000', 'SCT', 'Malignant neoplasm'))
    """
    found = _STATED.fullmatch(text)
    parts = tuple(part.strip() for part in found.groups()[1:]) if found else ()
    if not is_code(parts):
        raise InputError(
            "`--code` must be CLASS=CODE,SCHEME,MEANING, such as 'malignant=86049000,SCT,Malignant neoplasm', with at "
            f"most 64, 16 and 64 characters. Received: {text!r}."
        )
    return found[1], parts
