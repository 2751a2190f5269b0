"""The confusion matrix as `metrics.json` keeps it, and as a table; metrics are in `definitions`."""

from collections.abc import Mapping, Sequence

import numpy as np

# From this number of classes on, empty cells are left out. 3,000 classes have nine million cells, of which 4,000
# images fill 4,000 at most: `metrics.json` was 85 MB, nearly all of it zeros.
SPARSE_FROM = 100


def pack_confusion(counts: np.ndarray, classes: Sequence[str]) -> list | dict:
    """Return a confusion as `metrics.json` keeps it.

    Args:
        counts: Images of each true class (rows) predicted as each class, int [k, k].
        classes: The k names.

    Returns:
        Rows of numbers; with 100 classes and more true class to predicted class to images, without empty cells.

    >>> pack_confusion(np.array([[3, 1], [0, 4]]), ["a", "b"])
    [[3, 1], [0, 4]]
    """
    if len(classes) < SPARSE_FROM:
        return counts.tolist()
    packed = {}
    for row, column in zip(*(places.tolist() for places in np.nonzero(counts)), strict=True):
        packed.setdefault(classes[row], {})[classes[column]] = int(counts[row, column])
    return packed


def unpack_confusion(metrics: Mapping) -> np.ndarray:
    """Return the confusion of `metrics.json` as a table, int [k, k]: rows are true classes.

    Args:
        metrics: `classes` and `confusion` are used.

    >>> unpack_confusion({"classes": ["a", "b"], "confusion": [[3, 1], [0, 4]]}).sum()
    np.int64(8)
    """
    classes, packed = metrics["classes"], metrics["confusion"]
    if not isinstance(packed, Mapping):
        return np.array(packed)
    places = {name: place for place, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    for true, row in packed.items():
        for predicted, images in row.items():
            counts[places[true], places[predicted]] = images
    return counts
