"""Image files that somebody sent: read from memory, by the rules for training images, and never written to a disk."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np

from tlmed.data.decode_and_resize import PixelRule
from tlmed.data.readers import count_planes, find_reader, read_facts, read_plane
from tlmed.data.reading import read_all
from tlmed.data.samples import take_samples
from tlmed.data.table import Table
from tlmed.slicing import WHOLE, Slicing

DEEP = 8  # a volume is decoded whole: this times the pixels of a plane
_TOO_LARGE = re.compile(r"it has (a side of )?more than [\d,]+ (pixels|voxels)")  # in the words of the readers
_ALL = sys.maxsize  # bytes of memory for pixels: with any limit, what goes beyond it lies in a file


class UnknownFormat(ValueError):
    """No reader knows the first bytes of a content; the message says what it is instead."""


class TooManyPixels(ValueError):
    """An image has more pixels than may be decoded, by what its header says."""


class TooManySamples(ValueError):
    """A file gives more samples, such as planes of a volume, than may be answered at a time."""


@dataclass(frozen=True)
class Limits:
    """What may be decoded of one file; None: as much as readers allow for any image.

    Attributes:
        pixels: Of one plane, by the header, before it is decoded; all planes of a volume may have `DEEP` times as many.
        samples: That a file gives.
    """

    pixels: int | None = None
    samples: int | None = None


NONE = Limits()


@dataclass(frozen=True, eq=False)
class HeldImages:
    """The samples of one file.

    Attributes:
        names: What each is called, "image.png" or "image.nii#plane=3".
        pixels: uint8 [n, height, width, 3].
        tones: Of each, `TONES` [n].
        notes: Sentences on what of the file is not used as it is stored.
    """

    names: tuple[str, ...]
    pixels: np.ndarray
    tones: np.ndarray
    notes: tuple[str, ...]


def read_held(
    content: bytes, name: str, rule: PixelRule, slicing: Slicing = WHOLE, limits: Limits = NONE
) -> HeldImages:
    """Read an image file that is held in memory.

    Args:
        content: Of the file.
        name: Of the file: nothing of it counts but its ending, as in training.
        rule: How images become pixels, without an open range.
        slicing: How files with several planes become samples, as a run settled it.
        limits: What may be decoded.

    Raises:
        UnknownFormat, TooManyPixels, TooManySamples, ValueError: It cannot be read; the message is a short reason.
        InputError: It is read by an extra that is not installed, or must be read in another way.

    >>> read_held(b"", "x.png", PixelRule((8, 8)))
    Traceback (most recent call last):
    tlmed.data.held_files.UnknownFormat: the file is empty
    """
    ending = PurePath(name).suffix.lower()
    called = f"image{ending if ending.isascii() and ending[1:].isalnum() else ''}"
    _check_form(content, limits, slicing.wanted)
    files = Table("upload", (called,), np.zeros(1, np.int64), (), None, None, lambda row: content, root=Path())
    table = take_samples(files, slicing, is_settled=True)
    if limits.samples is not None and len(table) > limits.samples:
        raise TooManySamples(f"it gives {len(table):,} samples; at most {limits.samples:,} are answered here")
    _, broken, found = read_all(table, rule, _ALL)
    if broken:
        reason = next(iter(broken.values()))
        raise TooManyPixels(reason) if _TOO_LARGE.match(reason) else ValueError(reason)
    rows = np.arange(len(table))
    notes = sorted(
        {said.format(images="The file", hold="holds") for own in found.extras for said in own if "{" in said}
    )
    return HeldImages(table.paths, found.take(rows), found.tones, tuple(notes))


def _check_form(content: bytes, limits: Limits, planes: bool) -> None:
    """Refuse, by its first bytes and its header, what is no image, or too large a one."""
    if find_reader(content) is None:
        try:
            read_plane(content)
        except ValueError as error:
            raise UnknownFormat(str(error)) from None
    facts = read_facts(content)
    if limits.pixels is None:
        return
    size, area = f"{facts.height:,} x {facts.width:,}", facts.height * facts.width
    if area > limits.pixels:
        raise TooManyPixels(f"it has {size} pixels; at most {limits.pixels:,} are decoded here")
    if planes and (count := count_planes(content)) * area > DEEP * limits.pixels:
        most = f"{DEEP * limits.pixels:,}"
        raise TooManyPixels(f"it has {count:,} planes of {size} pixels; at most {most} pixels are decoded here")
