"""A folder of files whose headers name their classes, as a table: DICOM, by an element that the recipe names."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tlmed.columns import is_blank
from tlmed.data.kinds import describe_others
from tlmed.data.patients import name_patients
from tlmed.data.readers import find_label, find_label_fault, is_image
from tlmed.data.table import Table, find_licence, make_table
from tlmed.data.walking import (
    describe_links_out,
    describe_unfollowed,
    find_hidden,
    find_unfollowed,
    visible_files,
)
from tlmed.errors import InputError
from tlmed.regular_files import read_regular
from tlmed.source_layout import Layout
from tlmed.split_names import SPLIT_NAMES, name_split
from tlmed.words import count, listed

_THREADS = 4  # each holds a file in memory
_NAMED = 3  # files that a sentence names; it counts the others
_RULE = (
    "`data.label_column` of a folder must be the keyword of a header element that identifies nobody: a code, such as "
    "BodyPartExamined, Modality, ViewPosition, Laterality or PatientSex, or the name of a machine, such as Manufacturer"
)


def open_header_folder(root: Path, layout: Layout) -> Table:
    """Read a folder of DICOM files, in any depth, whose classes are the values of one element of their headers.

    Folders name no classes; folders called train, val and test give splits. Patients are those of the headers, under
    pseudonyms. Nothing else of a header is in the table.

    Args:
        root: The folder.
        layout: Whose `label` is the element's keyword.

    Raises:
        InputError: The element could identify a person; or a file has no header, or none with that element.
    """
    if fault := find_label_fault(layout.label):
        raise InputError(f"{_RULE}. Received: label_column={layout.label!r}: {fault}.")
    files = [*visible_files(root)]
    images = [file for file in files if is_image(file)]
    others = [file for file in files if file not in set(images)]
    paths = [file.relative_to(root).as_posix() for file in images]
    with ThreadPoolExecutor(_THREADS) as pool:
        labels = list(pool.map(lambda file: _find_label(file, layout.label), images))
    splits = _find_splits(paths)
    if faults := [*_find_label_faults(root, paths, labels, layout.label), *_find_split_faults(root, paths, splits)]:
        raise InputError(faults)
    groups, told = name_patients(images) if layout.grouping.use and images else (None, ())
    return make_table(
        str(root),
        paths,
        labels,
        lambda row: read_regular(images[row]),
        groups=groups,
        pseudonyms=groups is not None,
        splits=splits,
        skipped=tuple(file.relative_to(root).as_posix() for file in others),
        hidden=tuple(sorted(find_hidden(root))),
        notes=(
            f"Classes are the values of {layout.label} in the headers.",
            *told,
            *describe_links_out(root, paths),
            *describe_unfollowed(find_unfollowed(root)),
            *describe_others(others),
        ),
        licence=find_licence(root),
        root=root,
    )


def _find_label(file: Path, keyword: str) -> str | None:
    """Return the value of an element; "" if the header has none, None if there is no header that can be read."""
    try:
        return find_label(read_regular(file), keyword)
    except InputError:
        raise
    except (OSError, ValueError):
        return None


def _find_label_faults(root: Path, paths: Sequence[str], labels: Sequence[str | None], keyword: str) -> list[str]:
    kinds = {
        "Every image must have a DICOM header that can be read": [
            path for path, label in zip(paths, labels, strict=True) if label is None
        ],
        f"Every header must have a value of {keyword}; leave out other files, or list the images in a CSV": [
            path for path, label in zip(paths, labels, strict=True) if label is not None and is_blank(label)
        ],
    }
    return [
        f"{rule}. Received: data={root}, where {count(len(found), 'image')} of {len(paths):,} "
        f"{'has' if len(found) == 1 else 'have'} none: {listed(map(repr, found), _NAMED)}."
        for rule, found in kinds.items()
        if found
    ]


def _find_splits(paths: Sequence[str]) -> list[str | None] | None:
    """Return the split of each image if folders give any: None for an image beside them."""
    found = [name_split(path.split("/")[0]) if "/" in path else None for path in paths]
    return found if any(found) else None


def _find_split_faults(root: Path, paths: Sequence[str], splits: Sequence[str | None] | None) -> list[str]:
    beside = [path for path, split in zip(paths, splits or (), strict=False) if split is None]
    if not beside:
        return []
    return [
        f"No other image may lie beside folders of splits ({', '.join(sorted(set(SPLIT_NAMES.values())))}). "
        f"Received: data={root} with {listed(map(repr, beside), _NAMED)}."
    ]
