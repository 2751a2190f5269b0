"""LeNet5 pretrained on the handwritten digits of scikit-learn, by `benchmarks/lenet5_digits.py`."""

from pathlib import Path

import keras
import numpy as np

from tlmed.backbones import applications, classic
from tlmed.errors import InputError

IMAGE_SIZE = (32, 32)


def paper(ink: np.ndarray) -> np.ndarray:
    """Return digits as dark ink on white paper, which is how LeNet5's preprocessing expects them.

    Args:
        ink: Images like those of scikit-learn's `load_digits`, [n, rows, columns], 0 (paper) to 16 (ink).

    Returns:
        RGB images, uint8 [n, rows, columns, 3], 255 is paper.

    >>> paper(np.array([[[0, 16]]]))[0, 0].tolist()
    [[255, 255, 255], [0, 0, 0]]
    """
    grey = np.rint(255 * (1 - np.asarray(ink) / 16)).astype("uint8")
    return np.repeat(grey[..., None], 3, axis=-1)


def draw(application: applications.Application, image_size: tuple[int, int]) -> keras.Model:
    """Draw LeNet5 without its top, with random weights.

    Args:
        application: LeNet5.
        image_size: Height and width in pixels.

    Returns:
        A model like those of `applications.draw`.
    """
    return applications.draw(application, image_size, imagenet=False)


def load(model: keras.Model, path: str | Path) -> None:
    """Load the feature maps' weights of a whole LeNet5 into one without its top.

    Args:
        model: From `draw`.
        path: The `.weights.h5` of a LeNet5 with ten classes.

    Raises:
        InputError: It is another network's file.
    """
    # The file holds the classifier too, so it is read into a whole network first.
    whole = classic.LeNet5()
    try:
        applications.load_all(whole, path)
    except (ValueError, OSError, KeyError) as error:
        raise InputError(f"The weights must be those of a whole LeNet5. Received: {path}.") from error
    for layer in model.layers:
        if layer.weights:
            layer.set_weights(whole.get_layer(layer.name).get_weights())
