"""The picture that golden features are made of: the same on every machine, without a random generator."""

import numpy as np


def picture(height: int, width: int) -> np.ndarray:
    """Return an RGB picture with gradients, edges and texture, uint8 of shape (height, width, 3)."""
    y, x = np.mgrid[:height, :width]
    disc = ((y - height // 2) ** 2 + (x - width // 3) ** 2 < (height // 3) ** 2) * 90
    channels = [(255 * y // height + disc), (255 * x // width + 13 * y), (x * y // 7 + disc * 2)]
    return (np.stack(channels, axis=-1) % 256).astype("uint8")
