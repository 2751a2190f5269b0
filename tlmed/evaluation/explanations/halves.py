"""Look into a saved network without changing it: its scores before softmax, and its two halves at a block."""

from dataclasses import dataclass

import keras
import numpy as np

from tlmed.backbones.token_grids import TokenGrid, find_grid
from tlmed.blocks import Block, partition
from tlmed.data.ranges import check_ranges
from tlmed.errors import InputError, did_you_mean
from tlmed.features.taps import LAST

_ENDS = (keras.activations.softmax, keras.activations.sigmoid)
_RANGE = "`images` must be RGB in 0..255 at the network's size"


@dataclass(frozen=True)
class Halves:
    """A network, cut after a block; both halves share its layers.

    Attributes:
        before: From images to feature maps [batch, rows, columns, channels] or tokens, one per backbone.
        after: From a list of those to class scores before softmax [batch, classes].
        seen: The places of feature maps that the block made. Where several backbones have different numbers of blocks,
            a shorter one may have no block so near to the input: its entry in the list is the images themselves.
        grids: How tokens lie in the image; None for feature maps.
    """

    before: keras.Model
    after: keras.Model
    seen: tuple[int, ...]
    grids: tuple[TokenGrid | None, ...]

    @property
    def cells(self) -> tuple[int, int]:
        """Rows and columns of the last of the maps."""
        grid, output = self.grids[self.seen[-1]], keras.tree.flatten(self.before.outputs)[self.seen[-1]]
        return tuple(output.shape[1:3]) if grid is None else (grid.rows, grid.columns)


def cut(model: keras.Model, block: str = LAST) -> Halves:
    """Cut a classifier after one of its blocks.

    Args:
        model: A functional classifier from raw images to class probabilities.
        block: A block's name, as `tlmed.blocks.partition` gives them, or "last".

    Raises:
        InputError: If there is no such block, no feature map, or the block gives tokens of no known place.

    >>> layers = keras.layers
    >>> ends = [layers.GlobalAveragePooling2D(), layers.Dense(2, "softmax")]
    >>> halves = cut(keras.Sequential([keras.Input((6, 8, 3)), layers.Conv2D(4, 3), *ends]))
    >>> halves.before.output_shape, halves.after.output_shape
    ((None, 4, 6, 4), (None, 2))
    """
    scores = find_scores(model)
    tensors = _as_list(_find_tensors(model, block))
    grids = tuple(find_grid(tensor) if len(tensor.shape) == 3 else None for tensor in tensors)
    if any(len(tensor.shape) == 3 and grid is None for tensor, grid in zip(tensors, grids, strict=True)):
        raise InputError(
            "Class activation maps need feature maps, or tokens whose places in the image are known; occlusion and "
            f"integrated gradients need neither. Received: model={model.name!r}, whose {block} features are tokens."
        )
    before, after = keras.Model(model.inputs[0], tensors), keras.Model(tensors, scores)
    # Every block has weights. A tensor that no weights lead to is the beginning of a backbone.
    seen = (i for i, tensor in enumerate(tensors) if keras.Model(model.inputs[0], tensor).weights)
    return Halves(before, after, tuple(seen), grids)


def find_scores(model: keras.Model) -> keras.KerasTensor:
    """Return the symbolic class scores before softmax [batch, classes], which do not saturate as probabilities do.

    Of several labels each has a sigmoid, and the scores before that.

    Args:
        model: A functional model that ends in a softmax, in sigmoids, or in such scores.

    Raises:
        InputError: If it ends in neither.
    """
    output = model.outputs[0]
    layer = output._keras_history.operation
    if isinstance(layer, keras.layers.Dense) and layer.activation in _ENDS:
        scores = keras.ops.matmul(layer.input, layer.kernel)
        return scores if layer.bias is None else scores + layer.bias
    if isinstance(layer, keras.layers.Softmax):
        return layer.input
    if isinstance(layer, keras.layers.Activation) and layer.activation in _ENDS:
        return layer.input
    if isinstance(layer, keras.layers.Dense) and layer.activation is keras.activations.linear:
        return output
    raise InputError(
        "`model` must end in class probabilities of a softmax, or in sigmoids of labels. Received: "
        f"model={model.name!r}, which ends in {layer.name!r}; a hybrid is explained by occlusion."
    )


def has_labels(model: keras.Model) -> bool:
    """Tell whether a model gives the probability of each of several labels by itself, by sigmoids.

    Args:
        model: As for `find_scores`.
    """
    layer = model.outputs[0]._keras_history.operation
    return getattr(layer, "activation", None) is keras.activations.sigmoid


def check_images(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return images as an array, of the shape that a network takes.

    Raises:
        InputError: If they have another one, or are no numbers in 0..255.
    """
    images, expected = np.asarray(images), model.input_shape
    if images.ndim != 4 or any(want not in (None, got) for want, got in zip(expected, images.shape, strict=True)):
        shape = ["n", *("any" if side is None else side for side in expected[1:])]
        raise InputError(f"{_RANGE}, [{', '.join(map(str, shape))}]. Received: shape {list(images.shape)}.")
    check_ranges(images, _RANGE)
    return images


def check_classes(class_index: int | np.ndarray, n: int, num_classes: int) -> np.ndarray:
    """Return one class for each of n images, int [n].

    Args:
        class_index: One for all, or one for each image.
        n: How many images there are.
        num_classes: How many classes there are.

    Raises:
        InputError: If there are more or fewer, or one is no class.

    >>> check_classes(1, 3, 2).tolist()
    [1, 1, 1]
    """
    wanted = np.asarray(class_index)
    if wanted.dtype.kind not in "iu" or wanted.shape not in ((), (n,)):
        raise InputError(
            f"`class_index` must be a whole number, or one for each of the {n} images. Received: {wanted.tolist()!r}."
        )
    if ((wanted < 0) | (wanted >= num_classes)).any():
        raise InputError(f"`class_index` must be from 0 to {num_classes - 1}. Received: {wanted.tolist()!r}.")
    return np.broadcast_to(wanted, n).astype("int64")


def normalise(maps: np.ndarray, cap: float = 100.0) -> np.ndarray:
    """Bring each map to 0..1: evidence against the class becomes 0, the rest is divided by its largest value.

    The colours of two images can therefore not be compared: each has a 1, however weak its evidence. A map without
    anything positive is 0 everywhere.

    Args:
        maps: [n, height, width], any sign.
        cap: The percentile of a map that becomes 1; what lies above it, too.

    Returns:
        float32 [n, height, width].

    >>> normalise(np.array([[[2.0, -1.0, 4.0]], [[0.0, 0.0, -3.0]]])).tolist()
    [[[0.5, 0.0, 1.0]], [[0.0, 0.0, 0.0]]]
    """
    positive = np.maximum(np.asarray(maps, "float64"), 0)
    tops = np.percentile(positive, cap, axis=(1, 2), keepdims=True)
    tops = np.where(tops > 0, tops, positive.max(axis=(1, 2), keepdims=True))
    return np.minimum(positive / np.where(tops > 0, tops, 1), 1).astype("float32")


def broadcast_colour(colour: float | np.ndarray | None, images: np.ndarray) -> np.ndarray:
    """Return an image without content for each image: float64, broadcast to the shape of the images.

    Args:
        colour: A grey value, an RGB triple or an image, in 0..255; None: the mean colour of each image.
        images: [n, height, width, 3].

    Raises:
        InputError: If it is none of these.
    """
    if colour is None:
        return np.broadcast_to(images.mean(axis=(1, 2), keepdims=True, dtype="float64"), images.shape)
    try:
        plain = np.broadcast_to(np.asarray(colour, "float64"), images.shape)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"A colour must be a number, three of them, an image, or None. Received: {colour!r}."
        ) from error
    if not ((plain >= 0) & (plain <= 255)).all():
        raise InputError(f"A colour must be in 0..255. Received: {colour!r}.")
    return plain


def _find_tensors(model, name):
    # After its last encoder layer, a class token has taken up all that it can: the other tokens have no gradient.
    if name == LAST and any(layer.name == "pool_class" for layer in model.layers):
        return partition(model, "layer")[-2].output
    return _find_block(model, name).output


def _find_block(model, name) -> Block:
    try:
        blocks = partition(model)
    except ValueError as error:
        raise InputError(
            f"Class activation maps need a network that can be cut into blocks; occlusion does not. Received: {error}"
        ) from error
    found = {block.name: block for block in blocks} | {LAST: blocks[-1]}
    if name not in found:
        raise InputError(
            f"`block` must be one of {', '.join(found)}.{did_you_mean(name, found)} Received: block={name!r}."
        )
    return found[name]


def _as_list(tensors) -> list[keras.KerasTensor]:
    return list(tensors) if isinstance(tensors, tuple) else [tensors]
