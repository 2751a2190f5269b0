"""Readers of image files: a module for each family, and `registry`, which chooses one by what a file holds."""

from tlmed.data.readers.registry import (
    READERS,
    count_planes,
    describe_endings,
    find_label,
    find_label_fault,
    find_patient,
    find_reader,
    find_remarks,
    find_slice,
    has_usual_ending,
    is_image,
    name_versions,
    names_patients,
    open_stack,
    read_plane,
    readable_endings,
)

__all__ = [
    "READERS",
    "count_planes",
    "describe_endings",
    "find_label",
    "find_label_fault",
    "find_patient",
    "find_reader",
    "find_remarks",
    "find_slice",
    "has_usual_ending",
    "is_image",
    "name_versions",
    "names_patients",
    "open_stack",
    "read_plane",
    "readable_endings",
]
