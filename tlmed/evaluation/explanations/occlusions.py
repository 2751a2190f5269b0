"""Maps from covering parts of an image: any function from images to scores will do, without gradients."""

from collections.abc import Callable

import numpy as np

from tlmed.errors import InputError
from tlmed.evaluation.explanations.halves import broadcast_colour, check_classes, normalise

STEPS = 14  # default number of steps along the shorter side of an image; a square is two steps wide
BATCH_SIZE = 32


def occlusion(
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    class_index: int | np.ndarray,
    patch: int | None = None,
    stride: int | None = None,
    fill: float | np.ndarray | None = None,
) -> np.ndarray:
    """Return maps of how much a class's score falls when a place is covered.

    Args:
        predict: As in `measure_drops`.
        images: As in `measure_drops`.
        class_index: As in `measure_drops`.
        patch: As in `measure_drops`.
        stride: As in `measure_drops`.
        fill: As in `measure_drops`.

    Returns:
        float32 [n, height, width]: 0 where covering does not lower the score, 1 where it does most in this image.

    Raises:
        InputError: As for `measure_drops`.

    >>> corner = np.zeros((1, 4, 4, 3), "uint8")
    >>> corner[:, :2, :2] = 200
    >>> brightness = lambda images: images.mean(axis=(1, 2, 3))[:, None] * [1, -1]
    >>> occlusion(brightness, corner, 0, patch=2, stride=2, fill=0)[0].astype(int).tolist()
    [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    """
    return normalise(measure_drops(predict, images, class_index, patch, stride, fill))


def measure_drops(
    predict: Callable[[np.ndarray], np.ndarray],
    images: np.ndarray,
    class_index: int | np.ndarray,
    patch: int | None = None,
    stride: int | None = None,
    fill: float | np.ndarray | None = None,
) -> np.ndarray:
    """Return by how much a class's score falls, on average over the patches that cover a pixel.

    After Zeiler & Fergus, Visualizing and understanding convolutional networks (ECCV 2014), section 4.2, where one grey
    square slides over the image; that overlapping squares are averaged is the rule of Captum's `Occlusion`.

    Args:
        predict: Images [m, height, width, 3], at most 32 at a time, to scores [m, k]: log-odds, probabilities,
            whatever falls with the evidence.
        images: [n, height, width, 3], as `predict` takes them. Their range is not checked: only `predict` knows it.
        class_index: The class to explain, 0..k-1: one for all, or one for each image [n].
        patch: Side of the square in pixels; None: a seventh of the image's shorter side, about.
        stride: Pixels from one square to the next, no more than a side; None: half a side. The last square of a row or
            column ends at the image's edge.
        fill: The colour of the square, a grey value or an RGB triple in 0..255; None: the mean colour of each image.

    Returns:
        float64 [n, height, width]; below 0 where covering raises the score.

    Raises:
        InputError: If something does not fit.
    """
    images = np.asarray(images)
    if images.ndim != 4 or not images.size:
        raise InputError(f"`images` must be [n, height, width, 3]. Received: shape {list(images.shape)}.")
    patch, stride = _choose(images.shape[1:3], patch, stride)
    before = np.concatenate([predict(images[i : i + BATCH_SIZE]) for i in range(0, len(images), BATCH_SIZE)])
    wanted = check_classes(class_index, len(images), before.shape[1])
    colours = broadcast_colour(fill, images)
    tops, lefts = (_starts(side, patch, stride) for side in images.shape[1:3])
    places = [(top, left) for top in tops for left in lefts]
    # Squares overlap, and the last one of a row more than others: each pixel is the mean of its own.
    drops = np.zeros(images.shape[:3])
    covered = np.zeros(images.shape[1:3])
    for top, left in places:
        covered[top : top + patch, left : left + patch] += 1
    for i, (image, colour, label) in enumerate(zip(images, colours, wanted, strict=True)):
        # Rounded, because an array of uint8 would cut the fraction off.
        colour = np.rint(colour).astype(images.dtype) if images.dtype == np.uint8 else colour
        for start in range(0, len(places), BATCH_SIZE):
            chosen = places[start : start + BATCH_SIZE]
            scores = np.asarray(predict(_cover(image, colour, chosen, patch)))[:, label]
            for (top, left), score in zip(chosen, scores, strict=True):
                drops[i, top : top + patch, left : left + patch] += before[i, label] - score
    return drops / covered


def _cover(image, colour, places, patch) -> np.ndarray:
    copies = np.repeat(image[None], len(places), axis=0)
    for copy, (top, left) in zip(copies, places, strict=True):
        square = slice(top, top + patch), slice(left, left + patch)
        copy[square] = colour[square]
    return copies


def _choose(size, patch, stride) -> tuple[int, int]:
    """Return patch and stride; a stride that divides the patch leaves no seams in the map."""
    patch = min(2 * -(-min(size) // STEPS), min(size)) if patch is None else patch
    if not isinstance(patch, int) or not 1 <= patch <= min(size):
        raise InputError(f"`patch` must be a whole number from 1 to {min(size)}. Received: patch={patch!r}.")
    stride = max(patch // 2, 1) if stride is None else stride
    if not isinstance(stride, int) or not 1 <= stride <= patch:
        raise InputError(f"`stride` must be a whole number from 1 to {patch}, the patch. Received: stride={stride!r}.")
    return patch, stride


def _starts(length, patch, stride) -> list[int]:
    """Return where squares begin along a side: every pixel is covered."""
    return [*range(0, length - patch, stride), length - patch]
