"""Layers of Keras that multiply with a kernel, taken apart: the product, then bias and activation."""

import tlmed.tensorflow_start

from dataclasses import dataclass

import keras

# The code of each is known: which product it computes, and that nothing comes between it, the bias and the activation.
LINEAR = (
    keras.layers.Dense,
    keras.layers.EinsumDense,
    keras.layers.Conv2D,
    keras.layers.DepthwiseConv2D,
    keras.layers.SeparableConv2D,
)


@dataclass(frozen=True)
class Equation:
    """The letters of an einsum whose kernel is a matrix: the axes that vanish, then those that are new.

    Attributes:
        inputs: Of the inputs.
        contracted: Of the kernel's first axes, which the inputs have, too.
        new: Of its last axes, which the outputs alone have.
        outputs: Of the outputs.
    """

    inputs: str
    contracted: str
    new: str
    outputs: str

    def through_rank(self) -> tuple[str, str]:
        """Return the two equations that multiply with a matrix of few columns, then with one of few rows.

        >>> Equation("abc", "c", "de", "abde").through_rank()
        ('abc,cf->abf', 'abf,fde->abde')
        """
        used = {*self.inputs, *self.new, *self.outputs}
        rank = next(letter for letter in "abcdefghijklmnopqrstuvwxyz" if letter not in used)
        left = "".join(letter for letter in self.inputs if letter not in self.contracted) + rank
        return f"{self.inputs},{self.contracted}{rank}->{left}", f"{left},{rank}{self.new}->{self.outputs}"


def split_equation(layer: keras.layers.EinsumDense) -> Equation | None:
    """Return the equation of a layer; None where its kernel is not a matrix of inputs and outputs.

    >>> split_equation(keras.layers.EinsumDense("abc,bcd->abd", (None, 4))) is None
    True
    """
    left, outputs = layer.equation.replace(" ", "").split("->")
    inputs, kernel = left.split(",")
    contracted = "".join(letter for letter in kernel if letter in inputs)
    new = kernel.replace(contracted, "", 1) if contracted else ""
    matrix = kernel == contracted + new and new and set(new) <= set(outputs) and not set(contracted) & set(outputs)
    return Equation(inputs, contracted, new, outputs) if matrix else None


def runs_code_of(layer: keras.layers.Layer, kind: type[keras.layers.Layer]) -> bool:
    """Tell whether a built layer computes exactly what a class of Keras does: neither a user's code nor quantized."""
    if not isinstance(layer, kind) or type(layer).call is not kind.call or "call" in vars(layer) or not layer.built:
        return False
    return getattr(layer, "quantization_mode", None) is None and not getattr(layer, "lora_enabled", False)


def multiply(layer: keras.layers.Layer, inputs):
    """Return the product of a layer of `LINEAR` with its kernel, before bias and activation."""
    if isinstance(layer, keras.layers.Dense):
        return keras.ops.matmul(inputs, layer.kernel)
    if isinstance(layer, keras.layers.EinsumDense):
        return keras.ops.einsum(layer.equation, inputs, layer.kernel)
    if isinstance(layer, keras.layers.Conv2D):
        return layer.convolution_op(inputs, layer.kernel)
    options = {name: getattr(layer, name) for name in ("strides", "padding", "dilation_rate", "data_format")}
    if isinstance(layer, keras.layers.DepthwiseConv2D):
        return keras.ops.depthwise_conv(inputs, layer.kernel, **options)
    return keras.ops.separable_conv(inputs, layer.depthwise_kernel, layer.pointwise_kernel, **options)


def add_bias(layer: keras.layers.Layer, outputs):
    """Return outputs with the layer's bias, if it has one."""
    return outputs if layer.bias is None else outputs + layer.bias


def finish(layer: keras.layers.Layer, outputs):
    """Return outputs with the layer's bias, after its activation."""
    outputs = add_bias(layer, outputs)
    return outputs if layer.activation is None else layer.activation(outputs)
