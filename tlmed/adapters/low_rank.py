"""LoRA: a product of two thin matrices beside a frozen kernel (Hu et al., ICLR 2022, equation 3).

Keras has `enable_lora`, which is not used here: a layer keeps its adapter for ever, in the saved file too; for a kernel
of attention [inputs, heads, size] the first matrix has a column for each head and each rank; and the product is added
to the kernel in each step, so that the gradient of the whole kernel is computed, which is a third of the work.
"""

import tlmed.tensorflow_start

import math
from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from tlmed.adapters.linear_layers import finish, multiply, runs_code_of, split_equation

ALPHA = 8  # The product counts `ALPHA / rank` times, so that a learning rate means the same for all ranks.
A, B = "lora_a", "lora_b"


@dataclass(frozen=True)
class LowRank:
    """The adapter of one layer, which multiplies with the kernel `W + ALPHA / rank * A @ B`.

    Attributes:
        layer: A dense layer, an einsum-dense one, or a convolution of one pixel.
        rank: Columns of A, rows of B.
        size: Of the kernel as a matrix: inputs and outputs.
    """

    layer: keras.layers.Layer
    rank: int
    size: tuple[int, int]

    trained = ()  # of the layer's own weights

    @property
    def shapes(self) -> dict[str, tuple[int, int]]:
        """The shapes of its variables, by name."""
        return {A: (self.size[0], self.rank), B: (self.rank, self.size[1])}

    @property
    def targets(self) -> tuple[keras.Variable, ...]:
        """The weights of the layer that it is merged into."""
        return (self.layer.kernel,)

    def begin(self, seed: int) -> dict[str, np.ndarray]:
        """Return the first values: A uniform to 1 / sqrt(inputs) as in the authors' code, B 0: nothing is changed."""
        limit = 1 / math.sqrt(self.size[0])
        drawn = np.random.RandomState(seed).uniform(-limit, limit, self.shapes[A])
        return {A: drawn.astype("float32"), B: self.rest()[B]}

    def rest(self) -> dict[str, np.ndarray]:
        """Return values of some variables with which the adapter changes nothing."""
        return {B: np.zeros(self.shapes[B], "float32")}

    def call(self, factors: Mapping[str, keras.Variable], inputs, *args, **options):
        """Return what the layer gives with its adapter. The kernel's gradient is never asked for."""
        layer = self.layer
        product = self._multiply_factors(inputs, factors)
        return finish(layer, multiply(layer, inputs) + ALPHA / self.rank * product)

    def merge(self, factors: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        """Return the values of `targets` with which the layer alone computes the same."""
        kernel = self.layer.kernel
        product = factors[A].astype("float64") @ factors[B].astype("float64")
        merged = kernel.numpy().astype("float64") + ALPHA / self.rank * product.reshape(kernel.shape)
        return (merged.astype(kernel.dtype),)

    def _multiply_factors(self, inputs, factors):
        """Multiply with A, then with B: two thin products instead of one with a kernel."""
        layer, (a, b) = self.layer, (factors[A], factors[B])
        if isinstance(layer, keras.layers.Dense):
            return keras.ops.matmul(keras.ops.matmul(inputs, a), b)
        if isinstance(layer, keras.layers.Conv2D):
            # Strides and padding are those of the first product.
            return keras.ops.matmul(layer.convolution_op(inputs, keras.ops.reshape(a, (1, 1, *a.shape))), b)
        equation = split_equation(layer)
        count = len(equation.contracted)
        a = keras.ops.reshape(a, (*layer.kernel.shape[:count], self.rank))
        b = keras.ops.reshape(b, (self.rank, *layer.kernel.shape[count:]))
        first, second = equation.through_rank()
        return keras.ops.einsum(second, keras.ops.einsum(first, inputs, a), b)


def find_matrix(layer: keras.layers.Layer) -> tuple[int, int] | None:
    """Return the size of a layer's kernel as a matrix, inputs and outputs; None where it is none that LoRA takes.

    >>> layer = keras.layers.EinsumDense("abc,cde->abde", (None, 2, 8))
    >>> layer.build((None, 5, 16))
    >>> find_matrix(layer)
    (16, 16)
    """
    if runs_code_of(layer, keras.layers.Dense):
        return tuple(layer.kernel.shape)
    if runs_code_of(layer, keras.layers.Conv2D):
        fits = layer.groups == 1 and tuple(layer.kernel_size) == (1, 1) and layer.data_format == "channels_last"
        return tuple(layer.kernel.shape[2:]) if fits else None
    if runs_code_of(layer, keras.layers.EinsumDense) and (equation := split_equation(layer)) is not None:
        count, shape = len(equation.contracted), layer.kernel.shape
        return math.prod(shape[:count]), math.prod(shape[count:])
    return None
