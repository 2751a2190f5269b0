"""Register pictures: find the affine map under which one shows what the other does, pair by pair, in batches.

A map is a matrix [2, 3] that takes a point (x, y, 1) of the second picture to a point of the first; points lie from -1
to 1 in both. `align_quarters` finds it roughly, `refine` to a fraction of a pixel.
"""

import numpy as np

_REACH = 3  # pixels of a picture of 32 by which a quarter may be shifted
_MOST = 0.15  # of half a side: a step of a refinement goes no further
_ODD = 0.7  # local standard deviations: a pixel that differs by more counts less, such as one of burnt-in text


def align_quarters(first: np.ndarray, second: np.ndarray, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shift the quarters of pictures for the highest correlation: better maps [p, 2, 3], and how well they agree.

    Args:
        first: float32 [p, 32, 32], local mean 0.
        second: The same of the second pictures.
        maps: To start with, float [p, 2, 3].

    Returns:
        The maps, and the mean correlation of the quarters, float32 [p].
    """
    warped, _ = warp(first, maps)
    padded = np.pad(warped, ((0, 0), (_REACH, _REACH), (_REACH, _REACH)))
    half, width = second.shape[-1] // 2, 2 * _REACH + 1
    shifts, scores = np.empty((2, 2, len(maps), 2)), np.zeros(len(maps), np.float32)
    for row in (0, 1):
        for column in (0, 1):
            top, left = row * half, column * half
            part = second[:, top : top + half, left : left + half].reshape(len(maps), -1, 1)
            area = padded[:, top : top + half + 2 * _REACH, left : left + half + 2 * _REACH]
            moved = np.lib.stride_tricks.sliding_window_view(area, (half, half), axis=(1, 2))
            moved = moved.reshape(len(maps), width * width, -1)
            size = np.sqrt(np.einsum("psk,psk->ps", moved, moved) * np.square(part).sum(axis=1))
            correlation = (moved @ part)[..., 0] / (size + 1e-3)
            best = correlation.argmax(axis=1)
            scores += correlation[np.arange(len(maps)), best] / 4
            shifts[row, column] = np.stack([best % width, best // width], axis=1) - _REACH
    shifts /= half
    # The least-squares affine through four points at -1/2 and 1/2: means, and differences between opposite sides.
    along_x, along_y = shifts[:, 1] - shifts[:, 0], shifts[1] - shifts[0]
    moves = np.stack([along_x.mean(axis=0), along_y.mean(axis=0), shifts.mean(axis=(0, 1))], axis=-1)
    return _compose(maps, _add_identity(moves)), scores


def refine(first: np.ndarray, second: np.ndarray, maps: np.ndarray, steps: int) -> np.ndarray:
    """Return better maps, after steps of Gauss and Newton.

    The inverse compositional form of Baker & Matthews (International Journal of Computer Vision 56, 2004, 221), with a
    gain for each pair as in Evangelidis & Psarakis (IEEE TPAMI 30, 2008, 1858), and weights against burnt-in text.

    Args:
        first: float32 [p, side, side], local mean 0.
        second: The same of the second pictures.
        maps: To start with, float [p, 2, 3].
        steps: How many.
    """
    n, side = len(second), second.shape[-1]
    down, right = np.gradient(second, 2 / side, axis=(1, 2))
    x = _centres(side)
    terms = [right * x, right * x[:, None], right, down * x, down * x[:, None], down]
    slopes = np.stack(terms, axis=-1).reshape(n, -1, 6)
    for _ in range(steps):
        warped, inside = warp(first, maps)
        warped, target, weight = (part.reshape(n, -1) for part in (warped, second, inside.astype(np.float32)))
        gain = (weight * warped * target).sum(axis=1) / ((weight * warped**2).sum(axis=1) + 1e-6)
        rest = warped * np.clip(gain, 0.5, 2)[:, None] - target
        weight /= 1 + np.square(rest / _ODD)
        weighted = (slopes * weight[..., None]).swapaxes(1, 2)
        normal = weighted @ slopes
        # A little damping: a picture of stripes does not say how it lies along them.
        damping = 1e-3 * np.trace(normal, axis1=1, axis2=2) / 6 + 1e-6
        step = np.linalg.solve(normal + damping[:, None, None] * np.eye(6), weighted @ rest[..., None])
        step = np.clip(step, -_MOST, _MOST).reshape(n, 2, 3)
        maps = _compose(maps, _invert(_add_identity(step)))
    return maps


def warp(pictures: np.ndarray, maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return pictures as maps show them, float32 [p, side, side], and which pixels lie inside, bool.

    Args:
        pictures: float32 [p, side, side].
        maps: float [p, 2, 3].
    """
    n, side = pictures.shape[:2]
    x, maps = _centres(side), maps.astype(np.float32)[..., None, None]
    at = maps[:, :, 0] * x + maps[:, :, 1] * x[:, None] + maps[:, :, 2]
    seen, inside = ((np.abs(at) <= most).all(axis=1) for most in (1, 1 - 1 / side))
    at = np.clip((at + 1) * (side / 2) - 0.5, 0, side - 1)
    start = np.minimum(at.astype(np.int32), side - 2)
    right, down = (at - start).swapaxes(0, 1)
    # One flat index for a whole batch: a call for each picture costs more than its pixels.
    corner = start[:, 1] * side + start[:, 0] + np.arange(n, dtype=np.int32)[:, None, None] * side**2
    flat = np.ascontiguousarray(pictures).ravel()
    upper, lower = flat.take(corner), flat.take(corner + side)
    upper += right * (flat.take(corner + 1) - upper)
    lower += right * (flat.take(corner + side + 1) - lower)
    return (upper + down * (lower - upper)) * seen, inside


def halve(pictures: np.ndarray) -> np.ndarray:
    """Return pictures of half the side: the means of 2 x 2 pixels."""
    return (pictures[:, ::2, ::2] + pictures[:, 1::2, ::2] + pictures[:, ::2, 1::2] + pictures[:, 1::2, 1::2]) / 4


def _centres(side: int) -> np.ndarray:
    return ((2 * np.arange(side) + 1) / side - 1).astype(np.float32)


def _add_identity(moves: np.ndarray) -> np.ndarray:
    return moves + np.eye(2, 3)


def _square(maps: np.ndarray) -> np.ndarray:
    return np.concatenate([maps, np.tile([0.0, 0, 1], (len(maps), 1, 1))], axis=1)


def _invert(maps: np.ndarray) -> np.ndarray:
    return np.linalg.inv(_square(maps))[:, :2]


def _compose(outer: np.ndarray, inner: np.ndarray) -> np.ndarray:
    return outer @ _square(inner)
