"""Explain the images of a run by a method's name: what the command line and the report ask for."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import keras
import numpy as np

from tlmed.errors import InputError, did_you_mean
from tlmed.evaluation.explanations.gradients import (
    activation_maps,
    share_out,
    show_attributions,
    trace_gradient,
    weigh_by_gradient,
    weigh_by_place,
)
from tlmed.evaluation.explanations.halves import check_images, cut, find_scores, has_labels
from tlmed.evaluation.explanations.occlusions import occlusion
from tlmed.evaluation.explanations.rollouts import roll_out, trace_attention
from tlmed.features.taps import LAST
from tlmed.replicas import without_xla

_CAMS = {"grad-cam": weigh_by_gradient, "grad-cam++": weigh_by_place}
_ROLLOUT = "attention-rollout"
METHODS = (*_CAMS, "occlusion", "integrated-gradients", _ROLLOUT)
_LEAST = 1e-15  # a probability so near to 0 or 1 differs from it only by rounding; it keeps log-odds finite


@dataclass(frozen=True)
class Explainer:
    """A method, prepared for one network.

    Attributes:
        method: Its name, one of `METHODS`.
        block: The block whose feature maps are shown; None for the methods that show pixels.
        explain: As calling the explainer.
    """

    method: str
    block: str | None
    explain: Callable[[np.ndarray, np.ndarray], np.ndarray]

    @property
    def name(self) -> str:
        """Say what is shown, for a reader: "grad-cam, last block"."""
        block = f"{LAST} block" if self.block == LAST else self.block
        return self.method if block is None else f"{self.method}, {block}"

    def __call__(self, images: np.ndarray, class_index: int | np.ndarray) -> np.ndarray:
        """Return maps, float32 [n, height, width], 0..1, for raw images and the class of each, or one for all."""
        return self.explain(images, class_index)


def explain_images(
    model: keras.Model,
    images: np.ndarray,
    class_index: int | np.ndarray,
    method: str | None = None,
    block: str | None = None,
    finish: Callable[[np.ndarray], np.ndarray] | None = None,
    **options,
) -> np.ndarray:
    """Return maps of where the evidence for a class lies.

    Args:
        model: As in `make_explainer`.
        images: uint8 [n, height, width, 3], RGB at the network's size.
        class_index: The class to explain, 0..k-1: one for all, or one for each image [n].
        method: As in `make_explainer`.
        block: As in `make_explainer`.
        finish: As in `make_explainer`.
        options: As in `make_explainer`.

    Returns:
        float32 [n, height, width], 0..1, normalised in each image by itself.

    Raises:
        InputError: As for `make_explainer`, or if the images do not fit.
    """
    return make_explainer(model, method, block, finish, **options)(images, class_index)


def make_explainer(
    model: keras.Model,
    method: str | None = None,
    block: str | None = None,
    finish: Callable[[np.ndarray], np.ndarray] | None = None,
    **options,
) -> Explainer:
    """Prepare a method for a network, so that any number of batches can be explained.

    Occlusion measures the log-odds of the class: they fall with the evidence even where a probability stays at 1.

    Args:
        model: A run's network: from raw images to class probabilities, or of a hybrid to features.
        method: One of `METHODS`. None: Grad-CAM; occlusion for hybrids, and where there is no feature map to show.
        block: The block whose feature maps Grad-CAM and Grad-CAM++ show, or "last", which None means too.
        finish: Of a hybrid: features [n, d] to class probabilities [n, k], by its classifier.
        options: What else the method's own function takes: `patch`, `stride` and `fill` of `occlusion`, `steps` and
            `baseline` of `integrated_gradients`, `batch_size` of the others.

    Raises:
        InputError: If there is no such method or block, or the network does not allow it.

    >>> layers = keras.layers
    >>> ends = [layers.GlobalAveragePooling2D(), layers.Dense(2, "softmax")]
    >>> net = keras.Sequential([keras.Input((6, 8, 3)), layers.Conv2D(4, 3, activation="relu"), *ends])
    >>> make_explainer(net).method, make_explainer(net, "occlusion", stride=1).block
    ('grad-cam', None)
    """
    if method is None:
        method = _choose(model, block, finish)
    if faults := _find_faults(method, block, finish):
        raise InputError(faults)
    if method in _CAMS:
        halves = cut(model, block or LAST)
        return Explainer(method, block or LAST, partial(activation_maps, halves, _CAMS[method], **options))
    show = {"occlusion": _cover, _ROLLOUT: _follow}.get(method, _integrate)
    return Explainer(method, None, show(model, finish, options))


def _cover(model, finish, options) -> Callable:
    predict = _log_odds_of(model, finish)
    return lambda images, wanted: occlusion(predict, check_images(model, images), wanted, **options)


def _integrate(model, finish, options) -> Callable:
    gradient = trace_gradient(model)
    return lambda images, wanted: show_attributions(share_out(gradient, model, images, wanted, **options))


def _follow(model, finish, options) -> Callable:
    rollout = trace_attention(model)
    return lambda images, wanted: roll_out(rollout, model, images, **options)  # the same for all classes


def _choose(model, block, finish) -> str:
    """Return Grad-CAM if the network allows it; also if a block is asked for, so that the error says why it fails."""
    if finish is not None:
        return "occlusion" if block is None else "grad-cam"
    try:
        cut(model)
    except InputError:
        return "occlusion" if block is None else "grad-cam"
    return "grad-cam"


def _find_faults(method, block, finish) -> list[str]:
    if method not in METHODS:
        return [
            f"`method` must be one of {', '.join(METHODS)}.{did_you_mean(method, METHODS)} Received: method={method!r}."
        ]
    faults = []
    if finish is not None and method != "occlusion":
        faults.append(
            "`method` must be 'occlusion' for a hybrid, whose classifier has no gradients; it is the default there. "
            f"Received: method={method!r}."
        )
    if block is not None and method not in _CAMS:
        faults.append(f"`block` goes with {' and '.join(_CAMS)} only. Received: block={block!r}, method={method!r}.")
    return faults


def _log_odds_of(model, finish) -> Callable[[np.ndarray], np.ndarray]:
    # Not `predict`, which would make a `tf.data` data set for each small batch of covered copies.
    if finish is not None:
        return lambda images: _of_probabilities(finish(np.asarray(model.predict_on_batch(images))))
    network = without_xla(keras.Model(model.inputs[0], find_scores(model)))
    # What a sigmoid takes are the log-odds of its label.
    measure = np.asarray if has_labels(model) else _of_scores
    return lambda images: measure(np.asarray(network.predict_on_batch(images), "float64"))


def _of_scores(scores) -> np.ndarray:
    """Return log-odds from scores before softmax, without the probabilities in between, which would saturate."""
    labels = range(scores.shape[1])
    others = [np.logaddexp.reduce(np.delete(scores, label, axis=1), axis=1) for label in labels]
    return scores - np.stack(others, axis=1)


def _of_probabilities(probabilities) -> np.ndarray:
    probabilities = np.clip(np.asarray(probabilities, "float64"), _LEAST, 1 - _LEAST)
    return np.log(probabilities) - np.log1p(-probabilities)
