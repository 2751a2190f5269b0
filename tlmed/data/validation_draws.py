"""Draw validation images anew from all that are not tested, so that a choice can rest on several draws of them."""

from collections.abc import Collection, Sequence

import numpy as np

from tlmed.data.splits import make_parts
from tlmed.data.table import Table
from tlmed.data.units import join_units
from tlmed.errors import InputError
from tlmed.sections import KFold
from tlmed.seeds import derive
from tlmed.split_names import LEARNED


def draw_validation(
    table: Table, sha256: Sequence[str], splits: np.ndarray, scheme: Sequence[float] | KFold, seed: int
) -> np.ndarray:
    """Return splits with the same test images, whose other images are divided into train and val anew.

    Args:
        table: Usable images only.
        sha256: The digest of every image's content.
        splits: "train", "val" or "test" for every image; those of other names stay as they are, too.
        scheme: The parts of train, val and test, or a fold: it says which share of the others becomes val.
        seed: Decides which images these are. Groups and byte-identical files stay whole.

    Raises:
        InputError: A class, or a split, would have no image.

    >>> from tlmed.data.table import Table
    >>> paths = tuple(f"{number}.png" for number in range(8))
    >>> table = Table("busi", paths, np.repeat([0, 1], [4, 4]), ("benign", "malignant"), None, None, open)
    >>> splits = np.array(["test", "train", "train", "val"] * 2)
    >>> draw_validation(table, paths, splits, (0.5, 0.25, 0.25), seed=1).tolist()
    ['test', 'val', 'train', 'train', 'test', 'train', 'val', 'train']
    """
    share = scheme.val if isinstance(scheme, KFold) else scheme[1] / (scheme[0] + scheme[1])
    rows = np.flatnonzero(np.isin(splits, LEARNED))
    units = join_units(table.groups, sha256)[rows]
    found = splits.astype(object)  # no name is cut short
    parts = {"train": 1 - share, "val": share}
    found[rows] = make_parts(table.take(rows), units, parts, derive(seed, "validation draw"))
    return found.astype(str)


def find_draw_faults(given: Collection[str] | None, val_seed: int | None, source: str) -> list[str]:
    """Return a fault where validation images shall be drawn, but the source gives them.

    Args:
        given: The splits that the source gives; None: none.
        val_seed: Decides the draw; None: nothing is drawn.
        source: Where the images come from.

    >>> find_draw_faults(("train", "test"), 1, "busi"), find_draw_faults(("train", "val"), None, "busi")
    ([], [])
    """
    if val_seed is None or given is None or "val" not in given:
        return []
    return [
        "`data.val_seed` must be None where the data gives validation images of its own, which stay as they are; a "
        "search sets it, and needs data that gives train and test alone, or no splits. "
        f"Received: val_seed={val_seed} with data={source}."
    ]


def refuse_given(made: Collection[str], val_seed: int, source: str) -> None:
    """Refuse to draw validation images where none of the splits were made by tlmed.

    Raises:
        InputError: If the source gives them.
    """
    if faults := find_draw_faults(None if "val" in made else ("val",), val_seed, source):
        raise InputError(faults)
