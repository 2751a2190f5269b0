"""Example images in each stage on their way into a network: in the file, resized, and changed at random."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tlmed.augmentation import make_augmentation
from tlmed.data import ImageSet
from tlmed.data.decode_and_resize import as_rule, find_intensity
from tlmed.data.reading import Pixels
from tlmed.features.views import Views
from tlmed.label_vectors import write_labels
from tlmed.overview.measures_of_images import read_planes, say_all_shown, show_stored
from tlmed.pages.figures import Picture, embed
from tlmed.sections import Augment

STORED, READ, CHANGED = "in the file", "network input", "augmented"
VERSIONS = 2  # augmented ones of each image
_SIDE = 224  # pixels of a picture at most
_SMALL = 112  # a smaller one is enlarged, pixel by pixel


@dataclass(frozen=True)
class Strip:
    """An image in all its stages, side by side.

    Attributes:
        pictures: One for each stage.
        caption: What stands below them.
    """

    pictures: Sequence[Picture]
    caption: str


def show_stages(images: ImageSet, rows: np.ndarray, augment: Augment, seed: int) -> dict[int, Strip]:
    """Return a strip for each of some images, by row.

    Args:
        images: The images.
        rows: Which of them, int64 [n].
        augment: How training changes them.
        seed: The run's seed: with `augment.views` these are the first versions that training uses.

    Raises:
        RunFailed: One cannot be read any more.
    """
    pixels = images.pixels.take(rows)
    changed = augment_images(pixels, augment, seed)
    return {
        row: _show(images, row, {READ: [pixels[place]], CHANGED: changed[:, place]})
        for place, row in enumerate(rows.tolist())
    }


def augment_images(pixels: np.ndarray, augment: Augment, seed: int) -> np.ndarray:
    """Return versions of images as training sees them.

    Args:
        pixels: uint8 [n, height, width, 3].
        augment: How they are changed.
        seed: The run's seed.

    Returns:
        uint8 [`VERSIONS`, n, height, width, 3]; no version where all is off.
    """
    layer = make_augmentation(augment)
    if layer is None or not len(pixels):
        return pixels[None][:0]
    digests = tuple(hashlib.sha256(image).digest() for image in pixels)
    # The pixels are all there, so that nothing is ever read.
    held = Pixels(pixels.__getitem__, pixels.shape[1:3], pixels, np.ones(len(pixels), bool), digests)
    views = Views(held, np.arange(len(pixels)), layer, VERSIONS, seed)
    return views.take(np.arange(len(pixels), (1 + VERSIONS) * len(pixels))).reshape(VERSIONS, *pixels.shape)


def _show(images: ImageSet, row: int, stages: Mapping[str, Sequence[np.ndarray]]) -> Strip:
    table = images.table
    content, planes = read_planes(images, row)
    sizes = [np.asarray(plane.values).shape[:2] for plane in planes]
    (label,) = write_labels(table.labels[[row]], table.classes)
    named = f"{table.paths[row]}, {label}"
    pictures = [_draw(show_stored(planes), named, STORED)]
    pictures += [_draw(Image.fromarray(image), named, stage) for stage, shown in stages.items() for image in shown]
    size = ", ".join(f"{height} x {width}" for height, width in sizes)
    shown = say_all_shown(planes, find_intensity(content, planes, as_rule(images.pixels.rule).intensity))
    # Below a heading an image may have further labels.
    which = f"{label}, " if table.is_multi else ""
    said = f"{which}{size}, {images.splits[row]}{f'; shown: {shown}' if shown else ''}"
    return Strip(pictures, f"{table.paths[row]}: {said}")


def _draw(image: Image.Image, named: str, stage: str) -> Picture:
    if (factor := _SMALL // max(image.size)) > 1:
        image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    return embed(image, f"{named}, {stage}", stage, _SIDE)
