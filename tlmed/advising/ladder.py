"""What can be tried with a network, from the cheapest on: a probe, block after block, all layers, adapters."""

import dataclasses

from tlmed.advising.at_hand import Network
from tlmed.catalogue import read_catalogue
from tlmed.recipe import Recipe
from tlmed.sections import Dense, Phase
from tlmed.tasks import SINGLE_LABEL

HEAD = Phase("head", thaw=0, solver="lbfgs")
# As in the recipe lp_ft, after Kumar et al. 2022: a solved head sends small gradients into the pretrained layers.
_THAWED = {
    "learning_rate": 3e-4,
    "block_decay": 0.9,
    "schedule": "cosine",
    "warmup": 0.1,
    "clip_norm": 1.0,
    "average": "top3",
}
_SMOOTHING = 0.1  # a head that fits its images already soon becomes too sure
_RANK = 8


def count_blocks(network: Network) -> int:
    """Return how many blocks a network is cut into, as the list of backbones says; 0 if it is not in the list."""
    base = network.backbone.partition(":")[0]
    return next((entry.blocks for entry in read_catalogue() if entry.name == base), 0)


def make_probe(base: Recipe, network: Network) -> Recipe:
    """Return the recipe of a linear head on frozen features."""
    return _begin(base, network, ())


def make_thawed(base: Recipe, network: Network, epochs: int, degree: int) -> Recipe:
    """Return the recipe that thaws the last blocks after the head is solved.

    Args:
        base: The images, and all that is not tried.
        network: What is thawed.
        epochs: For how many it is trained.
        degree: How many blocks, from the output; all of them are "all".
    """
    if degree >= count_blocks(network):
        return make_whole(base, network, epochs)
    return _begin(
        base, network, (Phase(f"top{degree}", thaw=degree, epochs=epochs, **_name_smoothing(base), **_THAWED),)
    )


def make_whole(base: Recipe, network: Network, epochs: int) -> Recipe:
    """Return the recipe that trains all layers after the head is solved, those of BatchNorm too."""
    phase = Phase("all", thaw="all", epochs=epochs, batch_norm="affine", **_name_smoothing(base), **_THAWED)
    return _begin(base, network, (phase,))


def make_adapted(base: Recipe, network: Network, epochs: int) -> Recipe:
    """Return the recipe that trains low-rank adapters of all layers after the head is solved (Hu et al. 2022)."""
    settings = {name: value for name, value in _THAWED.items() if name != "block_decay"}
    phase = Phase("adapters", thaw="all", epochs=epochs, adapt="lora", rank=_RANK, **_name_smoothing(base), **settings)
    return _begin(base, network, (phase,))


def _begin(base, network, phases) -> Recipe:
    return dataclasses.replace(
        base, backbone=network.backbone, weights=network.weights, head=Dense(), phases=(HEAD, *phases)
    )


def _name_smoothing(base) -> dict:
    return {"label_smoothing": _SMOOTHING} if base.resolved_task == SINGLE_LABEL else {}
