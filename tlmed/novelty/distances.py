"""Ways to measure how far an image is from the training images, by its features; each with what it keeps of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from tlmed.label_vectors import are_vectors
from tlmed.novelty.nearest_known import direct, measure_nearest
from tlmed.novelty.shrunk_gaussians import Gaussian, fit_gaussian
from tlmed.seeds import derive

ROOM = 4 * 2**20  # bytes of what is kept of the training images
NEIGHBOUR = 1  # which of the nearest: by the table of docs/unusual.md, where farther ones miss more
NEAREST, MAHALANOBIS, PER_CLASS, RELATIVE = "nearest", "mahalanobis", "class-mahalanobis", "relative-mahalanobis"


class Measure(Protocol):
    """A way to measure how far images are from those of training."""

    name: str  # of `MEASURES`

    def score(self, features: np.ndarray) -> np.ndarray:
        """Return a score for each row of features, float64 [n]; higher is farther."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return what is kept of the training images, float32."""


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Nearest:
    """The distance to the k-th nearest training image (Sun et al. 2022).

    Attributes:
        known: Features of training images, of length 1, float32 [m, d].
        k: Which neighbour.
        name: Of `MEASURES`.
    """

    known: np.ndarray
    k: int = NEIGHBOUR
    name: str = NEAREST

    def score(self, features: np.ndarray) -> np.ndarray:
        """Return the distance to the k-th nearest, 0..2, float64 [n]."""
        return measure_nearest(features, self.known, min(self.k, len(self.known)))

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the features that are kept, and which neighbour counts."""
        return {"known": self.known, "k": np.array(self.k, np.int32)}


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Mahalanobis:
    """The Mahalanobis distance to the nearest mean (Lee, Lee, Lee & Shin, NeurIPS 2018).

    Attributes:
        means: Of each class, or one of all images, float [c, d].
        within: The normal distribution around them, the same for all.
        overall: That of all images around their mean, whose distance is subtracted (Ren et al., A simple fix to
            Mahalanobis distance for improving near-OOD detection, 2021); None: nothing is.
        middle: The mean of all images, float [d].
        name: Of `MEASURES`.
    """

    means: np.ndarray
    within: Gaussian
    overall: Gaussian | None = None
    middle: np.ndarray | None = None
    name: str = MAHALANOBIS

    def score(self, features: np.ndarray) -> np.ndarray:
        """Return squared distances, of "relative-mahalanobis" less those of the overall distribution, float64 [n]."""
        rows = np.asarray(features, np.float64)
        found = np.min([self.within.measure(rows - mean) for mean in self.means], axis=0)
        return found if self.overall is None else found - self.overall.measure(rows - self.middle)

    def arrays(self) -> dict[str, np.ndarray]:
        """Return means, axes and variances."""
        parts = {"means": self.means, **_list_gaussian("within", self.within)}
        if self.overall is not None:
            parts |= {"middle": self.middle, **_list_gaussian("overall", self.overall)}
        return {name: np.asarray(part, np.float32) for name, part in parts.items()}


def _list_gaussian(name, gaussian) -> dict:
    return {f"{name}_axes": gaussian.axes, f"{name}_variances": gaussian.variances, f"{name}_rest": gaussian.rest}


def _read_gaussian(name, arrays) -> Gaussian:
    axes, variances, rest = (arrays[f"{name}_{part}"] for part in ("axes", "variances", "rest"))
    return Gaussian(axes.astype(np.float64), variances.astype(np.float64), float(rest))


def _fit_nearest(features, labels, seed, room) -> Nearest:
    most = max(1, room // (4 * features.shape[1]))
    if len(features) > most:  # drawn, so that classes keep their shares on average
        chosen = np.random.RandomState(derive(seed, "novelty", "known")).permutation(len(features))[:most]
        features = features[np.sort(chosen)]
    return Nearest(direct(features))


def _fit_mahalanobis(features, labels, seed, room) -> Mahalanobis:
    means = features.mean(0, keepdims=True)
    return Mahalanobis(means, fit_gaussian(features - means, max(1, room // (4 * features.shape[1]))))


def _fit_classes(features, labels, seed, room) -> Mahalanobis:
    means, deviations = _center(features, labels)
    return Mahalanobis(means, fit_gaussian(deviations, max(1, room // (4 * features.shape[1]))), name=PER_CLASS)


def _fit_relative(features, labels, seed, room) -> Mahalanobis:
    means, deviations = _center(features, labels)
    most, middle = max(1, room // (8 * features.shape[1])), features.mean(0)
    overall = fit_gaussian(features - middle, most)
    return Mahalanobis(means, fit_gaussian(deviations, most), overall, middle, RELATIVE)


def _center(features, labels) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean of each class, and features less that of theirs; images of several labels are of one class."""
    if labels is None or are_vectors(labels):
        means = features.mean(0, keepdims=True)
        return means, features - means
    found, numbers = np.unique(labels, return_inverse=True)
    means = np.stack([features[numbers == number].mean(0) for number in range(len(found))])
    return means, features - means[numbers]


MEASURES: Mapping[str, Callable[..., Measure]] = {
    NEAREST: _fit_nearest,
    MAHALANOBIS: _fit_mahalanobis,
    PER_CLASS: _fit_classes,
    RELATIVE: _fit_relative,
}


def fit_measure(
    name: str, features: np.ndarray, labels: np.ndarray | None = None, seed: int = 0, room: int = ROOM
) -> Measure:
    """Learn what training images look like.

    Args:
        name: Of `MEASURES`.
        features: Of training images, float [n, d], finite.
        labels: Their classes, int [n]; vectors of labels, int [n, k], or None: all are of one class.
        seed: Decides which images are kept where not all have room.
        room: How many bytes may be kept: of "nearest" so many images, of the others so many axes.

    >>> measure = fit_measure("nearest", np.eye(4))
    >>> measure.score(np.array([[1.0, 0.0, 0.0, 0.0], [-1.0, 0.0, 0.0, 0.0]])).round(3).tolist()
    [0.0, 1.414]
    """
    return MEASURES[name](np.asarray(features, np.float64), labels, seed, room)


def rebuild_measure(name: str, arrays: Mapping[str, np.ndarray]) -> Measure:
    """Return the measure of which `Measure.arrays` gave these arrays.

    Raises:
        KeyError: If one is missing.
    """
    if name == NEAREST:
        return Nearest(arrays["known"], int(arrays["k"]))
    within = _read_gaussian("within", arrays)
    if name != RELATIVE:
        return Mahalanobis(arrays["means"].astype(np.float64), within, name=name)
    middle = arrays["middle"].astype(np.float64)
    return Mahalanobis(arrays["means"].astype(np.float64), within, _read_gaussian("overall", arrays), middle, RELATIVE)
