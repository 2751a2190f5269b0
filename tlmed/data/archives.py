"""A MedMNIST `.npz` file as a table.

The form is that of Yang et al., MedMNIST v2, Scientific Data 10 (2023) 41: `{train,val,test}_images`,
uint8 [n, h, w], [n, h, w, 3] or, of volumes, [n, d, h, w], and `{train,val,test}_labels`, integers [n, 1], or 0 and 1
for each of k labels [n, k]. Gray images and volumes may be other numbers, too.
"""

import lzma
import math
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from tlmed.cache import show_size
from tlmed.data.readers.arrays import is_picture, is_volume, read_header
from tlmed.data.table import Table, make_table
from tlmed.environment.memory import free_memory
from tlmed.errors import InputError
from tlmed.label_texts import write_vector
from tlmed.regular_files import open_regular
from tlmed.split_names import SPLITS
from tlmed.words import count, listed

_SUFFIX = ".npy"
# Raised by Python's zip files; RuntimeError also covers unknown compression (NotImplementedError) and passwords.
_READ_ERRORS = (
    *(OSError, EOFError, ValueError, OverflowError, RuntimeError, RecursionError, MemoryError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)


def open_archive(
    file: Path, source: str | None = None, classes: Sequence[str] = (), licence: str | None = None
) -> Table:
    """Read a MedMNIST file; classes, or labels, are their numbers as text, paths are `split/index`.

    Args:
        file: The `.npz` file.
        source: What the table calls its source; None: the file.
        classes: The names of the classes, or of the labels, 0, 1 and so on, if they are known.
        licence: Of the images, if it is known.

    Returns:
        The table, with given splits.

    Raises:
        InputError: Every fault of the file at once.
    """
    arrays = _read_arrays(file)
    faults = [fault for split in SPLITS if f"{split}_images" in arrays for fault in _faults(split, arrays)]
    if faults:
        raise InputError(faults)
    given = [split for split in SPLITS if f"{split}_images" in arrays]
    rows = [(split, index) for split in given for index in range(len(arrays[f"{split}_images"]))]
    widths = {_count_labels(arrays[f"{split}_labels"]) for split in given}
    if len(widths) > 1:
        raise InputError(
            f"All splits must have equally many labels. Received: data={file} with {listed(sorted(widths))}."
        )
    several = _name_labels(widths.pop(), classes)
    labels = [label for split in given for label in arrays[f"{split}_labels"].tolist()]
    return make_table(
        source or str(file),
        [f"{split}/{index}" for split, index in rows],
        [write_vector(label, several) if several else _name_class(label, classes) for label in labels],
        lambda row: arrays[f"{rows[row][0]}_images"][rows[row][1]],
        splits=[split for split, _ in rows],
        notes=() if several else _describe_gaps(np.ravel(labels).tolist()),
        decoded=True,
        licence=licence,
        several=several,
    )


def _count_labels(labels: np.ndarray) -> int:
    return labels.shape[1] if labels.ndim == 2 else 1


def _name_labels(width: int, classes: Sequence[str]) -> tuple[str, ...] | None:
    """Return the names of several labels; None where each image has one class."""
    if width == 1:
        return None
    return tuple(classes[number] if number < len(classes) else str(number) for number in range(width))


def _name_class(label: int | list[int], classes: Sequence[str]) -> str:
    number = label[0] if isinstance(label, list) else label
    return classes[number] if number < len(classes) else str(number)


def _read_arrays(file: Path) -> dict[str, np.ndarray]:
    """Load the arrays that are needed; `val` may be missing, as in every other form."""
    try:
        with open_regular(file) as stream, zipfile.ZipFile(stream) as archive:
            members = [name.removesuffix(_SUFFIX) for name in archive.namelist() if name.endswith(_SUFFIX)]
            needed = [f"{split}_{part}" for split in SPLITS for part in ("images", "labels")]
            optional = [] if {"val_images", "val_labels"} & set(members) else ["val_images", "val_labels"]
            missing = [name for name in needed if name not in members and name not in optional]
            if missing:
                raise InputError(
                    f"A MedMNIST file must hold the arrays {listed(needed)}. "
                    f"Received: data={file} without {listed(missing)}."
                )
            names = [name for name in needed if name in members]
            # A name may occur twice in a zip file, and readers differ in which one they take.
            if twice := [name for name in names if members.count(name) > 1]:
                raise ValueError(f"it holds {listed(twice)} more than once")
            _check_sizes(archive, names)
            return {name: _read_array(archive, name) for name in names}
    except InputError:
        raise
    except _READ_ERRORS as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise InputError(
            "A MedMNIST file must be a readable .npz without Python objects. "
            f"Received: data={file}: {_one_line(reason) or type(error).__name__}."
        ) from error


def _check_sizes(archive: zipfile.ZipFile, names: Sequence[str]) -> None:
    """Before any array is read, refuse those that do not fill their members or do not fit into memory."""
    total = 0
    for name in names:
        member = archive.getinfo(f"{name}{_SUFFIX}")
        with archive.open(member) as stream:
            shape, dtype = _read_header(stream, name)
            size = math.prod(shape) * dtype.itemsize
            if min(shape, default=0) < 0 or stream.tell() + size != member.file_size:
                raise ValueError(f"{name} is not as large as its shape {list(shape)} and type {dtype} say")
        total += size
    if total > (free := free_memory()):
        raise ValueError(f"its arrays take {show_size(total)}, and {show_size(free)} of memory are free")


def _read_header(stream: BinaryIO, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Read the header of an array and return the array's shape and type."""
    try:
        shape, _, dtype = read_header(stream)
    except ValueError as error:
        raise ValueError(f"of {name}, {error}") from None
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects")
    return shape, dtype


def _read_array(archive: zipfile.ZipFile, name: str) -> np.ndarray:
    with archive.open(f"{name}{_SUFFIX}") as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _one_line(reason: object) -> str:
    return " ".join(str(reason).split()).rstrip(".")


def _advise(images: np.ndarray) -> str:
    if images.ndim == 5:
        return "; coloured volumes are not read: take slices of them"
    is_scalable = images.ndim == 4 and images.shape[-1] == 3 and images.dtype.kind in "uif"
    return "; scale other colours to 0..255 and round them" if is_scalable else ""


def _describe_gaps(labels: Sequence[int]) -> tuple[str, ...]:
    """Return a sentence if the numbers of the classes have gaps: one of them may mean "no class"."""
    found = sorted(set(labels))
    if not found or found == list(range(found[0], found[-1] + 1)):
        return ()
    return (f"The labels are not without gaps: {listed(found, 10)}. Each of these numbers counts as a class.",)


def _are_one_hot(labels: np.ndarray) -> bool:
    if labels.dtype.kind not in "iufb":
        return False
    return bool(((labels == 1).sum(1) == 1).all() and (labels != 0).sum(1).max(initial=0) == 1)


def _faults(split: str, arrays: dict[str, np.ndarray]) -> list[str]:
    """Return a sentence for every fault of one split."""
    images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    faults = []
    colours = images.ndim == 4 and images.shape[-1] == 3
    has_range = images.dtype.newbyteorder("=") in (np.uint8, np.uint16) if colours else images.dtype.kind in "uif"
    if not has_range or not (is_picture(images.shape[1:]) or is_volume(images.shape[1:])):
        faults.append(
            f"`{split}_images` must be images, numbers [n, h, w] or uint8 [n, h, w, 3], or volumes, [n, d, h, w]"
            f"{_advise(images)}. Received: {images.dtype} {list(images.shape)}."
        )
    if labels.ndim == 2 and labels.shape[1] > 1:
        # Rows of zeros with a single one are one class, if no split has others.
        wide = [arrays[name] for name in arrays if name.endswith("_labels") and _count_labels(arrays[name]) > 1]
        one_hot = all(map(_are_one_hot, wide))
        if one_hot:
            faults.append(
                f"`{split}_labels` must give one class per image ([n, 1]); one-hot rows become numbers by "
                f"numpy.argmax(labels, axis=1). Received: shape {list(labels.shape)}."
            )
        elif labels.dtype.kind not in "iub" or not np.isin(labels, (0, 1)).all():
            faults.append(
                f"`{split}_labels` with several labels of an image must hold 0 and 1. "
                f"Received: {labels.dtype} {list(labels.shape)}, values {listed(np.unique(labels).tolist())}."
            )
    elif labels.dtype.kind not in "iu" or labels.ndim not in (1, 2) or labels.size != len(labels):
        faults.append(f"`{split}_labels` must be integers [n, 1]. Received: {labels.dtype} {list(labels.shape)}.")
    elif negative := int((labels < 0).sum()):
        faults.append(
            f"`{split}_labels` must be 0 or more, a class for each image; leave out images without one. "
            f"Received: {labels.min()} as the lowest, and {count(negative, 'label')} below 0."
        )
    if images.shape[:1] != labels.shape[:1]:
        faults.append(
            f"`{split}_images` and `{split}_labels` must have the same length. "
            f"Received: {images.shape[:1]} and {labels.shape[:1]}."
        )
    return faults
