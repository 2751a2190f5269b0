"""The pixel rule: one plane of a file to RGB pixels of 8 bits, and these to the size that a model takes.

It is the same everywhere: training, evaluation, prediction and export. From here to the model's input everything is
unsigned 8 bit. What a format does with its numbers before is in `readers`.
"""

import numpy as np
from PIL import Image, ImageOps

from tlmed.data.parts import Content, Part
from tlmed.data.readers import read_plane
from tlmed.data.readers.plane import Plane

# Values of an image before it is resized. levels: from the lowest to the highest value, 1..256, if it has more than
# 8 bits, else 0. brightest: the highest value. used: how many different values the channel with most of them has.
TONES = np.dtype([("levels", "u2"), ("brightest", "u1"), ("used", "u2")])
RULE = "rgb-bilinear-2"  # names what `decode_resized` does; the number rises with every change that moves a pixel


def decode(content: Content) -> np.ndarray:
    """Decode an image to RGB by one rule for every format.

    A window that the file names becomes 0..255. Otherwise samples of more than 8 bits keep their high 8 bits
    (`value // 256` of 16 bits), whatever range they use. Grayscale is repeated to three channels and palettes are
    looked up. Transparency is composited over black. 1 bit becomes 0 and 255. CMYK is converted. The orientation that
    EXIF records is applied. Of several frames or pages the first counts. Colour profiles and gamma are not applied.
    Samples without a defined range (32-bit or signed integers, floats) are refused, and so is an image that is too
    large (`readers.plane`): by what its header says, before it is decoded.

    Args:
        content: As for `read_plane`; or a part of a file. Of three planes of different sizes, all are brought to the
            largest height and width.

    Returns:
        uint8 [height, width, 3], 0..255.

    Raises:
        ValueError: The content is no such image, or a damaged one; the message is a short reason.
        InputError: It is read by an extra that is not installed.

    >>> decode(np.array([[0, 255, 65535]], np.uint16)).tolist()
    [[[0, 0, 0], [0, 0, 0], [255, 255, 255]]]
    """
    images = [_to_image(plane) for plane in _open(content)]
    widths, heights = zip(*(image.size for image in images), strict=True)
    return np.array(_join(images, (max(heights), max(widths))))


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image by antialiased bilinear interpolation, rounded to 8 bit.

    A triangle filter, widened by the scale where the image shrinks, is applied in each direction
    (Pillow's BILINEAR; `tf.image.resize(antialias=True)` agrees within 1). The aspect ratio is not kept.
    This is the one rule for training, evaluation and prediction: another one moves a model's features by
    several percent.

    Args:
        image: uint8 [height, width, 3].
        size: Height and width in pixels.

    Returns:
        uint8 [size[0], size[1], 3].

    >>> resize(np.array([[[0, 0, 0], [255, 255, 255]]], np.uint8), (1, 1)).tolist()
    [[[128, 128, 128]]]
    """
    return np.array(_resize(Image.fromarray(image), size))


def decode_resized(content: Content, size: tuple[int, int]) -> np.ndarray:
    """Return `resize(decode(content), size)`, without the copies in between.

    Args:
        content: As for `decode`.
        size: Height and width in pixels.

    Returns:
        uint8 [size[0], size[1], 3].

    Raises:
        ValueError, InputError: As for `decode`.
    """
    return _join([_to_image(plane) for plane in _open(content)], size)


def decode_measured(content: Content, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return what `decode_resized` does, and what values the image holds.

    Args:
        content: As for `decode`.
        size: Height and width in pixels.

    Returns:
        uint8 [size[0], size[1], 3]; and `TONES` [], of the image before it is resized.

    Raises:
        ValueError, InputError: As for `decode`.

    >>> decode_measured(np.array([[0, 4095]], np.uint16), (1, 1))[1].tolist()
    (16, 15, 2)
    """
    planes = _open(content)
    images = [_to_image(plane) for plane in planes]
    measures = [_measure(image, plane.bits > 8) for image, plane in zip(images, planes, strict=True)]
    return _join(images, size), _find_most(measures)


def _open(content: Content) -> tuple[Plane, ...]:
    return content.read() if isinstance(content, Part) else (read_plane(content),)


def _join(images: list[Image.Image], size: tuple[int, int]) -> np.ndarray:
    """Return one image, or three gray ones as red, green and blue, at one size."""
    channels = [np.asarray(_resize(image, size)) for image in images]
    if len(channels) == 1:
        return _repeat(channels[0])
    if any(image.mode != "L" for image in images):
        raise ValueError("its planes have colours, so that they cannot be the channels of an image")
    return np.stack(channels, axis=-1)


def _find_most(measures: list[np.ndarray]) -> np.ndarray:
    """Return, of the measures of several planes, the highest of each."""
    if len(measures) == 1:
        return measures[0]
    return np.array(tuple(max(measure[name] for measure in measures) for name in TONES.names), TONES)


def _to_image(plane: Plane) -> Image.Image:
    shown = _show(plane)
    return shown if isinstance(shown, Image.Image) else Image.fromarray(shown)


def _show(plane: Plane) -> Image.Image | np.ndarray:
    """Bring a plane to 8 bits, gray or RGB: a Pillow image of mode L or RGB, or uint8 with two or three axes."""
    values = plane.values
    if plane.window is not None:
        values = _stretch(np.asarray(values), *plane.window)
    elif not isinstance(values, Image.Image):
        values = _keep_high_bits(values, plane.bits)
    if not plane.inverted:
        return values
    return ImageOps.invert(values) if isinstance(values, Image.Image) else 255 - values


def _stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Map `low` and `high` to 0 and 255, and what is beyond them to the same."""
    shares = np.subtract(values, low, dtype=np.result_type(values, np.float32)) * (255 / (high - low))
    return np.rint(np.clip(shares, 0, 255)).astype(np.uint8)


def _keep_high_bits(values: np.ndarray, bits: int) -> np.ndarray:
    if values.dtype == np.uint16:
        return (values >> (bits - 8)).astype(np.uint8)
    if values.dtype != np.uint8:
        raise ValueError("its numbers are signed, or have more than 16 bits, and it names no range of them to be shown")
    return values


def _measure(image: Image.Image, deep: bool) -> np.ndarray:
    # Pillow joins the histograms of all channels, 256 numbers each, in one list.
    held = np.reshape(image.histogram(), (-1, 256)) > 0  # by channel
    values = np.flatnonzero(held.any(axis=0))
    levels = values[-1] - values[0] + 1 if deep else 0
    return np.array((levels, values[-1], held.sum(axis=1).max()), TONES)


def _resize(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    height, width = size
    if image.size == (width, height):
        return image
    return image.resize((width, height), Image.Resampling.BILINEAR)


def _repeat(pixels: np.ndarray) -> np.ndarray:
    """Return gray pixels, or RGB, as RGB."""
    # A copy of a broadcast array takes four times as long as `stack`.
    return np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else np.ascontiguousarray(pixels)
