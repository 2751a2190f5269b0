"""Words for what was changed between two images that show the same picture, as their registration tells."""

import itertools

import numpy as np

from tlmed.gate.sketches import SKETCH
from tlmed.words import join_names, percent

_TURNS = {  # matrices [2, 2] by rows, from points of one image to points of the other
    (1, 0, 0, 1): "",
    (-1, 0, 0, 1): "mirrored",
    (1, 0, 0, -1): "turned upside down (flipped)",
    (-1, 0, 0, -1): "rotated by 180 degrees",
    (0, 1, -1, 0): "rotated by 90 degrees",
    (0, -1, 1, 0): "rotated by 90 degrees",
    (0, 1, 1, 0): "mirrored and rotated by 90 degrees",
    (0, -1, -1, 0): "mirrored and rotated by 90 degrees",
}
_TILTED = 0.8  # degrees; less is the error of registration
_SMALLER = 0.97  # of a side; nearer to 1 is, too
_SHIFT, _GAIN = 6, 1.15  # gray levels of the mean, and the ratio of contrasts, that are seen


def place_whole(matrix: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the map between whole images, float [2, 3], of the map between their contents.

    Args:
        matrix: From points of the second's content, from -1 to 1, to points of the first's.
        first: The content of the first: left, top, right and bottom in pixels of 64.
        second: The same of the second.
    """
    (outer, outer_at), (inner, inner_at) = (_place(box) for box in (first, second))
    linear = np.diag(outer) @ matrix[:, :2] @ np.diag(1 / inner)
    return np.column_stack([linear, outer * matrix[:, 2] + outer_at - linear @ inner_at])


def _place(box) -> tuple[np.ndarray, np.ndarray]:
    low, high = (2 * np.asarray(part) / SKETCH - 1 for part in (box[:2], box[2:]))
    return (high - low) / 2, (high + low) / 2


def describe_place(matrix: np.ndarray) -> list[str]:
    """Return words for a map from points of one whole image to points of the other.

    >>> describe_place(np.array([[0.0, -0.82, 0.1], [0.82, 0, 0.1]]))
    ['rotated by 90 degrees', 'cut to 82 % of the width and 82 % of the height']
    >>> describe_place(np.array([[0.9, 0, 0.1], [0, 1.0, 0]]))
    ['cut to 90 % of the width']
    """
    linear = matrix[:, :2]
    turns = {key: np.array(key, float).reshape(2, 2) for key in _TURNS}
    nearest = max(turns, key=lambda key: float((turns[key] * linear).sum()))
    upright = linear @ turns[nearest].T
    tilt = np.rad2deg(np.arctan2(upright[1, 0] - upright[0, 1], upright[0, 0] + upright[1, 1]))
    words = [_TURNS[nearest]] if _TURNS[nearest] else []
    if abs(tilt) >= _TILTED:
        words.append(f"rotated by {abs(tilt):.0f} {'degree' if round(abs(tilt)) == 1 else 'degrees'}")
    return words + _describe_sides(*np.linalg.norm(upright, axis=0))


def _describe_sides(width: float, height: float) -> list[str]:
    """Return words for how much of one image the other shows, along each side."""
    if max(width, height) > 1 / _SMALLER and min(width, height) > _SMALLER:
        width, height = 1 / width, 1 / height
    if min(width, height) >= _SMALLER:
        return []
    if max(width, height) > 1 / _SMALLER:
        return ["stretched"]
    named = ((width, "width"), (height, "height"))
    sides = [f"{percent(side)} of the {name}" for side, name in named if side < _SMALLER]
    return [f"cut to {join_names(sides)}"]


def describe_tones(first: np.ndarray, second: np.ndarray) -> list[str]:
    """Return words for a change of brightness and contrast between two sketches, uint8 [64, 64].

    >>> dark = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64) // 4
    >>> describe_tones(dark, dark + 100)
    ['of another brightness']
    """
    words, contrasts = [], (max(float(first.std()), 1), max(float(second.std()), 1))
    if abs(float(first.mean()) - float(second.mean())) > _SHIFT:
        words.append("of another brightness")
    if max(contrasts) / min(contrasts) > _GAIN:
        words.append("of another contrast")
    return words


def are_numbered(first: str, second: str) -> bool:
    """Tell whether two file names differ by one number, and that by one, as frames of a sequence do.

    >>> are_numbered("scan (7).png", "scan (8).png"), are_numbered("a7.png", "b8.png"), are_numbered("a1.png", "a9.png")
    (True, False, False)
    """
    parts = [["".join(part) for _, part in itertools.groupby(name, str.isdecimal)] for name in (first, second)]
    if len(parts[0]) != len(parts[1]):
        return False
    unequal = [(one, other) for one, other in zip(*parts, strict=True) if one != other]
    return (
        len(unequal) == 1 and all(map(str.isdecimal, unequal[0])) and abs(int(unequal[0][0]) - int(unequal[0][1])) == 1
    )
