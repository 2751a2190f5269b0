"""How many images or groups a metric rests on, and whether they are enough for an interval."""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from tlmed.metrics.definitions import RANKED, Case
from tlmed.metrics.influences import OF_CLASS
from tlmed.metrics.proportions import LEAST_GROUPS, has_few_groups
from tlmed.words import listed

FEW_UNITS = 10  # images or groups: what rests on fewer is marked
# With fewer images or groups a variance is too rough: average precision itself is then too high, kappa of three classes
# covered 80 %, log loss of seven patients 91 %, and an AUC of three patients always.
LEAST_UNITS = 5
MANY_CLASSES = 30  # from this number on, few images of each class are enough together
AGREEMENT = ("mcc", "kappa", "quadratic_kappa")
# Metrics of all images together. Each class counts by its share, and the largest class alone says little.
TOGETHER = frozenset({"accuracy", "log_loss", "brier", "ece", *AGREEMENT})
MOST_NAMED = 5  # classes in a sentence; the others are counted
NO_INTERVAL = "from which no interval follows."
_ONE = re.compile(r"\bIt rests on (1 (?:image|file|group))\b")  # as `note_few` says it, of what is counted


_OF_ONE_SIDE = ("sensitivity", "specificity", "ppv", "npv")
SHARES = (*_OF_ONE_SIDE, "f1")  # of some of the images


def find_counted(truth: np.ndarray, guess: np.ndarray, name: str) -> np.ndarray:
    """Return the images of which a metric of a class is a share, bool [n].

    Args:
        truth: Whether each image is of the class, bool [n].
        guess: Whether each is predicted as it, bool [n].
        name: Of SHARES.
    """
    return {
        "sensitivity": truth, "specificity": ~truth, "ppv": guess, "npv": ~guess, "f1": truth | guess
    }[name]  # fmt: skip


def name_unit(owners: np.ndarray | None) -> str:
    """Return what is counted: "group" where images have groups, else "image"."""
    return "image" if owners is None else "group"


def name_units(owners: np.ndarray | None) -> str:
    """Return the same in the plural."""
    return name_unit(owners) + "s"


def count_in(rows: np.ndarray, owners: np.ndarray | None) -> int:
    """Return how many images, or groups, some rows have.

    Args:
        rows: Which images count, bool [n].
        owners: The number of the group of each image, int [n]; None if images have no groups.
    """
    return int(np.count_nonzero(rows)) if owners is None else len(np.unique(owners[rows]))


def count_units(case: Case, owners: np.ndarray | None, scope: int | None, name: str) -> int:
    """Return the smallest number of images, or groups, that a metric rests on.

    Accuracy rests on all of them. Other metrics of all images together rest on those outside the largest class: with
    three positives among 400 images, three decide how uncertain log loss is. A metric of a class rests on the images of
    the class, on the rest or on those predicted as it, whichever of them takes part and is smallest. A mean over
    classes rests on those of the smallest class.

    Args:
        case: The predictions.
        owners: The number of the group of each image, int [n]; None if images have no groups.
        scope: The class whose metric it is; None for the metric of all.
        name: The metric, of `METRICS`.

    >>> from tlmed.metrics.definitions import make_case
    >>> labels = np.array([0, 0, 0, 1, 1])
    >>> case = make_case(labels, np.eye(2)[labels], labels, main=1)
    >>> [count_units(case, None, None, name) for name in ("accuracy", "f1", "specificity", "brier")]
    [5, 2, 3, 2]
    """
    return _find_units(case, range(case.classes), owners, scope, name)[0]


def find_least(case: Case, owners: np.ndarray | None, scope: int | None, name: str) -> int:
    """Return the least number of images, or groups, from which a metric gets an interval; `count_units` counts them.

    The numbers are fixed before the data are seen, so that no interval is left out because of its result. A proportion
    of images has an exact distribution and needs no minimum. A metric with an estimated variance needs five units.
    Proportions by groups, and metrics made of them, need ten: with fewer, Wilson's interval with an effective size is
    at least half as wide as the whole range, because it is hardly known how alike the images of a group are. By groups,
    no metric gets an interval from fewer than ten groups in all.

    Args:
        case: The predictions.
        owners: The number of the group of each image, int [n]; None if images have no groups.
        scope: The class whose metric it is; None for the metric of all.
        name: The metric, of `METRICS`.

    >>> from tlmed.metrics.definitions import make_case
    >>> case = make_case(np.array([0, 1]), np.eye(2), np.array([0, 1]), main=1)
    >>> [find_least(case, owners, None, "accuracy") for owners in (None, np.array([0, 0]))]
    [1, 10]
    """
    if name in ("log_loss", "brier", "average_precision"):
        return LEAST_UNITS
    if name in AGREEMENT and scope is None and case.main is None and (owners is None or name == "quadratic_kappa"):
        return LEAST_UNITS
    if name == "ece":
        return 2
    if owners is not None:
        return LEAST_UNITS if name == "auc" else LEAST_GROUPS
    return 2 if name in AGREEMENT else 1


def say_absent(names: Iterable[str]) -> str:
    """Say of a mean over the classes present which ones it misses.

    >>> say_absent(["mild"])
    "Mean over the classes present; there is no image of 'mild'."
    """
    return f"Mean over the classes present; there is no image of {listed(map(repr, names), MOST_NAMED)}."


def say_few(case: Case, owners, scope, name) -> str:
    """Say if a metric rests on too few images for an interval; return "" if they are enough.

    The arguments are those of `find_least`, which has the numbers.
    """
    if scope is not None and name not in RANKED:
        rows = find_counted(case.labels == scope, case.predictions == scope, name)
        if owners is None or len(np.unique(owners[rows])) == np.count_nonzero(rows):
            return ""  # images that stand alone: their share has an exact distribution
    if owners is not None and has_few_groups(owners):
        return f"Fewer than {LEAST_GROUPS} groups, {NO_INTERVAL}"
    least = find_least(case, owners, scope, name)
    if least == 1 or count_units(case, owners, scope, name) >= least:
        return ""
    return f"Fewer than {least} {name_units(owners)} decide, {NO_INTERVAL}"


def say_few_moves(case: Case, owners: np.ndarray | None, name: str) -> str:
    """Say if images are too few to estimate an error by how each of them moves a metric of all; "" if they are enough.

    An AUC of images without groups has a bound where fewer than five of a class decide. But a difference of two such
    AUCs, or who of several is the best, has none: for this, an error must be estimated.

    Args:
        case: The predictions.
        owners: The number of the group of each image, int [n]; None if images have no groups.
        name: The metric, of `METRICS`.

    >>> from tlmed.metrics.definitions import make_case
    >>> labels = np.array([0] * 20 + [1] * 4)
    >>> say_few_moves(make_case(labels, np.eye(2)[labels], labels, main=1), None, "auc")
    'Fewer than 5 images decide, from which no interval follows.'
    """
    if owners is not None and has_few_groups(owners):
        return f"Fewer than {LEAST_GROUPS} groups, {NO_INTERVAL}"
    if case.classes >= MANY_CLASSES or count_units(case, owners, None, name) >= LEAST_UNITS:
        return ""
    return f"Fewer than {LEAST_UNITS} {name_units(owners)} decide, {NO_INTERVAL}"


def _find_units(case: Case, classes, owners, scope, name) -> tuple[int, str]:
    """Return the number of `count_units`, and in words which units they are."""
    own = case.main if scope is None and name not in OF_CLASS else scope
    if name == "accuracy":
        return count_in(case.labels >= 0, owners), ""
    if name in TOGETHER and not (name == "quadratic_kappa" and own is None):  # which rests on the classes far apart
        return count_outside_largest(case.labels, owners, classes)
    if own is None:
        part = OF_CLASS.get(name, name)
        return min(
            _find_units(case, classes, owners, c, "f1" if part == "quadratic_kappa" else part)
            for c in np.unique(case.labels).tolist()
        )
    return min((count_in(rows, owners), words) for rows, words in _list_sides(case, classes, own, name))


def _list_sides(case: Case, classes, own, name) -> list[tuple[np.ndarray, str]]:
    """Return the images that decide a metric of a class, bool [n], and in words which they are; both sides of most."""
    truth, guess, named = case.labels == own, case.predictions == own, f"class {classes[own]!r}"
    return {
        "sensitivity": [(truth, f" of {named}")],
        "specificity": [(~truth, f" outside {named}")],
        "ppv": [(guess, f" predicted as {named}")],
        "npv": [(~guess, f" not predicted as {named}")],
    }.get(name, [(truth, f" of {named}"), (~truth, f" outside {named}")])


def note_dominant(case: Case, classes: Sequence[str], owners: np.ndarray | None, scope: int | None, name: str) -> str:
    """Return a sentence if one group has half or more of the images that a share of a class is of; "" elsewhere.

    Such a share has an interval by the number of groups, and is yet little more than that of a single patient.

    Args:
        case: The predictions.
        classes: The names.
        owners: The number of the group of each image, int [n]; None if images have no groups.
        scope: The class whose metric it is; None for the metric of all.
        name: The metric, of `METRICS`.

    >>> from tlmed.metrics.definitions import make_case
    >>> labels, owners = np.repeat([0, 1], 20), np.r_[np.zeros(13, int), np.arange(1, 28)]
    >>> case = make_case(labels, np.eye(2)[labels], labels, main=0)
    >>> note_dominant(case, ["well", "ill"], owners, None, "sensitivity")
    "One group has 13 of the 20 images of class 'well'."
    """
    own = case.main if scope is None else scope
    if owners is None or own is None or name not in _OF_ONE_SIDE:
        return ""
    ((rows, which),) = _list_sides(case, classes, own, name)
    largest, images = int(np.bincount(owners[rows]).max()), int(np.count_nonzero(rows))
    return f"One group has {largest} of the {images} images{which}." if largest > 1 and 2 * largest >= images else ""


def count_outside_largest(labels: np.ndarray, owners: np.ndarray | None, classes: Sequence[str]) -> tuple[int, str]:
    """Return how many images, or groups, are not of the largest class, and in words which they are.

    Args:
        labels: True classes, int [n], 0..k-1.
        owners: The number of the group of each image, int [n]; None if images have no groups.
        classes: The k names.

    >>> count_outside_largest(np.array([0, 0, 0, 1]), None, ["well", "ill"])
    (1, " of class 'ill'")
    """
    sizes = {c: count_in(labels == c, owners) for c in np.unique(labels).tolist()}
    largest = max(sizes, key=sizes.get)
    others = [c for c in range(len(classes)) if c != largest]
    words = f" of class {classes[others[0]]!r}" if len(others) == 1 else " outside the largest class"
    return count_in(labels != largest, owners), words


def note_few(case: Case, classes: Sequence[str], owners: np.ndarray | None, scope: int | None, *names: str) -> str:
    """Return a sentence if metrics rest on few images, or groups; "" if they are enough.

    Args:
        case: The predictions.
        classes: The names.
        owners: The number of the group of each image, int [n]; None if images have no groups.
        scope: The class whose metrics they are; None for those of all.
        names: The metric, of `METRICS`; several where a number is made of them all.
    """
    units, which = min(_find_units(case, classes, owners, scope, name) for name in names)
    if units >= FEW_UNITS:
        return ""
    if case.classes >= MANY_CLASSES and scope is None and not TOGETHER.issuperset(names):
        sizes = [count_in(case.labels == own, owners) for own in np.unique(case.labels).tolist()]
        small = sum(size < FEW_UNITS for size in sizes)
        return f"{small} of {len(sizes)} classes have fewer than {FEW_UNITS} {name_units(owners)}."
    return f"It rests on {units} {name_unit(owners) if units == 1 else name_units(owners)}{which}."


def read_single_unit(note: str | None) -> str:
    """Return the one image, file or group that a metric rests on, as its note says it; "" where there are more.

    >>> [read_single_unit(f"It rests on {units} of class 'ill'.") for units in ("1 image", "1 file", "12 images")]
    ['1 image', '1 file', '']
    """
    found = _ONE.search(note or "")
    return found[1] if found else ""
