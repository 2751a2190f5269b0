"""Maps from gradients of a class's score before softmax: class activation maps of a block, attributions of pixels."""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tlmed.errors import InputError
from tlmed.evaluation.explanations.halves import (
    Halves,
    broadcast_colour,
    check_classes,
    check_images,
    cut,
    find_scores,
    normalise,
)
from tlmed.features.taps import LAST

BATCH_SIZE = 32
STEPS = 50  # of integrated gradients; the paper finds 20 to 300 enough (section 5)
_PATH_BATCH = 16  # small, because a gradient by the pixels keeps the outputs of all layers in memory
# A handful of pixels has most of an attribution, and all others would be black beside them; the cap is that of Smilkov
# et al., SmoothGrad: removing noise by adding noise, 2017, section 3.2.
CAP = 99.0


def grad_cam(
    model: keras.Model,
    images: np.ndarray,
    class_index: int | np.ndarray,
    block: str = LAST,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Return Grad-CAM's maps: the block's feature maps, each weighted by how much the class's score rises with it.

    After Selvaraju et al., Grad-CAM: visual explanations from deep networks via gradient-based localization (ICCV
    2017), equations 1 and 2, of the score before softmax. Weights are sums of the gradients over rows and columns where
    the paper has means, which is the same after normalisation. Of several backbones the weighted maps are added before
    negative values are cut off, each brought to the size of the largest first: by sums, a backbone counts for what
    it adds to the score, whatever its resolution, and two of one size give the map of both side by side.

    Args:
        model: A functional classifier from raw images to class probabilities; it is left as it is.
        images: uint8 [n, height, width, 3], RGB at the network's size.
        class_index: The class to explain, 0..k-1: one for all, or one for each image [n].
        block: A block's name, as `tlmed.blocks.partition` gives them, or "last".
        batch_size: Images that pass through the network at a time.

    Returns:
        float32 [n, height, width]: 0 where nothing speaks for the class, 1 where most does in this image.

    Raises:
        InputError: If the network has no such block or no feature map, or images or classes do not fit it.

    >>> layers = keras.layers
    >>> ends = [layers.GlobalAveragePooling2D(), layers.Dense(2, "softmax")]
    >>> net = keras.Sequential([keras.Input((6, 8, 3)), layers.Conv2D(4, 3, activation="relu"), *ends])
    >>> grad_cam(net, np.zeros((5, 6, 8, 3), "uint8"), class_index=1, block="block1").shape
    (5, 6, 8)
    """
    return activation_maps(cut(model, block), weigh_by_gradient, images, class_index, batch_size)


def grad_cam_plus_plus(
    model: keras.Model,
    images: np.ndarray,
    class_index: int | np.ndarray,
    block: str = LAST,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Return Grad-CAM++'s maps, which do not forget a second or a small region of the same class.

    After Chattopadhay et al., Grad-CAM++: generalized gradient-based visual explanations for deep convolutional
    networks (WACV 2018), equation 19 for the weights of single places. It holds for the exponential of the score before
    softmax. Its derivatives of second and third order are powers of the first where all layers after the block are
    piecewise linear (pooling, dense layers, ReLU). This is so after the last block; after an earlier block with another
    activation it is an approximation. The exponential itself is a factor common to a map, and left out.

    Args:
        model: As in `grad_cam`.
        images: As in `grad_cam`.
        class_index: As in `grad_cam`.
        block: As in `grad_cam`.
        batch_size: As in `grad_cam`.

    Returns:
        float32 [n, height, width], 0..1, as `grad_cam` does.

    Raises:
        InputError: As for `grad_cam`.

    >>> layers = keras.layers
    >>> ends = [layers.GlobalAveragePooling2D(), layers.Dense(2, "softmax")]
    >>> net = keras.Sequential([keras.Input((6, 8, 3)), layers.Conv2D(4, 3, activation="relu"), *ends])
    >>> grad_cam_plus_plus(net, np.zeros((5, 6, 8, 3), "uint8"), class_index=[0, 0, 1, 1, 0]).shape
    (5, 6, 8)
    """
    return activation_maps(cut(model, block), weigh_by_place, images, class_index, batch_size)


def activation_maps(
    halves: Halves,
    weigh: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    images: np.ndarray,
    class_index: int | np.ndarray,
    batch_size: int = BATCH_SIZE,
) -> np.ndarray:
    """Return class activation maps of a network that is cut already; see `grad_cam` for the other arguments.

    Args:
        halves: From `cut`.
        weigh: Feature maps and gradients [b, rows, columns, k] to weights [b, k]: `weigh_by_gradient` or
            `weigh_by_place`.
        images: uint8 [n, height, width, 3].
        class_index: One, or [n].
        batch_size: Images at a time.
    """
    images = check_images(halves.before, images)
    wanted = check_classes(class_index, len(images), halves.after.output_shape[-1])
    maps = np.zeros(images.shape[:3], "float32")
    for start in range(0, len(images), batch_size):
        rows = slice(start, start + batch_size)
        coarse = _activate(halves, weigh, images[rows], wanted[rows])
        maps[rows] = _resize(coarse, images.shape[1:3])
    return normalise(maps)


def weigh_by_gradient(maps: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """Return Grad-CAM's weights of feature maps [b, k], from maps and gradients [b, rows, columns, k]."""
    return tf.reduce_sum(gradients, axis=(1, 2))


def weigh_by_place(maps: tf.Tensor, gradients: tf.Tensor) -> tf.Tensor:
    """Return Grad-CAM++'s weights of feature maps [b, k], from maps and gradients [b, rows, columns, k].

    Equation 19, alpha = g^2 / (2 g^2 + g^3 sum(A)), is divided by g^2: only places with a gradient g above 0 count, so
    that nothing is divided by 0. Feature maps should come after a ReLU. The sum of others can be negative; it counts as
    0 then, because otherwise the fraction could have a pole.
    """
    rising = tf.nn.relu(gradients)
    sums = tf.nn.relu(tf.reduce_sum(maps, axis=(1, 2), keepdims=True))
    return tf.reduce_sum(rising / (2 + rising * sums), axis=(1, 2))


def integrated_gradients(
    model: keras.Model,
    images: np.ndarray,
    class_index: int | np.ndarray,
    steps: int = STEPS,
    baseline: float | np.ndarray | None = None,
) -> np.ndarray:
    """Return maps of the pixels that raise the class's score against an image without content.

    Args:
        model: As in `grad_cam`; any functional classifier, blocks or not.
        images: As in `grad_cam`.
        class_index: As in `grad_cam`.
        steps: As in `attribute_pixels`.
        baseline: As in `attribute_pixels`.

    Returns:
        float32 [n, height, width]: the attributions of `attribute_pixels`, added over the colours, those below 0 cut
        off, divided by their 99th percentile and cut off at 1.

    Raises:
        InputError: As for `attribute_pixels`.

    >>> net = keras.Sequential([keras.Input((2, 2, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    >>> integrated_gradients(net, np.full((1, 2, 2, 3), 9, "uint8"), 0, baseline=0).shape
    (1, 2, 2)
    """
    return show_attributions(attribute_pixels(model, images, class_index, steps, baseline))


def show_attributions(attributions: np.ndarray) -> np.ndarray:
    """Return maps, float32 [n, height, width], 0..1, from the signed attributions of pixels [n, height, width, 3]."""
    return normalise(attributions.sum(axis=-1), CAP)


def attribute_pixels(
    model: keras.Model,
    images: np.ndarray,
    class_index: int | np.ndarray,
    steps: int = STEPS,
    baseline: float | np.ndarray | None = None,
) -> np.ndarray:
    """Share out, by integrated gradients, how far the class's score lies above that of a baseline.

    After Sundararajan et al., Axiomatic attribution for deep networks (ICML 2017), equation 3, of the score before
    softmax, with the middle of each step in place of its end, which errs less. With enough steps, the attributions add
    up to the difference of the two scores (their axiom of completeness).

    Args:
        model: A functional classifier from raw images to class probabilities; it is left as it is.
        images: uint8 [n, height, width, 3], RGB at the network's size.
        class_index: The class to explain, 0..k-1: one for all, or one for each image [n].
        steps: Steps on the straight line from the baseline to the image; each costs a forward and a backward pass.
        baseline: What counts as nothing: a grey value, an RGB triple or an image, in 0..255; None: the mean colour of
            each image. Pixels in the colour of the baseline get nothing, such as a dark lesion against black.

    Returns:
        Signed attributions, float64 [n, height, width, 3].

    Raises:
        InputError: If images, classes, steps or baseline do not fit.

    >>> net = keras.Sequential([keras.Input((1, 1, 3)), keras.layers.Flatten(), keras.layers.Dense(2, "softmax")])
    >>> net.layers[-1].set_weights([np.array([[2.0, 0], [1, 0], [0, 0]]), np.zeros(2)])
    >>> attribute_pixels(net, np.full((1, 1, 1, 3), 10, "uint8"), 0, baseline=4).ravel().tolist()
    [12.0, 6.0, 0.0]
    """
    return share_out(trace_gradient(model), model, images, class_index, steps, baseline)


def share_out(
    gradient: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    model: keras.Model,
    images: np.ndarray,
    class_index: int | np.ndarray,
    steps: int = STEPS,
    baseline: float | np.ndarray | None = None,
) -> np.ndarray:
    """Return what `attribute_pixels` does, from a gradient that is traced already; see there for the arguments.

    Args:
        gradient: From `trace_gradient`.
        model: The model that it was traced for.
        images: uint8 [n, height, width, 3].
        class_index: One, or [n].
        steps: From the baseline to the image.
        baseline: What counts as nothing.
    """
    if not isinstance(steps, int) or steps < 1:
        raise InputError(f"`steps` must be a whole number of 1 or more. Received: steps={steps!r}.")
    images = check_images(model, images)
    wanted = check_classes(class_index, len(images), model.output_shape[-1])
    starts = broadcast_colour(baseline, images)
    positions = (np.arange(steps) + 0.5) / steps
    attributions = np.zeros(images.shape)
    for i, (image, start) in enumerate(zip(images.astype("float64"), starts, strict=True)):
        for first in range(0, steps, _PATH_BATCH):
            path = start + positions[first : first + _PATH_BATCH, None, None, None] * (image - start)
            found = gradient(tf.constant(path, "float32"), tf.constant(wanted[i]))
            attributions[i] += found.numpy().sum(axis=0, dtype="float64")
        attributions[i] *= (image - start) / steps
    return attributions


def trace_gradient(model: keras.Model) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Return a function from images [b, height, width, 3] and a class to the gradient of its score by the pixels.

    It is traced once, for any number of images: a path has many, and a graph is more than twice as fast.

    Args:
        model: A functional classifier from raw images to class probabilities.
    """
    network = keras.Model(model.inputs[0], find_scores(model))

    @tf.function(input_signature=[tf.TensorSpec(model.input_shape, tf.float32), tf.TensorSpec((), tf.int64)])
    def differentiate(images, wanted):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(images)
            scores = tf.gather(network(images, training=False), wanted, axis=1)
        return tape.gradient(scores, images)

    return differentiate


def _activate(halves, weigh, images, wanted) -> tf.Tensor:
    """Return unnormalised maps [b, rows, columns], of the size of the largest feature map."""
    maps = keras.tree.flatten(halves.before(tf.cast(images, "float32"), training=False))  # of one Keras gives no list
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(maps)
        scores = tf.gather(halves.after(maps, training=False), wanted, axis=1, batch_dims=1)
    gradients = tape.gradient(scores, maps)
    pairs = [[_lay_out(values[i], halves.grids[i]) for values in (maps, gradients)] for i in halves.seen]
    parts = [tf.einsum("nk,nhwk->nhw", weigh(values, slopes), values) for values, slopes in pairs]
    size = tuple(max(part.shape[axis] for part in parts) for axis in (1, 2))
    return tf.nn.relu(tf.add_n([_resize(part, size) for part in parts]))


def _lay_out(tokens, grid) -> tf.Tensor:
    """Return tokens as a map [b, rows, columns, k], without those of no place; a map stays as it is."""
    if grid is None:
        return tokens
    return tf.reshape(tokens[:, grid.extra :], (-1, grid.rows, grid.columns, tokens.shape[-1]))


def _resize(maps, size) -> tf.Tensor:
    return tf.image.resize(maps[..., None], size, "bilinear")[..., 0]
