"""What a report about a DICOM image must repeat of its header: which image it is, of which study, and of whom.

A report is filed with the study of its images only if it names their patient as they do. So this is the one place that
gives away what identifies a person; it goes into such reports, and into no message and no other file.
"""

import datetime
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from tlmed.data.readers.damage import Unread
from tlmed.data.readers.dicom_file import Header, is_dicom, only_reasons, read_elements, read_header, write_text
from tlmed.data.readers.dicom_pixels import count_frames
from tlmed.data.readers.dicom_places import find_places
from tlmed.data.readers.orientation import arrange

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
    """

    study: str
    series: str
    sop_class: str
    instance: str
    frames: int
    repeated: Mapping[str, str]
    odd: Mapping[str, str] = field(default_factory=dict)


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
    uids = [_read(header, keyword) for keyword in _REFERENCES]
    if missing := [keyword for keyword, uid in zip(_REFERENCES, uids, strict=True) if not _is_uid(uid)]:
        raise Unread(f"it has no valid {' and no valid '.join(missing)}")
    if not _is_image(uids[_REFERENCES.index("SOPClassUID")]):
        raise NoImage("its SOP class is none of the standard's classes of medical images, or a retired one")
    said = {keyword: _read(header, keyword) for keyword in REPEATED}
    removed, method = REMOVED
    if said[removed] == "YES":
        said[method] = _shorten(said[method]) or _read_codes(header)
    odd = {keyword: text for keyword, text in said.items() if text and not _is_valid(keyword, text)}
    repeated = {keyword: "" if keyword in odd else text for keyword, text in said.items()}
    if repeated[removed] and not repeated[method]:
        odd[removed] = repeated[removed]
    if not (repeated[removed] and repeated[method]):
        repeated |= dict.fromkeys(REMOVED, "")
    return SourceImage(*uids, count_frames(header), repeated, odd)


def _shorten(method: str) -> str:
    """Return how an identity was removed, each of its values as short as the standard has it."""
    return "\\".join(value[:_LONGEST_VALUE] for value in method.split("\\"))


def _read_codes(header) -> str:
    """Return in words how an identity was removed, where the header has codes for it; "" where it has none."""
    with only_reasons(f"{_CODES} in its header is damaged"):
        codes = [
            (write_text(item.get("CodeValue")), write_text(item.get("CodeMeaning")))
            for item in header.get(_CODES) or ()
        ]
    return _shorten("\\".join(f"{value}: {meaning}".replace("\\", " ") for value, meaning in codes))


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


def _read(header: Header, keyword: str) -> str:
    with only_reasons(f"{keyword} in its header is damaged"):
        return write_text(header.get(keyword))


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
    if keyword == "DeidentificationMethod":  # it may have several values
        return all(map(_is_short, text.split("\\")))
    return _is_short(text, 16 if keyword in ("StudyID", "AccessionNumber") else 64)


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
