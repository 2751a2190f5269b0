"""Small gray pictures of images, in which near-copies are looked for."""

import numpy as np
from PIL import Image

SKETCH = 64  # height and width in pixels
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601


def draw_sketches(pixels: np.ndarray) -> np.ndarray:
    """Return small gray pictures, uint8 [n, 64, 64]; the aspect ratio of the network's input stays.

    Args:
        pixels: uint8 [n, height, width, 3].

    >>> draw_sketches(np.full((2, 224, 224, 3), 7, np.uint8)).shape
    (2, 64, 64)
    """
    gray = np.rint(pixels @ _LUMINANCE).astype(np.uint8)
    return np.stack([np.asarray(Image.fromarray(one).resize((SKETCH, SKETCH), Image.BOX)) for one in gray])
