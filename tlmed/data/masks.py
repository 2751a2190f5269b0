"""Masks that lie beside the images they were drawn on: they give the class away, and are no images to learn from.

A file is a mask if its name says so (`x_mask.png`, `mask_x.png`, `x-seg.png` beside `x.png`, `masks/x.png` beside
`images/x.png`) and its content does too: all or nearly all of its pixels are close to one of two grey levels. Masks
saved as JPEG or with soft edges have some other levels as well; masks of several things have a few colours. A file that
is a mask by its content only is used, and a sentence says so. If its edges are soft, that is said only where it has the
name of another image and one word more, and all files with this word look like masks: single pictures may do so, too.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np

from tlmed.data.decode_and_resize import AS_STORED, decode, decode_planes, open_planes
from tlmed.data.found_masks import NAMED, Masks
from tlmed.data.measured_ranges import measure_range, summarise
from tlmed.data.parts import Content, Part
from tlmed.data.readers import open_stack
from tlmed.data.showing import has_own_range
from tlmed.data.table import Table
from tlmed.intensity import WINDOW, Intensity
from tlmed.regular_files import read_regular
from tlmed.words import count, listed

TWO_VALUES = "two values"  # mark, among its extras, of an image that has two colours only
TOLERANCE, SHARE = 16, 0.98  # at least this share of a mask's pixels is this near, of 255, to one of its two levels
COLOURS = 8  # a mask of several things has at most so many colours in that share of its pixels
# Where no name says that a file is a mask: between its levels, of 255; and the most pixels of soft edges.
CONTRAST, SOFT = 128, 0.05
LEAST = 3  # files with the same word after the names of images
MOST = 2 / 3  # of all images: if more have two values, they are drawings or scans of text, not masks
FEW = 64  # pixels that are compared before all of them are
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
# The name of any image with one word after or before it.
_LONGER = (
    re.compile(r"(?P<base>.+?)[ _.\-(]+(?P<word>[^\W\d_]{2,})\)?(?:[ _.\-]*\(?\d+\)?)?"),
    re.compile(r"(?P<word>[^\W\d_]{2,})[ _.\-]+(?P<base>.+)"),
)
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


def find_masks(root: Path, paths: Sequence[str]) -> Masks:
    """Find the masks among images; read only files that are called one, or have the name of another and one word more.

    Args:
        root: What the paths are relative to.
        paths: Posix paths of image files.
    """
    stems = {_fold(_open_up(path).with_suffix("")): path for path in paths}
    masks, doubtful = {}, []
    for path in paths:
        base = next((stems[name] for name in _list_bases(_open_up(path)) if stems.get(name, path) != path), None)
        if base is not None:
            if _looks_like_a_mask(lambda path=path: read_regular(root / path)):
                masks[path] = base
            else:
                doubtful.append(path)
    others = [path for path in paths if path not in masks and path not in doubtful]
    return Masks(masks, tuple(doubtful), tuple(_find_alike(root, others, stems)))


def _find_alike(root: Path, paths: Sequence[str], stems: Mapping[str, str]) -> list[str]:
    """Return files that look like masks, as all do whose names continue those of other images by the same word."""
    images, found = set(paths), []
    by_word: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path in paths:
        for word, name in _list_longer(_open_up(path)):
            if (image := stems.get(name, path)) != path and image in images:
                by_word[word].append((path, image))
    for pairs in by_word.values():
        # One picture is enough to end it, so that views of one thing (x.png, x_left.png) cost little.
        if len(pairs) >= LEAST and all(_is_stark(root / path) and not _is_stark(root / image) for path, image in pairs):
            found += [
                path for path, _ in pairs if not has_two_values(read_regular(root / path))
            ]  # those are told anyway
    return found


def _list_longer(path: PurePosixPath) -> list[tuple[str, str]]:
    """Return in which ways a name may be that of another image and one word: the word, and that image's path."""
    stem = unicodedata.normalize("NFC", path.stem)
    found = filter(None, (form.fullmatch(stem) for form in _LONGER))
    return [(match["word"].casefold(), _fold(path.parent / match["base"])) for match in found]


def _is_stark(path: Path) -> bool:
    """Tell whether an image has two levels far apart, each of some extent, or few colours."""
    try:
        pixels = _decode(read_regular(path))
    except (OSError, ValueError):  # reading all images names it, with the reason
        return False
    grey = pixels.mean(axis=2)
    low, high = (np.abs(grey - end()) <= TOLERANCE for end in (grey.min, grey.max))
    between = (~low & ~high).mean()
    far = float(np.ptp(grey)) >= CONTRAST and between <= min(SOFT, high.mean())
    return far or _has_few_colours(pixels)


def _has_few_colours(pixels: np.ndarray) -> bool:
    _, counts = np.unique(_number_colours(pixels.reshape(-1, 3)), return_counts=True)
    return bool(np.sort(counts)[-COLOURS:].sum() >= SHARE * counts.sum())


def _number_colours(pixels: np.ndarray) -> np.ndarray:
    """Return one number per colour: a comparison of numbers is faster than one of rows."""
    return pixels.astype(np.int32) @ np.array([1, 256, 65536], np.int32)


def _open_up(path: str) -> PurePosixPath:
    """Return a path without what says that the file is compressed, as in `x_seg.nii.gz`."""
    return PurePosixPath(path.removesuffix(".gz"))


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


def _looks_like_a_mask(read: Callable[[], Content]) -> bool:
    try:
        content = read()
        levels = _count_levels(content)
        if levels is not None:
            return levels <= COLOURS
        pixels = _decode(content)
    except (OSError, ValueError):  # reading all images names it, with the reason
        return False
    grey = pixels.mean(axis=2)
    near = np.minimum(grey - grey.min(), grey.max() - grey) <= TOLERANCE
    return bool(near.mean() >= SHARE) or _has_few_colours(pixels)


def _decode(content: Content) -> np.ndarray:
    """Decode an image; numbers that do not say what is black and white are shown from the lowest to the highest."""
    planes = open_planes(content)
    if all(map(has_own_range, planes)):
        return decode_planes(planes)
    ends = measure_range([summarise(plane.values) for plane in planes], (0, 100))
    return decode_planes(planes, Intensity(WINDOW, *ends))


def _count_levels(content: Content) -> int | None:
    """Return how many different values the middle plane of a volume has; None for an image that is none."""
    if isinstance(content, Part):
        return None
    stack = open_stack(content)
    if not stack.oriented or min(stack.counts.values()) == 1:
        return None
    axis, planes = next(iter(stack.counts.items()))
    return len(np.unique(np.asarray(stack.read(axis, planes // 2).values)))


def has_two_values(content: Content, intensity: Intensity = AS_STORED) -> bool:
    """Tell whether a sound image has exactly two colours, as masks have.

    Args:
        content: As for `decode`.
        intensity: Likewise.
    """
    pixels = decode(content, intensity).reshape(-1, 3)
    if len(set(map(tuple, pixels[:: len(pixels) // FEW + 1].tolist()))) > 2:
        return False
    colours = _number_colours(pixels)
    low, high = colours.min(), colours.max()
    return bool(low < high and ((colours == low) | (colours == high)).all())


def describe_two_values(table: Table, extras: Sequence[frozenset[str]]) -> tuple[str, ...]:
    """Return what a user should know of images that look like masks by their content, where others do not.

    Args:
        table: The images.
        extras: Of each image, among others `TWO_VALUES`.
    """
    return tuple(sentence for sentence, _ in find_two_values(table, extras))


def find_two_values(table: Table, extras: Sequence[frozenset[str]]) -> list[tuple[str, tuple[str, ...]]]:
    """Return the same sentences, each with the paths of the images that it is about.

    Args:
        table: As for `describe_two_values`.
        extras: Likewise.
    """
    alike = [TWO_VALUES in found for found in extras]
    if sum(alike) > MOST * len(alike):
        return []
    found = []
    for number, name in enumerate(table.classes):
        rows = np.flatnonzero(table.has(number)).tolist()
        called = _FOLDER.fullmatch(name)
        if rows and all(alike[row] or (called and _looks_like_a_mask(lambda row=row: table.read(row))) for row in rows):
            for row in rows:
                alike[row] = False
            sentence = (
                f"All {len(rows):,} images of the class {name!r} have two colours only, as masks have: if they are "
                "masks of other images, they are no class, and give those away. Remove them."
            )
            found.append((sentence, tuple(table.paths[row] for row in rows)))
    if paths := tuple(path for path, is_alike in zip(table.paths, alike, strict=True) if is_alike):
        sentence = (
            f"Used as images, although they have two colours only, as masks have: {count(len(paths), 'file')} "
            f"({listed(map(repr, paths), NAMED)}). If they are masks of other images, remove them."
        )
        found.append((sentence, paths))
    return found
