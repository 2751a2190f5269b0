"""What is compared of a sketch: the part inside its uniform borders, with brightness and contrast taken out."""

import functools

import numpy as np
from PIL import Image

from tlmed.gate.sketches import SKETCH

_UNIFORM = 0.05  # the contrast of a row of border, as a share of the contrast of the image
_WIDEST = (
    SKETCH // 5
)  # pixels of a border; what is uniform further in belongs to the picture, as in an ultrasound image
_ROUNDS = 3  # a white border may lie around a black one


def find_content(sketches: np.ndarray) -> np.ndarray:
    """Return the part of each sketch inside uniform borders: left, top, right and bottom in pixels, int [n, 4].

    Args:
        sketches: uint8 [n, 64, 64].

    >>> framed = np.pad(np.random.RandomState(0).randint(0, 256, (1, 56, 58)), ((0, 0), (5, 3), (2, 4)))
    >>> find_content(framed.astype(np.uint8)).tolist()
    [[2, 5, 60, 61]]
    """
    boxes = np.tile(np.array([0, 0, SKETCH, SKETCH]), (len(sketches), 1))
    edges = np.concatenate([sketches[:, [0, -1]], sketches[:, :, [0, -1]].swapaxes(1, 2)], axis=1).astype(np.float32)
    most = np.maximum(_UNIFORM * sketches.std(axis=(1, 2), dtype=np.float32), 1)
    framed = np.flatnonzero((edges.std(axis=2) <= most[:, None]).any(axis=1))
    for row in framed:
        boxes[row] = _trim(sketches[row].astype(np.float32), most[row])
    return boxes


def _trim(sketch: np.ndarray, most: float) -> tuple[int, int, int, int]:
    left, top, right, bottom = 0, 0, SKETCH, SKETCH
    for _ in range(_ROUNDS):
        before = (left, top, right, bottom)
        top, bottom = _trim_ends(sketch[:, left:right].std(axis=1) > most, top, bottom)
        left, right = _trim_ends(sketch[top:bottom].std(axis=0) > most, left, right)
        if (left, top, right, bottom) == before:
            break
    return left, top, right, bottom


def _trim_ends(varied: np.ndarray, first: int, last: int) -> tuple[int, int]:
    """Return where a side begins and ends without uniform rows; an end that is uniform far inwards stays."""
    inside = np.flatnonzero(varied[first:last])
    if not len(inside):
        return first, last
    start, stop = first + inside[0], first + inside[-1] + 1
    return (start if start <= _WIDEST else first), (stop if stop >= SKETCH - _WIDEST else last)


def cut_out(sketches: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return parts of sketches, each stretched to a whole sketch, float32 [n, 64, 64].

    Args:
        sketches: uint8 [n, 64, 64].
        boxes: As `find_content` gives them.
    """
    stretched = sketches.astype(np.float32)
    for row in np.flatnonzero((boxes != (0, 0, SKETCH, SKETCH)).any(axis=1)):
        part = Image.fromarray(stretched[row])
        stretched[row] = part.resize((SKETCH, SKETCH), Image.Resampling.BILINEAR, tuple(map(float, boxes[row])))
    return stretched


def level(pictures: np.ndarray, sigma: float, noise: float = 2.0) -> np.ndarray:
    """Return pictures with a local mean of 0 and a local standard deviation of at most 1.

    Brightness, contrast and gamma, which change slowly over a picture, are gone; what is left is detail.

    Args:
        pictures: float32 [n, side, side].
        sigma: Of the Gaussian window, in pixels.
        noise: Gray levels that count as nothing.
    """
    rest = pictures - smooth(pictures, sigma)
    return rest / (np.sqrt(np.maximum(smooth(np.square(rest), sigma), 0)) + noise)


def smooth(pictures: np.ndarray, sigma: float) -> np.ndarray:
    """Return pictures after a Gaussian blur, float32 [n, side, side].

    Args:
        pictures: float32 [n, side, side].
        sigma: In pixels.
    """
    return apply_to_sides(pictures, _draw_window(pictures.shape[-1], sigma))


def apply_to_sides(pictures: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Return `matrix @ picture @ matrix.T` for each picture, [n, k, k].

    Two large products instead of 2 n small ones: threads that share out a small product wait longer than they work.

    Args:
        pictures: [n, side, side].
        matrix: [k, side].
    """
    n, side = pictures.shape[:2]
    rows = (pictures.reshape(-1, side) @ matrix.T).reshape(n, side, -1)
    columns = rows.swapaxes(1, 2).reshape(-1, side) @ matrix.T
    return columns.reshape(n, len(matrix), -1).swapaxes(1, 2)


@functools.cache
def _draw_window(side: int, sigma: float) -> np.ndarray:
    """Return the matrix [side, side] that averages a column with a Gaussian; ends are mirrored."""
    at = np.arange(side)
    near = sum(np.exp(-0.5 * ((at[:, None] - end) / sigma) ** 2) for end in (at, -1 - at, 2 * side - 1 - at))
    return (near / near.sum(axis=1, keepdims=True)).astype(np.float32)
