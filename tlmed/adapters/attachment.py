"""Give layers their adapters for a phase, and merge these into the weights after it."""

import tlmed.tensorflow_start

import contextlib
import functools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import keras

from tlmed.adapters.bias_tuning import BiasTuning, make_bias_tuning
from tlmed.adapters.low_rank import LowRank, find_matrix
from tlmed.adapters.scale_shift import ScaleShift, make_scale_shift
from tlmed.blocks import Block
from tlmed.errors import InputError
from tlmed.frozen import leaves
from tlmed.sections import Phase
from tlmed.sections.adaptation import BITFIT, LORA, NONE_FITS, RANK, RANK_TOO_HIGH, SSF
from tlmed.seeds import derive
from tlmed.words import listed

Adapter = LowRank | ScaleShift | BiasTuning
_WANTED = {
    LORA: "a dense, an attention's or a 1x1 convolution's kernel",
    SSF: "a convolution, a dense layer or a normalisation with channels to scale",
    BITFIT: "a bias or a normalisation's shift",
}


def find_adapters(thawed: Iterable[Block], phase: Phase) -> tuple[Adapter, ...]:
    """Return the adapters of a phase, one for each layer of the thawed blocks that can have one.

    A layer whose code is not Keras's own has none, and neither has one that shares its weights with another layer.

    Args:
        thawed: The blocks.
        phase: Its `adapt` says which.

    Raises:
        InputError: If no layer can have one, or a kernel is smaller than the rank.
    """
    layers = dict.fromkeys(leaf for block in thawed for leaf in leaves(block.layers) if leaf.weights)
    uses = Counter(id(weight) for layer in layers for weight in layer.weights)
    found = [adapter for layer in layers if (adapter := _make(layer, phase)) is not None]
    found = [it for it in found if all(uses[id(weight)] == 1 for weight in (*it.targets, *it.trained))]
    if not found:
        raise InputError(
            f"{NONE_FITS} {_WANTED[phase.adapt]}. "
            f"Received: adapt={phase.adapt!r} with thaw={phase.thaw!r} in phase {phase.name!r}."
        )
    if phase.adapt == LORA:
        _check_rank(found, phase)
    return tuple(found)


def _make(layer, phase) -> Adapter | None:
    if phase.adapt == LORA:
        size = find_matrix(layer)
        return size and LowRank(layer, choose_rank(phase), size)
    return (make_scale_shift if phase.adapt == SSF else make_bias_tuning)(layer)


def choose_rank(phase: Phase) -> int:
    """Return the rank of a phase with LoRA."""
    return RANK if phase.rank is None else phase.rank


def _check_rank(adapters, phase) -> None:
    rank = choose_rank(phase)
    small = sorted((it for it in adapters if rank > min(it.size)), key=lambda it: min(it.size))
    if small:
        named = [f"{it.layer.path} {tuple(it.layer.kernel.shape)}" for it in small]
        raise InputError(
            f"{RANK_TOO_HIGH} {min(small[0].size)}, the smaller side of the smallest kernel that LoRA adapts. "
            f"Received: rank={rank} in phase {phase.name!r}, with the kernels of {listed(named, 3)}."
        )


def count_added(adapters: Iterable[Adapter]) -> int:
    """Return how many numbers some adapters add to a network while it trains."""
    return sum(math.prod(shape) for it in adapters for shape in it.shapes.values())


@dataclass(frozen=True)
class Attached:
    """Adapters at work in a network.

    Attributes:
        adapters: They.
        variables: Of each one, by name.
    """

    adapters: tuple[Adapter, ...]
    variables: tuple[dict[str, keras.Variable], ...] = field(repr=False)

    @property
    def trained(self) -> list[keras.Variable]:
        """All that trains in the thawed blocks: the adapters' variables, or the layers' own biases."""
        own = [variable for adapter in self.adapters for variable in adapter.trained]
        return [variable for parts in self.variables for variable in parts.values()] + own

    @property
    def targets(self) -> list[keras.Variable]:
        """The weights of the network that they are merged into."""
        return [target for adapter in self.adapters for target in adapter.targets]

    def merge(self) -> None:
        """Change the weights so that the network without the adapters computes the same, and take them off."""
        for adapter, parts in zip(self.adapters, self.variables, strict=True):
            values = adapter.merge({name: variable.numpy() for name, variable in parts.items()})
            for target, value in zip(adapter.targets, values, strict=True):
                target.assign(value)
            # What was traced with the adapter goes on to hold it: it must change nothing there.
            for name, value in adapter.rest().items():
                parts[name].assign(value)
        self._detach()

    @contextlib.contextmanager
    def set_aside(self) -> Iterator[None]:
        """Merge them for the time of the block; all is as before after it, to the bit."""
        variables = [*self.targets, *(variable for parts in self.variables for variable in parts.values())]
        before = [variable.numpy() for variable in variables]
        self.merge()
        try:
            yield
        finally:
            for variable, value in zip(variables, before, strict=True):
                variable.assign(value)
            for adapter, parts in zip(self.adapters, self.variables, strict=True):
                for variable in parts.values():
                    with _unlocked(adapter.layer) as tracker:
                        tracker.add_to_store("trainable_variables", variable)
                _call_by(adapter, parts)

    def _detach(self):
        for adapter, parts in zip(self.adapters, self.variables, strict=True):
            del adapter.layer.call
            for variable in parts.values():
                adapter.layer._untrack_variable(variable)


def attach(adapters: Sequence[Adapter], seed: int, phase: str) -> Attached:
    """Add adapters to a network, in place. Until they train, the network computes what it did.

    Its layers stay what they are: each has a few variables more, and `call` of the layer is the adapter's. So it works
    in layers that hold others, too, whose code calls them.

    Args:
        adapters: From `find_adapters`.
        seed: Of the run.
        phase: Its name: each phase draws other values.
    """
    variables = []
    for number, adapter in enumerate(adapters):
        # By number, because Keras may give a user's own layers other names in another process.
        values = adapter.begin(derive(seed, "adapter", phase, number))
        with _unlocked(adapter.layer):
            parts = {
                name: adapter.layer.add_weight(
                    name=name, shape=value.shape, initializer=keras.initializers.Constant(value), dtype="float32"
                )
                for name, value in values.items()
            }
        variables.append(parts)
        _call_by(adapter, parts)
    return Attached(tuple(adapters), tuple(variables))


def _call_by(adapter, parts):
    adapter.layer.call = functools.partial(adapter.call, parts)


@contextlib.contextmanager
def _unlocked(layer):
    """Let a layer take variables, although it is built; `enable_lora` of Keras does the same."""
    tracker = layer._tracker
    locked = tracker.locked
    tracker.unlock()
    try:
        yield tracker
    finally:
        if locked:
            tracker.lock()
