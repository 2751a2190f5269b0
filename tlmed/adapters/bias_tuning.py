"""BitFit: of frozen layers the biases alone are trained (Ben Zaken et al., ACL 2022)."""

import tlmed.tensorflow_start

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np

from tlmed.adapters.scale_shift import call_on_fixed_statistics

BIASES = ("bias", "beta")  # as Keras calls them; beta is the shift of a normalisation


@dataclass(frozen=True)
class BiasTuning:
    """What is trained of one layer: its bias. It adds no variables, and there is nothing to merge.

    Attributes:
        layer: The layer.
        trained: Its weights that train.
    """

    layer: keras.layers.Layer
    trained: tuple[keras.Variable, ...]

    targets = ()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of its variables: none."""
        return {}

    def begin(self, seed: int) -> dict[str, np.ndarray]:
        """Return the first values of its variables: none."""
        return {}

    def rest(self) -> dict[str, np.ndarray]:
        """Return values with which it changes nothing: none."""
        return {}

    def call(self, parts: Mapping[str, keras.Variable], inputs, *args, **options):
        """Return what the layer gives; of BatchNorm on its moving statistics, which stay."""
        return call_on_fixed_statistics(self.layer, inputs, *args, **options)

    def merge(self, parts: Mapping[str, np.ndarray]) -> tuple[np.ndarray, ...]:
        """Return the values of `targets`: none."""
        return ()


def make_bias_tuning(layer: keras.layers.Layer) -> BiasTuning | None:
    """Return what trains of a layer; None where it has no bias."""
    biases = tuple(weight for weight in layer.weights if weight.name in BIASES)
    return BiasTuning(layer, biases) if biases else None
