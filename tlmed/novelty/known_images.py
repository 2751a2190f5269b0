"""What a run knows of the images that it was trained on, as far as it tells others from them."""

import math
from dataclasses import dataclass, field, replace

import numpy as np

from tlmed.metrics.proportions import proportion
from tlmed.novelty.conformal import Calibration, calibrate, judge_halves, pool_judgements
from tlmed.novelty.distances import ROOM, Measure, Nearest, fit_measure
from tlmed.words import count

ALARM = 0.05  # images with a lower p-value are called unusual
LEAST = 20  # owners of held-out images: with 19 the least p-value is 1 / 20, which is not below ALARM
MEASURE = "nearest"  # docs/unusual.md shows what decided between them


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Novelty:
    """Tells images unlike any of training.

    Attributes:
        measure: How far an image is from the training images.
        calibration: How far validation images are.
        width: How many features an image has.
        about: Facts for a person: how many images are known, and so on.
        tested: The p-values of test images of new patients, or of their files where one answer is for a file, with
            which later ones are compared, float [t].
        testers: Whom each of these belongs to, int [t].
    """

    measure: Measure
    calibration: Calibration
    width: int
    about: dict
    tested: np.ndarray = field(default_factory=lambda: np.zeros(0))
    testers: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    def judge(self, features: np.ndarray) -> np.ndarray:
        """Return a conformal p-value of each image, above 0 to 1, float64 [n].

        Args:
            features: By the network's last layer before the head, or before a hybrid's classifier, float [n, d].

        Raises:
            ValueError: If there are not as many features as in training.
        """
        features = np.asarray(features)
        if features.ndim != 2 or features.shape[1] != self.width:
            raise ValueError(f"`features` must be [n, {self.width}]. Received: shape={features.shape}.")
        finite = np.isfinite(features).all(axis=1)
        scores = np.full(len(features), np.inf)
        if finite.any():
            scores[finite] = self.measure.score(features[finite])
        return self.calibration.judge(scores)


@dataclass(frozen=True, eq=False)  # `==` of arrays is an array
class Seen:
    """Images of a split, as far as novelty needs them.

    Attributes:
        features: float [n, d].
        owners: Whom each belongs to, int [n].
        labels: Classes, int [n], or vectors of labels [n, k]; None where they do not matter.
        files: The file of each, int [n], where one answer, and one p-value, is for a file; None: each image has its
            own. A file is of one owner.
    """

    features: np.ndarray
    owners: np.ndarray
    labels: np.ndarray | None = None
    files: np.ndarray | None = None


def learn_novelty(train: Seen, val: Seen, seed: int, name: str = MEASURE, room: int = ROOM) -> Novelty:
    """Learn what training images look like, and how far validation images are from them.

    Args:
        train: Training images, with finite features.
        val: Validation images, with finite features, of which no owner has training images.
        seed: Decides which training images are kept where not all have room.
        name: Of `tlmed.novelty.MEASURES`.
        room: How many bytes may be kept.
    """
    measure = fit_measure(name, train.features, train.labels, seed, room)
    calibration = calibrate(measure.score(val.features), val.owners)
    about = {"measure": name, "images": len(train.features), "held_out": len(val.features), "units": calibration.units}
    about |= {"known": len(measure.known)} if isinstance(measure, Nearest) else {}
    return Novelty(measure, calibration, int(train.features.shape[1]), about)


def pool_files(p_values: np.ndarray, owners: np.ndarray, files: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the p-value of each file, the mean over its images, and whom it belongs to.

    Args:
        p_values: Of the images, float [n].
        owners: Whom each belongs to, int [n].
        files: The file of each, int [n]; None: each image has a p-value of its own.

    >>> pool_files(np.array([0.1, 0.3, 1.0]), np.array([5, 5, 7]), np.array([2, 2, 3]))[1].tolist()
    [5, 7]
    """
    if files is None:
        return p_values, np.asarray(owners)
    _, first, members = np.unique(files, return_index=True, return_inverse=True)
    return pool_judgements(p_values, members), np.asarray(owners)[first]


def note_tested(novelty: Novelty, test: Seen) -> Novelty:
    """Return what a run knows with the p-values of its test images; none of their owners has other images."""
    if not len(test.features):
        return novelty
    tested, testers = pool_files(novelty.judge(test.features), test.owners, test.files)
    return replace(novelty, tested=tested, testers=testers)


def expect_alarms(units: int) -> float:
    """Return how often an image like those of training is called unusual, 0..1: at most `ALARM`.

    A p-value is a multiple of 1 / (units + 1), each as probable as the others, so that few held-out images give fewer
    false alarms than `ALARM` says.

    Args:
        units: Owners of held-out images, of one image each; where they have more, p-values are finer, and this is a
            little less than the truth.

    >>> [round(expect_alarms(units), 3) for units in (19, 20, 36, 39, 59, 117)]
    [0.0, 0.048, 0.027, 0.025, 0.033, 0.042]
    """
    return (math.ceil(round(ALARM * (units + 1), 9)) - 1) / (units + 1)


def count_alarms(p_values: np.ndarray, owners: np.ndarray) -> dict:
    """Return how many images are called unusual, and their share with its 95 % interval.

    Args:
        p_values: float [n], n >= 1.
        owners: Whom each image belongs to, int [n].

    Returns:
        `n`, `unusual`, `value`, `low`, `high` and `method`.

    >>> count_alarms(np.array([0.01, 0.5, 0.7]), np.arange(3))["unusual"]
    1
    """
    alarms = p_values < ALARM
    return {"n": len(alarms), "unusual": int(alarms.sum()), **proportion(alarms, owners)}


def check_alarms(novelty: Novelty, val: Seen, seed: int) -> dict:
    """Return how often images like those of training, or files of them, are called unusual, in validation and test.

    Validation images calibrate p-values, so each half is judged by the other one: by all of them, their share would be
    5 % by construction.

    Args:
        novelty: What a run knows, with its test images.
        val: The validation images that it was learned by.
        seed: Decides the halves.

    Returns:
        `validation` and `test`, as `count_alarms`; where a half has too few owners, `validation_reason` in place of the
        former; the latter only where there are test images.
    """
    found, known = {}, novelty.calibration
    if known.units >= 2 * LEAST:
        found["validation"] = count_alarms(*pool_files(judge_halves(known, seed), val.owners, val.files))
    else:
        what = "image" if known.units == len(known.scores) else "group"
        found["validation_reason"] = (
            f"validation has {count(known.units, what)} unknown to training; it takes {2 * LEAST} for each half to be "
            "judged by the other one"
        )
    if len(novelty.tested):
        found["test"] = count_alarms(novelty.tested, novelty.testers)
    return found
