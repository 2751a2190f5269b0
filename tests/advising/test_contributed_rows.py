"""What a user contributes from an advice: its scores, and nothing that says whose images they were."""

import pytest

from tests.advising.experience_rows import make_row
from tlmed.advising import contributed_rows
from tlmed.advising.contributed_rows import give, make_rows
from tlmed.advising.expected_gains import expect_gain
from tlmed.advising.experience import contribute, name_set, read_experience
from tlmed.advising.image_sketches import sketch_images

SKETCH = sketch_images(["a", "b"])
PRINT = make_row().fingerprint | {"counts": {"smith_ill": 200, "smith_well": 100}, "task": "single-label"}


def make_attempt(name, value, backbone="MobileNetV2", weights="imagenet/keras", gain=None):
    """Return what `advice.json` says of an attempt."""
    score = None if value is None else {"metric": "auc", "value": value, "low": 0.5, "high": 1.0, "n": 300, "folds": 4}
    over = None if gain is None else {"over": gain[0], "value": gain[1], "noise": 0.01}
    return {"name": name, "backbone": backbone, "weights": weights, "score": score, "seconds": 40.0, "gain": over}


@pytest.fixture
def advice():
    """Give an advice, all names of which say whose images they are."""
    tried = {
        "probes": [
            make_attempt("probe-MobileNetV2", 0.81234),
            make_attempt("probe-VGG16-smith", 0.8, "VGG16", "/home/smith/vgg.h5"),
            make_attempt("probe-hub", 0.7, "hub:/home/smith/vit", "own"),
            make_attempt("probe-ResNet50", None, "ResNet50"),
        ],
        "thawing": [make_attempt("thaw1-MobileNetV2", 0.83, gain=("probe-MobileNetV2", 0.03))],
        "all layers": [
            make_attempt("whole-MobileNetV2", 0.85, gain=("thaw1-MobileNetV2", 0.01)),
            make_attempt("adapters-MobileNetV2", 0.84),
        ],
        "ensemble": [make_attempt("folds-whole-MobileNetV2", None)],
    }
    steps = [{"step": step, "tried": each, "says": "smith"} for step, each in tried.items()]
    data = {"task": "single-label", "classes": {"smith_ill": 200}, "sketch": SKETCH}
    return {"version": "0.1.0", "source": "/data/smith", "data": data, "fingerprint": PRINT, "steps": steps}


def test_a_contribution_that_is_repeated_says_that_nothing_was_added(advice, tmp_path, monkeypatch):
    decision = {"recipe": {"data": {"image_size": [128, 96]}}}
    monkeypatch.setattr(contributed_rows, "read_decision", lambda folder: decision)
    monkeypatch.setattr(contributed_rows, "read_advice_json", lambda folder: advice)
    said = [give(tmp_path, tmp_path / "mine.csv") for _ in range(2)]
    assert said[0].startswith("Contributed: 6 rows to ")
    assert said[1].endswith("mine.csv has the 6 rows of this advice already.")
    assert len(read_experience([tmp_path / "mine.csv"])) == 6


def test_each_network_that_was_scored_is_a_row(advice, tmp_path):
    rows = make_rows(advice, (128, 96), cores=2)
    assert [(row.kind, row.recipe, row.backbone, row.weights, row.score, row.probe) for row in rows] == [
        ("probe", "feature_extractor", "MobileNetV2", "imagenet", 0.8123, 0.8123),
        ("probe", "feature_extractor", "VGG16", "file", 0.8, 0.8),
        ("probe", "feature_extractor", "other", "own", 0.7, 0.7),
        # Judged on fewer folds than the probe: the gains say what this scores there.
        ("thaw1", "advise", "MobileNetV2", "imagenet", 0.83, 0.8),
        ("all-layers", "lp_ft", "MobileNetV2", "imagenet", 0.85, 0.81),
        ("adapters", "advise", "MobileNetV2", "imagenet", 0.84, None),
    ]
    assert {(row.set, row.image_size, row.runs, row.seconds, row.contributed, row.sketch) for row in rows} == {
        (name_set(PRINT), "128x96", 4, 10.0, True, SKETCH)
    }
    contribute(tmp_path / "mine.csv", rows)
    again = read_experience([tmp_path / "mine.csv"])
    assert list(again) == rows
    assert expect_gain(again, PRINT, "lp_ft").mean == pytest.approx(0.85 - 0.81)


def test_a_contribution_says_nothing_of_paths_classes_or_patients(advice, tmp_path):
    file = tmp_path / "mine.csv"
    contribute(file, make_rows(advice, (128, 128), cores=2))
    contribute(file, make_rows(advice, (128, 128), cores=2))
    text = file.read_text()
    assert "smith" not in text
    assert "/" not in text
    assert len(text.splitlines()) == 1 + 6
    contribute(file, make_rows(advice, (128, 128), cores=2, name="breast study 7"))
    assert {row.set for row in read_experience([file])} == {name_set(PRINT), "breast study 7"}
