"""Mixup: train on mixtures of two images, or of what frozen blocks give for them, and mix the losses likewise."""

import tlmed.tensorflow_start

import threading
from collections.abc import Callable
from dataclasses import dataclass

import keras

Tensor = keras.KerasTensor


@dataclass(frozen=True)
class Pairs:
    """Which elements of a batch were mixed.

    Attributes:
        partners: The number of each element's partner, [b]; each element is the partner of one.
        shares: The share of the element itself, 0.5 to 1, [b].
    """

    partners: Tensor
    shares: Tensor

    def mix(self, values: Tensor) -> Tensor:
        """Return `share * own + (1 - share) * partner` for each element [b, ...] (Zhang et al. 2018, equation 1)."""
        shape = (-1, *[1] * (len(values.shape) - 1))
        shares = keras.ops.cast(keras.ops.reshape(self.shares, shape), values.dtype)
        return shares * values + (1 - shares) * self.take(values)

    def take(self, values: Tensor) -> Tensor:
        """Return for each element the value of its partner."""
        return keras.ops.take(values, self.partners, axis=0)


class Mixup(keras.layers.Layer):
    """Mix each element of a batch with another one while training.

    A share and 1 minus it are drawn equally often, so that each element may be the larger part: the accuracy in
    training then counts the label of most of the mixture. Of several replicas each one mixes its own part of a batch.

    Args:
        alpha: Of the beta distribution of shares, above 0.
    """

    def __init__(self, alpha: float, **options):
        super().__init__(autocast=False, **options)
        self.alpha = alpha
        self.generator = keras.random.SeedGenerator(0)  # `thaw` sets its stream
        # Replicas run in threads of their own, which take turns in the midst of a network.
        self._drawn = threading.local()

    @property
    def pairs(self) -> Pairs:
        """What the last call drew; for the loss, in the same step."""
        return self._drawn.pairs

    def call(self, inputs, training=False):
        """Return a batch, or several tensors of one, of the same shape."""
        if not training:
            return inputs
        self._drawn.pairs = self._draw(keras.ops.shape(keras.tree.flatten(inputs)[0])[0])
        return keras.tree.map_structure(self.pairs.mix, inputs)

    def _draw(self, count) -> Pairs:
        partners = keras.ops.argsort(keras.random.uniform((count,), seed=self.generator))
        # A beta variate is a quotient of gamma variates. Their logarithms are drawn, because with a small alpha they
        # would be rounded to 0: gamma(alpha) is gamma(alpha + 1) * U^(1 / alpha) (Marsaglia & Tsang 2000).
        gammas = keras.random.gamma((2, count), self.alpha + 1, seed=self.generator)
        uniform = 1 - keras.random.uniform((2, count), seed=self.generator)  # above 0, up to 1
        logarithms = keras.ops.log(gammas) + keras.ops.log(uniform) / self.alpha
        drawn = keras.ops.sigmoid(logarithms[0] - logarithms[1])
        return Pairs(partners, keras.ops.maximum(drawn, 1 - drawn))

    def get_config(self) -> dict:
        """Return what the layer is made from."""
        return {**super().get_config(), "alpha": self.alpha}


class Mixed(keras.Model):
    """A functional network whose inputs are mixed while it trains; made like any, with a `Mixup` in front."""

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Return the loss of `fit` and `evaluate`."""

        def compute(labels, weights):
            return super(Mixed, self).compute_loss(x, labels, y_pred, weights, training)

        return mix_losses(self, compute, y, sample_weight) if training else compute(y, sample_weight)


def mix_inputs(network: keras.Model, alpha: float) -> Mixed:
    """Return a network with the same layers, before which a batch is mixed while training.

    Args:
        network: A functional model.
        alpha: As of `Mixup`.
    """
    inputs = keras.tree.map_structure(
        lambda tensor: keras.Input(batch_shape=tensor.shape, dtype=tensor.dtype), network.input
    )
    return Mixed(inputs, network(Mixup(alpha)(inputs)))


def find_mixup(model: keras.Model) -> Mixup | None:
    """Return what mixes the batches of a network in training, a classifier or the part of it that is trained."""
    route = getattr(model, "route", None)
    layers = model.layers if route is None or route.suffix is None else route.suffix.layers
    return next((layer for layer in layers if isinstance(layer, Mixup)), None)


def mix_losses(
    model: keras.Model, compute: Callable[[Tensor, Tensor | None], Tensor], labels: Tensor, weights: Tensor | None
) -> Tensor:
    """Return the loss of a batch whose elements may have been mixed: that of both labels, by their shares.

    Args:
        model: The network, in the step that called it.
        compute: Labels and the weight of each element to the loss, with the penalties of the network.
        labels: Of the elements, [b] or [b, k].
        weights: Of the elements, [b] or [b, 1]; None: 1 for all.
    """
    mixup = find_mixup(model)
    if mixup is None:
        return compute(labels, weights)
    pairs = mixup.pairs
    weights = keras.ops.ones_like(pairs.shares) if weights is None else keras.ops.reshape(weights, (-1,))
    own = compute(labels, pairs.shares * weights)
    other = compute(pairs.take(labels), (1 - pairs.shares) * pairs.take(weights))
    return own + other - sum(model.losses)  # both hold the penalties
