"""The classic networks that `keras.applications` lacks, each reading like the table of its paper.

The builders take what those of `keras.applications` take. There are no ImageNet weights to download: `weights` is None
(random) or a file that `save_weights` wrote. Layers that paper and Caffe name have those names.

>>> LeNet5(include_top=False, input_shape=(32, 32, 3)).count_params()
1716
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import keras
from keras.applications import imagenet_utils

IMAGENET_MEAN = (123.68, 116.779, 103.939)  # RGB, of pixels in 0..255
CIFAR10_MEAN = (125.307, 122.950, 113.865)

# Which of S2's maps each map of C3 looks at: LeCun et al. 1998, table I, column by column.
C3_INPUTS = (
    *((0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 5), (0, 4, 5), (0, 1, 5)),
    *((0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4, 5), (0, 3, 4, 5), (0, 1, 4, 5), (0, 1, 2, 5)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5)),
    (0, 1, 2, 3, 4, 5),
)

conv = functools.partial(keras.layers.Conv2D, padding="same", activation="relu")
max_pool = functools.partial(keras.layers.MaxPooling2D, pool_size=3, strides=2)


def black_ink(images, data_format=None):
    """Map white (255) to -0.1 and black (0) to 1.175, as LeNet-5 got its digits (LeCun et al. 1998, p. 7)."""
    # 1.275 is the distance from ink (1.175) to paper (-0.1).
    return 1.175 - images * (1.275 / 255)


def less_imagenet_mean(images, data_format=None):
    """Subtract ImageNet's mean colour from RGB images in 0..255."""
    return images - IMAGENET_MEAN


def less_cifar10_mean(images, data_format=None):
    """Subtract CIFAR-10's mean colour from RGB images in 0..255."""
    return images - CIFAR10_MEAN


# Caffe: BGR less ImageNet's mean colour.
caffe = functools.partial(imagenet_utils.preprocess_input, mode="caffe")


def takes(preprocess_input: Callable) -> Callable[[Callable], Callable]:
    """Note beside a builder, as its attribute `preprocess_input`, what turns RGB in 0..255 into its input."""

    def mark(builder):
        builder.preprocess_input = preprocess_input
        return builder

    return mark


@takes(black_ink)
def LeNet5(
    include_top=True, weights=None, input_tensor=None, input_shape=None, pooling=None, classes=10, name="lenet5"
):
    """Draw LeNet-5: 1,716 weights in its feature maps, 60,000 up to F6.

    Colour becomes grey, the mean of the channels. In the top, a dense layer stands for the original's output units,
    whose codes are fixed. After LeCun et al., Gradient-based learning applied to document recognition (Proceedings of
    the IEEE 86, 1998), section II.B.

    Args:
        include_top: Whether C5, F6 and the output follow the feature maps.
        weights: None (random) or the path of a file of weights.
        input_tensor: A symbolic tensor to draw it on.
        input_shape: (height, width, channels), at least 32 x 32, which is also the default.
        pooling: "avg" or "max" over the feature map, without the top.
        classes: Number of output units.
        name: Name of the model.

    Returns:
        A functional model.

    Raises:
        ValueError: The image is too small.
    """
    images = _images(input_tensor, input_shape, usual=32, least=32)
    x = keras.ops.mean(images, axis=-1, keepdims=True)
    x = _squash(keras.layers.Conv2D(6, 5, name="c1")(x))
    x = _subsample(x, name="s2")
    x = _squash(_connect_by_table(x, C3_INPUTS, 5, name="c3"))
    x = _subsample(x, name="s4")
    if include_top:
        x = _squash(keras.layers.Conv2D(120, 5, name="c5")(x))  # dense only at 32 x 32, where S4 has 5 x 5 values
        x = keras.layers.Flatten(name="flatten")(x)
        x = _squash(keras.layers.Dense(84, name="f6")(x))
        x = keras.layers.Dense(classes, activation="softmax", name="output")(x)
    return _finish(images, x, include_top, pooling, weights, name)


@takes(less_imagenet_mean)
def AlexNet(
    include_top=True, weights=None, input_tensor=None, input_shape=None, pooling=None, classes=1000, name="alexnet"
):
    """Draw AlexNet with its two groups: 2.33 M weights in its feature maps, 60.97 M in all.

    The padding before conv1 makes its maps 55 x 55 where images are 224 x 224. After Krizhevsky et al., ImageNet
    classification with deep convolutional neural networks (NIPS 2012), section 3.

    Args, returns and raises as for `LeNet5`; images are at least 64 x 64; with the top, 224 x 224 by default.
    """
    images = _images(input_tensor, input_shape, usual=224, least=64)
    x = keras.layers.ZeroPadding2D(((1, 2), (1, 2)), name="conv1_pad")(images)
    x = conv(96, 11, strides=4, padding="valid", name="conv1")(x)
    x = normalise_responses(x, bias=2, alpha=1e-4)
    x = max_pool(name="pool1")(x)
    x = _convolve_in_two_groups(x, 256, 5, name="conv2")
    x = normalise_responses(x, bias=2, alpha=1e-4)
    x = max_pool(name="pool2")(x)
    x = conv(384, 3, name="conv3")(x)
    x = _convolve_in_two_groups(x, 384, 3, name="conv4")
    x = _convolve_in_two_groups(x, 256, 3, name="conv5")
    x = max_pool(name="pool5")(x)
    if include_top:
        x = _classify(x, classes)
    return _finish(images, x, include_top, pooling, weights, name)


@takes(caffe)
def CaffeNet(
    include_top=True, weights=None, input_tensor=None, input_shape=None, pooling=None, classes=1000, name="caffenet"
):
    """Draw CaffeNet: AlexNet with pooling before normalisation, as in Caffe's reference network.

    After Jia et al., Caffe: convolutional architecture for fast feature embedding (ACM Multimedia 2014).

    Args, returns and raises as for `LeNet5`; images are at least 67 x 67; with the top, 227 x 227 by default.
    """
    images = _images(input_tensor, input_shape, usual=227, least=67)
    x = conv(96, 11, strides=4, padding="valid", name="conv1")(images)
    x = max_pool(name="pool1")(x)
    x = normalise_responses(x)
    x = _convolve_in_two_groups(x, 256, 5, name="conv2")
    x = max_pool(name="pool2")(x)
    x = normalise_responses(x)
    x = conv(384, 3, name="conv3")(x)
    x = _convolve_in_two_groups(x, 384, 3, name="conv4")
    x = _convolve_in_two_groups(x, 256, 3, name="conv5")
    x = max_pool(name="pool5")(x)
    if include_top:
        x = _classify(x, classes)
    return _finish(images, x, include_top, pooling, weights, name)


@takes(less_imagenet_mean)
def GoogLeNet(
    include_top=True, weights=None, input_tensor=None, input_shape=None, pooling=None, classes=1000, name="googlenet"
):
    """Draw GoogLeNet without its auxiliary heads: 5.97 M weights in its feature maps, 7.00 M in all.

    After Szegedy et al., Going deeper with convolutions (CVPR 2015), table 1.

    Args, returns and raises as for `LeNet5`; images are at least 32 x 32; with the top, 224 x 224 by default.
    """
    images = _images(input_tensor, input_shape, usual=224, least=32)
    x = conv(64, 7, strides=2, name="conv1")(images)
    x = max_pool(padding="same", name="pool1")(x)
    x = normalise_responses(x)
    x = conv(64, 1, name="conv2_reduce")(x)
    x = conv(192, 3, name="conv2")(x)
    x = normalise_responses(x)
    x = max_pool(padding="same", name="pool2")(x)
    # columns: 1x1, 3x3 reduce, 3x3, 5x5 reduce, 5x5, projection of the pooling
    x = _inception(x, _Widths(64, 96, 128, 16, 32, 32), name="inception_3a")
    x = _inception(x, _Widths(128, 128, 192, 32, 96, 64), name="inception_3b")
    x = max_pool(padding="same", name="pool3")(x)
    x = _inception(x, _Widths(192, 96, 208, 16, 48, 64), name="inception_4a")
    x = _inception(x, _Widths(160, 112, 224, 24, 64, 64), name="inception_4b")
    x = _inception(x, _Widths(128, 128, 256, 24, 64, 64), name="inception_4c")
    x = _inception(x, _Widths(112, 144, 288, 32, 64, 64), name="inception_4d")
    x = _inception(x, _Widths(256, 160, 320, 32, 128, 128), name="inception_4e")
    x = max_pool(padding="same", name="pool4")(x)
    x = _inception(x, _Widths(256, 160, 320, 32, 128, 128), name="inception_5a")
    x = _inception(x, _Widths(384, 192, 384, 48, 128, 128), name="inception_5b")
    if include_top:
        x = keras.layers.GlobalAveragePooling2D(name="pool5")(x)
        x = keras.layers.Dropout(0.4, name="drop")(x)
        x = keras.layers.Dense(classes, activation="softmax", name="output")(x)
    return _finish(images, x, include_top, pooling, weights, name)


@takes(less_cifar10_mean)
def CifarNet(
    include_top=True, weights=None, input_tensor=None, input_shape=None, pooling=None, classes=10, name="cifarnet"
):
    """Draw CifarNet, the "quick" network of cuda-convnet and Caffe: 79,328 weights in its feature maps, 145,578 in all.

    Shin et al., Deep convolutional neural networks for computer-aided detection (IEEE Transactions on Medical Imaging
    35, 2016), section III.A, compare it with AlexNet and GoogLeNet.

    Args, returns and raises as for `LeNet5`; images are at least 8 x 8; with the top, 32 x 32 by default.
    """
    images = _images(input_tensor, input_shape, usual=32, least=8)
    x = conv(32, 5, activation=None, name="conv1")(images)  # as in Caffe, pooling comes before the first ReLU only
    x = max_pool(padding="same", name="pool1")(x)
    x = keras.layers.ReLU(name="relu1")(x)
    x = conv(32, 5, name="conv2")(x)
    x = keras.layers.AveragePooling2D(3, strides=2, padding="same", name="pool2")(x)
    x = conv(64, 5, name="conv3")(x)
    x = keras.layers.AveragePooling2D(3, strides=2, padding="same", name="pool3")(x)
    if include_top:
        x = keras.layers.Flatten(name="flatten")(x)
        x = keras.layers.Dense(64, name="ip1")(x)
        x = keras.layers.Dense(classes, activation="softmax", name="ip2")(x)
    return _finish(images, x, include_top, pooling, weights, name)


def normalise_responses(x, bias: float = 1, alpha: float = 2e-5, beta: float = 0.75, maps: int = 5):
    """Divide each value by a power of what neighbouring maps respond at the same place.

    `x / (bias + alpha * sum of squares over the maps around)**beta`, after Krizhevsky et al. 2012, section 3.3. The
    defaults are Caffe's, whose alpha of 1e-4 is shared out among the five maps.

    Args:
        x: Feature maps [batch, rows, columns, channels].
        bias: Keeps the divisor from 0.
        alpha: Weight of the sum of squares.
        beta: The power.
        maps: How many maps are summed, the one itself in their middle; an odd number.

    Returns:
        A tensor of the same shape.
    """
    channels = x.shape[-1]
    # Half a window of zeros on both sides of the channels: slice i is then the maps shifted by i - maps // 2.
    squares = keras.ops.pad(keras.ops.square(x), [(0, 0), (0, 0), (0, 0), (maps // 2, maps // 2)])
    around = functools.reduce(keras.ops.add, [squares[..., i : i + channels] for i in range(maps)])
    return x / (bias + alpha * around) ** beta


def _squash(x):
    """Return 1.7159 tanh(2/3 x), the squashing function of LeCun et al. 1998, appendix A."""
    return 1.7159 * keras.ops.tanh(x * (2 / 3))


def _subsample(x, name: str):
    """Halve a map: the mean of 2 x 2 values, with one coefficient and one bias per map, squashed.

    Coefficient and bias are applied before the mean. The result is the same, and all weights of the layer stay at one
    resolution.
    """
    x = keras.layers.DepthwiseConv2D(1, depthwise_initializer="ones", name=name)(x)
    return _squash(keras.layers.AveragePooling2D(2, name=f"{name}_mean")(x))


def _connect_by_table(x, table: Sequence[Sequence[int]], size: int, name: str):
    """Compute each map by a convolution of its own choice of the maps before it."""
    parts = keras.ops.split(x, x.shape[-1], axis=-1)  # traced in three quarters of the time that gathering takes
    chosen = [keras.ops.concatenate([parts[i] for i in inputs], axis=-1) for inputs in table]
    maps = [keras.layers.Conv2D(1, size, name=f"{name}_{i}")(choice) for i, choice in enumerate(chosen)]
    return keras.layers.Concatenate(name=name)(maps)


def _convolve_in_two_groups(x, filters: int, size: int, name: str):
    """Convolve each half of the maps by itself, as on the two GPUs of the paper.

    There are two layers instead of `groups=2`, because TensorFlow cannot train grouped convolutions on a CPU without
    XLA.
    """
    halves = keras.ops.split(x, 2, axis=-1)
    maps = [conv(filters // 2, size, name=f"{name}_{i}")(half) for i, half in enumerate(halves, 1)]
    return keras.layers.Concatenate(name=name)(maps)


@dataclass(frozen=True)
class _Widths:
    """Maps that each convolution of an inception module gives, in the order of the columns of the paper's table 1."""

    one: int
    reduce3: int
    three: int
    reduce5: int
    five: int
    projection: int


def _inception(x, widths: _Widths, name: str):
    """Join four kinds of convolution of the same maps: Szegedy et al. 2015, figure 2b."""
    pooled = max_pool(strides=1, padding="same", name=f"{name}_pool")(x)
    ways = [
        conv(widths.one, 1, name=f"{name}_1x1")(x),
        conv(widths.three, 3, name=f"{name}_3x3")(conv(widths.reduce3, 1, name=f"{name}_3x3_reduce")(x)),
        conv(widths.five, 5, name=f"{name}_5x5")(conv(widths.reduce5, 1, name=f"{name}_5x5_reduce")(x)),
        conv(widths.projection, 1, name=f"{name}_pool_proj")(pooled),
    ]
    return keras.layers.Concatenate(name=name)(ways)


def _classify(x, classes: int):
    """Add the three fully connected layers of AlexNet and CaffeNet."""
    x = keras.layers.Flatten(name="flatten")(x)
    for i in (6, 7):
        x = keras.layers.Dense(4096, activation="relu", name=f"fc{i}")(x)
        x = keras.layers.Dropout(0.5, name=f"drop{i}")(x)
    return keras.layers.Dense(classes, activation="softmax", name="fc8")(x)


def _images(input_tensor, input_shape, usual: int, least: int):
    """Return the tensor that a network is drawn on.

    Raises:
        ValueError: The images are smaller than `least`.
    """
    shape = input_shape or ((usual, usual, 3) if input_tensor is None else tuple(input_tensor.shape[1:]))
    if any(side is not None and side < least for side in shape[:2]):
        raise ValueError(f"Input size must be at least {least}x{least}. Received: input_shape={tuple(shape)}")
    return keras.Input(shape, name="images") if input_tensor is None else input_tensor


def _finish(images, x, include_top, pooling, weights, name: str) -> keras.Model:
    if not include_top and pooling is not None:
        layers = {"avg": keras.layers.GlobalAveragePooling2D, "max": keras.layers.GlobalMaxPooling2D}
        x = layers[pooling](name=f"{pooling}_pool")(x)
    # `input_tensor` may come from layers before it, such as preprocessing: the model starts at the images.
    (source,) = keras.utils.get_source_inputs(images)
    model = keras.Model(source, x, name=name)
    if weights is not None:
        model.load_weights(weights)
    return model
