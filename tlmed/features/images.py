"""Images in the forms that a Python user has them, to full batches of one size."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from tlmed.data.images import decode_resized
from tlmed.errors import InputError
from tlmed.regular_files import read_regular
from tlmed.words import listed


def open_images(images) -> list[Path | np.ndarray]:
    """Return images as a list of paths and arrays, once nothing is wrong that can be told without reading them.

    Args:
        images: An array [n, height, width, 3]; or paths, or arrays of different sizes.

    Raises:
        InputError: With all faults: another shape, other numbers, files that are not there.

    >>> [image.shape for image in open_images(np.zeros((2, 8, 9, 3), "uint8"))]
    [(8, 9, 3), (8, 9, 3)]
    """
    if hasattr(images, "__array__"):
        images = np.asarray(images)
    if isinstance(images, np.ndarray) and not (images.ndim == 4 or (images.ndim == 1 and images.dtype.kind in "OU")):
        raise InputError(
            f"`X` must be images [n, height, width, 3], or a list. Received: an array of shape {list(images.shape)}."
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
    missing = [f"'{item}'" for item in items if isinstance(item, Path) and not item.is_file()]
    if missing:
        faults.append(f"Every path of `X` must be a file. Received: {listed(missing)}.")
    if isinstance(images, np.ndarray) and images.ndim == 4:
        reasons = [_reason(images[0]) or _reason_of_range(images)]
    else:
        pictures = [(i, item) for i, item in enumerate(items) if not isinstance(item, Path)]
        reasons = [
            reason and f"image {i}: {reason}"
            for i, item in pictures
            if (reason := _reason(item) or _reason_of_range(item))
        ]
    if any(reasons):
        faults.append(
            "Each image of `X` must be uint8 [height, width, 3], or other numbers from 0 to 255. "
            f"Received: {listed(filter(None, reasons), 5)}."
        )
    return faults


def _reason(image) -> str | None:
    """Say why something is no image by its type or shape."""
    if not isinstance(image, np.ndarray):
        return f"a {type(image).__name__}"
    if image.dtype.kind not in "uif":
        return f"numbers of type {image.dtype}"
    if image.ndim not in (2, 3) or image.shape[2:] not in ((), (1,), (3,)) or 0 in image.shape:
        return f"shape {list(image.shape)}"
    return None


def _reason_of_range(numbers) -> str | None:
    """Say why numbers are no intensities."""
    if numbers.dtype in (np.uint8, np.uint16):  # whose ranges are 0 to 255 and 0 to 65535
        return None
    low, high = numbers.min(), numbers.max()
    if not 0 <= low <= high <= 255:  # not a number is not in between either
        return f"numbers from {low:g} to {high:g}"
    if numbers.dtype.kind == "f" and 0 < high <= 1:
        return f"numbers from {low:g} to {high:g}, which are to be multiplied by 255"
    return None


def _to_unsigned(image) -> np.ndarray:
    return image if image.dtype in (np.uint8, np.uint16) else np.rint(image).astype(np.uint8)


def batches(items: Sequence[Path | np.ndarray], size: tuple[int, int], batch_size: int) -> Iterator[np.ndarray]:
    """Yield resized images in order, decoded by the rule that holds everywhere in tlmed.

    Args:
        items: From `open_images`.
        size: Height and width in pixels.
        batch_size: Images per batch; the last one may be smaller.

    Yields:
        uint8 [b, *size, 3].

    Raises:
        InputError: If files are broken; all of them are named, once the others have been read too.
    """
    broken = []
    for start in range(0, len(items), batch_size):
        images = []
        for i, item in enumerate(items[start : start + batch_size], start):
            try:
                images.append(decode_resized(read_regular(item) if isinstance(item, Path) else item, tuple(size)))
            except (ValueError, OSError) as error:
                broken.append(f"'{item}': {error}" if isinstance(item, Path) else f"image {i}: {error}")
        if not broken:
            yield np.stack(images)
    if broken:
        raise InputError(f"Every path of `X` must be an image. Received: {listed(broken, 5)}.")
