"""Prove that a phase trained what it thawed, and nothing else, by the hash of every weight before and after it."""

import tlmed.tensorflow_start

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import keras

from tlmed.blocks import Block
from tlmed.errors import RunFailed
from tlmed.frozen import batch_norms
from tlmed.phases import Classifier, split_blocks

ALGORITHM = "sha256"
# The parts of a BatchNorm that each policy leaves as they are, in thawed blocks.
STILL_IN_BATCH_NORM = {
    "frozen": ("gamma", "beta", "moving_mean", "moving_variance"),
    "affine": ("moving_mean", "moving_variance"),
    "recalibrate": (),  # estimated again after the phase, on training images
    "update": (),
}


@dataclass(frozen=True)
class Claim:
    """What a phase says of its weights.

    Attributes:
        frozen: Names of the weights that the phase must not change.
        free: Names of those that it may change, by part of the network: each thawed block, and `"head"`. At least one
            weight of each part must change.
        still: The names of the blocks in which nothing trains.
        adapted: Names of the frozen weights that adapters are merged into after training, and only then.
    """

    frozen: frozenset[str]
    free: Mapping[str, tuple[str, ...]]
    still: tuple[str, ...]
    adapted: frozenset[str] = frozenset()


def fingerprint(model: keras.Model) -> dict[str, str]:
    """Return the SHA-256 of every weight, BatchNorm statistics included, by the weight's path.

    Seeds of dropout and augmentation are no weights: they move lawfully.

    >>> inputs = keras.Input((2,))
    >>> list(fingerprint(keras.Model(inputs, keras.layers.Dense(1, name="out")(inputs))))
    ['out/kernel', 'out/bias']
    """
    return {name: _digest(weight) for name, weight in list_weights(model).items()}


def _digest(weight) -> str:
    return hashlib.new(ALGORITHM, weight.numpy().tobytes()).hexdigest()


def list_weights(model: keras.Model) -> dict[str, keras.Variable]:
    """Return the weights by path; a path that occurs again gets a number."""
    named = {}
    for weight in model.weights:
        name, number = weight.path, 2
        while name in named:  # paths consist of layer names, which two models in one network may share
            name, number = f"{weight.path}#{number}", number + 1
        named[name] = weight
    return named


def make_claim(model: Classifier) -> Claim:
    """Return which weights the phase of a network may move, by its blocks and not by Keras's `trainable`.

    Weights in no thawed part must not change.
    """
    phase = model.phase
    frozen, thawed = split_blocks(model.parts.backbone, phase)
    names = {id(weight): name for name, weight in list_weights(model).items()}
    # Not from Keras's `trainable`: the proof must not rest on the flags that it checks.
    parts = {block.name: _free(block, model) for block in thawed}
    parts["head"] = [weight for layer in model.head for weight in layer.weights]
    free = {part: tuple(names[id(weight)] for weight in inside) for part, inside in parts.items() if inside}
    fixed = set(names.values()).difference(*free.values())
    still = [block.name for block in frozen]
    if model.adapters is None:
        return Claim(frozenset(fixed), free, tuple(still))
    still += [block.name for block in thawed if block.name not in free]
    adapted = frozenset(names[id(weight)] for weight in model.adapters.targets)
    return Claim(frozenset(fixed), free, tuple(still), adapted)


def _free(block: Block, model: Classifier) -> list[keras.Variable]:
    """Return the weights of a thawed block that its phase may move."""
    weights = [weight for layer in block.layers for weight in layer.weights]
    if model.adapters is not None:
        trained = {id(weight) for weight in model.adapters.trained}
        return [weight for weight in weights if id(weight) in trained]
    still = {id(weight) for weight in _still([block], STILL_IN_BATCH_NORM[model.phase.batch_norm])}
    return [weight for weight in weights if id(weight) not in still]


def _still(thawed: Iterable[Block], parts: Iterable[str]) -> list[keras.Variable]:
    # No gamma where scale=False.
    weights = [getattr(norm, part, None) for norm in batch_norms(thawed) for part in parts]
    return [weight for weight in weights if weight is not None]


def certify(phase: str, claim: Claim, before: Mapping[str, str], after: Mapping[str, str]) -> dict:
    """Return a phase's entry of `freeze.json`.

    Args:
        phase: The phase's name.
        claim: From `make_claim`.
        before: The `fingerprint` before the phase.
        after: The one after it.

    Returns:
        `frozen`: hash by weight of all that must not change; `moved`: both hashes of all that changed; `blocks`:
        "frozen" or "thawed" by block.

    Raises:
        RunFailed: If a frozen weight changed, or no weight of a thawed part did; all are named.
    """
    moved = {name: [before[name], after[name]] for name in before if before[name] != after[name]}
    faults = [
        f"A frozen weight must not change. Received: {name}, changed in phase {phase!r}."
        for name in moved
        if name in claim.frozen
    ]
    faults += [
        f"A weight must change in every thawed part; a higher `learning_rate` may help. "
        f"Received: {part}, of which no weight changed in phase {phase!r}."
        for part, names in claim.free.items()
        if not any(name in moved for name in names)
    ]
    if faults:
        raise RunFailed(faults)
    return {
        "phase": phase,
        "blocks": {**dict.fromkeys(claim.still, "frozen"), **dict.fromkeys(claim.free, "thawed")},
        "frozen": {name: before[name] for name in before if name in claim.frozen},
        "moved": moved,
    }


def certify_merge(entry: dict, claim: Claim, trained: Mapping[str, str], merged: Mapping[str, str]) -> dict:
    """Return a phase's entry of `freeze.json` after its adapters became part of the weights.

    Args:
        entry: From `certify`, of the training alone: it proves that adapted kernels stayed while it lasted.
        claim: From `make_claim`.
        trained: The `fingerprint` after training.
        merged: The one after `tlmed.phases.merge`.

    Returns:
        `frozen` without the adapted weights, `moved` with them, and without the adapters' own, which are no longer
        there; `adapted`: of each adapted weight the hash that it had from the beginning of the phase to the end of
        training.

    Raises:
        RunFailed: If merging changed anything else; all is named.
    """
    changed = {name: [trained[name], merged[name]] for name in merged if trained[name] != merged[name]}
    if strange := [name for name in changed if name not in claim.adapted]:
        raise RunFailed(
            [
                "Merging adapters must change adapted weights alone. "
                f"Received: {name}, changed after phase {entry['phase']!r}."
                for name in strange
            ]
        )
    frozen = {name: value for name, value in entry["frozen"].items() if name not in claim.adapted}
    moved = {name: pair for name, pair in entry["moved"].items() if name in merged}
    adapted = {name: value for name, value in entry["frozen"].items() if name in claim.adapted}
    return {**entry, "frozen": frozen, "moved": moved | changed, "adapted": adapted}
