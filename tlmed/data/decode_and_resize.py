"""The pixel rule: one plane of a file to RGB pixels of 8 bits, and these to the size that a model takes.

It is the same everywhere: training, evaluation, prediction and export. From here to the model's input everything is
unsigned 8 bit. What a format does with its numbers before is in `readers`.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from tlmed.data.measured_ranges import measure_range, summarise
from tlmed.data.parts import Content, Part
from tlmed.data.readers import read_plane
from tlmed.data.readers.plane import Plane
from tlmed.data.resizing import fit_image, is_cut, show_to_scale
from tlmed.data.showing import BYTE, needs_range, show
from tlmed.fitting_in import STRETCH, describe_fit
from tlmed.intensity import FILE, Intensity, to_json

# Values of an image before it is resized. levels: from the lowest to the highest value, 1..256, if it has more than
# 8 bits, else 0. brightest: the highest value. used: how many different values the channel with most of them has.
TONES = np.dtype([("levels", "u2"), ("brightest", "u1"), ("used", "u2")])
RULE = "rgb-bilinear-2"  # names what `decode_resized` does; the number rises with every change that moves a pixel
AS_STORED = Intensity()


@dataclass(frozen=True)
class PixelRule:
    """All that decides how the content of a file becomes pixels of a model's input.

    Attributes:
        size: Height and width in pixels.
        intensity: What is black and what is white.
        fit: "stretch": width and height are scaled each by its own factor. "pad": both by the same, and what is missing
            at two sides is black. "crop": both by the same, and what is too much at two sides is cut off.
        spacing: Millimetres that each pixel measures, whatever the size of the image; None: `fit` decides.
    """

    size: tuple[int, int]
    intensity: Intensity = AS_STORED
    fit: str = STRETCH
    spacing: float | None = None

    @property
    def key(self) -> str:
        """Size and fit as part of a file name; one that has been in use without a word stays."""
        height, width = self.size
        shape = f"-{self.spacing!r}mm" if self.spacing is not None else "" if self.fit == STRETCH else f"-{self.fit}"
        return f"{height}x{width}{shape}-{RULE}"

    def describe(self) -> list[str]:
        """Return what is black and white, and in which shape images come to their size, a sentence each."""
        return [f"Window: {self.intensity.describe()}", f"Shape: {describe_fit(self.fit, self.size, self.spacing)}"]

    def to_json(self) -> dict:
        """Return what files that leave with a network say of it.

        >>> PixelRule((4, 5), fit="pad").to_json()["size"]
        [4, 5]
        """
        window = to_json(self.intensity)
        return {"size": list(self.size), "fit": self.fit, "spacing": self.spacing, "window": window}


def as_rule(rule: PixelRule | tuple[int, int]) -> PixelRule:
    """Return a rule; a size alone stands for one with nothing else asked for."""
    return rule if isinstance(rule, PixelRule) else PixelRule(tuple(rule))


def decode(content: Content, intensity: Intensity = AS_STORED) -> np.ndarray:
    """Decode an image to RGB by one rule for every format.

    A window becomes 0..255: the file's own, or that of `intensity`. Without one, samples of more than 8 bits keep their
    high 8 bits (`value // 256` of 16 bits), whatever range they use. Grayscale is repeated to three channels and
    palettes are looked up. Transparency is composited over black. 1 bit becomes 0 and 255. CMYK is converted. The
    orientation that EXIF records is applied. Of several frames or pages the first counts. Colour profiles and gamma are
    not applied. Without a window, numbers without a range of their own (32-bit or signed, floats) are refused, and
    an image that is too large always is (`readers.plane`): by what its header says, before it is decoded.

    Args:
        content: As for `read_plane`; or a part of a file. Of three planes of different sizes, all are brought to the
            largest height and width.
        intensity: What is black and what is white; not open.

    Returns:
        uint8 [height, width, 3], 0..255.

    Raises:
        ValueError: The content is no such image, or a damaged one; the message is a short reason.
        InputError: It is read by an extra that is not installed.

    >>> decode(np.array([[0, 255, 65535]], np.uint16)).tolist()
    [[[0, 0, 0], [0, 0, 0], [255, 255, 255]]]
    """
    planes = open_planes(content)
    return decode_planes(planes, find_intensity(content, planes, intensity))


def decode_planes(planes: tuple[Plane, ...], intensity: Intensity = AS_STORED) -> np.ndarray:
    """Return what `decode` does, of planes that `open_planes` gave; a range of the file is found already."""
    images = [_to_image(plane, intensity) for plane in planes]
    widths, heights = zip(*(image.size for image in images), strict=True)
    return np.array(_join([fit_image(image, (max(heights), max(widths))) for image in images]))


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize an image by antialiased bilinear interpolation, rounded to 8 bit.

    A triangle filter, widened by the scale where the image shrinks, is applied in each direction
    (Pillow's BILINEAR; `tf.image.resize(antialias=True)` agrees within 1). The aspect ratio is not kept (`PixelRule`
    knows other ways).
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
    return np.array(fit_image(Image.fromarray(image), size))


def decode_resized(content: Content, rule: PixelRule | tuple[int, int]) -> np.ndarray:
    """Return `decode(content)` at the size and in the shape of a rule, without the copies in between.

    Args:
        content: As for `decode`.
        rule: The rule; or height and width in pixels. Its intensity is not open.

    Returns:
        uint8 [height, width, 3].

    Raises:
        ValueError, InputError: As for `decode`.

    >>> examine(np.array([[0, 4095]], np.uint16), (1, 1)).tones.tolist()
    (16, 15, 2)
    """
    rule, planes = as_rule(rule), open_planes(content)
    return _bring_to_size(_to_images(content, planes, rule.intensity), planes, rule)


@dataclass(frozen=True, eq=False)
class Examined:
    """What the content of a file holds.

    Attributes:
        pixels: What `decode_resized` returns; None if the range of the rule is still to be measured, and is needed.
        tones: `TONES` [], of the image before it is resized; zeros without pixels.
        values: What `summarise` returns where there are no pixels yet; None elsewhere.
        is_ranged: Whether it is shown by a range that is measured on training images.
        is_cut: Whether parts of it lie outside of what is shown, because of `PixelRule.spacing`.
    """

    pixels: np.ndarray | None
    tones: np.ndarray
    values: np.ndarray | None = None
    is_ranged: bool = False
    is_cut: bool = False


def examine(content: Content, rule: PixelRule | tuple[int, int]) -> Examined:
    """Return what `decode_resized` does, and what values the image holds, or waits with.

    Args:
        content: As for `decode`.
        rule: The rule, or height and width; its range may be open.

    Raises:
        ValueError, InputError: As for `decode`.
    """
    rule, planes = as_rule(rule), open_planes(content)
    is_ranged = any(needs_range(plane, rule.intensity) for plane in planes)
    if is_ranged and rule.intensity.is_open:
        return Examined(None, np.zeros((), TONES), _summarise(planes), is_ranged)
    images = _to_images(content, planes, rule.intensity)
    measures = [_measure(image, plane.bits > BYTE) for image, plane in zip(images, planes, strict=True)]
    pixels = _bring_to_size(images, planes, rule)
    cut = rule.spacing is not None and any(
        is_cut(image, plane.spacing, rule.size, rule.spacing) for image, plane in zip(images, planes, strict=True)
    )
    return Examined(pixels, _find_most(measures), None, is_ranged, cut)


def find_values(content: Content, intensity: Intensity) -> np.ndarray | None:
    """Return what `summarise` does of a content for which a range is to be measured; None of any other.

    Args:
        content: As for `decode`.
        intensity: What is asked for.

    Raises:
        ValueError, InputError: As for `decode`.
    """
    planes = open_planes(content)
    return _summarise(planes) if any(needs_range(plane, intensity) for plane in planes) else None


def _summarise(planes: tuple[Plane, ...]) -> np.ndarray:
    return np.concatenate([summarise(plane.counted) for plane in planes])


def open_planes(content: Content) -> tuple[Plane, ...]:
    """Return the planes of a content: one, or three that are red, green and blue."""
    return content.read() if isinstance(content, Part) else (read_plane(content),)


def find_intensity(content: Content, planes: tuple[Plane, ...], intensity: Intensity) -> Intensity:
    """Return what is black and white in a content: the same for all, or percentiles of its own values.

    Args:
        content: As for `decode`.
        planes: What it shows.
        intensity: What is asked for; not open.

    Raises:
        ValueError: As for `decode`.
    """
    if intensity.kind != FILE or not any(plane.is_gray for plane in planes):
        return intensity
    whole = content.summaries if isinstance(content, Part) else None
    summaries = [summarise(plane.counted) for plane in planes] if whole is None else whole()
    ends = measure_range(summaries, intensity.percentiles)
    if ends is None:
        raise ValueError("all its pixels are padding, so that its values have no range")
    return intensity.within(ends)


def _to_images(content: Content, planes: tuple[Plane, ...], intensity: Intensity) -> list[Image.Image]:
    found = find_intensity(content, planes, intensity)
    images = [_to_image(plane, found) for plane in planes]
    return [_narrow(images[0])] if len(images) == 1 else images


def _narrow(image: Image.Image) -> Image.Image:
    """Return a gray image that is stored as RGB as one channel: the same pixels come out of a third of the work."""
    if image.mode != "RGB":
        return image
    shade = image.getpixel((image.width // 2, image.height // 2))  # tells most coloured images, without the others
    if not shade[0] == shade[1] == shade[2]:
        return image
    red, green, blue = image.split()
    return red if red.tobytes() == green.tobytes() == blue.tobytes() else image


def _bring_to_size(images: list[Image.Image], planes: tuple[Plane, ...], rule: PixelRule) -> np.ndarray:
    if rule.spacing is None:
        return _join([fit_image(image, rule.size, rule.fit) for image in images])
    scaled = zip(images, planes, strict=True)
    return _join([show_to_scale(image, plane.spacing, rule.size, rule.spacing) for image, plane in scaled])


def _join(images: list[Image.Image]) -> np.ndarray:
    """Return one image, or three gray ones of one size as red, green and blue."""
    if len(images) == 1:
        # Pillow repeats a channel in a third of the time that NumPy takes.
        return np.array(images[0] if images[0].mode == "RGB" else Image.merge("RGB", images * 3))
    if any(image.mode != "L" for image in images):
        raise ValueError("its planes have colours, so that they cannot be the channels of an image")
    return np.stack([np.asarray(image) for image in images], axis=-1)


def _find_most(measures: list[np.ndarray]) -> np.ndarray:
    """Return, of the measures of several planes, the highest of each."""
    if len(measures) == 1:
        return measures[0]
    return np.array(tuple(max(measure[name] for measure in measures) for name in TONES.names), TONES)


def _to_image(plane: Plane, intensity: Intensity) -> Image.Image:
    shown = show(plane, intensity)
    return shown if isinstance(shown, Image.Image) else Image.fromarray(shown)


def _measure(image: Image.Image, deep: bool) -> np.ndarray:
    # Pillow joins the histograms of all channels, 256 numbers each. NumPy takes longer for lists that are so short.
    counts = image.histogram()
    channels = [counts[start : start + 256] for start in range(0, len(counts), 256)]
    held = [any(numbers) for numbers in zip(*channels, strict=True)]
    brightest = 255 - held[::-1].index(True)
    levels = brightest - held.index(True) + 1 if deep else 0
    return np.array((levels, brightest, 256 - min(numbers.count(0) for numbers in channels)), TONES)
