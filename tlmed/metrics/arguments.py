"""What metrics are given, checked once: arrays of yes and no, of scores, of classes, and the groups of images."""

from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np

from tlmed.errors import InputError

TOLERANCE = 1e-3  # by which probabilities written with few digits may leave 0..1, and their sum may differ from 1


def as_flags(**given: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return arrays of yes and no as bool [n]; whole numbers 0 and 1 mean no and yes, as in scikit-learn.

    Args:
        given: Each array by its name, all of one length.

    Raises:
        InputError: With all faults.

    >>> [flags.tolist() for flags in as_flags(positive=[0, 1], predicted=np.array([True, True]))]
    [[False, True], [True, True]]
    """
    flags = {name: np.asarray(values) for name, values in given.items()}
    faults = [
        f"`{name}` must be True or False (or 1 or 0) for each image, [n]. {_show(values)}"
        for name, values in flags.items()
        if values.ndim != 1 or not _are_flags(values)
    ]
    lengths = {name: len(values) for name, values in flags.items() if values.ndim}
    if len(set(lengths.values())) > 1:
        received = ", ".join(f"len({name})={length}" for name, length in lengths.items())
        faults.append(f"{' and '.join(f'`{name}`' for name in lengths)} must be as long. Received: {received}.")
    if faults:
        raise InputError(faults)
    return tuple(values if values.dtype == bool else values == 1 for values in flags.values())


def _are_flags(values) -> bool:
    return values.dtype == bool or (values.dtype.kind in "iu" and bool(np.isin(values, (0, 1)).all()))


def find_missing_kind(positive: np.ndarray) -> list[str]:
    """Return a sentence if all images are positive, or none.

    >>> find_missing_kind(np.array([True, True]))
    ['`positive` must be true of some images and false of others. Received: 2 positive of 2.']
    """
    held = int(np.count_nonzero(positive))
    if 0 < held < len(positive):
        return []
    return [
        f"`positive` must be true of some images and false of others. Received: {held} positive of {len(positive)}."
    ]


def as_scores(n: int, finite: bool = True, **given: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return one number per image as float arrays [n].

    Args:
        n: How many images there are.
        finite: Whether NaN and infinite ones are refused.
        given: Each array by its name.

    Raises:
        InputError: With all faults.

    >>> as_scores(2, scores=[1, 0])[0].tolist()
    [1.0, 0.0]
    """
    scores = {name: np.asarray(values) for name, values in given.items()}
    faults = []
    for name, values in scores.items():
        if values.shape != (n,) or values.dtype.kind not in "biuf":
            faults.append(f"`{name}` must be one number for each of {n} images. {_show(values)}")
        elif finite and not np.isfinite(values).all():
            faults.append(f"`{name}` must be finite. Received: {int((~np.isfinite(values)).sum())} that are not.")
    if faults:
        raise InputError(faults)
    # Unsigned integers have no negatives, and sorting from the highest down negates.
    return tuple(values if values.dtype.kind == "f" else values.astype(float) for values in scores.values())


def as_owners(n: int, owners: np.ndarray | None) -> np.ndarray | None:
    """Return the numbers of groups as int [n]; None stays.

    Raises:
        InputError: If they are no whole numbers from 0, one per image.
    """
    if owners is None:
        return None
    numbers = np.asarray(owners)
    if numbers.shape != (n,) or numbers.dtype.kind not in "iu" or (n and numbers.min() < 0):
        raise InputError(f"`owners` must be the number of a group, from 0, for each of {n} images. {_show(numbers)}")
    return numbers


def find_chance_faults(name: str, chances: np.ndarray) -> list[str]:
    """Return a sentence if finite numbers are no probabilities; those written with few digits may leave 0..1 a little.

    >>> find_chance_faults("scores", np.array([20.0, 80.0]))
    ['`scores` must be probabilities, from 0 to 1. Received: values from 20 to 80.']
    """
    if not len(chances) or (chances.min() >= -TOLERANCE and chances.max() <= 1 + TOLERANCE):
        return []
    received = f"values from {chances.min():g} to {chances.max():g}"
    return [f"`{name}` must be probabilities, from 0 to 1. Received: {received}."]


def find_class_faults(name: str, values: np.ndarray, n: int, classes: int) -> list[str]:
    """Return a sentence if an array does not hold one class of 0..classes-1 for each of n images.

    >>> find_class_faults("labels", np.array([1, 2]), 2, 2)
    ['`labels` must be 2 whole numbers from 0 to 1. Received: int64 (2,), values [1, 2].']
    """
    if values.shape == (n,) and values.dtype.kind in "iu" and (not n or (values.min() >= 0 and values.max() < classes)):
        return []
    return [f"`{name}` must be {n} whole numbers from 0 to {classes - 1}. {_show(values)}"]


def find_classes_faults(classes: Sequence[str]) -> list[str]:
    """Return a sentence if there are fewer than two classes, or two of the same name."""
    if len(set(classes)) == len(classes) > 1:
        return []
    return [f"`classes` must be two names or more, all different. Received: classes={list(classes)!r}."]


def find_score_faults(name: str, scores: np.ndarray, n: int, classes: int) -> list[str]:
    """Return a sentence if scores are not finite, or do not have a column per class and a row per image."""
    if scores.shape != (n, classes):
        return [f"`{name}` must have the shape [images, classes] = {(n, classes)}. Received: shape={scores.shape}."]
    if scores.dtype.kind not in "biuf":
        return [f"`{name}` must be numbers. Received: {scores.dtype}."]
    missed = int((~np.isfinite(scores)).sum())
    return [f"`{name}` must be finite. Received: {missed} that are not."] if missed else []


def _show(values) -> str:
    try:
        some = np.unique(values)[:5].tolist()
    except TypeError:  # objects that have no order, such as text beside None
        some = values.ravel()[:5].tolist()
    return f"Received: {values.dtype} {values.shape}, values {some}."


def find_group_faults(groups: Sequence | None, n: int) -> list[str]:
    """Return a sentence if there is not one text or number for each of n images.

    >>> find_group_faults(["a", None], 2)[0].partition("Received: ")[2]
    'None for image 1.'
    """
    if groups is None:
        return []
    if len(groups) != n:
        return [f"`groups` must have one name per image, {n}. Received: len(groups)={len(groups)}."]
    wrong = [(i, group) for i, group in enumerate(groups) if not isinstance(group, str) and _spell(group) is None]
    if not wrong:
        return []
    others = f", and {len(wrong) - 1} more" if len(wrong) > 1 else ""
    rule = "`groups` must be text or numbers, with '' for an image that stands alone."
    return [f"{rule} Received: {wrong[0][1]!r} for image {wrong[0][0]}{others}."]


def name_groups(groups: Sequence | None, n: int) -> list[str] | None:
    """Return the names of groups as text, "" for an image on its own; None if no image has a group.

    A group may be called by a number, 0 too, and 7.0 is the group 7: pandas reads whole numbers so where one is
    missing. A missing one is refused, because only the user knows if such an image stands alone.

    Args:
        groups: Text or numbers, one per image; "" for an image on its own.
        n: How many images there are.

    Raises:
        InputError: If `find_group_faults` finds any.

    >>> name_groups([0, 0, 7.0, "b", ""], 5), name_groups(["", ""], 2)
    (['0', '0', '7', 'b', ''], None)
    """
    if faults := find_group_faults(groups, n):
        raise InputError(faults)
    names = [group if isinstance(group, str) else _spell(group) for group in (() if groups is None else groups)]
    return names if any(names) else None


def _spell(group) -> str | None:
    """Return the name of a group that is a number; None if it is none."""
    if isinstance(group, Integral):
        return str(int(group))
    if not isinstance(group, Real) or group != group:
        return None
    return str(int(group)) if float(group).is_integer() else str(float(group))
