"""Compare registered pictures block by block: copies agree in fine detail nearly everywhere, anatomy does not."""

import numpy as np

_BLOCKS = 8  # along each side
_INSIDE = 0.5  # of a block must lie in both pictures
_TEXTURED = 0.25  # local standard deviations: a flatter block shows nothing that could agree


def correlate_blocks(first: np.ndarray, second: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Return the correlation of each block with detail, float32 [p, 64]; NaN for a block without, or outside.

    Args:
        first: float32 [p, side, side], fine detail, local mean 0; as the second shows it.
        second: The same of the second pictures.
        inside: Which pixels lie in both, bool [p, side, side].
    """
    weight = _cut(inside).astype(np.float32)
    amount = weight.sum(axis=2)
    one, other = (_centre(_cut(pictures), weight, amount) for pictures in (first, second))
    one_energy, other_energy = (np.square(blocks).sum(axis=2) for blocks in (one, other))
    least = np.square(_TEXTURED) * np.maximum(amount, 1)
    used = (np.minimum(one_energy, other_energy) > least) & (amount >= _INSIDE * weight.shape[2])
    products = (one * other).sum(axis=2)
    sizes = np.sqrt(np.where(used, one_energy * other_energy, 1))
    return np.where(used, products / sizes, np.float32(np.nan))


def _cut(pictures):
    n, side = pictures.shape[:2]
    each = side // _BLOCKS
    blocks = pictures.reshape(n, _BLOCKS, each, _BLOCKS, each).swapaxes(2, 3)
    return blocks.reshape(n, _BLOCKS**2, each**2)


def _centre(blocks, weight, amount):
    means = (blocks * weight).sum(axis=2) / np.maximum(amount, 1)
    return (blocks - means[..., None]) * weight
