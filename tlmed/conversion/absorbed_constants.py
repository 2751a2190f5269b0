"""Rewrite a network so that its numbers fit into 8 bits: no large constant is added by one layer and taken by the next.

Pretrained networks without an activation between two convolutions do that: the first adds a large constant to each of
its channels, and what the second makes of them is subtracted after it. Both numbers are rounded to 256 steps, and their
difference is mostly rounding. MobileNetV2 with weights that came from PyTorch has such a place after its first block:
there, constants of up to 6 stand beside signals of 0.2. The constants can be moved without changing what the network
computes ("absorbing biases": Nagel, van Baalen, Blankevoort & Welling, Data-free quantization through weight
equalization and bias correction, ICCV 2019). Their other step, to make the channels of a layer equally large, was tried
on breast ultrasound, too: scores came no nearer to those in single precision.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import keras
import numpy as np

_BATCH_SIZE = 32


@dataclass(frozen=True, eq=False)
class Link:
    """A convolution, and the 1 x 1 convolution that alone reads what it gives, without activation or padding between.

    Attributes:
        first: The first.
        norm: Its BatchNorm; None: it has a bias of its own.
        second: The second.
        second_norm: The BatchNorm after the second; None: the second has a bias of its own.
    """

    first: keras.Layer
    norm: keras.layers.BatchNormalization | None
    second: keras.Layer
    second_norm: keras.layers.BatchNormalization | None


def absorb_constants(network: keras.Model, images: np.ndarray) -> keras.Model:
    """Return a network with other weights that computes the same, where means of channels do not cancel later.

    Args:
        network: Functional, on raw images; or several such networks in one, as of an ensemble.
        images: Some training images, uint8 [n, height, width, 3], on which means are measured.
    """
    changed = keras.models.clone_model(network)
    changed.set_weights(network.get_weights())
    members = (one for one in changed.layers if isinstance(one, keras.Model) and one.input_shape == changed.input_shape)
    for part in (changed, *members):
        _absorb(part, images)
    return changed


def _absorb(network: keras.Model, images: np.ndarray) -> None:
    links = list(find_links(network))
    if not links:
        return
    shown = [keras.ops.mean((link.norm or link.first).output, axis=(1, 2)) for link in links]
    found = keras.Model(network.inputs, shown).predict(images.astype("float32"), batch_size=_BATCH_SIZE, verbose=0)
    for link, means in zip(links, found if isinstance(found, list) else [found], strict=True):
        _move(link, means.mean(axis=0))


def find_links(network: keras.Model) -> Iterator[Link]:
    """Yield the pairs of convolutions between which constants can be moved, in order.

    >>> images = keras.Input((8, 8, 3))
    >>> first = keras.layers.Conv2D(4, 3, name="a")(images)
    >>> network = keras.Model(images, keras.layers.Conv2D(2, 1, name="b")(first))
    >>> [(link.first.name, link.second.name) for link in find_links(network)]
    [('a', 'b')]
    """
    readers: dict[str, list[keras.Layer]] = {}
    for layer in network.layers:
        for node in layer._inbound_nodes:
            for tensor in node.input_tensors:
                readers.setdefault(tensor._keras_history.operation.name, []).append(layer)
    for layer in network.layers:
        if _is_linear(layer) and (link := _follow(layer, readers)) is not None:
            yield link


def _follow(first, readers: Mapping[str, Sequence[keras.Layer]]) -> Link | None:
    norm, second = _find_norm(first, readers), None
    after = readers.get((norm or first).name, [])
    if len(after) == 1 and type(after[0]) is keras.layers.Conv2D and after[0].kernel_size == (1, 1):
        second = after[0]
    if second is None or not _is_linear(second) or not (norm or first.use_bias):
        return None
    second_norm = None if second.use_bias else _find_norm(second, readers)
    return Link(first, norm, second, second_norm) if second.use_bias or second_norm else None


def _find_norm(layer, readers) -> keras.layers.BatchNormalization | None:
    after = readers.get(layer.name, [])
    alone = len(after) == 1 and isinstance(after[0], keras.layers.BatchNormalization)
    return after[0] if alone and after[0].center else None


def _is_linear(layer) -> bool:
    convolution = isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)
    return convolution and layer.activation is keras.activations.linear and getattr(layer, "groups", 1) == 1


def _move(link: Link, means: np.ndarray) -> None:
    """Take the means from the channels, and give back what the second convolution makes of them."""
    _add(link.norm.beta if link.norm else link.first.bias, -means)
    given = means @ np.asarray(link.second.kernel)[0, 0]
    if link.second_norm is None:
        _add(link.second.bias, given)
    else:  # it subtracts its mean
        _add(link.second_norm.moving_mean, -given)


def _add(weight: keras.Variable, values: np.ndarray) -> None:
    weight.assign(np.asarray(weight) + values)
