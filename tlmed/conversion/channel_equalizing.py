"""Rewrite a network so that its numbers fit into 8 bits: channels of one size, and no constants that cancel later.

All channels of a layer share one scale of 256 steps. Where one channel is a hundred times as large as another, the
other has two steps left. And where a layer subtracts what the layer before it adds, as pretrained networks without
activations between them do, both numbers are rounded, and their difference is mostly rounding. Both can be moved into
the weights without changing what the network computes:

- a channel is multiplied by s before a ReLU, and the weights that read it are divided by s (cross-layer equalization);
- the mean of a channel that goes into a 1 x 1 convolution is subtracted, and added to what the convolution gives
  (absorbing biases).

Both are by Nagel, van Baalen, Blankevoort & Welling, Data-free quantization through weight equalization and bias
correction, ICCV 2019; here channels are measured on images, as by Xiao et al., SmoothQuant, ICML 2023.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras
import numpy as np

_DEAD = 1e-3  # of the largest channel: smaller ones are left, as scales of theirs overflow in integer arithmetic
_MOST = 1e3  # by which a channel is made larger or smaller
_ROOM = 2.0  # times the largest value that images gave: others may give larger ones, which would be cut off
_BATCH_SIZE = 32


@dataclass(frozen=True, eq=False)
class Link:
    """Two convolutions of which the second alone reads what the first gives.

    Attributes:
        first: The first.
        norm: Its BatchNorm, with gamma and beta; None: it has a bias of its own.
        relu: The ReLU after it, with or without a maximum; None: there is none.
        second: The second.
        second_norm: The BatchNorm after the second, if nothing else reads that.
        padded: Whether zeros are put around what the second reads.
    """

    first: keras.Layer
    norm: keras.layers.BatchNormalization | None
    relu: keras.layers.ReLU | None
    second: keras.Layer
    second_norm: keras.layers.BatchNormalization | None = None
    padded: bool = False

    @property
    def shown(self) -> keras.Layer:
        """Return the layer whose output is what the second reads."""
        return self.relu or self.norm or self.first

    @property
    def takes_constants(self) -> bool:
        """Tell whether a constant that is taken from a channel can be given back after the second."""
        plain = type(self.second) is keras.layers.Conv2D and self.second.kernel_size == (1, 1)
        has_place = self.second.use_bias or self.second_norm is not None
        return plain and has_place and self.relu is None and not self.padded


def equalize(network: keras.Model, images: np.ndarray) -> keras.Model:
    """Return a network with other weights that computes the same, but for values that no image came near.

    A ReLU with a maximum cuts a channel that was made larger sooner, but nowhere below what it was for `images`.

    Args:
        network: Functional, on raw images. Only its own layers are looked at, and not those of networks in it.
        images: Some training images, uint8 [n, height, width, 3].
    """
    changed = keras.models.clone_model(network)
    changed.set_weights(network.get_weights())
    links = list(find_links(changed))
    linear = [link for link in links if link.takes_constants]
    for link, means in zip(linear, _measure(changed, linear, images, keras.ops.mean), strict=True):
        _absorb(link, means.mean(axis=0))
    # Depthwise ones first: their kernels have a scale for each channel, so that they lose nothing.
    for kind in (True, False):
        chosen = [link for link in links if isinstance(link.second, keras.layers.DepthwiseConv2D) == kind]
        for link, largest in zip(chosen, _measure(changed, chosen, images, _find_largest), strict=True):
            _scale(link, find_scales(link, largest.max(axis=0)))
    return changed


def find_links(network: keras.Model) -> Iterator[Link]:
    """Yield the pairs of convolutions that can be rewritten, in order.

    >>> images = keras.Input((8, 8, 3))
    >>> first = keras.layers.ReLU()(keras.layers.Conv2D(4, 3, name="a")(images))
    >>> network = keras.Model(images, keras.layers.DepthwiseConv2D(3, name="b")(first))
    >>> [(link.first.name, link.second.name) for link in find_links(network)]
    [('a', 'b')]
    """
    readers: dict[str, list[keras.Layer]] = {}
    for layer in network.layers:
        for node in layer._inbound_nodes:
            for tensor in node.input_tensors:
                readers.setdefault(tensor._keras_history.operation.name, []).append(layer)
    for layer in network.layers:
        if _is_convolution(layer) and (link := _follow(layer, readers)) is not None:
            yield link


def _follow(first, readers) -> Link | None:
    norm = relu = None
    current, padded = first, False
    while len(found := readers.get(current.name, [])) == 1:
        current = found[0]
        if _is_convolution(current):
            after = readers.get(current.name, [])
            alone = len(after) == 1 and isinstance(after[0], keras.layers.BatchNormalization)
            second_norm = after[0] if alone else None
            return Link(first, norm, relu, current, second_norm, padded) if norm or first.use_bias else None
        if isinstance(current, keras.layers.BatchNormalization) and norm is relu is None:
            norm = current
            if not (norm.scale and norm.center):
                return None
        elif isinstance(current, keras.layers.ReLU) and relu is None and not current.negative_slope:
            relu = current
        elif isinstance(current, keras.layers.ZeroPadding2D):
            padded = True
        else:
            return None
    return None


def _is_convolution(layer) -> bool:
    return (
        isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D)
        and layer.activation is keras.activations.linear
        and getattr(layer, "groups", 1) == 1
        and getattr(layer, "depth_multiplier", 1) == 1
    )


def _find_largest(values, axis):
    return keras.ops.max(keras.ops.absolute(values), axis=axis)


def _measure(network, links: Sequence[Link], images, measure) -> list[np.ndarray]:
    """Return, for each link, a number for each image and channel of what its second convolution reads."""
    if not links:
        return []
    model = keras.Model(network.inputs, [measure(link.shown.output, axis=(1, 2)) for link in links])
    found = model.predict(images.astype("float32"), batch_size=_BATCH_SIZE, verbose=0)
    return found if isinstance(found, list) else [found]


def _absorb(link, means) -> None:
    kernel, *bias = link.second.get_weights()
    moved = means @ kernel[0, 0]
    if bias:
        link.second.set_weights([kernel, bias[0] + moved])
    else:
        *others, mean, variance = link.second_norm.get_weights()
        link.second_norm.set_weights([*others, mean - moved, variance])
    _shift(link, means)


def _shift(link, means) -> None:
    if link.norm is None:
        kernel, bias = link.first.get_weights()
        link.first.set_weights([kernel, bias - means])
        return
    gamma, beta, mean, variance = link.norm.get_weights()
    link.norm.set_weights([gamma, beta - means, mean, variance])


def find_scales(link: Link, largest: np.ndarray) -> np.ndarray:
    """Return what each channel between two convolutions is multiplied by, float32 [channels].

    Before a depthwise convolution, all become as large as the largest. Before another one, the ranges of a channel and
    of the weights that read it become alike, because these weights share a scale with others.

    Args:
        link: The convolutions.
        largest: The largest value of each channel, float [channels].
    """
    top = largest.max()
    live = largest > _DEAD * top
    if not live.any():
        return np.ones(len(largest), "float32")
    if isinstance(link.second, keras.layers.DepthwiseConv2D):
        scales = np.maximum(top / _ROOM / np.where(live, largest, top), 1)
    else:
        weights = np.abs(link.second.get_weights()[0]).max(axis=(0, 1, 3))
        live &= weights > 0
        scales = np.sqrt(np.where(live, weights, 1) / np.where(live, largest, 1))
        scales *= top / np.max((largest * scales)[live], initial=_DEAD * top)
    limit = None if link.relu is None else link.relu.max_value
    if limit is not None:  # nothing is cut that was not: what is cut already stays, and nothing is made smaller
        scales = np.maximum(np.minimum(scales, limit / _ROOM / np.maximum(largest, _DEAD * top)), 1)
        live &= largest < 0.999 * limit
    return np.where(live, np.clip(scales, 1 / _MOST, _MOST), 1).astype("float32")


def _scale(link, scales) -> None:
    if link.norm is None:
        kernel, bias = link.first.get_weights()
        depthwise = isinstance(link.first, keras.layers.DepthwiseConv2D)
        link.first.set_weights([kernel * (scales[:, None] if depthwise else scales), bias * scales])
    else:
        gamma, beta, mean, variance = link.norm.get_weights()
        link.norm.set_weights([gamma * scales, beta * scales, mean, variance])
    kernel, *rest = link.second.get_weights()
    link.second.set_weights([kernel / scales[:, None], *rest])
