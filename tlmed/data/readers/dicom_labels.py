"""DICOM: which elements of a header may give the class of an image, because they identify nobody, and their values."""

import functools
import importlib

from tlmed.data.readers.dicom_file import get_text
from tlmed.errors import did_you_mean

_CODE = "CS"  # the kind of values that the standard defines as codes, such as CHEST
# Texts that name a machine or a way to make images. All other texts may hold what people typed, and so names.
_TEXTS = ("Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "SequenceName")


def find_label_fault(keyword: str) -> str:
    """Return why an element must not give the class of images, by its keyword; "" if it may.

    Raises:
        ImportError: pydicom is not installed.

    >>> find_label_fault("BodyPartExamined"), find_label_fault("PatientName")
    ('', 'it may identify a person')
    >>> find_label_fault("BodyPartExamind")
    "the standard has no such keyword. Did you mean 'BodyPartExamined'?"
    """
    kinds = _read_dictionary()
    if keyword not in kinds:
        return f"the standard has no such keyword.{did_you_mean(keyword, _list_allowed())}".removesuffix(".")
    return "" if keyword in _list_allowed() else "it may identify a person"


def read_label(content: bytes, keyword: str) -> str:
    """Return the value of an element for which `find_label_fault` finds nothing; "" if a file has none.

    Raises:
        ValueError: The header is damaged.
    """
    return get_text(content, keyword)


@functools.cache
def _read_dictionary() -> dict[str, str]:
    """Return the kind of values of every element of the standard, by its keyword."""
    known = importlib.import_module("pydicom.datadict").DicomDictionary
    return {keyword: kind for kind, _, _, _, keyword in known.values() if keyword}


@functools.cache
def _list_allowed() -> frozenset[str]:
    codes = {keyword for keyword, kind in _read_dictionary().items() if kind == _CODE and not keyword.endswith("ID")}
    return frozenset((*codes, *_TEXTS))
