"""Optimizers made afresh for each phase: rates of each part, a schedule, clipping, weight decay, a moving average."""

import tlmed.tensorflow_start

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from tlmed.errors import InputError
from tlmed.sections.training import EMA_DECAY

_SPARED = ("bias", "gamma", "beta")
_ELSEWHERE = ("name", "learning_rate", "use_ema", "ema_momentum")  # a phase says the first two; the average is off


def list_settings(name: str, weight_decay: float | None = None) -> dict[str, float | bool]:
    """Return the settings of an optimizer: defaults of Keras, which a release may move, but for the weight decay.

    Args:
        name: The optimizer.
        weight_decay: What a phase says of it; None: nothing.

    >>> list_settings("sgd"), list_settings("adamw")["weight_decay"]
    ({'momentum': 0.0, 'nesterov': False}, 0.004)
    """
    config = make_optimizer(name, 1.0, Changes(weight_decay=weight_decay)).get_config()
    return {key: value for key, value in config.items() if value is not None and key not in _ELSEWHERE}


@dataclass(frozen=True)
class Changes:
    """What a phase changes in the steps of a Keras optimizer.

    Attributes:
        factors: `id` of a Keras variable to what its learning rate (and decoupled weight decay) is multiplied with; 1
            for all others (Howard & Ruder 2018, section 3.2).
        curve: The number of the step, from 0, to what all learning rates are multiplied with.
        clip_norm: The largest norm of the gradient of all variables together.
        weight_decay: The decoupled one (Loshchilov & Hutter 2019), whatever the optimizer; None: its own in Keras.
        exempt: The variables that a `weight_decay` leaves alone.
        average: Whether the exponential moving average of the variables is kept, for `read_averages`.
    """

    factors: Mapping[int, float] = field(default_factory=dict)
    curve: Callable[[tf.Tensor], tf.Tensor] | None = None
    clip_norm: float | None = None
    weight_decay: float | None = None
    exempt: Sequence[keras.Variable] = ()
    average: bool = False

    @property
    def are_none(self) -> bool:
        """Tell whether the optimizer's steps stay as they are in Keras, weight decay apart."""
        return self.curve is self.clip_norm is None and not self.average and set(self.factors.values()) <= {1.0}


NONE = Changes()


def make_optimizer(name: str, learning_rate: float, changes: Changes = NONE) -> keras.optimizers.Optimizer:
    """Return a fresh Keras optimizer, whose steps are those of a phase.

    Scaling gradients for a rate of its own would do nothing under Adam and its kin, which divide by their size.

    Args:
        name: An optimizer of Keras, such as `"adam"`.
        learning_rate: The step size.
        changes: What the phase changes.

    >>> make_optimizer("adam", 0.5).learning_rate.numpy().item()
    0.5
    """
    decay = {} if changes.weight_decay is None else {"weight_decay": changes.weight_decay}
    made = keras.optimizers.get({"class_name": name, "config": {"learning_rate": learning_rate, **decay}})
    if not changes.are_none:
        made = _subclass(type(made), changes).from_config(made.get_config())
    if decay:
        made.exclude_from_weight_decay(var_list=list(changes.exempt))
    return made


def _subclass(kind, changes) -> type[keras.optimizers.Optimizer]:
    class Changed(kind):
        """The same optimizer, with a phase's changes of its steps."""

        curve = changes.curve

        def build(self, variables):
            """Note factors and make averages in the order of the variables, by which the optimizer finds its state."""
            super().build(variables)
            self.averages = [_copy(self, variable) for variable in variables if changes.average]
            self._factors = tuple(changes.factors.get(id(variable), 1.0) for variable in variables)

        def _get_current_learning_rate(self):
            # The rate itself stays a variable, which a plateau lowers and a checkpoint keeps.
            rate = super()._get_current_learning_rate()
            return rate if changes.curve is None else rate * changes.curve(self._iterations)

        def _all_reduce_sum_gradients(self, pairs):
            # Not Keras's `global_clipnorm`: that clips what each replica has, before the sum that makes the gradient.
            pairs = super()._all_reduce_sum_gradients(pairs)
            if changes.clip_norm is None:
                return pairs
            gradients, variables = zip(*pairs, strict=True)
            return list(zip(tf.clip_by_global_norm(gradients, changes.clip_norm)[0], variables, strict=True))

        def update_step(self, gradient, variable, learning_rate):
            """Update a variable at its own rate, after its own decay, and its average."""
            number = self._get_variable_index(variable)
            factor = self._factors[number]
            if self.weight_decay is not None and self._use_weight_decay(variable):
                decay = tf.cast(self.weight_decay * factor, variable.dtype)
                self.assign_sub(variable, variable * decay * tf.cast(learning_rate, variable.dtype))
            super().update_step(gradient, variable, learning_rate * factor)
            if changes.average:
                average, share = self.averages[number], tf.cast(_share(self._iterations), variable.dtype)
                self.assign(average, share * average + (1 - share) * variable)

        def _apply_weight_decay(self, variables):
            """Leave it to `update_step`, which knows the factor: of several replicas, all come by here at once."""

    return Changed


def _copy(optimizer, variable) -> keras.Variable:
    """Return a variable of the optimizer, beginning as another: a weight that has no gradient is its own average."""
    made = optimizer.add_variable_from_reference(variable, "average")
    made.assign(variable)
    return made


def _share(step):
    # Not Keras's `use_ema`: with its fixed share the first of a thousand steps would have most of the weight, and under
    # several replicas it would update outside of their common update. This rule is that of
    # `tf.train.ExponentialMovingAverage` with `num_updates`, where the first step, of share 0, is the beginning.
    step = tf.cast(step, tf.float32)
    return tf.minimum(EMA_DECAY, step / (step + 9))


def read_averages(model: keras.Model) -> list[np.ndarray]:
    """Return the weights of a network, of those that are trained the exponential moving average over all steps so far.

    Step number n, from 0, has a share of 1 - min(0.999, n / (n + 9)) in it: while there are few steps, the average is
    mostly that of the last ninth of them.

    Args:
        model: A network that `tlmed.phases.thaw` prepared for a phase with `average="ema"`.

    Returns:
        The weights, in the order of `get_weights`.

    Raises:
        InputError: If the optimizer keeps no average.
    """
    optimizer = model.optimizer
    if not getattr(optimizer, "averages", None):
        raise InputError(
            "The network must be prepared by `thaw` for a phase with average='ema', whose optimizer keeps the average. "
            f"Received: an optimizer {type(optimizer).__name__} without one."
        )
    averages = {id(it): own for it, own in zip(optimizer._trainable_variables, optimizer.averages, strict=True)}
    return [averages.get(id(weight), weight).numpy() for weight in model.weights]


def find_exempt(variables: Iterable[keras.Variable]) -> list[keras.Variable]:
    """Return the variables that weight decay leaves alone: biases, and gamma and beta of normalisations.

    Of attention a bias is a matrix, with a row for each head; so names count beside ranks.
    """
    return [variable for variable in variables if len(variable.shape) < 2 or variable.name in _SPARED]
