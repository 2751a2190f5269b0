"""What networks answered becomes plain data: classes, thresholds, odd values, and the images that it is about."""

from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="needs pydicom: pip install '.[dicom]'")
from tests.dicom_reports.plain_answers import make_image
from tlmed.data.sample_sources import Shown
from tlmed.dicom_reports.image_answers import make_answers
from tlmed.evaluation.predicted_tables import list_columns
from tlmed.inference.explained_images import Answers

SCORES = np.array([[0.2, 0.8], [0.6, 0.4]])


def answer(chosen, thresholds, task="single-label", **extra):
    """Return the answers for two images, whose calibrated probabilities are half of their scores."""
    several = task == "multi-label"
    columns = [*list_columns(["ill", "well"], several)[:-1], *extra, "image_note"]
    blank = [""] * (len(columns) - len(extra) - 1)
    decision = SimpleNamespace(threshold=None if several else thresholds, thresholds=thresholds)
    metrics = {"classes": ["ill", "well"], "positive": None if several else "ill", "task": task}
    answered = SimpleNamespace(
        panel=SimpleNamespace(metrics=metrics, decision=decision),
        names=["1", "2"],
        units=["1", "2"],
        answers=Answers(np.asarray(chosen), SCORES, SCORES, np.arange(2)),
        calibrated=SCORES / 2,
        columns=columns,
        rows=[(*blank, *(values[row] for values in extra.values()), ("", "few grey levels")[row]) for row in range(2)],
    )
    return make_answers(answered, SimpleNamespace(find=lambda name: [Shown(make_image(int(name)))]))


def test_a_class_is_predicted_by_the_threshold_of_the_positive_one():
    one, other = answer([1, 0], 0.5)
    assert [(score.name, score.predicted, score.threshold) for score in one.scores] == [
        *(("ill", False, 0.5), ("well", True, None)),
    ]
    assert [(score.score, score.calibrated) for score in other.scores] == [(0.6, 0.3), (0.4, 0.2)]
    assert [one.note, other.note] == ["", "few grey levels"]
    assert [one.source.instance[-1], other.source.instance[-1]] == ["1", "2"]
    assert one.unusual is None


def test_each_label_has_a_threshold_of_its_own_and_any_number_is_predicted():
    one, other = answer([[1, 1], [0, 0]], [0.1, 0.5], "multi-label")
    assert [score.predicted for score in (*one.scores, *other.scores)] == [True, True, False, False]
    assert [score.threshold for score in one.scores] == [0.1, 0.5]


def test_how_unlike_training_an_image_is_is_taken_from_the_table():
    assert [one.unusual for one in answer([1, 0], 0.5, unusual=[0.04, ""])] == [0.04, None]
