"""Folds of a cross-validation within the training images."""

from collections.abc import Sequence

import numpy as np

from tlmed.columns import suggest_spelling
from tlmed.data.units import split_units
from tlmed.metrics.arguments import find_group_faults, name_groups
from tlmed.seeds import derive
from tlmed.words import count


def make_folds(
    labels: np.ndarray, groups: Sequence[str] | None, folds: int, seed: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide images into folds: groups stay whole, and every class is spread evenly.

    Folds are made in the same way as the splits of a run. Every fold then has a class that has groups enough, and the
    folds do not depend on the version of scikit-learn.

    Args:
        labels: Classes [n].
        groups: As in `fit_classifier`.
        folds: 2 or more.
        seed: Decides the order.

    Returns:
        For each fold the rows to fit on and the rows to score.

    >>> [rows.tolist() for _, rows in make_folds([0, 0, 0, 1, 1], ["a", "a", "b", "c", "d"], folds=2, seed=0)]
    [[0, 1, 4], [2, 3]]
    """
    labels = np.asarray(labels)
    part = split_units(labels, _units(groups, len(labels)), [1 / folds] * folds, derive(seed, "folds"), max(labels) + 1)
    return [(np.flatnonzero(part != fold), np.flatnonzero(part == fold)) for fold in range(folds)]


def _units(groups, n) -> np.ndarray:
    """Number the groups from 0 in order of appearance; an empty name is a group of its own."""
    # Numbers cannot equal names, which are text.
    names = [group or i for i, group in enumerate(name_groups(groups, n) or [""] * n)]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], np.int64)


def find_fold_faults(
    labels: np.ndarray,
    groups: Sequence[str] | None,
    folds: int,
    class_names: Sequence[str],
    pca: int | float | None = None,
    width: int | None = None,
    seed: int = 0,
) -> list[str]:
    """Return why images cannot be divided into folds, a sentence each; arguments as in `find_hybrid_faults`."""
    if not isinstance(folds, int) or isinstance(folds, bool) or folds < 2:
        return [f"`folds` must be a whole number of 2 or more. Received: folds={folds!r}."]
    if faults := find_group_faults(groups, len(labels)):
        return faults
    units, kind = _units(groups, len(labels)), "group" if name_groups(groups, len(labels)) else "image"
    for label, class_name in enumerate(class_names):
        held = len(np.unique(units[labels == label]))
        if held < 2:
            faults.append(
                f"A class must have 2 training {kind}s or more to be held out in turn."
                f"{suggest_spelling(class_name, class_names)} Received: class {class_name!r} with {count(held, kind)}."
            )
        elif held < folds:
            faults.append(
                f"`folds` must be at most {held}: class {class_name!r} has {held} training {kind}s."
                f"{suggest_spelling(class_name, class_names)} Received: folds={folds}."
            )
    if faults:
        return faults
    splits = make_folds(labels, groups, folds, seed)
    for fold, (_, held_out) in enumerate(splits, 1):
        absent = [class_name for label, class_name in enumerate(class_names) if label not in labels[held_out]]
        if absent:
            faults.append(
                f"Every fold must hold every class; fewer `folds` or another `seed` may help. "
                f"Received: fold {fold} of {folds} without {', '.join(map(repr, absent))}."
            )
    return faults + _find_pca_faults(pca, width, min(len(rows) for rows, _ in splits))


def _find_pca_faults(pca, width, images) -> list[str]:
    if pca is None or (isinstance(pca, float) and 0 < pca < 1):
        return []
    most = images if width is None else min(images, width)
    if isinstance(pca, int) and not isinstance(pca, bool) and 1 <= pca <= most:
        return []
    return [
        f"`pca` must be from 1 to {most} (a fold's training images, and features), a fraction between 0 and 1, or None."
        f" Received: pca={pca!r}."
    ]
