"""Estimate what frozen blocks cost: run in every epoch, or run once with their outputs kept."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import keras
import numpy as np

from tlmed.backbones.graphs import is_functional
from tlmed.blocks import list_uses
from tlmed.cache import show_size
from tlmed.errors import InputError
from tlmed.phases import Classifier, split_blocks
from tlmed.sections import Phase

# Round figures, to weigh computing against reading and writing: only factors matter. CPU: two cores of today.
# GPU: half of the 8.1 TFLOPS in single precision of NVIDIA's T4 (its data sheet, 2019), the smallest that clouds lend;
# larger ones only make computing cheaper still.
FLOPS_PER_SECOND = {"CPU": 50e9, "GPU": 4e12}
BYTES_PER_SECOND = 1e9
ENGINE_SECONDS = 2.0  # what keeping costs once: conversion, checksums, tracing of another graph


@dataclass(frozen=True)
class Choice:
    """Whether a phase keeps the outputs of its frozen blocks, and why.

    Attributes:
        on: Whether it does.
        reason: A clause for the user.
        flops: Estimated operations of the frozen blocks for one image, a multiplication and an addition each.
        bytes_per_image: The size of what is kept for an image.
    """

    on: bool
    reason: str
    flops: int = 0
    bytes_per_image: int = 0


@dataclass(frozen=True)
class Terms:
    """What the choice depends on besides the network and the phase.

    Attributes:
        wanted: "auto", "on" or "off".
        dtype: The type of number in which activations are kept.
        augmented: Whether training images change with every epoch.
        images: How many there are, all splits together.
        room: Bytes that the store may take.
        views: Versions of each training image that take turns over the epochs.
        foreign: A layer or function of the backbone whose code is the user's own, if there is one.
        device: What trains: a key of `FLOPS_PER_SECOND`.
    """

    wanted: str
    dtype: str
    augmented: bool
    images: int
    room: int
    views: int = 0
    foreign: str | None = None
    device: str = "CPU"


def choose_cache(model: Classifier, phase: Phase, terms: Terms) -> Choice:
    """Decide whether a phase should keep the outputs of its frozen blocks."""
    frozen, thawed = split_blocks(model.parts.backbone, phase)
    if not frozen:
        return Choice(False, "nothing is frozen")
    # The border between frozen and thawed layers, as `phases.thaw` draws it.
    border = keras.tree.flatten(frozen[-1].output if thawed else model.parts.border)
    flops = count_flops(model, border)
    values = sum(math.prod(tensor.shape[1:]) for tensor in border)
    size = values * np.dtype(terms.dtype).itemsize
    if terms.wanted == "off":
        return Choice(False, "the recipe says so", flops, size)
    if terms.augmented:
        return Choice(False, "augmentation changes the images in each epoch", flops, size)
    if terms.foreign is not None and terms.views:
        raise InputError(
            f"`augment.views` must be 0 for a backbone with code of your own. "
            f"Received: views={terms.views} with {terms.foreign}."
        )
    if terms.foreign is not None:
        return Choice(False, describe_foreign(terms.foreign), flops, size)
    if terms.wanted == "on" or terms.views:
        return Choice(True, "the recipe says so", flops, size)
    if phase.solver is not None and size * terms.images <= terms.room:
        return Choice(True, "the solver reads them again and again", flops, size)
    return weigh(flops, values, terms.dtype, terms.images, phase.epochs, terms.room, terms.device)


def describe_foreign(name: str) -> str:
    """Say why the features of a backbone with the user's own code are not kept."""
    return f"{name} is code of your own, which no address can cover"


def count_flops(model: keras.Model, outputs: Sequence[keras.KerasTensor] | None = None) -> int:
    """Return the estimated operations of a functional model for one image.

    Each weight of a kernel is multiplied and added once for every position of the layer's output, at every use of the
    layer. Products of activations with each other (attention) and everything without a kernel are left out.

    Args:
        model: The model.
        outputs: Symbolic tensors inside it, up to which is counted; by default its outputs.

    >>> inputs = keras.Input((8, 8, 3))
    >>> layer = keras.layers.Conv2D(3, 3, padding="same", use_bias=False)
    >>> count_flops(keras.Model(inputs, layer(inputs))) == 2 * 3 * 3 * 3 * 3 * 8 * 8
    True
    >>> count_flops(keras.Model(inputs, layer(layer(inputs)))) == 2 * 2 * 3 * 3 * 3 * 3 * 8 * 8
    True
    """
    return sum(_count(operation, given) for operation, given in list_uses(model, outputs))


def _count(operation, outputs) -> int:
    if is_functional(operation):
        number = outputs[0]._keras_history.node_index
        return _count_inside(operation, operation._inbound_nodes[number].input_tensors)
    return _multiply(operation, outputs)


def _count_inside(model, inputs) -> int:
    """Count a model that is used inside another on inputs of this size: it may be drawn for any size."""
    counts = []

    def follow(operation, *args, **kwargs):
        # Sizes alone: calling the layer would add a use of it to the user's graph.
        outputs = operation.compute_output_spec(*args, **kwargs)
        inside = is_functional(operation)
        counts.append(_count_inside(operation, args) if inside else _multiply(operation, keras.tree.flatten(outputs)))
        return outputs

    # A sequential model has no `_run_through_graph`; a functional one on the same tensors has.
    keras.Model(model.inputs, model.outputs)._run_through_graph(inputs, call_fn=follow)
    return sum(counts)


def _multiply(operation, outputs) -> int:
    weights = getattr(operation, "weights", ())
    kernels = sum(math.prod(weight.shape) for weight in weights if len(weight.shape) > 1)
    return 2 * kernels * max(math.prod(size or 1 for size in output.shape[1:-1]) for output in outputs)


def weigh(flops: int, values: int, dtype: str, images: int, epochs: int, room: int, device: str = "CPU") -> Choice:
    """Decide whether keeping the activations of the frozen blocks costs less than computing them in every epoch.

    Args:
        flops: Operations of the frozen blocks for one image.
        values: How many numbers they output for an image.
        dtype: The type in which these are kept.
        images: How many there are.
        epochs: Passes over them, at most.
        room: Bytes that the store may take.
        device: What computes: a key of `FLOPS_PER_SECOND`.

    >>> weigh(10**9, 1280, "float32", images=780, epochs=10, room=10**9).on
    True
    >>> weigh(10**9, 1280, "float32", images=780, epochs=1, room=10**9).reason
    'one epoch passes over the images once in any case'
    >>> weigh(10**9, 1280, "float32", images=5, epochs=3, room=10**9).reason
    'keeping them would cost more than computing them (2.0 s against 0.2 s)'
    """
    size = values * np.dtype(dtype).itemsize
    # One pass over the images is needed in any case: only further epochs are saved.
    saved = flops * images * (epochs - 1) / FLOPS_PER_SECOND[device]
    # Written once, checked once, and read in every epoch.
    spent = size * images * (epochs + 2) / BYTES_PER_SECOND + ENGINE_SECONDS
    if epochs < 2:
        return Choice(False, "one epoch passes over the images once in any case", flops, size)
    if size * images > room:
        reason = f"{show_size(size * images)} of activations do not fit into the {show_size(room)} that they may take"
        return Choice(False, reason, flops, size)
    if saved <= spent:
        more = "about as much as" if saved > spent / 2 else "more than"
        reason = f"keeping them would cost {more} computing them ({spent:.1f} s against {saved:.1f} s)"
        return Choice(False, reason, flops, size)
    return Choice(True, f"about {saved:,.0f} s of computing are saved, and {spent:,.0f} s spent", flops, size)
