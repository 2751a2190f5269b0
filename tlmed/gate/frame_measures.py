"""Measures of pixels that are not the finding: brightness, border, corners, text."""

import numpy as np

FRAME = np.dtype([("mean", np.float32), ("deviation", np.float32)])


def measure_frames(pixels: np.ndarray) -> np.ndarray:
    """Return `FRAME` [n]: brightness from 0 to 255, its mean and its standard deviation, of each image.

    Args:
        pixels: uint8 [n, height, width, 3].

    >>> measure_frames(np.full((1, 8, 8, 3), 7, np.uint8)).tolist()
    [(7.0, 0.0)]
    """
    measured = np.zeros(len(pixels), FRAME)
    measured["mean"] = pixels.mean(axis=(1, 2, 3))
    measured["deviation"] = pixels.std(axis=(1, 2, 3))
    return measured
