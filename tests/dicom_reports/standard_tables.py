"""The tables of the DICOM standard that highdicom carries, as dicom-validator takes them.

dicom-validator reads them from the standard, which it downloads. Here they come from a package, so that no test needs
the network: which modules a class has, which attributes a module has, and of which type each is. They lack the
conditions of types 1C and 2C, and the allowed values; `dciodvfy` of dicom3tools knows these. What an item of the
content must have for its type is stated below.
"""

import functools
import json
from pathlib import Path

import highdicom
from dicom_validator.validator.dicom_info import DicomInfo
from dicom_validator.validator.error_handler import NullValidationResultHandler
from dicom_validator.validator.iod_validator import IODValidator
from pydicom import dcmread
from pydicom.datadict import tag_for_keyword

_TABLES = Path(highdicom.__file__).parent / "_standard"
CLASSES = {
    "1.2.840.10008.5.1.4.1.1.88.34": "comprehensive-3d-sr",
    "1.2.840.10008.5.1.4.1.1.7": "secondary-capture-image",
}

# PS3.3, tables C.17-5 and C.18-1 to C.18-9: what an item must have, and no item of another type may.
_BY_TYPE = {
    "ConceptCodeSequence": ["CODE"],
    "MeasuredValueSequence": ["NUM"],
    "ReferencedSOPSequence": ["COMPOSITE", "IMAGE", "WAVEFORM"],
    "TemporalRangeType": ["TCOORD"],
    "GraphicData": ["SCOORD", "SCOORD3D"],
    "GraphicType": ["SCOORD", "SCOORD3D"],
    "ReferencedFrameOfReferenceUID": ["SCOORD3D"],
    "TextValue": ["TEXT"],
    "UID": ["UIDREF"],
    "ContinuityOfContent": ["CONTAINER"],
}
_TABULAR = "(0040,A801)"  # of items of the type TABLE, which the tables have in all
_CONTENT, _ITEM, _INSIDE = "sr-document-content", "content-item", "(0040,A730)"


def _read(name):
    return json.loads((_TABLES / f"{name}.json").read_text())


def _write_tag(keyword):
    tag = tag_for_keyword(keyword)
    return None if tag is None else f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _nest(attributes):
    """Return the attributes of a module by tag, those of items inside of their sequence."""
    top = {}
    for attribute in attributes:
        place = top
        for keyword in attribute["path"]:
            place = place.setdefault(_write_tag(keyword), {"type": "3"}).setdefault("items", {})
        if tag := _write_tag(attribute["keyword"]):
            place.setdefault(tag, {}).update(type=attribute["type"], name=attribute["keyword"])
    return top


def _demand_by_type(item):
    """Return an item of the content with what its own type demands of it."""
    for keyword, types in _BY_TYPE.items():
        condition = {"type": "MN", "tag": "(0040,A040)", "op": "=", "index": 0, "values": types}
        item[_write_tag(keyword)].update(type="1C", cond=condition)
    item.pop(_TABULAR, None)
    return {**item, _INSIDE: {"type": "3", "items": {"include": [{"ref": _ITEM}]}}}


@functools.cache
def read_tables() -> DicomInfo:
    """Return the tables of `CLASSES`."""
    modules, attributes = _read("iod_module_map"), _read("module_attribute_map")
    iods = {
        uid: {
            "title": name,
            "modules": {each["key"]: {"ref": each["key"], "use": each["usage"]} for each in modules[name]},
            "group_macros": {},
        }
        for uid, name in CLASSES.items()
    }
    wanted = {each["key"] for name in CLASSES.values() for each in modules[name]}
    tables = {name: _nest(attributes[name]) for name in wanted}
    inside = tables[_CONTENT][_INSIDE]["items"]
    tables[_ITEM] = _demand_by_type(inside)
    tables[_CONTENT] = _demand_by_type(tables[_CONTENT])
    return DicomInfo({}, iods, tables)


def find_faults(path) -> dict:
    """Return what dicom-validator finds wrong in a file: for each module its faults, by tag."""
    found = IODValidator(dcmread(path), read_tables(), error_handler=NullValidationResultHandler()).validate()
    return {name: dict(faults) for name, faults in found.module_errors.items() if faults}
