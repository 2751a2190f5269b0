"""Turn images in the forms that a Python user has (arrays, lists, paths) into batches of one size."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tlmed.data.decode_and_resize import decode_measured
from tlmed.data.extras import describe_extras, find_extras
from tlmed.data.parts import Content
from tlmed.data.ranges import find_range_faults
from tlmed.data.readers.arrays import is_picture
from tlmed.data.single_samples import find_file
from tlmed.data.tones import describe_tones
from tlmed.errors import InputError
from tlmed.regular_files import read_regular
from tlmed.words import listed


def open_images(images) -> list[Path | np.ndarray]:
    """Return images as a list of paths and arrays, after the checks that need no reading of files.

    Args:
        images: An array [n, height, width, 3]; or paths, or arrays of different sizes.

    Raises:
        InputError: With all faults: another shape, other numbers, files that are not there.

    >>> [image.shape for image in open_images(np.zeros((2, 8, 9, 3), "uint8"))]
    [(8, 9, 3), (8, 9, 3)]
    """
    if np.ma.is_masked(images):
        raise InputError("`X` must be without masked values: fill them. Received: a masked array with some.")
    if hasattr(images, "__array__"):
        images = np.asarray(images)
        if images.ndim == 2 and images.shape[1] == 1 and images.dtype.kind in "OU":  # a column of a data frame
            images = images[:, 0]
    if isinstance(images, np.ndarray) and not (images.ndim == 4 or (images.ndim == 1 and images.dtype.kind in "OU")):
        raise InputError(
            f"`X` must be images [n, height, width, 3], or a list{_advise(images.shape)}. "
            f"Received: an array of shape {list(images.shape)}."
        )
    if isinstance(images, (str, bytes, Path)) or not isinstance(images, Iterable):
        what = f"a {type(images).__name__}" if not isinstance(images, (str, Path)) else f"the single path '{images}'"
        raise InputError(f"`X` must be a list of paths, or images [n, height, width, 3]. Received: {what}.")
    items = [Path(item) if isinstance(item, str) else item for item in images]
    if faults := _find_faults(images, items):
        raise InputError(faults)
    return [item if isinstance(item, Path) else _to_unsigned(item) for item in items]


def _find_faults(images, items) -> list[str]:
    if not items:
        return ["`X` must hold one image or more. Received: none."]
    faults = []
    missing = [f"'{item}'" for item in items if isinstance(item, Path) and not find_file(item).is_file()]
    if missing:
        faults.append(f"Every path of `X` must be a file. Received: {listed(missing)}.")
    pictures = {i: item for i, item in enumerate(items) if not isinstance(item, Path)}
    if isinstance(images, np.ndarray) and images.ndim == 4:
        reasons = [reason] if (reason := _reason(images[0])) else []  # all images of one array are alike
    else:
        reasons = [f"image {i}: {reason}" for i, item in pictures.items() if (reason := _reason(item))]
    reasons = reasons or find_range_faults({i: image for i, image in pictures.items() if not _is_deep(image.dtype)})
    if reasons:
        faults.append(
            "Each image of `X` must be uint8 [height, width, 3], or other numbers from 0 to 255. "
            f"Received: {listed(reasons, 5)}."
        )
    return faults


def _advise(shape: Sequence[int]) -> str:
    if len(shape) != 3:
        return ""
    return "; of one image it is X[None]" if shape[2] in (1, 3) else "; gray images need a channel axis, X[..., None]"


def _reason(image) -> str | None:
    """Say why something is no image, by its type or shape; None if it may be one."""
    if not isinstance(image, np.ndarray):
        return f"a {type(image).__name__}"
    if np.ma.is_masked(image):
        return "masked values; fill them"
    if image.dtype.kind not in "uif":
        return f"numbers of type {image.dtype}"
    if image.ndim == 3 and image.shape[0] in (1, 3) and image.shape[2] not in (1, 3):
        return f"shape {list(image.shape)}, with the channels first (numpy.moveaxis puts them last)"
    return None if is_picture(image.shape) else f"shape {list(image.shape)}"


def _is_deep(dtype) -> bool:
    """Tell whether numbers are unsigned with 16 bits, range 0 to 65535, in either byte order."""
    return dtype.kind == "u" and dtype.itemsize == 2


def _to_unsigned(image) -> np.ndarray:
    return image.astype("uint16", copy=False) if _is_deep(image.dtype) else np.rint(image).astype("uint8", copy=False)


def read_batches(
    items: Sequence[Path | np.ndarray],
    size: tuple[int, int],
    batch_size: int,
    read: Callable[[Path], Content] = read_regular,
) -> Iterator[tuple[np.ndarray, np.ndarray, list[frozenset[str]]]]:
    """Yield resized images in order, decoded by the rule of `tlmed.data.decode_and_resize`, and facts about each.

    Args:
        items: From `open_images`.
        size: Height and width in pixels.
        batch_size: Images per batch; the last one may be smaller.
        read: Reads the sample that a path names.

    Yields:
        uint8 [b, *size, 3]; `TONES` [b], what values the images hold; and what `find_extras` finds for each.

    Raises:
        InputError: If files are broken; all of them are named, once the others have been read too.
    """
    broken = []
    for start in range(0, len(items), batch_size):
        images, tones, extras = [], [], []
        for i, item in enumerate(items[start : start + batch_size], start):
            try:
                content = read(item) if isinstance(item, Path) else item
                image, held = decode_measured(content, tuple(size))
            except InputError:  # a reader is not installed: no fault of this image
                raise
            except (ValueError, OSError) as error:
                broken.append(f"'{item}': {error}" if isinstance(item, Path) else f"image {i}: {error}")
                continue
            images.append(image)
            tones.append(held)
            extras.append(find_extras(content))
        # After the first broken file no batch is of use: the others are read to name all broken ones at once.
        if not broken:
            yield np.stack(images), np.stack(tones), extras
    if broken:
        raise InputError(f"Every path of `X` must be an image. Received: {listed(broken, 5)}.")


def batches(
    items: Sequence[Path | np.ndarray],
    size: tuple[int, int],
    batch_size: int,
    read: Callable[[Path], Content] = read_regular,
) -> Iterator[np.ndarray]:
    """Yield the images of `read_batches`, uint8 [b, *size, 3]."""
    return (images for images, _, _ in read_batches(items, size, batch_size, read))


class Impressions:
    """Gather warnings about valid images, batch by batch."""

    def __init__(self, items: Sequence[Path | np.ndarray]):
        self.names = [str(item) if isinstance(item, Path) else str(i) for i, item in enumerate(items)]
        self.tones, self.extras = [], []

    def add(self, tones: np.ndarray, extras: list[frozenset[str]]) -> None:
        """Note what `read_batches` tells of a batch."""
        self.tones.append(tones)
        self.extras += extras

    def describe(self) -> list[str]:
        """Return the sentences: few grey levels of more than 8 bits, one colour, darkness, pages that are not used."""
        return [*describe_tones(self.names, np.concatenate(self.tones)), *describe_extras(self.names, self.extras)]
