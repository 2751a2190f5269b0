"""How much of the detail of images is left when they are reduced to a size."""

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from tlmed.data.resizing import fit_image

SIZES = (64, 128, 224, 320)
_NORMAL = 0.6745  # the median of the absolute value of a standard normal variable
_COARSE = 4.0  # a variance in squared gray levels, below which the median of whole numbers is coarse
_LEAST = 0.02  # of the energy of gradients; images with less of it above their noise have no detail


def measure_detail(images: Iterable[np.ndarray], sizes: Sequence[int] = SIZES) -> dict[int, float]:
    """Return which share of the detail of images is left at each size, as a network sees them there.

    Detail is the energy of the gradient: natural images have about the same of it in each octave, while that of the
    gray levels themselves is nearly all in coarse shapes, which any size keeps (Field, Journal of the Optical Society
    of America A 1987, 4:2379). An image is reduced by the rule of tlmed and enlarged again; what the gradient of the
    difference holds is lost. White noise is no detail: its level is told by the median of the finest diagonal
    coefficients of Haar's wavelet (Donoho & Johnstone, Biometrika 1994, 81:425), and what noise of this level adds to
    both energies is taken off. Texture that looks like white noise, such as fine speckle, counts as noise. Energies
    are summed over pixels, and over images with the same weight for each image.

    Args:
        images: uint8 [height, width, 3] each, at their own sizes.
        sizes: Of squares, in pixels. A side that is not longer than a size is left as it is, and loses nothing.

    Returns:
        For each size a share from 0 to 1; 1 where there is no detail to be lost, as in black images and in noise.

    >>> grating = 100 + 80 * np.sin(2 * np.pi * np.arange(120) / 3)
    >>> image = np.broadcast_to(grating[None, :, None], (120, 120, 3)).astype(np.uint8)
    >>> measure_detail([image], sizes=(60, 120))
    {60: 0.029, 120: 1.0}
    """
    lost, whole, signal = dict.fromkeys(sizes, 0.0), 0.0, 0.0
    for image in images:
        plane = image.mean(axis=2, dtype=np.float32)
        noise, energy = estimate_noise(plane), _measure_gradients(plane)
        whole += energy
        signal += energy - noise * _measure_noise(plane.shape, None)
        for size in sizes:
            if max(plane.shape) > size:
                rest = _measure_gradients(plane - _reduce_and_enlarge(plane, size))
                lost[size] += rest - noise * _measure_noise(plane.shape, size)
    if signal <= _LEAST * whole:
        return dict.fromkeys(sizes, 1.0)
    return {size: round(float(np.clip(1 - lost[size] / signal, 0, 1)), 3) for size in sizes}


def estimate_noise(plane: np.ndarray) -> float:
    """Return the variance of the white noise of an image.

    Squares of 2 x 2 equal pixels are left out: backgrounds have no noise. Coefficients of whole numbers are steps of
    one half, so that the median is taken as that of grouped values. Where noise is hardly larger than these steps, it
    is that of rounding at least, 1/12, and the mean square at most.

    Args:
        plane: float [height, width], 0..255.
    """
    height, width = (side // 2 * 2 for side in plane.shape)
    corners = [plane[row:height:2, column:width:2] for row in (0, 1) for column in (0, 1)]
    if not corners[0].size:
        return 0.0
    finest = (corners[0] - corners[1] - corners[2] + corners[3]) / 2
    finest = finest[np.maximum.reduce(corners) > np.minimum.reduce(corners)]
    if not finest.size:
        return 0.0
    noise = (_find_median(np.abs(finest)) / _NORMAL) ** 2
    return noise if noise > _COARSE else min(max(noise, 1 / 12), float(np.square(finest).mean()))


def _find_median(values: np.ndarray) -> float:
    """Return the median of values 0 or above, each of which stands for a quarter more or less."""
    middle = float(np.partition(values, len(values) // 2)[len(values) // 2])  # a value that occurs
    below, here = (values < middle - 0.25).mean(), (np.abs(values - middle) <= 0.25).mean()
    low, high = max(middle - 0.25, 0.0), middle + 0.25
    return low + (0.5 - below) / here * (high - low)


def _reduce_and_enlarge(plane: np.ndarray, size: int) -> np.ndarray:
    # In floats: rounding to 8 bits in between would count as a loss in smooth images.
    small = tuple(min(side, size) for side in plane.shape)
    return np.asarray(fit_image(fit_image(Image.fromarray(plane), small), plane.shape))


def _measure_gradients(plane: np.ndarray) -> float:
    """Return the mean square of the differences of neighbours, down and across, together."""
    return sum(float(np.square(np.diff(plane, axis=axis)).sum()) for axis in (0, 1)) / plane.size


@dataclass(frozen=True)
class _Axis:
    """What white noise needs to know of how an axis of n pixels is resized: of the n x n matrix A that does it.

    With D the differences of neighbours: n, the trace of A, the sum of the squares of A; and the same three with D:
    of D'D, of D'DA, of DA.
    """

    n: int
    trace: float
    square: float
    rough: float
    rough_trace: float
    rough_square: float


def _measure_noise(shape: tuple[int, int], size: int | None) -> float:
    """Return what `_measure_gradients` is expected to give of white noise of variance 1.

    Rows and columns are resized one after the other, so that noise N becomes A N B'. The expected sums of squares of
    N - A N B', and of its differences along an axis, follow from traces of each axis alone.

    Args:
        shape: Height and width.
        size: What the image is reduced to, and what is measured is lost; None: of the noise itself.
    """
    axes = [_describe_axis(side, min(side, size or side)) for side in shape]
    if size is None:
        return sum(one.rough * other.n for one, other in (axes, axes[::-1])) / math.prod(shape)
    energies = [
        one.rough * other.n - 2 * one.rough_trace * other.trace + one.rough_square * other.square
        for one, other in (axes, axes[::-1])
    ]
    return sum(energies) / math.prod(shape)


@functools.lru_cache(64)
def _describe_axis(side: int, size: int) -> _Axis:
    one = np.eye(side, dtype=np.float32)
    matrix = one if size == side else np.asarray(fit_image(fit_image(Image.fromarray(one), (size, side)), one.shape))
    differences, steps = np.diff(matrix, axis=0), np.diff(one, axis=0)
    return _Axis(
        side,
        float(np.trace(matrix)),
        float(np.square(matrix).sum()),
        2.0 * (side - 1),
        float((steps * differences).sum()),
        float(np.square(differences).sum()),
    )
