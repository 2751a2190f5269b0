"""Labels of images as arrays: classes int [n], or vectors int [n, k] where an image may have several labels.

A vector holds 1 for a label that the image has, 0 for one that it has not, and -1 for one that is not known.
"""

from collections.abc import Sequence

import numpy as np

from tlmed.label_texts import NEGATIVE, POSITIVE, read_vector, write_vector


def are_vectors(labels: np.ndarray) -> bool:
    """Tell whether labels are vectors [n, k], one for each image, and not classes [n]."""
    return labels.ndim == 2


def write_labels(labels: np.ndarray, names: Sequence[str]) -> list[str]:
    """Return the text of the label, or of the labels, of each image.

    Args:
        labels: Classes int [n], or vectors int [n, k].
        names: Of the classes, or of the k labels.

    >>> write_labels(np.array([1, 0]), ["ill", "well"]), write_labels(np.array([[1, 1]]), ["edema", "mass"])
    (['well', 'ill'], ['edema|mass'])
    """
    if are_vectors(labels):
        return [write_vector(vector, names) for vector in labels.tolist()]
    return [names[label] for label in labels.tolist()]


def read_labels(texts: Sequence[str], names: Sequence[str], several: bool) -> np.ndarray:
    """Return the labels that texts stand for: the reverse of `write_labels`.

    Args:
        texts: One for each image.
        names: Of the classes, or of the labels.
        several: Whether these are labels, of which an image may have several.

    Raises:
        KeyError: A text names another one.
    """
    places = {name: place for place, name in enumerate(names)}
    if several:
        return np.array([read_vector(text, places) for text in texts], np.int64).reshape(-1, len(names))
    return np.array([places[text] for text in texts], np.int64)


def find_constant(labels: np.ndarray, names: Sequence[str]) -> dict[str, list[str]]:
    """Return the labels that have one value only, or none, by what is so of them; without those that have both.

    Args:
        labels: Vectors, int [n, k].
        names: Of the k labels.

    >>> find_constant(np.array([[1, 0, -1], [0, -1, -1]]), ["edema", "mass", "nodule"])
    {'never 1 where known': ['mass'], 'known of no image': ['nodule']}
    """
    has, lacks = ((labels == value).any(axis=0) for value in (POSITIVE, NEGATIVE))
    kinds = {
        "never 1 where known": lacks & ~has,
        "always 1 where known": has & ~lacks,
        "known of no image": ~has & ~lacks,
    }
    found = {how: [name for name, is_so in zip(names, of, strict=True) if is_so] for how, of in kinds.items()}
    return {how: chosen for how, chosen in found.items() if chosen}


def number_labels(labels: np.ndarray) -> np.ndarray:
    """Return a number for each image that is the same where labels are the same, int [n].

    >>> number_labels(np.array([[0, 1], [1, 1], [0, 1]])).tolist()
    [0, 1, 0]
    """
    return np.unique(labels, axis=0, return_inverse=True)[1].ravel() if are_vectors(labels) else labels
