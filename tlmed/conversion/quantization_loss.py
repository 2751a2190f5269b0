"""What shorter numbers cost: the AUC on the run's test images, before and after, with the interval of its loss."""

from collections.abc import Sequence

import numpy as np

from tlmed.conversion.tested_images import Tested, recall_split
from tlmed.errors import CheckFailed
from tlmed.evaluation.pooling import list_unit_groups, number_units, pool_scores
from tlmed.evaluation.unit_labels import label_units
from tlmed.inference.panel import Panel
from tlmed.metrics import positive_index
from tlmed.metrics.differences import compare_metrics
from tlmed.metrics.label_differences import compare_label_pairs
from tlmed.tasks import MULTI_LABEL
from tlmed.words import count

AUC = "auc"
_PER_CLASS = 40  # training images on which ranges are measured: more move them little


def choose_images(panel: Panel, source: str | None) -> np.ndarray:
    """Return training images for measuring ranges, as many of each class as there are, up to `_PER_CLASS`.

    Classes count the same, because a rare one may have the largest values. All are evenly spaced.

    Args:
        panel: What answers.
        source: As for `recall_split`.

    Returns:
        uint8 [n, height, width, 3].
    """
    recalled, rows, _ = recall_split(panel, "train", source)
    images, chosen = recalled.images, set()
    for number in range(len(images.table.classes)):
        own = rows[images.table.has(number)[rows]]
        spaced = np.linspace(0, len(own) - 1, min(len(own), _PER_CLASS)).round().astype(int)
        chosen.update(own[spaced].tolist())
    return images.pixels.take(np.array(sorted(chosen)))


def measure_loss(panel: Panel, tested: Tested, before: np.ndarray, after: np.ndarray) -> dict:
    """Return how much lower the AUC is, with its paired interval, and how many answers changed.

    Args:
        panel: What answers.
        tested: The test images.
        before: Their scores as the run gave them, float [n, k].
        after: Those of the model with shorter numbers.

    Returns:
        `value`, `low` and `high`, each None where it is undefined; `changed` answers of `n`.
    """
    task, classes, positive = panel.first.task, list(panel.first.classes), panel.metrics.get("positive")
    main, pooling = None if task == MULTI_LABEL else positive_index(classes, positive), panel.pooling
    names, members = number_units(pooling.name(tested.paths, tested.groups))
    first = np.unique(members, return_index=True)[1]
    groups = list_unit_groups(pooling, tested.paths, tested.groups)
    pairs, labels = [], label_units(tested.labels, members) if pooling.how else tested.labels
    for scores in (before, after):
        scores = np.asarray(scores, float)
        units = pool_scores(scores, members, pooling.how, main, task) if pooling.how else scores
        pairs.append((units, panel.decision.choose(units, main, task)))
    if groups is not None and pooling.how:
        groups = [groups[row] for row in first]
    entry = _compare(task, labels, pairs, classes, positive, groups)
    changed = int((pairs[0][1] != pairs[1][1]).reshape(len(names), -1).any(axis=1).sum())
    return {name: entry.get(name) for name in ("value", "low", "high")} | {"changed": changed, "n": len(names)}


def _compare(task, labels, pairs: Sequence, classes, positive, groups) -> dict:
    if task == MULTI_LABEL:
        return compare_label_pairs(labels, pairs, classes, groups, [AUC])[0, 1].means[AUC]
    return compare_metrics(labels, *pairs, classes, positive, groups, [AUC])[AUC]


def check_loss(found: dict, most: float, quantize: str) -> None:
    """Refuse a model that lost too much, by the loss itself: its interval is wide where few images are tested.

    Args:
        found: From `measure_loss`.
        most: The largest loss that is accepted.
        quantize: What was asked for.

    Raises:
        CheckFailed: The loss is larger, or unknown.
    """
    if found["value"] is None or found["value"] > most:
        lost = "an AUC that is undefined" if found["value"] is None else f"a loss of {say_loss(found)}"
        raise CheckFailed(
            f"A model with numbers of {quantize} may lose {most:g} of the AUC on test images (`--max-loss`). "
            f"Received: {lost}; nothing was kept."
        )


def say_loss(found: dict) -> str:
    """Return a loss with its interval.

    >>> say_loss({"value": 0.0012, "low": -0.0004, "high": 0.0028, "changed": 1, "n": 117})
    '0.0012 (-0.0004 to 0.0028)'
    """
    between = "" if found["low"] is None else f" ({found['low']:.4f} to {found['high']:.4f})"
    return f"{found['value']:.4f}{between}"


def describe_loss(found: dict, most: float) -> list[str]:
    """Return what a user should know of a loss, a sentence each.

    Args:
        found: From `measure_loss`.
        most: The largest loss that is accepted.
    """
    answers = count(found["n"], "test answer")
    lines = [f"Shorter numbers cost {say_loss(found)} of the AUC, and changed {found['changed']:,} of {answers}."]
    if found["high"] is not None and found["high"] > most:
        lines.append(f"So few test images do not show that the loss is no larger than {most:g}: see the interval.")
    return lines
