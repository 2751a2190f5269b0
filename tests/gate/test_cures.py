from types import SimpleNamespace

import pytest

from tlmed.gate.nuisances import BRIGHTNESS, FILE, FRAME_PART
from tlmed.gate.told_shortcuts import _find_cure


def make_evidence(bits):
    return SimpleNamespace(files=[SimpleNamespace(bits=bits)])


@pytest.mark.parametrize(("bits", "windowed"), [(8, False), (0, False), (12, True), (16, True)])
def test_a_window_is_advised_only_for_images_that_one_changes(bits, windowed):
    cure = _find_cure(make_evidence(bits), BRIGHTNESS, is_multi=False)
    assert ("data.window" in cure) == windowed
    assert "data.window" not in _find_cure(make_evidence(bits), FRAME_PART, is_multi=False)


def test_labels_are_not_called_classes():
    assert _find_cure(make_evidence(8), BRIGHTNESS, is_multi=True) == (
        "Look at images with and without the label side by side."
    )
    for family in (FILE, FRAME_PART, BRIGHTNESS):
        assert "class" not in _find_cure(make_evidence(8), family, is_multi=True)
        assert "both" not in _find_cure(make_evidence(8), family, is_multi=False)
