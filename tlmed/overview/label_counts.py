"""How often each of several labels is there, how many an image has, and which go together."""

from collections.abc import Sequence

import numpy as np

from tlmed.label_texts import NEGATIVE, NOTHING, POSITIVE, UNDECIDED, UNKNOWN
from tlmed.label_vectors import are_vectors
from tlmed.report.image_counts import MOST_CLASSES
from tlmed.tabulation import Table, numbers, say, texts
from tlmed.words import count, percent

_MOST_PAIRS = 20  # of many labels, the pairs that are listed


def find_members(labels: np.ndarray, names: Sequence[str]) -> dict[str, np.ndarray]:
    """Return which images are of each class, bool [n]; an image may have several labels, or none.

    Images that have no label count as "No Finding" if all their labels are known, and are named apart if not.

    Args:
        labels: Classes int [n], or vectors int [n, k].
        names: Of the classes, or of the k labels.

    >>> members = find_members(np.array([[1, 1], [0, 0], [0, -1]]), ["edema", "mass"])
    >>> {name: np.flatnonzero(own).tolist() for name, own in members.items()}
    {'edema': [0], 'mass': [0], 'No Finding': [1], 'none known to be there': [2]}
    """
    if not are_vectors(labels):
        return {name: labels == place for place, name in enumerate(names)}
    has = labels == POSITIVE
    members = {name: has[:, place] for place, name in enumerate(names)}
    nothing = (labels == NEGATIVE).all(axis=1)
    others = {NOTHING: nothing, UNDECIDED: ~has.any(axis=1) & ~nothing}
    return members | {name: own for name, own in others.items() if own.any()}


def tabulate_labels(labels: np.ndarray, names: Sequence[str]) -> Table:
    """Return of how many images each label is known, and how many have it.

    Args:
        labels: Vectors of 1, 0 and -1, int [n, k].
        names: Of the labels.
    """
    rows = []
    for name, own in zip(names, labels.T, strict=True):
        has, known = int((own == POSITIVE).sum()), int((own != UNKNOWN).sum())
        share = percent(has / known) if known else ""
        rows.append((name, f"{has:,}", f"{known - has:,}", f"{len(own) - known:,}", share))
    return Table(
        texts("Label") + numbers("has it", "has it not", "unknown", "share"),
        rows,
        footnote="Share: of the images of which the label is known, those that have it.",
    )


def tabulate_amounts(labels: np.ndarray) -> Table:
    """Return how many images have none of the labels, one, two and so on; of how many all are known.

    Args:
        labels: Vectors of 1, 0 and -1, int [n, k].
    """
    amounts, whole = (labels == POSITIVE).sum(axis=1), (labels != UNKNOWN).all(axis=1)
    rows = [
        (f"{amount}", f"{(amounts == amount).sum():,}", f"{(whole & (amounts == amount)).sum():,}")
        for amount in np.unique(amounts).tolist()
    ]
    return Table(texts("Labels of an image") + numbers("images", "all labels known"), rows)


def tabulate_pairs(labels: np.ndarray, names: Sequence[str]) -> Table:
    """Return how many images have two labels at once: each with each, or of many labels the most frequent pairs.

    Args:
        labels: Vectors of 1, 0 and -1, int [n, k].
        names: Of the labels.
    """
    has = (labels == POSITIVE).astype(np.int64)
    both = has.T @ has
    if len(names) <= MOST_CLASSES:
        rows = [(name, *_say_row(row, place)) for place, (name, row) in enumerate(zip(names, both, strict=True))]
        said = "How many images have the label of the row and that of the column, and their share of the row's."
        return Table(texts("Label") + numbers(*names), rows, footnote=said)
    pairs = [(-both[one, two], one, two) for one in range(len(names)) for two in range(one) if both[one, two]]
    rows = [(f"{names[two]}, {names[one]}", f"{-number:,}") for number, one, two in sorted(pairs)[:_MOST_PAIRS]]
    left = len(pairs) - len(rows)
    notes = [f"Not listed: {count(left, 'rarer pair')}."] if left else []
    return Table(texts("Labels") + numbers("images"), rows, notes)


def _say_row(row, place) -> list:
    """Return the cells of a label: the amounts, and below them the shares of its own images."""
    own = row[place]
    return [
        f"{number:,}" if column == place or not own else say(f"{number:,}", below=(percent(number / own),))
        for column, number in enumerate(row.tolist())
    ]
