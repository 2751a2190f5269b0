"""A network's features as a scikit-learn transformer."""

import functools
import itertools
import math
import tempfile
import threading
import warnings
from collections.abc import Sequence
from numbers import Real
from pathlib import Path

import keras
import numpy as np
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from tlmed import backbones
from tlmed.backbones import own
from tlmed.batch_statistics import STATISTICS_IMAGES, reestimate_statistics
from tlmed.data.decode_and_resize import PixelRule
from tlmed.data.named_samples import make_lister
from tlmed.errors import InputError, did_you_mean
from tlmed.features.image_inputs import Impressions, measure, open_images, read_batches
from tlmed.features.taps import POOLINGS, feature_model, random_norms
from tlmed.fitting_in import FITS, STRETCH
from tlmed.frozen import leaves
from tlmed.intensity import AUTO, FILE, FORMS, PERCENTILE, WINDOW, is_window, resolve
from tlmed.seeds import derive
from tlmed.slicing import AXES, CHANNELS, REPEAT, VIEWS, Slicing, are_planes

NETWORKS = 4  # networks that are kept built

# Clones share a network, into which each writes its own statistics: one thread at a time.
_LOCK = threading.RLock()


class FeatureExtractor(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """Turn images into the features of a pretrained network, as a step of a scikit-learn `Pipeline`.

    The network is not part of the object: it is built when it is first needed, once for all clones with equal
    parameters, so that cloning costs nothing and a pickle is small. Batches are always full (the last one is padded),
    so that an image's features do not depend on the number of other images.

    Random weights (`weights="none"`) get BatchNorm statistics of the images that `fit` is given, or of a sample of
    them; else `fit` learns nothing.

    Args:
        backbone: A name in `tlmed.BACKBONES`; a tuple of names, whose features follow one another; a preset of
            keras-hub, "hub:<name>"; or a `keras.Model` on raw RGB images. A pickle holds the latter as a `.keras` file,
            which is read in Keras's safe mode: classes of one's own must be registered with Keras, and code in `Lambda`
            layers is refused.
        weights: As for `tlmed.backbones.build`; "own" for a `keras.Model` and for keras-hub.
        image_size: Height and width in pixels that images are resized to.
        tap: The block whose output is taken, "block1", "block2", ..., or "last" for what the backbone gives.
        pooling: "avg" or "max", over height and width; of tokens also "class" or "class+avg" (`tlmed.features.pool`).
        batch_size: Images that pass through the network at a time.
        seed: Decides random weights, and the images whose statistics they get.
        planes: Of which planes of a volume, or of a folder that holds a DICOM series, the features are: "all",
            "every k", or a number: so many in the middle. A volume has one row: their mean. None: volumes are refused,
            unless `channels` is "views" or a path names a plane.
        axis: Along which axis planes are counted: "axial", "coronal" or "sagittal".
        channels: What red, green and blue of a volume's plane show, as in `tlmed.recipe.Images`.
        window: What of values with more than 8 bits is black and what is white, as in `tlmed.recipe.Images`. A range
            that is to be measured, as "auto" and percentiles ask, is that of the images that `fit` is given.
        resize: How an image comes to `image_size`: "stretch", "pad" or "crop", as `fit` of `tlmed.recipe.Images`.
        spacing: How many millimetres a pixel of `image_size` measures, as in `tlmed.recipe.Images`; None: `resize`
            decides.

    Attributes:
        n_features_out_: How many features there are.
        range_: The values that are black and white, as they were measured; None: no image had values that need it.
        parameters_: Those that decide the features, as they were when it was fitted; `transform` refuses others.
        statistics_: Mean and variance of each BatchNorm with random weights, in the order of the layers.
        sources_: Name and SHA-256 of the weights. `transform` uses no others: not where "imagenet" means another file,
            and not after a `keras.Model` was trained further.

    >>> images = np.random.RandomState(0).randint(0, 256, (4, 40, 50, 3), "uint8")
    >>> extractor = FeatureExtractor("VGG16", weights="none", image_size=(32, 32), tap="block2", batch_size=4)
    >>> features = extractor.fit_transform(images)
    >>> features.shape, bool((extractor.transform(images[2:]) == features[2:]).all())
    ((4, 128), True)
    """

    def __init__(
        self,
        backbone="MobileNetV2",
        weights="imagenet",
        image_size=(224, 224),
        tap="last",
        pooling="avg",
        batch_size=32,
        seed=0,
        planes=None,
        axis="axial",
        channels=REPEAT,
        window=AUTO,
        resize=STRETCH,
        spacing=None,
    ):
        self.backbone = backbone
        self.weights = weights
        self.image_size = image_size
        self.tap = tap
        self.pooling = pooling
        self.batch_size = batch_size
        self.seed = seed
        self.planes = planes
        self.axis = axis
        self.channels = channels
        self.window = window
        self.resize = resize
        self.spacing = spacing

    def fit(self, X, y=None):
        """Check the parameters, build the network, and measure what it needs to know of the images.

        That is the range of values with more than 8 bits, if `window` asks for it, and the statistics that random
        weights need.

        Args:
            X: Images, as for `transform`.
            y: Ignored.

        Raises:
            InputError: If the parameters or the images cannot be used.

        Warns:
            UserWarning: How images are prepared, if the weights are a file, which does not say it.
        """
        if faults := _find_faults(self):
            raise InputError(faults)
        items, lister = self._open(X), make_lister(self._slicing)
        network, norms, sources, said = self._build()
        found = measure(items, resolve(self.window), lister)
        self.range_ = (found.low, found.high) if found.percentiles else None
        with _LOCK:
            if norms:
                order = np.random.RandomState(derive(self.seed, "statistics")).permutation(len(items))
                chosen = [items[i] for i in order[:STATISTICS_IMAGES]]
                read = read_batches(chosen, self._rule, self.batch_size, lister)
                # Of volumes fewer are enough.
                most = math.ceil(STATISTICS_IMAGES / self.batch_size)
                reestimate_statistics(network, (batch.images for batch in itertools.islice(read, most)), norms)
            self.statistics_ = [(norm.moving_mean.numpy(), norm.moving_variance.numpy()) for norm in norms]
        for line in said:
            warnings.warn(line, stacklevel=2)
        self.sources_ = sources
        self.n_features_out_ = int(network.output_shape[-1])
        self.parameters_ = self._list_parameters()
        return self

    def transform(self, X):
        """Return the features of images, float32 [n, d].

        Args:
            X: uint8 images [n, height, width, 3] of any size; a list of images of different sizes; or a list of
                paths to image files. A volume is a file, a folder that holds one DICOM series, or an array
                [planes, height, width]; a path may name a plane as predictions do, `scan.nii.gz#plane=12`. uint16 is
                shown by `window`, and so are other numbers if it is neither "auto" nor "full"; else they must be from
                0 to 255.

        Raises:
            InputError: If the images cannot be used, or the extractor was changed after `fit`; all faults are named.
            sklearn.exceptions.NotFittedError: Before `fit`.

        Warns:
            UserWarning: By number and name, of images with more than 8 bits that keep few grey levels (12 bits in 16),
                of images of a single colour, of images that are all but black, of files with several pages, and of
                series with gaps or copies.
        """
        check_is_fitted(self, "n_features_out_")
        if faults := [*_find_faults(self), *self._find_changes()]:
            raise InputError(faults)
        items, lister = self._open(X), make_lister(self._slicing)
        network, norms, sources, _ = self._build()
        if sources != self.sources_:
            raise InputError(
                f"The weights must be those that the extractor was fitted with, {_names(self.sources_)}; or fit it "
                f"again. Received: {_names(sources)}."
            )
        # In double precision, and in order: a row does not depend on where batches begin.
        sums, counts = np.zeros((len(items), self.n_features_out_)), np.zeros(len(items), np.int64)
        impressions = Impressions()
        with _LOCK:
            for norm, (mean, variance) in zip(norms, self.statistics_, strict=True):
                norm.moving_mean.assign(mean)
                norm.moving_variance.assign(variance)
            for batch in read_batches(items, self._rule, self.batch_size, lister):
                impressions.add(batch)
                padding = np.zeros((self.batch_size - len(batch.images), *batch.images.shape[1:]), np.uint8)
                features = network.predict_on_batch(np.concatenate([batch.images, padding]))
                np.add.at(sums, batch.items, np.asarray(features)[: len(batch.images)])
                np.add.at(counts, batch.items, 1)
        for sentence in impressions.describe():
            warnings.warn(sentence, stacklevel=3)  # scikit-learn wraps `transform` in a frame of its own
        return (sums / counts[:, None]).astype("float32")

    def _open(self, images):
        windowed = resolve(self.window).kind in (WINDOW, PERCENTILE, FILE)
        return open_images(images, self._slicing.wanted, windowed)

    @property
    def _slicing(self) -> Slicing:
        return Slicing(self.planes, self.axis, self.channels, resolve(self.window).kind == FILE)

    @property
    def _rule(self) -> PixelRule:
        """How samples become pixels, with the range that `fit` measured."""
        asked = resolve(self.window)
        intensity = asked.measured(self.range_) if asked.is_open else asked
        return PixelRule(tuple(self.image_size), intensity, self.resize, self.spacing)

    def _list_parameters(self) -> dict:
        """Return the parameters that decide the features; for a `keras.Model` `sources_` tells its weights."""
        kept = {name: value for name, value in self.get_params(deep=False).items() if name != "batch_size"}
        return {name: "own" if isinstance(value, keras.Model) else value for name, value in kept.items()}

    def _find_changes(self) -> list[str]:
        now = self._list_parameters()
        return [
            f"`{name}` must be what it was when the extractor was fitted, {old!r}; or fit it again. "
            f"Received: {name}={now[name]!r}."
            for name, old in self.parameters_.items()
            if now[name] != old
        ]

    def _build(self):
        # The cache of `_build` needs arguments that can be hashed.
        backbone = tuple(self.backbone) if isinstance(self.backbone, list) else self.backbone
        weights = tuple(self.weights) if isinstance(self.weights, list) else self.weights
        state = _state_of(backbone, weights)
        with _LOCK:  # without it two threads would build two networks, each with its own statistics
            return _build(backbone, weights, tuple(self.image_size), self.tap, self.pooling, self.seed, state)

    @property
    def _n_features_out(self):  # the mixin makes as many names
        return self.n_features_out_

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = False, True
        return tags

    def __sklearn_clone__(self):
        # scikit-learn would copy a `keras.Model` with all its weights, for each point of a grid and each fold.
        copy = type(self)(**self.get_params(deep=False))
        # What `set_output` chose; `clone` of scikit-learn copies it too.
        copy._sklearn_output_config = dict(getattr(self, "_sklearn_output_config", {}))
        return copy

    def __getstate__(self):
        state = super().__getstate__()
        if isinstance(self.backbone, keras.Model):
            state = {**state, "backbone": _to_bytes(self.backbone)}
        return state

    def __setstate__(self, state):
        if isinstance(state["backbone"], bytes):
            state = {**state, "backbone": _from_bytes(state["backbone"])}
        super().__setstate__(state)


@functools.lru_cache(maxsize=NETWORKS)
def _build(backbone, weights, image_size, tap, pooling, seed, state):
    """Return a feature model, its BatchNorm layers with random weights, and the names and SHA-256 of its weights.

    Sentences on preprocessing come last. `state` is not used: as part of the cache's key it tells builds apart.
    """
    built = backbones.build(backbone, weights, image_size, derive(seed, "backbone"))
    network = feature_model(built.model, tap, pooling)
    used = {id(layer) for layer in leaves(network.layers)}
    norms = [norm for norm in random_norms(built) if id(norm) in used]
    names = [(source.name, source.sha256) for source in built.sources]
    return network, norms, names, backbones.say_preparations(built.sources)


def _state_of(backbone, weights):
    """Return what changes when a user's model is trained further, or a file of weights or of a backbone's folder is."""
    given = [
        *(backbone if isinstance(backbone, tuple) else [backbone]),
        *([weights] if isinstance(weights, str) else weights),
    ]
    words = [word.split(":") for word in given if isinstance(word, str)]
    # A path may come after other words, as in "hub:hf:PATH" and "radimagenet:PATH".
    places = [Path(":".join(word[start:])).expanduser() for word in words for start in range(len(word))]
    files = [file for place in places for file in (sorted(place.iterdir()) if place.is_dir() else [place])]
    files = [file for file in files if file.is_file()]
    stamps = tuple((str(file), file.stat().st_mtime_ns, file.stat().st_size) for file in files)
    return stamps, own.digest(backbone) if isinstance(backbone, keras.Model) else None


def _names(sources) -> str:
    return ", ".join(f"{name} (SHA-256 {digest[:12]}...)" if digest else name for name, digest in sources)


def _to_bytes(model) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "backbone.keras"
        model.save(path)
        return path.read_bytes()


def _from_bytes(content) -> keras.Model:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "backbone.keras"
        path.write_bytes(content)
        try:
            return keras.saving.load_model(path, compile=False, safe_mode=True)
        except (OSError, ValueError, TypeError) as error:
            reason = str(error).strip().split("\n")[0]
            raise InputError(
                "A pickled `backbone` must be a keras.Model that Keras loads in safe mode, classes of your own "
                f"registered by keras.saving.register_keras_serializable. Received: {reason}"
            ) from error


def _find_faults(extractor) -> list[str]:
    faults = []

    def is_whole(value, least):
        return isinstance(value, int | np.integer) and not isinstance(value, bool) and value >= least

    def is_words(value):
        return isinstance(value, str) or (
            isinstance(value, list | tuple) and len(value) > 0 and all(isinstance(word, str) for word in value)
        )

    if not (is_words(extractor.backbone) or isinstance(extractor.backbone, keras.Model)):
        faults.append(
            f"`backbone` must be a name, a tuple of names or a keras.Model. Received: backbone={extractor.backbone!r}."
        )
    if not is_words(extractor.weights):
        faults.append(f"`weights` must be a word, or a tuple of words. Received: weights={extractor.weights!r}.")
    if not isinstance(extractor.tap, str):
        faults.append(f"`tap` must be a block's name, or 'last'. Received: tap={extractor.tap!r}.")
    size = extractor.image_size
    if not (isinstance(size, Sequence) and len(size) == 2 and all(is_whole(side, 1) for side in size)):
        faults.append(f"`image_size` must be height and width in pixels, (224, 224). Received: image_size={size!r}.")
    for name, least in {"batch_size": 1, "seed": 0}.items():
        value = getattr(extractor, name)
        if not is_whole(value, least):
            faults.append(f"`{name}` must be a whole number of {least} or more. Received: {name}={value!r}.")
    if extractor.axis not in AXES:
        faults.append(f"`axis` must be one of {', '.join(map(repr, AXES))}. Received: axis={extractor.axis!r}.")
    if extractor.channels not in CHANNELS:
        faults.append(
            f"`channels` must be one of {', '.join(map(repr, CHANNELS))}. Received: channels={extractor.channels!r}."
        )
    if not (extractor.planes is None or _are_planes(extractor.planes)):
        faults.append(
            "`planes` must be 'all', 'every k', a whole number of 1 or more (of planes in the middle), or None. "
            f"Received: planes={extractor.planes!r}."
        )
    elif extractor.planes and extractor.channels == VIEWS:
        faults += Slicing(extractor.planes, channels=VIEWS).find_conflicts("")
    if not _is_window(extractor.window):
        faults.append(f"`window` must be {FORMS}. Received: window={extractor.window!r}.")
    if extractor.resize not in FITS:
        faults.append(f"`resize` must be one of {', '.join(map(repr, FITS))}. Received: resize={extractor.resize!r}.")
    spacing = extractor.spacing
    if spacing is not None and not (isinstance(spacing, Real) and not isinstance(spacing, bool) and 0 < spacing <= 100):
        faults.append(
            f"`spacing` must be a number of millimetres above 0 and up to 100, or None. Received: spacing={spacing!r}."
        )
    elif spacing is not None and extractor.resize != STRETCH:
        faults.append(
            f"`resize` must be {STRETCH!r} where `spacing` says how large an image is shown. "
            f"Received: resize={extractor.resize!r} with spacing={spacing}."
        )
    if extractor.pooling not in POOLINGS:
        near = did_you_mean(extractor.pooling, POOLINGS)
        names = "'avg', 'max', 'class' or 'class+avg'"
        faults.append(f"`pooling` must be {names}.{near} Received: pooling={extractor.pooling!r}.")
    return faults


def _are_planes(planes) -> bool:
    return isinstance(planes, str | int) and not isinstance(planes, bool) and are_planes(planes)


def _is_window(window) -> bool:
    if isinstance(window, str):
        return is_window(window)
    are_ends = isinstance(window, list | tuple) and len(window) in (2, 3) and all(map(_is_number, window[:2]))
    return are_ends and all(isinstance(word, str) for word in window[2:]) and is_window(window)


def _is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
