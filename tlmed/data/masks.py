"""Masks that lie beside the images they were drawn on: they give the class away, and are no images to learn from.

A file is a mask if its name says so (`x_mask.png`, `x_mask_1.png`, `x-seg.png` beside `x.png`) and its content does: it
has two grey levels, or is close to one of two. Masks that were saved as JPEG, or with soft edges, have some others.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from tlmed.data.images import decode
from tlmed.regular_files import read_regular
from tlmed.words import count, listed

NAMED = 3  # files that a sentence names; it counts the others
TOLERANCE, SHARE = 16, 0.98  # so near to one of the two levels, of 255, lies at least so much of a mask
_WORDS = r"masks?|seg|segmentation|segmented|groundtruth|ground_truth|gt|roi|annotation|label"
_NAME = re.compile(rf"(?P<base>.+?)[ _.\-]*(?<![^\W\d_])(?:{_WORDS})(?:[ _.\-]*\(?\d+\)?)?", re.IGNORECASE)


@dataclass(frozen=True)
class Masks:
    """What was found among images.

    Attributes:
        of: For each mask the image that it belongs to, by path.
        doubtful: Files that are called masks and do not look like one, by path: they are images.
    """

    of: dict[str, str]
    doubtful: tuple[str, ...]

    def describe(self) -> tuple[str, ...]:
        """Return what a user should know of them.

        >>> Masks({"x_mask.png": "x.png"}, ()).describe()
        ("Left out, as masks of other images: 1 file ('x_mask.png').",)
        """
        kinds = {
            "Left out, as masks of other images": tuple(self.of),
            "Used as images, although they are called masks, as they have more than two grey levels": self.doubtful,
        }
        return tuple(
            f"{what}: {count(len(paths), 'file')} ({listed(map(repr, paths), NAMED)})."
            for what, paths in kinds.items()
            if paths
        )


def find_masks(root: Path, paths: Sequence[str]) -> Masks:
    """Find the masks among images; only files that are called one are read.

    Args:
        root: What the paths are relative to.
        paths: Posix paths of image files.
    """
    stems = {str(PurePosixPath(path).with_suffix("")).casefold(): path for path in paths}
    masks, doubtful = {}, []
    for path in paths:
        named = _NAME.fullmatch(PurePosixPath(path).stem)
        base = named and stems.get(str(PurePosixPath(path).parent / named["base"]).casefold())
        if base and base != path:
            if _looks_like_a_mask(root / path):
                masks[path] = base
            else:
                doubtful.append(path)
    return Masks(masks, tuple(doubtful))


def _looks_like_a_mask(file: Path) -> bool:
    try:
        pixels = decode(read_regular(file))
    except (OSError, ValueError):  # reading all images names it, with the reason
        return False
    grey = pixels.mean(axis=2)
    near = np.minimum(grey - grey.min(), grey.max() - grey) <= TOLERANCE
    return bool(near.mean() >= SHARE)
