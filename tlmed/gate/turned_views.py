"""Views of a picture that a copy may show, as affine maps, and what each looks like to a few cosines.

A copy may be flipped, rotated by 90, 180 or 270 degrees, cropped, or slightly rotated. The search compares the whole of
one picture with every view of another, so the best hit tells where registration starts.
"""

import functools
import itertools

import numpy as np
from scipy import sparse

from tlmed.gate.content import apply_to_sides
from tlmed.gate.sketches import SKETCH

COSINES = 14  # per side of a picture: detail of 64 / 14 pixels and coarser
_SIDES = ((0.93, 2), (0.86, 4))  # of the windows that stand for crops, and their places along each side
_TILTS = (-3.2, 3.2)  # degrees: no rotation of up to 5 is further away than 3.2
_PLACES = [np.linspace(0, 1 - side, places) for side, places in _SIDES]
_SPANS = [(0.0, 1.0)] + [(at, at + side) for (side, _), places in zip(_SIDES, _PLACES, strict=True) for at in places]
# Rows and columns of a window, as numbers of spans: the whole, then all places of each size.
_WINDOWS = [(0, 0), *itertools.product((1, 2), repeat=2), *itertools.product((3, 4, 5, 6), repeat=2)]
_TURNS = tuple(itertools.product((False, True), repeat=3))  # transposed, then upside down, then left to right
TURNS = len(_TURNS)
_ORDER = np.arange(COSINES)
# The constant is left out: it says nothing once the local mean is 0. So are the finest diagonal cosines.
_FLAT = np.flatnonzero((np.add.outer(_ORDER, _ORDER) > 0) & (np.add.outer(_ORDER**2, _ORDER**2) <= COSINES**2))
_ROWS, _COLUMNS = np.divmod(_FLAT, COSINES)
_EXCHANGED = np.searchsorted(_FLAT, _COLUMNS * COSINES + _ROWS)


@functools.cache
def list_views() -> np.ndarray:
    """Return the views, float64 [v, 2, 3]: matrices that take a point of the copy (x, y, 1) to a point of the picture.

    Points lie from -1 to 1. The first view is the picture as it is.
    """
    windows = [_window_matrix(*window) for window in _WINDOWS]
    tilts = [np.column_stack([_rotation(degrees), np.zeros(2)]) for degrees in _TILTS]
    turned = [
        np.column_stack([view[:, :2] @ _turn_matrix(*turn), view[:, 2]])
        for turn, view in itertools.product(_TURNS, windows + tilts)
    ]
    return np.stack(turned)


def _window_matrix(rows, columns):
    (top, bottom), (left, right) = _SPANS[rows], _SPANS[columns]
    return np.array([[right - left, 0, left + right - 1], [0, bottom - top, top + bottom - 1]])


def _rotation(degrees):
    angle = np.deg2rad(degrees)
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def _turn_matrix(transposed, upside_down, left_to_right):
    flips = np.diag([1.0 - 2 * left_to_right, 1.0 - 2 * upside_down])
    return np.fliplr(np.eye(2)) @ flips if transposed else flips


def describe_parts(maps: np.ndarray) -> np.ndarray:
    """Return cosine coefficients of the unturned views of maps, float32 [n, parts, 14, 14]; the whole comes first.

    Args:
        maps: float32 [n, 64, 64].
    """
    cosines = _draw_cosines()
    table = apply_to_sides(maps, cosines)
    table = table.reshape(len(maps), len(_SPANS), COSINES, len(_SPANS), COSINES)
    windows = [table[:, rows, :, columns, :] for rows, columns in _WINDOWS]
    flat = maps.reshape(len(maps), -1)
    tilts = [(flat @ tilt).reshape(-1, COSINES, COSINES) for tilt in _draw_tilts()]
    return np.stack(windows + tilts, axis=1)


def turn_parts(parts: np.ndarray) -> np.ndarray:
    """Return the coefficients that are compared of all turned views, float32 [n, 8 * parts, d].

    They come turn by turn, as `list_views` lists them. A flip changes the sign of the odd cosines, and a transposition
    exchanges the axes, so no pixel is touched again.

    Args:
        parts: Coefficients, float32 [n, parts, 14, 14].
    """
    upright = flatten(parts)
    turned = np.empty((len(parts), TURNS, *upright.shape[1:]), np.float32)
    for number, (transposed, upside_down, left_to_right) in enumerate(_TURNS):
        signs = np.where((_ROWS * upside_down + _COLUMNS * left_to_right) % 2, np.float32(-1), np.float32(1))
        np.multiply(exchange_axes(upright) if transposed else upright, signs, out=turned[:, number])
    return turned.reshape(len(parts), -1, upright.shape[-1])


def flatten(coefficients: np.ndarray) -> np.ndarray:
    """Return the coefficients that are compared, [..., d], of tables of coefficients [..., 14, 14]."""
    return coefficients.reshape(*coefficients.shape[:-2], -1)[..., _FLAT]


def exchange_axes(flat: np.ndarray) -> np.ndarray:
    """Return flat coefficients [..., d] of pictures whose axes are exchanged."""
    return flat[..., _EXCHANGED]


@functools.cache
def _draw_cosines() -> np.ndarray:
    """Return the cosines on each span, float32 [spans * 14, 64]; a pixel that is half inside counts half."""
    pixels = np.arange(SKETCH) + 0.5
    rows = []
    for start, stop in np.array(_SPANS) * SKETCH:
        inside = np.clip(np.minimum(pixels + 0.5, stop) - np.maximum(pixels - 0.5, start), 0, 1)
        waves = np.cos(np.pi * _ORDER[:, None] * (pixels - start) / (stop - start))
        waves[0] *= np.sqrt(0.5)
        rows.append(waves * inside / np.sqrt(stop - start))
    return np.concatenate(rows).astype(np.float32)


@functools.cache
def _draw_tilts() -> list[np.ndarray]:
    """Return matrices [64 * 64, 14 * 14] that give the coefficients of a slightly rotated map."""
    whole = _draw_cosines()[:COSINES]
    cosines = np.einsum("ay,bx->yxab", whole, whole).reshape(SKETCH * SKETCH, -1)
    return [(_draw_rotation(degrees).T @ cosines).astype(np.float32) for degrees in _TILTS]


def _draw_rotation(degrees: float) -> sparse.csr_array:
    """Return the matrix that rotates a flat map with bilinear interpolation; outside, the edge goes on."""
    centres = (2 * np.arange(SKETCH) + 1) / SKETCH - 1
    points = np.stack(np.meshgrid(centres, centres)).reshape(2, -1)
    at = np.clip((_rotation(degrees) @ points + 1) * SKETCH / 2 - 0.5, 0, SKETCH - 1.001)
    column, row = at.astype(int)
    right, down = at - (column, row)
    weights = np.stack([(1 - down) * (1 - right), (1 - down) * right, down * (1 - right), down * right], axis=-1)
    sources = np.stack([(row + dy) * SKETCH + column + dx for dy in (0, 1) for dx in (0, 1)], axis=-1)
    targets = np.repeat(np.arange(SKETCH**2), 4)
    return sparse.csr_array(
        (weights.ravel(), (targets, sources.ravel())), shape=(SKETCH**2, SKETCH**2), dtype=np.float32
    )
