"""A MedMNIST `.npz` file as a table.

The form is that of Yang et al., MedMNIST v2, Scientific Data 10 (2023) 41: `{train,val,test}_images`,
uint8 [n, h, w] or [n, h, w, 3], and `{train,val,test}_labels`, integers [n, 1].
"""

import zipfile
from pathlib import Path

import numpy as np

from tlmed.data.table import Table, make_table
from tlmed.errors import InputError
from tlmed.rundir import SPLITS
from tlmed.words import listed


def open_archive(file: Path) -> Table:
    """Read a MedMNIST file; classes are the label numbers as text, paths are `split/index`.

    Args:
        file: The `.npz` file.

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
    return make_table(
        str(file),
        [f"{split}/{index}" for split, index in rows],
        [str(label) for split in given for label in arrays[f"{split}_labels"].ravel().tolist()],
        lambda row: arrays[f"{rows[row][0]}_images"][rows[row][1]],
        splits=[split for split, _ in rows],
    )


def _read_arrays(file: Path) -> dict[str, np.ndarray]:
    """Load the arrays that are needed; `val` may be missing, as in every other form."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            names = list(archive.keys())
            needed = [f"{split}_{part}" for split in SPLITS for part in ("images", "labels")]
            optional = [] if {"val_images", "val_labels"} & set(names) else ["val_images", "val_labels"]
            missing = [name for name in needed if name not in names and name not in optional]
            if missing:
                raise InputError(
                    f"A MedMNIST file must hold the arrays {listed(needed)}. "
                    f"Received: data={file} without {listed(missing)}."
                )
            return {name: archive[name] for name in needed if name in names}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(
            f"A MedMNIST file must be a readable .npz without Python objects. Received: data={file}: {error}."
        ) from error


def _faults(split: str, arrays: dict[str, np.ndarray]) -> list[str]:
    """Return a sentence for every fault of one split."""
    images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    faults = []
    if images.dtype != np.uint8 or images.ndim not in (3, 4) or (images.ndim == 4 and images.shape[3] != 3):
        faults.append(
            f"`{split}_images` must be 2D images, uint8 [n, h, w] or [n, h, w, 3]. "
            f"Received: {images.dtype} {list(images.shape)}."
        )
    if labels.ndim == 2 and labels.shape[1] > 1:
        faults.append(
            f"`{split}_labels` must give one class per image ([n, 1]); several are not supported. "
            f"Received: shape {list(labels.shape)}."
        )
    elif labels.dtype.kind not in "iu" or labels.ndim not in (1, 2) or labels.size != len(labels):
        faults.append(f"`{split}_labels` must be integers [n, 1]. Received: {labels.dtype} {list(labels.shape)}.")
    if images.shape[:1] != labels.shape[:1]:
        faults.append(
            f"`{split}_images` and `{split}_labels` must have the same length. "
            f"Received: {images.shape[:1]} and {labels.shape[:1]}."
        )
    return faults
