"""The thresholds by which a user has a file of predictions decided, or a half for each of several labels."""

from collections.abc import Mapping
from pathlib import Path

from tlmed.errors import InputError, did_you_mean
from tlmed.evaluation.decisions import Decision, state_thresholds
from tlmed.evaluation.predictions import HALF, Predictions
from tlmed.metrics import positive_index
from tlmed.words import listed


def find_thresholds(
    file: Path, predictions: Predictions, positive: str | None, stated: Mapping[str | None, float]
) -> Decision | None:
    """Return the decision by stated thresholds; of several labels by a half, where no column says what is predicted.

    Args:
        file: For messages.
        predictions: Of the file, pooled.
        positive: The positive of two classes, by default the second in the order of classes.
        stated: The threshold of a label, or of the positive class, by its name; None for all that are not named.

    Returns:
        None where a column decides, or the usual rule for one class per image.

    Raises:
        InputError: There is no class or label of such a name, or there are more than two classes.
    """
    names = _list_names(file, predictions, positive) if stated else predictions.classes
    if wrong := [name for name in stated if name is not None and name not in names]:
        kind = "a label" if predictions.is_multi else "the positive class"
        near = did_you_mean(wrong[0], names)
        raise InputError(
            f"`--threshold` must name {kind}.{near} Received: {wrong[0]!r}, for {file} with {listed(names)}."
        )
    if not stated and not (predictions.is_multi and predictions.by_scores):
        return None
    rest = stated.get(None, HALF)
    thresholds = [(stated.get(name, rest), name in stated or None in stated) for name in names]
    return state_thresholds(thresholds, predictions.is_multi)


def _list_names(file, predictions, positive) -> tuple[str, ...]:
    """Return what may have a threshold: each of several labels, or the positive one of two classes."""
    if predictions.is_multi:
        return predictions.classes
    main = positive_index(predictions.classes, positive)
    if main is None:
        raise InputError(
            "`--threshold` needs two classes, or several labels per image. "
            f"Received: {file} with {len(predictions.classes)} classes."
        )
    return (predictions.classes[main],)
