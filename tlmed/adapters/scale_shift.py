"""SSF: a factor and a summand for each channel after frozen layers (Lian et al., NeurIPS 2022, equation 2)."""

import tlmed.tensorflow_start

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from tlmed.adapters.linear_layers import LINEAR, add_bias, multiply, runs_code_of, split_equation

SCALE, SHIFT = "ssf_scale", "ssf_shift"
NORMALISATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
)


@dataclass(frozen=True)
class ScaleShift:
    """The adapter of one layer, whose outputs, before an activation, become `scale * outputs + shift`.

    A layer without a weight to merge one of the two into has the other alone.

    Attributes:
        layer: A convolution, a dense layer or a normalisation.
        kernel: What the scale is merged into: a kernel or gamma; None: there is no scale.
        bias: What the shift is merged into: a bias or beta; None: there is no shift.
        channels: The shape of the channels.
    """

    layer: keras.layers.Layer
    kernel: keras.Variable | None
    bias: keras.Variable | None
    channels: tuple[int, ...]

    trained = ()  # of the layer's own weights

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of its variables, by name."""
        parts = {SCALE: self.kernel, SHIFT: self.bias}
        return {name: self.channels for name, target in parts.items() if target is not None}

    @property
    def targets(self) -> tuple[keras.Variable, ...]:
        """The weights of the layer that it is merged into."""
        return tuple(target for target in (self.kernel, self.bias) if target is not None)

    def begin(self, seed: int) -> dict[str, np.ndarray]:
        """Return the first values: 1 and 0, so that a phase begins with the network as it is."""
        return self.rest()

    def rest(self) -> dict[str, np.ndarray]:
        """Return values with which the adapter changes nothing."""
        return {name: np.full(shape, float(name == SCALE), "float32") for name, shape in self.shapes.items()}

    def call(self, parts: Mapping[str, keras.Variable], inputs, *args, **options):
        """Return what the layer gives with its adapter."""
        layer = self.layer
        if isinstance(layer, NORMALISATIONS):
            return self._adapt(parts, call_on_fixed_statistics(layer, inputs, *args, **options))
        outputs = self._adapt(parts, add_bias(layer, multiply(layer, inputs)))
        return outputs if layer.activation is None else layer.activation(outputs)

    def _adapt(self, parts, outputs):
        # A normalisation may compute in another precision than its variables are read in.
        cast = {name: keras.ops.cast(variable, outputs.dtype) for name, variable in parts.items()}
        outputs = outputs * cast[SCALE] if SCALE in cast else outputs
        return outputs + cast[SHIFT] if SHIFT in cast else outputs

    def merge(self, parts: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        """Return the values of `targets` with which the layer alone computes the same."""
        scale = parts.get(SCALE, np.ones(self.channels)).astype("float64")
        merged = []
        if self.kernel is not None:
            kernel = self.kernel.numpy()
            # The channels are the kernel's last axes: of a depthwise one [h, w, inputs, multiplier] the last two.
            depthwise = isinstance(self.layer, keras.layers.DepthwiseConv2D)
            merged.append(kernel * (scale.reshape(kernel.shape[-2:]) if depthwise else scale))
        if self.bias is not None:
            merged.append(scale * self.bias.numpy() + parts[SHIFT])
        return tuple(value.astype("float32") for value in merged)


def call_on_fixed_statistics(layer: keras.layers.Layer, inputs, *args, **options):
    """Call a normalisation; a BatchNorm with its moving statistics, whatever Keras says of training."""
    if isinstance(layer, keras.layers.BatchNormalization):
        return keras.layers.BatchNormalization.call(layer, inputs, training=False, mask=options.get("mask"))
    return type(layer).call(layer, inputs, *args, **options)


def make_scale_shift(layer: keras.layers.Layer) -> ScaleShift | None:
    """Return the adapter of a layer; None where it has no channels that a scale or a shift could be merged into."""
    if any(runs_code_of(layer, kind) for kind in NORMALISATIONS):
        return _of_normalisation(layer)
    if any(runs_code_of(layer, kind) for kind in LINEAR):
        return _of_linear(layer)
    return None


def _of_normalisation(layer) -> ScaleShift | None:
    gamma, beta = getattr(layer, "gamma", None), getattr(layer, "beta", None)
    known = gamma if gamma is not None else beta
    rank = layer.input_spec.ndim if layer.input_spec is not None else None
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[-1]
    if known is None or len(known.shape) != 1 or (axis != -1 and axis + 1 != rank):
        return None
    return ScaleShift(layer, gamma, beta, tuple(known.shape))


def _of_linear(layer) -> ScaleShift | None:
    kernel = layer.pointwise_kernel if isinstance(layer, keras.layers.SeparableConv2D) else layer.kernel
    channels = (kernel.shape[-1],)
    if isinstance(layer, keras.layers.EinsumDense):
        equation = split_equation(layer)
        if equation is None or not equation.outputs.endswith(equation.new):
            return None
        channels = tuple(kernel.shape[len(equation.contracted) :])
    elif isinstance(layer, keras.layers.DepthwiseConv2D):
        channels = (kernel.shape[-2] * kernel.shape[-1],)
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        return None
    # A bias of another shape, as einsum-dense layers can have, cannot be scaled by channels.
    if layer.bias is not None and tuple(layer.bias.shape) != channels:
        return None
    return ScaleShift(layer, kernel, layer.bias, channels)
