"""What a report about a DICOM image must repeat of its header: which image it is, of which study, and of whom.

A report is filed with the study of its images only if it names their patient as they do. So this is the one place that
gives away what identifies a person; it goes into such reports, and into no message and no other file.
"""

import datetime
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tlmed.data.readers.damage import Unread
from tlmed.data.readers.dicom_file import is_dicom, only_reasons, read_elements, read_header, read_meta, write_text
from tlmed.data.readers.dicom_pixels import count_frames
from tlmed.data.readers.dicom_places import find_places
from tlmed.data.readers.orientation import arrange

if TYPE_CHECKING:
    from pydicom import Dataset

# By which a report refers to an image (PS3.3, C.18.4 and C.17.2.1).
_REFERENCES = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
# What the modules Patient (PS3.3, C.7.1.1) and General Study (C.7.2.1) demand: types 1 and 2.
PATIENT = ("PatientName", "PatientID", "PatientBirthDate", "PatientSex")
_DEMANDED = (
    *PATIENT,
    *("StudyDate", "StudyTime", "StudyID", "AccessionNumber", "ReferringPhysicianName"),
)
# An ID is one of its issuer's; and who takes the identity away says how (type 1C). Both are false without the other.
REMOVED = ("PatientIdentityRemoved", "DeidentificationMethod")
OPTIONAL = ("IssuerOfPatientID", *REMOVED)
REPEATED = (*_DEMANDED, *OPTIONAL)
_CODES = "DeidentificationMethodCodeSequence"  # may stand in place of the method in words
_CODE_VALUES = ("CodeValue", "LongCodeValue", "URNCodeValue")  # one of them, by the length and kind of the code
_LONGEST_CODE = 1024  # characters; the standard bounds codes of more than 16 nowhere
_ASKED = (*_REFERENCES, *REPEATED, _CODES, "NumberOfFrames", "SpecificCharacterSet")
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")  # PS3.5, 9.1
_LONGEST_UID = 64
_LONGEST_VALUE = 64  # characters of a text in a header (LO)
_SEXES = ("M", "F", "O")
_TIME = re.compile(r"([01][0-9]|2[0-3])([0-5][0-9](([0-5][0-9]|60)(\.[0-9]{1,6})?)?)?")


class NoImage(Unread):
    """Why a DICOM file is no image that a report may refer to."""


@dataclass(frozen=True)
class SourceImage:
    """What a DICOM file says of itself.

    Attributes:
        study: The UID of its study.
        series: That of its series.
        sop_class: That of its class, such as CT images.
        instance: Its own.
        frames: How many frames it has.
        repeated: What else a report repeats, text by keyword; "" for what the file does not say.
        odd: What is left empty there because the file says it in no form that the standard allows, text by keyword.
        denied: The keywords of the UIDs of which the file meta information says others.
    """

    study: str
    series: str
    sop_class: str
    instance: str
    frames: int
    repeated: Mapping[str, str]
    odd: Mapping[str, str] = field(default_factory=dict)
    denied: tuple[str, ...] = ()


def read_source(content: bytes) -> SourceImage:
    """Read what a report must repeat of an image.

    Args:
        content: A file.

    Raises:
        Unread: It is no DICOM, is damaged, or does not say which image it is, and of which study; or `NoImage`.
        ImportError: pydicom is not installed.
    """
    if not is_dicom(content[:352]):
        raise Unread("it is no DICOM file")
    header = read_elements(content, _ASKED)
    uids = [_read(header.elements, keyword) for keyword in _REFERENCES]
    if missing := [keyword for keyword, uid in zip(_REFERENCES, uids, strict=True) if not _is_uid(uid)]:
        raise Unread(f"it has no valid {' and no valid '.join(missing)}")
    if not _is_image(uids[_REFERENCES.index("SOPClassUID")]):
        raise NoImage("its SOP class is none of the standard's classes of medical images, or a retired one")
    said = {keyword: _read(header.elements, keyword) for keyword in REPEATED}
    removal = _read_removal(header.elements, said)
    odd = {keyword: text for keyword, text in {**said, **removal}.items() if text and not _is_valid(keyword, text)}
    repeated = {keyword: "" if keyword in odd else removal.get(keyword, text) for keyword, text in said.items()}
    removed, method = REMOVED
    if repeated[removed] and not repeated[method]:
        odd[removed] = repeated[removed]
    if not (repeated[removed] and repeated[method]):
        repeated |= dict.fromkeys(REMOVED, "")
    own, meta = dict(zip(_REFERENCES, uids, strict=True)), read_meta(content)
    denied = tuple(keyword for keyword, uid in meta.items() if uid != own[keyword])
    return SourceImage(*uids, count_frames(header), repeated, odd, denied)


def _read_removal(elements: "Dataset", said: Mapping[str, str]) -> dict[str, str]:
    """Return what tells that the identity was removed, and how, as a report has it: nothing where it was not.

    Codes are written as words. Long words become several values, each as short as the standard has it.
    """
    removed, method = REMOVED
    if said[removed] in ("", "NO"):
        return dict.fromkeys(REMOVED, "")
    codes = [] if said[method] else _read_codes(elements)
    if faulty := [code for code in codes if not _is_code(*code)]:
        return {_CODES: "\\".join(map("\\".join, faulty))}
    words = said[method].split("\\") + list(map(": ".join, codes))
    lines = [
        line
        for value in words
        for line in textwrap.wrap(
            value, _LONGEST_VALUE, break_on_hyphens=False, expand_tabs=False, replace_whitespace=False
        )
    ]
    return {removed: said[removed], method: "\\".join(lines)}


def _read_codes(elements: "Dataset") -> list[tuple[str, str]]:
    """Return the value and the meaning of each code for how an identity was removed."""
    found = []
    with only_reasons(f"{_CODES} in its header is damaged"):
        for item in elements.get(_CODES) or ():
            values = (_read(item, keyword) for keyword in _CODE_VALUES)
            found.append((next(filter(None, values), ""), _read(item, "CodeMeaning")))
    return found


def find_frames(content: bytes, axis: str, planes: tuple[int, ...]) -> tuple[int, ...]:
    """Return which frames of a file planes are, from 1; nothing where they are cut across its frames.

    Args:
        content: A DICOM file with several frames.
        axis: The axis along which planes are numbered.
        planes: Their numbers, from 0.

    Raises:
        Unread: It is damaged.
    """
    header = read_header(content, pixels=False)
    places = find_places(header, count_frames(header))
    if places is None:
        return tuple(dict.fromkeys(plane + 1 for plane in planes))
    found = arrange(places)
    return tuple(dict.fromkeys(found.order[plane] + 1 for plane in planes)) if found.axis == axis else ()


def _read(elements: "Dataset", keyword: str) -> str:
    """Return the value of an element as text; with surrogates, which no form allows, if it cannot be decoded.

    Each surrogate stands for a byte: different bytes stay different, so that they tell patients.
    """
    stored = elements.get_item(keyword).value if keyword in elements else None  # before pydicom decodes it
    with only_reasons(f"{keyword} in its header is damaged"):
        text = write_text(elements.get(keyword))
    if isinstance(stored, bytes) and not _is_decoded(elements, stored, text):
        return stored.decode("ascii", "surrogateescape").strip(" \0")
    return text


def _is_decoded(elements: "Dataset", stored: bytes, text: str) -> bool:
    """Tell whether a value has the letters that its bytes mean in the character set of the file.

    pydicom replaces bytes that mean nothing there. If the file names no set, or an unknown one, it takes Latin-1, but
    the standard has ASCII: such bytes may be letters of any language.
    """
    from pydicom.charset import default_encoding

    names = elements.original_character_set
    first = names if isinstance(names, str) else names[0]
    is_known = first != default_encoding or stored.partition(b"\x1b")[0].isascii()
    return is_known and "\ufffd" not in text


def _is_image(sop_class: str) -> bool:
    """Tell the classes that a report may refer to as images; those of RT doses have pixels, too, and are none.

    highdicom makes no report of images of retired classes, whose modules are in the standard no more.
    """
    from pydicom.uid import UID

    uid = UID(sop_class)
    is_named = "Image Storage" in uid.name or uid.name == "Enhanced US Volume Storage"
    # Luggage and machine parts have classes of their own (DICOS, DICONDE).
    return is_named and not uid.is_retired and not uid.name.startswith(("DICOS", "Eddy Current"))


def _is_uid(text: str) -> bool:
    return len(text) <= _LONGEST_UID and _UID.fullmatch(text) is not None


def _is_valid(keyword: str, text: str) -> bool:
    """Tell whether a text is a value that the standard allows; writing others makes a report that others refuse."""
    if keyword.endswith("Date"):
        return _is_date(text)
    if keyword == "StudyTime":
        return _TIME.fullmatch(text) is not None
    if keyword == "PatientSex":
        return text in _SEXES
    if keyword == "PatientIdentityRemoved":
        return text in ("YES", "NO")
    if keyword in ("PatientName", "ReferringPhysicianName"):
        return _is_name(text)
    if keyword == _CODES:  # only those that are in no form
        return False
    if keyword == "DeidentificationMethod":  # it may have several values
        return all(map(_is_short, text.split("\\")))
    return _is_short(text, 16 if keyword in ("StudyID", "AccessionNumber") else 64)


def _is_code(value: str, meaning: str) -> bool:
    return all((value, meaning)) and _is_short(value, _LONGEST_CODE) and _is_short(meaning)


def _is_short(text: str, longest: int = _LONGEST_VALUE) -> bool:
    return len(text) <= longest and "\\" not in text and text.isprintable()


def _is_date(text: str) -> bool:
    try:
        datetime.datetime.strptime(text, "%Y%m%d")
    except ValueError:
        return False
    return len(text) == 8


def _is_name(text: str) -> bool:
    """Tell whether a text is a person's name: up to three forms of up to five parts, of up to 64 characters each."""
    forms = text.split("=")
    return (
        len(forms) <= 3
        and all(len(form) <= 64 and form.count("^") <= 4 for form in forms)
        and "\\" not in text
        and text.isprintable()
    )
