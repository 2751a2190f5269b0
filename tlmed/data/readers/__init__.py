"""Readers of image files: a module for each family, and `registry`, which chooses one by what a file holds."""

from tlmed.data.readers.registry import (
    READERS,
    count_planes,
    describe_endings,
    describe_formats,
    find_patient,
    find_reader,
    find_remarks,
    has_usual_ending,
    is_image,
    name_format,
    name_versions,
    names_patients,
    read_plane,
    readable_endings,
)

__all__ = [
    "READERS",
    "count_planes",
    "describe_endings",
    "describe_formats",
    "find_patient",
    "find_reader",
    "find_remarks",
    "has_usual_ending",
    "is_image",
    "name_format",
    "name_versions",
    "names_patients",
    "read_plane",
    "readable_endings",
]
