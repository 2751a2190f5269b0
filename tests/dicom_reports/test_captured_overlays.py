"""Pictures of why an answer was given: of the image that tells most, for its class or each label that is present."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("highdicom", reason="needs highdicom: pip install '.[dicom]'")
from tlmed.dicom_reports.captured_overlays import draw_overlays
from tlmed.evaluation.explanations import Explainer
from tlmed.inference.explained_images import Answers


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one grey each, which tells them apart."""

    rows: np.ndarray

    def batches(self, size):
        for start in range(0, len(self.rows), 2):  # smaller than a real batch, so that there are several
            part = self.rows[start : start + 2]
            yield np.broadcast_to((10 * part)[:, None, None, None], (len(part), 8, 8, 3)).astype("uint8")


def draw(chosen, scores, members, task="single-label"):
    """Return the overlays, and what the explainer was asked: the grey of each image and the class."""
    asked = []

    def explain(images, classes):
        asked.extend(zip((images[:, 0, 0, 0] // 10).tolist(), np.asarray(classes).tolist(), strict=True))
        return np.zeros(images.shape[:3], "float32")

    scores, members = np.asarray(scores), np.asarray(members)
    pooled = np.stack([scores[members == unit].mean(axis=0) for unit in range(members.max() + 1)])
    answered = SimpleNamespace(
        panel=SimpleNamespace(metrics={"task": task}),
        names=[f"{row}.dcm" for row in range(len(scores))],
        files=Images(np.arange(len(scores))),
        answers=Answers(np.asarray(chosen), pooled, scores, members),
    )
    return list(draw_overlays(answered, Explainer("grad-cam", "last", explain), ["a", "b"])), asked


def test_each_answer_is_shown_for_its_class():
    overlays, asked = draw([1, 0, 1], [[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], [0, 1, 2])
    assert asked == [(0, 1), (1, 0), (2, 1)]
    assert [(overlay.unit, overlay.sample) for overlay in overlays] == [(0, "0.dcm"), (1, "1.dcm"), (2, "2.dcm")]
    assert [overlay.about.partition(":")[0] for overlay in overlays] == ["b 0.900", "a 0.800", "b 0.700"]
    assert len({overlay.picture.shape for overlay in overlays}) == 1
    assert overlays[0].picture.dtype == np.uint8


def test_of_a_volume_the_image_is_shown_that_speaks_most_for_its_class():
    overlays, asked = draw([1, 0], [[0.5, 0.5], [0.1, 0.9], [0.7, 0.3]], [0, 0, 1])
    assert asked == [(1, 1), (2, 0)]
    assert [(overlay.unit, overlay.sample) for overlay in overlays] == [(0, "1.dcm"), (1, "2.dcm")]


def test_each_label_that_is_present_has_a_picture_and_no_other():
    scores = [[0.9, 0.8], [0.1, 0.2], [0.2, 0.7], [0.4, 0.6]]
    overlays, asked = draw([[1, 1], [0, 0], [0, 1]], scores, [0, 1, 2, 2], "multi-label")
    assert asked == [(0, 0), (0, 1), (2, 1)]
    assert [overlay.unit for overlay in overlays] == [0, 0, 2]


def test_without_a_label_there_is_no_picture():
    assert draw([[0, 0]], [[0.1, 0.2]], [0], "multi-label") == ([], [])


def test_the_warning_stands_below_in_as_many_lines_as_it_needs():
    [overlay], _ = draw([0], [[0.9, 0.1]], [0])
    below = overlay.picture[-22:]
    assert (below < 128).any()  # letters
    assert (below[:, -8:] == 255).all()  # and none that are cut off at the right
