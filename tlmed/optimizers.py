"""Optimizers made afresh for each phase, with a learning rate of its own for each part of the network."""

import tlmed.tensorflow_start

from collections.abc import Mapping

import keras

_ELSEWHERE = ("name", "learning_rate", "use_ema", "ema_momentum")  # a phase says the first two; the average is off


def list_settings(name: str) -> dict[str, float | bool]:
    """Return the settings of an optimizer that a recipe cannot change: defaults of Keras, which a release may move.

    >>> list_settings("sgd"), list_settings("adamw")["weight_decay"]
    ({'momentum': 0.0, 'nesterov': False}, 0.004)
    """
    config = make_optimizer(name, 1.0).get_config()
    return {key: value for key, value in config.items() if value is not None and key not in _ELSEWHERE}


def make_optimizer(
    name: str, learning_rate: float, factors: Mapping[int, float] | None = None
) -> keras.optimizers.Optimizer:
    """Return a fresh Keras optimizer, discriminative where factors are given (Howard & Ruder 2018, section 3.2).

    Scaling gradients instead would do nothing under Adam and its kin, which divide by the gradients' size.

    Args:
        name: An optimizer of Keras, such as `"adam"`.
        learning_rate: The step size.
        factors: `id` of a Keras variable to what its learning rate (and decoupled weight decay) is multiplied with;
            1 for all others.

    >>> make_optimizer("adam", 0.5).learning_rate.numpy().item()
    0.5
    """
    plain = keras.optimizers.get({"class_name": name, "config": {"learning_rate": learning_rate}})
    if not factors or set(factors.values()) == {1.0}:
        return plain

    class Discriminative(type(plain)):
        """The same optimizer, whose step for a variable is scaled."""

        def build(self, variables):
            """Note the factors in the order of the variables, by which the optimizer finds its own state too."""
            super().build(variables)
            self._factors = tuple(factors.get(id(variable), 1.0) for variable in variables)

        def update_step(self, gradient, variable, learning_rate):
            """Update a variable at its own rate."""
            factor = self._factors[self._get_variable_index(variable)]
            super().update_step(gradient, variable, learning_rate * factor)

        def _apply_weight_decay(self, variables):
            if self.weight_decay is None:
                return
            decay = self.weight_decay
            for variable in variables:
                self.weight_decay = decay * self._factors[self._get_variable_index(variable)]
                super()._apply_weight_decay([variable])
            self.weight_decay = decay

    return Discriminative.from_config(plain.get_config())
