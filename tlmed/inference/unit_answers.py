"""What a run answers for files whose samples were scored: pooled scores, classes, and calibrated probabilities."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tlmed import metrics
from tlmed.answer_units import FILE
from tlmed.evaluation.pooling import number_units, pool_scores
from tlmed.inference.panel import Panel
from tlmed.tasks import MULTI_LABEL, read_task


@dataclass(frozen=True, eq=False)
class FileAnswers:
    """What a run answers.

    Attributes:
        names: Of the m units: files where the run pools scores, else samples.
        members: The unit of each sample, int [n].
        scores: Of the units, not calibrated, float [m, k].
        calibrated: Likewise, calibrated.
        chosen: The class of each unit, int [m]; or of several labels 1 and 0 for each, int [m, k].
    """

    names: list[str]
    members: np.ndarray
    scores: np.ndarray
    calibrated: np.ndarray
    chosen: np.ndarray


def answer_files(panel: Panel, names: Sequence[str], scores: np.ndarray) -> FileAnswers:
    """Return what a run answers for files, by the threshold or the rule that it chose on validation images.

    Which group a file belongs to is not known, so that a run that pools by group gives each file an answer, too.

    Args:
        panel: What answers.
        names: Of the n samples.
        scores: Of the samples, not calibrated, float [n, k].
    """
    asked, pooling, task = panel.metrics, panel.pooling, read_task(panel.metrics)
    main = None if task == MULTI_LABEL else metrics.positive_index(asked["classes"], asked["positive"])
    units, members = number_units(replace(pooling, by=FILE).name(names, None))
    pooled = pool_scores(scores, members, pooling.how, main, task) if pooling.how else scores
    decision = panel.decision
    return FileAnswers(units, members, pooled, decision.calibrate(pooled), decision.choose(pooled, main, task))
