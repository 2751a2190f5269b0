"""Codes of classes: those that a recipe or a user states, else names in a coding scheme of tlmed's own."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tlmed.dicom_reports.coding_schemes import SCHEME, spell_scheme
from tlmed.errors import InputError, did_you_mean
from tlmed.sections.coded_terms import is_code
from tlmed.words import leave_out_middle, listed

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
    return ClassCode(plain, SCHEME, leave_out_middle(plain, _LONGEST))


def name_class(name: str, code: ClassCode) -> str:
    """Return what people read of a class: the meaning of its code, and its own name where that is another.

    >>> name_class("malignant", ClassCode("86049000", "SCT", "Malignant neoplasm"))
    'Malignant neoplasm (malignant)'
    """
    return name if code.scheme == SCHEME or code.meaning == name else f"{code.meaning} ({name})"


def code_classes(classes: Sequence[str], stated: Mapping[str, Sequence[str]] | None) -> dict[str, ClassCode]:
    """Return the code of each class.

    Args:
        classes: Their names.
        stated: Code, scheme and meaning of some of them.

    Raises:
        InputError: There is no such class, two classes have the same code or meaning, or a known scheme is called
            otherwise.

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
        if (right := spell_scheme(scheme)) != scheme:
            raise InputError(f"DICOM calls the coding scheme {right!r}. Received: {scheme!r} for {name!r}.")
    found = _name_apart(classes) | {name: ClassCode(*code) for name, code in stated.items()}
    _check_apart({name: f"{code.scheme} {code.value}" for name, code in found.items()}, "code")
    _check_apart({name: repr(code.meaning) for name, code in found.items()}, "meaning")
    return found


def _name_apart(names: Sequence[str]) -> dict[str, ClassCode]:
    """Return codes of tlmed's own scheme; long names of the same meaning get their number before it."""
    found = {name: name_code(name) for name in names}
    same = Counter(code.meaning for code in found.values())
    return {
        name: replace(code, meaning=f"{number}: {code.meaning}"[:_LONGEST]) if same[code.meaning] > 1 else code
        for number, (name, code) in enumerate(found.items(), 1)
    }


def _check_apart(texts: Mapping[str, str], what: str) -> None:
    first = {}
    for name, text in texts.items():
        if (other := first.setdefault(text, name)) != name:
            raise InputError(f"Each class must have a {what} of its own. Received: {text} for {other!r} and {name!r}.")


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
