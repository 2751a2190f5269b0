"""Table 1 of the review (Kim et al. 2022, BMC Medical Imaging 22:69) beside our own counts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras

from tlmed.backbones import applications, graphs


@dataclass(frozen=True)
class Published:
    """A row as the review prints it.

    Args:
        name: The backbone.
        year: Of its publication.
        parameters: With the classifier.
        features: Parameters without it.
        layers: Trainable layers, of the features and fully connected ones.
    """

    name: str
    year: int
    parameters: str
    features: str
    layers: str


REVIEW = (
    Published("LeNet5", 1998, "60,000", "1,716", "4 (2 + 2)"),
    Published("AlexNet", 2012, "62.3 M", "3.7 M", "8 (5 + 3)"),
    Published("VGG16", 2014, "134.2 M", "14.7 M", "16 (13 + 3)"),
    Published("GoogLeNet", 2014, "5.3 M", "5.3 M", "22 (21 + 1)"),
    Published("ResNet50", 2015, "25.6 M", "23.5 M", "51 (50 + 1)"),
)


@dataclass(frozen=True)
class Counts:
    """What a backbone holds.

    Args:
        parameters: All of them, with the classifier of its paper; BatchNorm statistics are among them.
        features: Those of its feature maps.
        statistics: How many of the features' are BatchNorm statistics, which no gradient trains.
        layers: Weighted layers, normalisation apart, on the longest way from the image to the classes.
        feature_layers: Those of them that make feature maps.
    """

    parameters: int
    features: int
    statistics: int
    layers: int
    feature_layers: int


def count(name: str) -> Counts:
    """Count the parameters and layers of a backbone without allocating any of them.

    Args:
        name: A name in `BACKBONES`.

    Raises:
        InputError: There is no such backbone.

    >>> count("LeNet5")
    Counts(parameters=60850, features=1716, statistics=0, layers=7, feature_layers=4)
    """
    application = applications.find(name)
    with applications.unallocated(), applications.fresh_names():
        whole = application.builder(weights=None)  # at the size of its paper
        features = application.builder(weights=None, include_top=False, input_shape=whole.input_shape[1:])
    return Counts(
        parameters=_size(whole.weights),
        features=_size(features.weights),
        statistics=_size(features.non_trainable_weights),
        layers=depth(whole),
        feature_layers=depth(features),
    )


def depth(model: keras.Model) -> int:
    """Return how many weighted layers, normalisation apart, lie on the longest way through a functional model.

    This is the number that papers give: 16 for VGG16, 50 for ResNet50, whose shortcuts lie beside the longest way.

    Args:
        model: A functional model in which every layer is called once.
    """
    longest = {}
    for operation in model.operations:  # in topological order
        parents = [tensor._keras_history.operation for tensor in operation._inbound_nodes[0].input_tensors]
        before = max((longest[id(parent)] for parent in parents), default=0)
        longest[id(operation)] = before + graphs.is_counted(operation)
    return max(longest.values())


def _size(weights: Sequence) -> int:
    return sum(math.prod(weight.shape) for weight in weights)


def describe_table() -> list[str]:
    """Return the review's Table 1 and our counts as lines."""
    lines = [
        f"{'':<9} {'':>4}   {'review, table 1':<32}   tlmed",
        f"{'backbone':<9} {'year':>4}   {'all':>8} {'features':>9} {'layers':<13}   "
        f"{'all':>11} {'features':>10} {'layers':<13}",
    ]
    for row in REVIEW:
        ours = count(row.name)
        layers = f"{ours.layers} ({ours.feature_layers} + {ours.layers - ours.feature_layers})"
        lines.append(
            f"{row.name:<9} {row.year:>4}   {row.parameters:>8} {row.features:>9} {row.layers:<13}   "
            f"{ours.parameters:>11,} {ours.features:>10,} {layers:<13}".rstrip()
        )
    return [
        *lines,
        "",
        "all: parameters with the classifier of the paper (1000 classes of ImageNet, 10 digits); features: without it.",
        "layers: trainable ones (of the features + fully connected), normalisation apart, on the longest way.",
        "Why numbers differ: docs/backbones.md.",
    ]
