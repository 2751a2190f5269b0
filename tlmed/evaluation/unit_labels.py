"""The label, or the labels, of what samples make up: a file or a group has them only if its samples agree."""

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np

from tlmed.label_texts import NEGATIVE, POSITIVE
from tlmed.label_vectors import are_vectors


def label_units(labels: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Return what each unit has: the class of its samples, or of each label what is known of some sample.

    Args:
        labels: Classes of samples int [n], or vectors int [n, k]; `find_mixed` must find nothing.
        members: The unit of each sample, 0..m-1, each with a sample, int [n].

    Returns:
        int [m] or [m, k].

    >>> label_units(np.array([[1, -1], [1, 0], [-1, -1]]), np.array([0, 0, 1])).tolist()
    [[1, 0], [-1, -1]]
    """
    first = labels[np.unique(members, return_index=True)[1]]
    if not are_vectors(labels):
        return first
    found = first.copy()
    np.maximum.at(found, members, labels)  # what is not known is -1, below both that may be known
    return found


def find_mixed(names: Sequence[str], labels: np.ndarray) -> list[str]:
    """Return the units whose samples have several classes, or disagree on a label, in order of name.

    Args:
        names: The unit of each sample.
        labels: As for `label_units`.

    >>> find_mixed(["a", "a", "b", "b"], np.array([[1, 0], [1, -1], [1, 0], [0, 0]]))
    ['b']
    """
    if are_vectors(labels):
        return sorted({name for own in labels.T for name in _find_several(names, own[own >= 0], own >= 0)})
    return sorted(_find_several(names, labels, np.ones(len(labels), bool)))


def _find_several(names, labels, known) -> list[str]:
    chosen = [name for name, is_so in zip(names, known.tolist(), strict=True) if is_so]
    pairs = set(zip(chosen, labels.tolist(), strict=True))
    return [name for name, number in Counter(name for name, _ in pairs).items() if number > 1]


def say_mixed(
    names: Sequence[str], labels: np.ndarray, classes: Sequence[str], mixed: Collection[str]
) -> dict[str, str]:
    """Return what the samples of each mixed unit have, in words.

    >>> say_mixed(["a", "a", "b"], np.array([[1, 0], [0, 0], [1, 1]]), ["edema", "mass"], ["a"])
    {'a': 'edema in 1, not in 1'}
    >>> say_mixed(["a", "a", "a"], np.array([1, 0, 1]), ["ill", "well"], ["a"])
    {'a': '1 of ill, 2 of well'}
    """
    rows = {name: [] for name in mixed}
    for row, name in enumerate(names):
        if name in rows:
            rows[name].append(row)
    say = _say_labels if are_vectors(labels) else _say_classes
    return {name: say(labels[own], classes) for name, own in rows.items()}


def _say_classes(labels, classes) -> str:
    amounts = Counter(classes[label] for label in labels.tolist())
    return ", ".join(f"{number:,} of {name}" for name, number in sorted(amounts.items()))


def _say_labels(labels, classes) -> str:
    amounts = [(labels == value).sum(axis=0).tolist() for value in (POSITIVE, NEGATIVE)]
    sides = zip(classes, *amounts, strict=True)
    return "; ".join(f"{name} in {has:,}, not in {lacks:,}" for name, has, lacks in sides if has and lacks)
