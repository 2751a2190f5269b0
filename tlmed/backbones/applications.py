"""Every builder of `keras.applications` and of the classics, found by introspection, and the graphs they draw."""

import collections
import contextlib
import functools
import inspect
import re
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.models import Functional
from keras.src.utils import naming

from tlmed.backbones import classic, preprocessing, widths
from tlmed.errors import InputError, did_you_mean

INPUT_NAME = "images"
# Drawing sets warning filters and Python's random state, which all threads share: one thread at a time.
ALONE = threading.RLock()


@dataclass(frozen=True)
class Application:
    """A backbone of `keras.applications` or of `tlmed.backbones.classic`.

    Args:
        name: Its public name, for example "VGG16" or "MobileNet:0.25".
        builder: The function that draws it.
        preprocess_input: The function beside the builder that turns RGB images in 0..255 into its input.
        width: The multiplier of its channels that the builder calls `alpha`; None where the builder is not told.

    >>> find("VGG16").has_imagenet, find("LeNet5").has_imagenet, find("MobileNet:0.3").has_imagenet
    (True, False, False)
    """

    name: str
    builder: Callable[..., keras.Model]
    preprocess_input: Callable
    width: float | None = None

    @functools.cached_property
    def preprocessing(self) -> preprocessing.Affine:
        """The affine map that `preprocess_input` computes."""
        return preprocessing.infer(self.preprocess_input)

    @property
    def base(self) -> str:
        """The name without the width."""
        return self.builder.__name__

    @property
    def options(self) -> dict[str, float]:
        """What the builder is told beyond the defaults."""
        return {} if self.width is None else {"alpha": self.width}

    @property
    def has_imagenet(self) -> bool:
        """Whether its builder knows ImageNet weights, at this width."""
        if self.width is not None and self.width not in widths.TRAINED[self.base]:
            return False
        return inspect.signature(self.builder).parameters["weights"].default == "imagenet"  # None for classics


@dataclass(frozen=True)
class KerasFile:
    """The weight file that a builder asks Keras for.

    Args:
        name: File name in the cache.
        origin: Address to download it from.
        subfolder: Folder below the Keras home.
        hash: MD5 or SHA-256 that Keras expects, None if Keras names none.
    """

    name: str
    origin: str
    subfolder: str
    hash: str | None


def _applications() -> dict[str, Application]:
    def is_builder(member):
        public = inspect.isfunction(member) and not member.__name__.startswith("_")
        return public and {"include_top", "weights"} <= inspect.signature(member).parameters.keys()

    def preprocess_input(builder):
        # `keras.applications` keeps it in the builder's module; the classics share one, and note it at the builder.
        beside = builder if hasattr(builder, "preprocess_input") else sys.modules[builder.__module__]
        return beside.preprocess_input

    modules = keras.applications, classic
    builders = sorted(member for module in modules for member in inspect.getmembers(module, is_builder))
    return {name: Application(name, builder, preprocess_input(builder)) for name, builder in builders}


BACKBONES: Mapping[str, Application] = types.MappingProxyType(_applications())


def find(name: str) -> Application:
    """Return the backbone of that name.

    Args:
        name: A name in `BACKBONES`; of a MobileNet also with a width, such as "MobileNet:0.25".

    Raises:
        InputError: There is none; the nearest name is suggested.

    >>> find("VGG16").name, find("MobileNet:0.25").width
    ('VGG16', 0.25)
    >>> find("VGG")
    Traceback (most recent call last):
    tlmed.errors.InputError: ... Did you mean 'VGG19'? Received: backbone='VGG'.
    """
    if name.partition(":")[0] not in BACKBONES:
        raise InputError(
            "`backbone` must be one of those that `tlmed backbones` lists."
            f"{did_you_mean(name, BACKBONES)} Received: backbone={name!r}."
        )
    base, width = widths.split(name)
    return BACKBONES[base] if width is None else replace(BACKBONES[base], name=name, width=width)


def draw(
    application: Application,
    image_size: tuple[int, int],
    imagenet: bool,
    affine: preprocessing.Affine | None = None,
) -> keras.Model:
    """Draw a backbone with random weights after its preprocessing, as one flat functional model.

    Args:
        application: The backbone.
        image_size: Height and width in pixels.
        imagenet: Draw the graph that belongs to Keras's ImageNet weights. It is the graph of `weights=None`
            for all families but EfficientNet V1, which has one more `Rescaling` then.
        affine: Preprocessing; by default the application's own.

    Returns:
        A model from "images", raw RGB in 0..255 of shape (batch, height, width, 3), to the feature map
        (batch, rows, columns, channels).

    Raises:
        InputError: The backbone refuses the image size.
    """
    builder = application.builder
    if imagenet and application.has_imagenet:
        builder, _ = _without_loading(application.builder)
    weights = None if builder is application.builder else "imagenet"
    return _draw(application, functools.partial(builder, weights=weights, **application.options), image_size, affine)


@functools.lru_cache(maxsize=128)
def keras_file(application: Application, image_size: tuple[int, int]) -> KerasFile:
    """Return the ImageNet weight file that the builder would use, without downloading or allocating anything.

    Args:
        application: A backbone that has ImageNet weights.
        image_size: Height and width in pixels; MobileNet and MobileNetV2 have a file per size.

    Raises:
        InputError: The backbone refuses the image size.

    >>> keras_file(find("VGG16"), (224, 224)).name
    'vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5'
    """
    builder, files = _without_loading(application.builder)
    with unallocated():
        _draw(application, functools.partial(builder, weights="imagenet", **application.options), image_size, None)
    return files[0]


def load_all(model: keras.Model, path: str | Path) -> None:
    """Load a file of weights into a network, and check that the file has set every one of them.

    Keras passes over a layer whose place in the file is missing, and leaves it as it was.

    Args:
        model: The network; all of its weights are replaced.
        path: A `.h5` or `.weights.h5` file in the layout of the network.

    Raises:
        ValueError: The file does not set a weight, or sets one that is not finite.
        ValueError, KeyError, OSError: Keras cannot read the file.
    """
    numbers = [weight for weight in model.weights if keras.backend.is_float_dtype(weight.dtype)]  # integers have no NaN
    # NaN marks the weights that the file leaves out.
    for weight in numbers:
        weight.assign(np.full(weight.shape, np.nan, "float32"))
    with ALONE, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Skipping nested container")
        model.load_weights(str(path))
    for weight in numbers:
        if not np.isfinite(weight.numpy()).all():
            raise ValueError(f"no finite numbers for {weight.path} in the file")


def _draw(application, builder, image_size, affine):
    shape = (*image_size, 3)
    with ALONE, fresh_names(), warnings.catch_warnings():
        # MobileNets warn that they load the weights of 224 x 224 for a size that has none of its own: they
        # are fully convolutional, so these are the right ones.
        warnings.filterwarnings("ignore", message="`input_shape` is undefined or non-square")
        images = keras.Input(shape, name=INPUT_NAME)
        inputs = preprocessing.apply(affine or application.preprocessing, images)
        try:
            net = builder(include_top=False, input_tensor=inputs, input_shape=shape, pooling=None)
        except ValueError as error:
            raise InputError(_refused_size(application.name, image_size, str(error))) from error
    return keras.Model(images, net.output, name=net.name)


def _refused_size(name, image_size, reason):
    received = f"Received: data.image_size={image_size[0]},{image_size[1]}."
    # Keras's builders say: Input size must be at least 32x32.
    if least := re.search(r"at least (\d+)\s*x\s*(\d+)", reason):
        return f"`data.image_size` must be at least {least[1]},{least[2]} for {name}. {received}"
    reason = reason.strip().splitlines()[0].rstrip(".")
    return f"`data.image_size` must be one that {name} can process; Keras says: {reason}. {received}"


class _Unloaded(Functional):
    """A network that leaves its weights as they are when a builder loads a file into it."""

    def load_weights(self, filepath, **options):
        """Load nothing."""


def _without_loading(builder: Callable) -> tuple[Callable, list[KerasFile]]:
    """Return a copy of a builder of Keras that neither fetches nor loads files, and a list of those it asks for.

    Only the builder knows which file belongs to a backbone and an image size: it calls `file_utils.get_file` and then
    `load_weights`, after the graph is drawn. The functions of the copy find stand-ins under these names. Keras itself
    is not changed, so other threads notice nothing. This saves a hand-written table of 40 names, and keeps a refused
    image size (an error of the builder) apart from a bad file (an error of the loader).
    """
    files = []

    def get_file(fname, origin, *, cache_subdir, file_hash=None):
        files.append(KerasFile(fname, origin, cache_subdir, file_hash))

    replaced = {"file_utils": types.SimpleNamespace(get_file=get_file), "Functional": _Unloaded}
    return _copy_names(sys.modules[builder.__module__], replaced)[builder.__name__], files


def _copy_names(module: types.ModuleType, replaced: Mapping[str, object]) -> dict[str, object]:
    """Return a module's names with some replaced, as its functions and the modules that it calls see them too."""
    names = dict(vars(module))
    for name, value in vars(module).items():
        if name in replaced:
            names[name] = replaced[name]
        # The builders of ResNet V2 call functions of the module `resnet`.
        elif inspect.ismodule(value) and value.__name__.startswith("keras.src.applications."):
            names[name] = types.SimpleNamespace(**_copy_names(value, replaced))
        elif inspect.isfunction(value) and value.__module__ == module.__name__:
            # The same code, which looks up its globals in `names`.
            copy = types.FunctionType(value.__code__, names, name, value.__defaults__, value.__closure__)
            # FunctionType takes no defaults of keyword-only arguments.
            copy.__kwdefaults__ = value.__kwdefaults__
            names[name] = copy
    return names


@contextlib.contextmanager
def unallocated() -> Iterator[None]:
    """Draw graphs without allocating or initialising their weights: ten times faster, and no memory."""
    key = "uninitialized_variables"
    waiting = global_state.get_global_attribute(key)
    global_state.set_global_attribute(key, [])
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        # Otherwise the next stateless scope, whoever opens it, would allocate them.
        global_state.set_global_attribute(key, waiting)


@contextlib.contextmanager
def fresh_names() -> Iterator[None]:
    """Number automatic layer names from the start: a backbone's names do not depend on earlier models.

    `conv2d_17` of an InceptionV3 is then the same layer in every process, in every run directory. Afterwards
    the counters stand at the higher of both, so that layers added later get no name that is taken.
    """
    # A copy, because `reset_uids` empties the counters.
    before = dict(global_state.get_global_attribute("object_name_uids") or {})
    naming.reset_uids()
    try:
        yield
    finally:
        after = global_state.get_global_attribute("object_name_uids") or {}
        highest = {name: max(before.get(name, 0), after.get(name, 0)) for name in before.keys() | after.keys()}
        global_state.set_global_attribute("object_name_uids", collections.defaultdict(int, highest))
