"""Masks that lie beside the images they were drawn on: they give the class away, and are no images to learn from.

A file is a mask if its name says so (`x_mask.png`, `mask_x.png`, `x-seg.png` beside `x.png`, `masks/x.png` beside
`images/x.png`) and its content does too: all or nearly all of its pixels are close to one of two grey levels. Masks
saved as JPEG or with soft edges have some other levels as well. A file that is a mask by its content only is used, and
a sentence says so.
"""

import re
import struct
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from tlmed.data.images import decode
from tlmed.data.table import Table
from tlmed.regular_files import read_regular
from tlmed.words import count, listed

NAMED = 3  # files that a sentence names; it counts the others
TWO_VALUES = "two values"  # mark, among its extras, of an image that has two colours only
TOLERANCE, SHARE = 16, 0.98  # at least this share of a mask's pixels is this near, of 255, to one of its two levels
MOST = 2 / 3  # of all images: if more have two values, they are drawings or scans of text, not masks
FEW = 64  # pixels that are compared before all of them are
OVERHEAD = 1024  # bytes of a PNG besides its pixels; a pixel of a mask takes less than a bit
# In English, German, French, Spanish, Portuguese, Italian and Dutch.
_MASK = (
    r"masks?|masken?|masques?|m[aá]scaras?|mascher[ae]|maskers?|segmentier(?:ung|ungen|t)|segmentaci[oó]n|"
    r"segmenta[cç][aã]o|segmentazion[ei]|segmentatie"
)
_WORD = (
    r"(?:binary|lesion|tumou?r)?[ _.\-]*"
    rf"(?:{_MASK}|seg(?:s|mentations?|mented|map)?(?:[ _.\-]*(?:map|mask)s?)?|ground[ _.\-]?truth|gt|rois?|"
    r"annotations?|labels?|contours?|outlines?|kontur(?:en)?|contornos?|contorni|binary|lesion)"
)
_AFTER = re.compile(rf"(?P<base>.+?)[ _.\-(]*(?<![^\W\d_]){_WORD}\)?(?:[ _.\-]*\(?\d+\)?)?", re.IGNORECASE)
_BEFORE = re.compile(rf"{_WORD}[ _.\-]+(?P<base>.+)", re.IGNORECASE)
_FOLDER = re.compile(_WORD, re.IGNORECASE)
# Folders beside those of masks, in any case.
_IMAGES = (
    "images",
    "image",
    "imgs",
    "img",
    "bilder",
    "imágenes",
    "imagenes",
    "imagens",
    "immagini",
    "beelden",
)


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
    stems = {_fold(PurePosixPath(path).with_suffix("")): path for path in paths}
    masks, doubtful = {}, []
    for path in paths:
        base = next((stems[name] for name in _list_bases(PurePosixPath(path)) if stems.get(name, path) != path), None)
        if base is not None:
            if _looks_like_a_mask(lambda path=path: read_regular(root / path)):
                masks[path] = base
            else:
                doubtful.append(path)
    return Masks(masks, tuple(doubtful))


def _fold(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()  # macOS writes accents as letters of their own


def _list_bases(path: PurePosixPath) -> list[str]:
    """Return what the image of a file may be called, without its extension, if the file is called a mask."""
    stem = unicodedata.normalize("NFC", path.stem)
    named = [found["base"] for form in (_AFTER, _BEFORE) if (found := form.fullmatch(stem))]
    bases = [_fold(path.parent / name) for name in named]
    if _FOLDER.fullmatch(unicodedata.normalize("NFC", path.parent.name)):
        bases += [_fold(path.parent.parent / folder / name) for folder in _IMAGES for name in (path.stem, *named)]
    return bases


def _looks_like_a_mask(read: Callable[[], bytes | np.ndarray]) -> bool:
    try:
        pixels = decode(read())
    except (OSError, ValueError):  # reading all images names it, with the reason
        return False
    grey = pixels.mean(axis=2)
    near = np.minimum(grey - grey.min(), grey.max() - grey) <= TOLERANCE
    return bool(near.mean() >= SHARE)


def has_two_values(content: bytes | np.ndarray) -> bool:
    """Tell whether a sound image has exactly two colours, as masks have; a JPEG never has.

    Args:
        content: As for `decode`.
    """
    if isinstance(content, bytes) and not _may_have_two_values(content):
        return False
    pixels = decode(content).reshape(-1, 3)
    if len(set(map(tuple, pixels[:: len(pixels) // FEW + 1].tolist()))) > 2:
        return False
    # One number per colour: a comparison of numbers is faster than one of rows.
    colours = pixels.astype(np.int32) @ np.array([1, 256, 65536], np.int32)
    low, high = colours.min(), colours.max()
    return bool(low < high and ((colours == low) | (colours == high)).all())


def _may_have_two_values(content: bytes) -> bool:
    """Tell by form and size whether an image may have two colours only, so that few images are decoded again."""
    if content.startswith(b"\x89PNG"):
        width, height = struct.unpack_from(">II", content, 16)
        return len(content) <= width * height // 8 + OVERHEAD
    return not content.startswith(b"\xff\xd8")


def describe_two_values(table: Table, extras: Sequence[frozenset[str]]) -> tuple[str, ...]:
    """Return what a user should know of images that look like masks by their content, where others do not.

    Args:
        table: The images.
        extras: Of each image, among others `TWO_VALUES`.
    """
    alike = [TWO_VALUES in found for found in extras]
    if sum(alike) > MOST * len(alike):
        return ()
    sentences = []
    for number, name in enumerate(table.classes):
        rows = np.flatnonzero(table.labels == number).tolist()
        called = _FOLDER.fullmatch(name)
        if rows and all(alike[row] or (called and _looks_like_a_mask(lambda row=row: table.read(row))) for row in rows):
            for row in rows:
                alike[row] = False
            sentences.append(
                f"All {len(rows):,} images of the class {name!r} have two colours only, as masks have: if they are "
                "masks of other images, they are no class, and give those away. Remove them."
            )
    if paths := [path for path, is_alike in zip(table.paths, alike, strict=True) if is_alike]:
        sentences.append(
            f"Used as images, although they have two colours only, as masks have: {count(len(paths), 'file')} "
            f"({listed(map(repr, paths), NAMED)}). If they are masks of other images, remove them."
        )
    return tuple(sentences)
