"""Turn images in the forms that a Python user has (arrays, lists, paths) into batches of one size."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tlmed.data.decode_and_resize import PixelRule, examine, find_values
from tlmed.data.extras import describe_extras, find_extras
from tlmed.data.measured_ranges import measure_range
from tlmed.data.named_samples import Lister, Named, find_named
from tlmed.data.parts import Content, Part
from tlmed.data.ranges import find_range_faults
from tlmed.data.readers import holding, may_be_deep
from tlmed.data.readers.arrays import is_picture, is_volume
from tlmed.data.readers.stack import CHOOSE
from tlmed.data.tones import describe_tones
from tlmed.errors import InputError
from tlmed.intensity import Intensity
from tlmed.words import listed


def open_images(images, volumes: bool = False, windowed: bool = False) -> list[Named]:
    """Return images as a list of paths and arrays, after the checks that need no reading of files.

    Args:
        images: An array [n, height, width, 3]; or paths, or arrays of different sizes.
        volumes: Whether an array [planes, height, width] may be a volume.
        windowed: Whether a window says what of other numbers than uint8 is black and white. If not, they must be from 0
            to 255, but for uint16.

    Raises:
        InputError: With all faults: another shape, other numbers, files and folders that are not there.

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
    if faults := _find_faults(images, items, volumes, windowed):
        raise InputError(faults)
    return [item if windowed or isinstance(item, Path) else _to_unsigned(item) for item in items]


def _find_faults(images, items, volumes, windowed) -> list[str]:
    if not items:
        return ["`X` must hold one image or more. Received: none."]
    faults = []
    missing = [f"'{item}'" for item in items if isinstance(item, Path) and not find_named(item).exists()]
    if missing:
        faults.append(f"Every path of `X` must be a file, or a folder with a series. Received: {listed(missing)}.")
    pictures = {i: item for i, item in enumerate(items) if not isinstance(item, Path)}
    if isinstance(images, np.ndarray) and images.ndim == 4:
        reasons = [reason] if (reason := _reason(images[0], volumes)) else []  # all images of one array are alike
    else:
        reasons = [f"image {i}: {reason}" for i, item in pictures.items() if (reason := _reason(item, volumes))]
    if not (reasons or windowed):
        reasons = find_range_faults({i: image for i, image in pictures.items() if not _is_deep(image.dtype)})
    if reasons:
        faults.append(
            "Each image of `X` must be uint8 [height, width, 3]; or other numbers, from 0 to 255 unless `window` says "
            f"what is black and white. Received: {listed(reasons, 5)}."
        )
    return faults


def _advise(shape: Sequence[int]) -> str:
    if len(shape) != 3:
        return ""
    return "; of one image it is X[None]" if shape[2] in (1, 3) else "; gray images need a channel axis, X[..., None]"


def _reason(image, volumes: bool) -> str | None:
    """Say why something is no image, by its type or shape; None if it may be one."""
    if not isinstance(image, np.ndarray):
        return f"a {type(image).__name__}"
    if np.ma.is_masked(image):
        return "masked values; fill them"
    if image.dtype.kind not in "uif":
        return f"numbers of type {image.dtype}"
    if not volumes and image.ndim == 3 and image.shape[0] in (1, 3) and image.shape[2] not in (1, 3):
        return f"shape {list(image.shape)}, with the channels first (numpy.moveaxis puts them last)"
    if is_picture(image.shape) or (volumes and is_volume(image.shape)):
        return None
    cure = "; of a volume, `planes` says which become features" if is_volume(image.shape) else ""
    return f"shape {list(image.shape)}{cure}"


def _is_deep(dtype) -> bool:
    """Tell whether numbers are unsigned with 16 bits, range 0 to 65535, in either byte order."""
    return dtype.kind == "u" and dtype.itemsize == 2


def _to_unsigned(image) -> np.ndarray:
    return image.astype("uint16", copy=False) if _is_deep(image.dtype) else np.rint(image).astype("uint8", copy=False)


@dataclass(frozen=True, eq=False)
class Batch:
    """Samples that pass through a network together, in order.

    Attributes:
        images: uint8 [b, height, width, 3].
        items: The number of what each is a sample of, int64 [b].
        names: What messages call each.
        tones: What values each has, `TONES` [b].
        extras: What `find_extras` finds for each.
        notes: Sentences about files that are missing, or left out.
    """

    images: np.ndarray
    items: np.ndarray
    names: list[str]
    tones: np.ndarray
    extras: list[frozenset[str]]
    notes: list[str]


def read_batches(items: Sequence[Named], rule: PixelRule, batch_size: int, lister: Lister) -> Iterator[Batch]:
    """Yield the samples of images in order, by the rule of `tlmed.data.decode_and_resize`, with facts about each.

    Args:
        items: From `open_images`.
        rule: How a sample becomes pixels.
        batch_size: Samples per batch; the last one may be smaller.
        lister: Lists the samples of an image.

    Raises:
        InputError: If files are broken; all of them are named, once the others have been read too.
    """

    def look(content: Content) -> tuple[np.ndarray, np.ndarray, frozenset[str]]:
        seen = examine(content, rule)
        return seen.pixels, seen.tones, find_extras(content, seen.is_cut)

    found = _examine(items, lister, look)
    while taken := list(itertools.islice(found, batch_size)):
        numbers, names, notes, facts = zip(*taken, strict=True)
        images, tones, extras = zip(*facts, strict=True)
        said = list(itertools.chain.from_iterable(notes))
        yield Batch(np.stack(images), np.array(numbers), list(names), np.stack(tones), list(extras), said)


def measure(items: Sequence[Named], asked: Intensity, lister: Lister) -> Intensity:
    """Return what is black and white, with the range that images have, where it is to be measured.

    Args:
        items: From `open_images`.
        asked: As it was asked for.
        lister: As for `read_batches`.

    Raises:
        InputError: As for `read_batches`; files of 8 bits are not decoded here.
    """
    if not asked.is_open:
        return asked

    def find(content: Content) -> np.ndarray | None:
        may_need_it = isinstance(content, Part) or may_be_deep(content)
        return find_values(content, asked) if may_need_it else None

    values = [found for *_, found in _examine(items, lister, find) if found is not None]
    return asked.measured(measure_range(values, asked.percentiles))


def _examine(items, lister, work: Callable[[Content], object]) -> Iterator[tuple[int, str, Sequence[str], object]]:
    """Yield for each sample the number of its item, its name, notes about the item once, and what the work gives."""
    broken = []
    for number, item in enumerate(items):
        try:
            listing = lister(item, str(item) if isinstance(item, Path) else str(number))
            notes, held = listing.notes, None
            for sample in listing.samples:
                content = sample.read()
                held = content if held is None else held  # of a volume, which is then decoded once for all samples
                with holding(content):
                    result = work(content)
                # After the first broken file no result is of use: others are read to name all broken ones at once.
                if not broken:
                    yield number, sample.path, notes, result
                notes = ()
        except InputError:  # a reader is not installed: no fault of this image
            raise
        except (ValueError, OSError) as error:
            reason = str(error).replace(CHOOSE, "`planes`, or channels='views', says what of it becomes features")
            broken.append(f"'{item}': {reason}" if isinstance(item, Path) else f"image {number}: {reason}")
    if broken:
        raise InputError(f"Every path of `X` must be an image. Received: {listed(broken, 5)}.")


class Impressions:
    """Gather warnings about valid images, batch by batch."""

    def __init__(self):
        self.names, self.tones, self.extras, self.notes = [], [], [], []

    def add(self, batch: Batch) -> None:
        """Note what is known of a batch."""
        self.names += batch.names
        self.tones.append(batch.tones)
        self.extras += batch.extras
        self.notes += batch.notes

    def describe(self) -> list[str]:
        """Return the sentences: few grey levels of more than 8 bits, one colour, darkness, what is not used."""
        said = [*describe_tones(self.names, np.concatenate(self.tones)), *describe_extras(self.names, self.extras)]
        return [*said, *self.notes]
