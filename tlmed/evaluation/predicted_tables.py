"""The table that `tlmed predict` writes: its columns, and where it may be written."""

import itertools
from collections.abc import Sequence
from pathlib import Path

from tlmed import targets
from tlmed.evaluation.label_predictions_csv import PREDICTION
from tlmed.evaluation.prediction_rows import CALIBRATED, NOTE, SCORE, UNUSUAL


def check_table(path: Path, force: bool, inputs: Sequence[str | Path]) -> None:
    """Refuse a file that `tlmed predict` may not write its table to.

    Args:
        path: The file.
        force: Whether an earlier table of `tlmed predict` may be written over: one of the same columns.
        inputs: What the command reads.

    Raises:
        InputError: As `targets.check_targets`, or if there is no folder to write in.
    """
    targets.check_folder(path.parent, [path.name], make=False)
    targets.check_targets("--out", {path: _is_predicted}, force, inputs)


def _is_predicted(path: Path) -> bool:
    header = targets.read_header(path)
    classes = [name.removeprefix(SCORE) for name in header if name.startswith(SCORE)]
    forms = itertools.product((False, True), repeat=2)
    return bool(classes) and any(header == list_columns(classes, *form) for form in forms)


def list_columns(classes: Sequence[str], several: bool = False, judged: bool = False) -> list[str]:
    """Return the columns of the table that `tlmed predict` writes.

    Args:
        classes: Their names, or those of the labels.
        several: Whether an image may have several labels, each with a prediction of its own.
        judged: Whether the run tells how unlike its training images an image is.

    >>> list_columns(["ill", "well"])
    ['path', 'prediction', 'score_ill', 'score_well', 'calibrated_ill', 'calibrated_well', 'image_note']
    >>> list_columns(["edema"], several=True)
    ['path', 'prediction_edema', 'score_edema', 'calibrated_edema', 'image_note']
    """
    predicted = [PREDICTION + name for name in classes] if several else ["prediction"]
    unusual = [UNUSUAL] if judged else []
    return ["path", *predicted, *(kind + name for kind in (SCORE, CALIBRATED) for name in classes), *unusual, NOTE]
