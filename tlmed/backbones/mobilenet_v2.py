"""The ImageNet MobileNetV2 of a PyTorch checkpoint, as a Keras graph that gives the same features."""

from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np

from tlmed.backbones import applications, preprocessing, torch_checkpoint

IMAGENET = preprocessing.standardise(mean=(0.485, 0.456, 0.406), deviation=(0.229, 0.224, 0.225))
EPSILON = 1e-5  # PyTorch's default for batch normalisation; Keras's MobileNetV2 has 1e-3


def draw(application: applications.Application, image_size: tuple[int, int]) -> keras.Model:
    """Draw MobileNetV2 as PyTorch computes it, with random weights.

    Two things differ from the graph in `keras.applications`. Strided convolutions are padded by 1 on all
    sides, as in PyTorch. At even sizes Keras pads only the bottom and the right, which moves the sampling
    grid by a pixel per stage and costs accuracy with these weights. Batch normalisation has PyTorch's
    epsilon.

    Args:
        application: MobileNetV2.
        image_size: Height and width in pixels.

    Returns:
        A model like those of `applications.draw`, with one more layer, "Conv1_pad".
    """
    # Only a template: the weights are allocated when it is cloned.
    with applications.unallocated():
        template = applications.draw(application, image_size, imagenet=False, affine=IMAGENET)
    return keras.models.clone_model(template, clone_function=_clone, call_function=_call)


def _clone(layer):
    config = layer.get_config()
    if isinstance(layer, keras.layers.ZeroPadding2D):
        config["padding"] = ((1, 1), (1, 1))
    if layer.name == "Conv1":
        config["padding"] = "valid"
    if isinstance(layer, keras.layers.BatchNormalization):
        config["epsilon"] = EPSILON
    return type(layer).from_config(config)


def _call(layer, *args, **kwargs):
    if layer.name == "Conv1":
        # The blocks have a padding layer before their strided convolution already; the stem has none.
        args = (keras.layers.ZeroPadding2D(1, name="Conv1_pad")(args[0]), *args[1:])
    return layer(*args, **kwargs)


def load(model: keras.Model, path: str | Path) -> None:
    """Load the checkpoint's weights into a model that `draw` made.

    Args:
        model: From `draw`.
        path: A state dict of PyTorch's MobileNetV2 (Sandler et al. 2018, table 2) in the old format.

    Raises:
        InputError: The file is not such a state dict.
    """
    state = torch_checkpoint.read(path)
    for prefix, name in _layers():
        layer = model.get_layer(name)
        if isinstance(layer, keras.layers.BatchNormalization):
            # The order of Keras: gamma, beta, moving mean, moving variance.
            parts = ("weight", "bias", "running_mean", "running_var")
            layer.set_weights([state[f"{prefix}.{part}"] for part in parts])
        else:
            layer.set_weights([_kernel(layer, state[f"{prefix}.weight"])])


def _kernel(layer, kernel: np.ndarray) -> np.ndarray:
    """Bring a kernel from (output, input, row, column) into the order of the Keras layer."""
    depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
    return kernel.transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))


def _layers() -> Iterator[tuple[str, str]]:
    """Yield the checkpoint's prefix and the Keras name of each layer that has weights."""
    yield "features.0.0", "Conv1"
    yield "features.0.1", "bn_Conv1"
    for block in range(17):  # the rows of table 2 in the paper have 1 + 2 + 3 + 4 + 3 + 3 + 1 blocks
        name = f"block_{block}" if block else "expanded_conv"
        # The first block has no expansion, so its numbers begin three lower.
        positions = (0, 1, 3, 4, 6, 7) if block else (None, None, 0, 1, 3, 4)
        parts = ("expand", "expand_BN", "depthwise", "depthwise_BN", "project", "project_BN")
        for position, part in zip(positions, parts, strict=True):
            if position is not None:
                yield f"features.{block + 1}.conv.{position}", f"{name}_{part}"
    yield "features.18.0", "Conv_1"
    yield "features.18.1", "Conv_1_bn"
