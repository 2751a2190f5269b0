"""What is to be said of images with more than 8 bits: which keep few grey levels, and whether that tells the classes.

Samples of 16 bits keep their high byte (see `images`). Data of 12 bits in such files so keep 16 of 256 levels. The rule
stays as it is, because runs that were made with it must stay reproducible; but nobody should train on that unawares.
"""

from collections.abc import Sequence

import numpy as np
from scipy import stats

from tlmed.words import count, listed

FEW = 64  # levels: what 14 bits keep
NAMED = 3
CHANCE = 0.01  # below which the kind of file is said to go with the label


def describe_levels(paths: Sequence[str], levels: np.ndarray) -> list[str]:
    """Return a sentence that names the images of more than 8 bits that keep few grey levels; none where all is well.

    Args:
        paths: Of the images.
        levels: int [n]: the grey levels from the lowest to the highest that an image with more than 8 bits keeps; 0 for
            an image of 8 bits.

    >>> describe_levels(["a.png", "b.png"], np.array([16, 0]))[0][:63]
    '1 image (a.png) with more than 8 bits keeps at most 16 of 256 g'
    """
    few = np.flatnonzero((levels > 0) & (levels <= FEW))
    if not len(few):
        return []
    one = len(few) == 1
    return [
        f"{count(len(few), 'image')} ({listed((paths[row] for row in few), NAMED)}) with more than 8 bits "
        f"{'keeps' if one else 'keep'} at most {levels[few].max()} of 256 grey levels, because "
        f"{'its' if one else 'their'} values use a small part of the range of 16 bits, as data of 12 bits do: scale "
        "such data to the full range first."
    ]


def describe_depths(
    paths: Sequence[str], labels: np.ndarray, classes: Sequence[str], levels: np.ndarray | None
) -> list[str]:
    """Return what is to be said of images of several classes: `describe_levels`, and what gives the label away.

    Args:
        paths: As for `describe_levels`.
        labels: int [n], an index into `classes` for every image.
        classes: The names of the classes.
        levels: As for `describe_levels`; None: not known.
    """
    if levels is None:
        return []
    kinds = {
        f"that keep at most {FEW} of 256 grey levels": (levels > 0) & (levels <= FEW),
        "with more than 8 bits": levels > 0,
    }
    told = [
        f"Images {kind} {shares}" for kind, chosen in kinds.items() if (shares := _compare(chosen, labels, classes))
    ]
    return [*describe_levels(paths, levels), *told[:1]]


def _compare(chosen: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> str:
    """Say how many images of each class are chosen, where that is no chance; nothing where it may be one."""
    table = np.array([np.bincount(labels[chosen == is_one], minlength=len(classes)) for is_one in (True, False)])
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or (table.sum(axis=1) == 0).any():
        return ""
    if stats.chi2_contingency(table, correction=False).pvalue >= CHANCE:
        return ""
    totals = np.bincount(labels, minlength=len(classes))
    found = np.bincount(labels[chosen], minlength=len(classes))
    shares = [f"{found[i]:,} of {totals[i]:,} in class '{name}'" for i, name in enumerate(classes) if totals[i]]
    return (
        f"are {listed(shares, NAMED)}: a network can tell the classes by how the files were stored. "
        "Store all images in one way."
    )
