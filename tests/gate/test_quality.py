"""Odd images are named by what is odd of them, and ordinary ones are not."""

import numpy as np
import pytest

from tests.gate.made_evidence import make_evidence
from tlmed.data.file_facts import FileFacts
from tlmed.gate.frame_measures import FRAME
from tlmed.gate.quality import check_quality


def draw_evidence(n=40, files=None, seed=0, shape=True):
    """Return evidence of images that look alike: bright in the middle, with noise."""
    random = np.random.RandomState(seed)
    rows, columns = np.mgrid[-1:1:64j, -1:1:64j]
    base = 200 * np.exp(-3 * (rows**2 + columns**2)) if shape else np.zeros((64, 64))
    sketches = (base + random.normal(0, 40, (n, 64, 64)) + 30).clip(0, 255).astype(np.uint8)
    frames = np.zeros(n, FRAME)
    frames["mean"], frames["deviation"] = 90, 50
    frames["dark"], frames["white"] = random.uniform(0.1, 0.2, n), random.uniform(0, 0.02, n)
    files = files or (FileFacts(height=256, width=300),) * n
    return make_evidence([f"{row}.png" for row in range(n)], sketches=sketches, frames=frames, files=files)


def test_ordinary_images_have_no_fault():
    found = check_quality(draw_evidence())
    assert (found.findings, found.figures, found.unchecked) == ((), {}, ())


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [("uniform", "deviation", 0.5), ("black", "dark", 0.95), ("white", "white", 0.9), ("coloured", "colour", 40.0)],
)
def test_an_image_unlike_the_others_is_named(name, field, value):
    evidence = draw_evidence()
    evidence.frames[field][7] = value
    found = check_quality(evidence)
    assert found.figures == {name: 1}
    (finding,) = found.findings
    assert finding.files == ("7.png",)
    assert (finding.kind, finding.level) == ("outlier", "warning")
    assert finding.text.startswith("1 image (2 %) ")


def test_black_backgrounds_of_all_images_are_usual():
    evidence = draw_evidence()
    evidence.frames["dark"] = np.random.RandomState(1).uniform(0.5, 0.7, 40)
    assert check_quality(evidence).figures == {}


def test_a_negative_is_found_and_a_mirrored_image_is_not():
    evidence = draw_evidence()
    evidence.sketches[3] = 255 - evidence.sketches[3]
    evidence.sketches[4] = evidence.sketches[4][:, ::-1]
    found = check_quality(evidence)
    assert found.figures == {"inverted": 1}
    assert found.findings[0].files == ("3.png",)


def test_images_that_look_different_have_no_negatives():
    evidence = draw_evidence(shape=False)
    evidence.sketches[3] = 255 - evidence.sketches[3]
    assert check_quality(evidence).figures == {}


@pytest.mark.parametrize(
    ("height", "others", "found"),
    [(28, 28, {"tiny": 40}), (28, 256, {"tiny": 1}), (60, 1024, {"thumbnail": 1}), (60, 200, {}), (0, 256, {})],
)
def test_tiny_is_below_32_pixels_and_a_thumbnail_below_a_quarter_of_the_usual_side(height, others, found):
    files = (FileFacts(height=height, width=others), *(FileFacts(height=others, width=others),) * 39)
    assert check_quality(draw_evidence(files=files)).figures == found


def test_few_images_say_what_was_not_looked_for():
    found = check_quality(draw_evidence(3))
    assert found.findings == ()
    assert "there are 3" in found.unchecked[0]
