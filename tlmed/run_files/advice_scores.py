"""What `advice.json` says of scores: on development images, of a gain, of a part on both sides, and by images."""

from collections.abc import Mapping
from typing import Required, TypedDict

from tlmed.run_files.json_files import Entry
from tlmed.words import count


class DevelopmentScore(TypedDict, total=False):
    """A score of development images, out of fold."""

    metric: Required[str]
    value: Required[float | None]
    low: float | None
    high: float | None
    method: str | None
    n: int
    folds: int | None


class Gain(TypedDict, total=False):
    """By how much something is better than something else on the same images."""

    over: Required[str]
    value: Required[float | None]
    noise: Required[float | None]  # one standard error of the paired difference
    folds: int  # on which it was measured; its score may be of more, which judged something else later


class Difference(TypedDict):
    """How far the AUC on development images lies above that on test images."""

    value: float
    low: float
    high: float
    p: float  # of a part: corrected for the number of parts


class PartScore(TypedDict):
    """The AUC of a label, of a class against the rest, or of the grades above one.

    The mean over labels or classes is the AUC of all. That of grades is the mean over grades against the rest, too, and
    not over these cuts.
    """

    name: str
    development: DevelopmentScore  # of what was decided for
    test: Entry  # of the answer
    shown: bool  # whether both intervals lie above guessing
    difference: Difference | None


class CurvePoint(TypedDict):
    """A score at a number of training images, with the ends of its interval."""

    n: int
    auc: float
    low: float
    high: float


class Law(TypedDict):
    """The fitted a - b n^-c."""

    a: float
    b: float
    c: float


class Curve(TypedDict, total=False):
    """The learning curve, as `tlmed.gate.learning_curves.forecast` gives it."""

    metric: Required[str]
    points: Required[list[CurvePoint]]
    fit: Required[Law]
    forecast: Required[list[CurvePoint]]
    features: str  # the network whose features it is of
    sentences: list[str]


def find_without_copies(answer: Mapping) -> tuple[str, Mapping] | None:
    """Return which score there is of the test images that repeat no development image, and that score; or None.

    It is that of the answer's own metric if there is one, or else the AUC.

    Args:
        answer: What `advice.json` says of the answer.
    """
    metrics = answer.get("without_copies", {}).get("metrics", {})
    name = next((name for name in (answer["metric"], "auc") if name in metrics), None)
    return None if name is None else (name, metrics[name])


def count_test(answer: Mapping) -> str:
    """Return how many test images an answer was scored on, and of how many patients where these are known.

    >>> count_test({"n": 15, "groups": 9}), count_test({"n": 1, "groups": None})
    ('15 test images of 9 patients', '1 test image')
    """
    of = f" of {count(answer['groups'], 'patient')}" if answer.get("groups") else ""
    return f"{count(answer['n'], 'test image')}{of}"
