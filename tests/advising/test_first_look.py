"""What an advice says of the images before it looks into them."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.gate.made_evidence import make_evidence
from tlmed.advising.first_look import describe_images
from tlmed.advising.request import Request
from tlmed.recipe import load_recipe, override


@pytest.fixture
def request_for(tmp_path):
    """Give a request in which a class is asked for as the positive one, or none."""

    def ask(positive=None):
        return Request(override(load_recipe("feature_extractor"), (), {"data.positive": positive}), tmp_path)

    return ask


def make_images(labels, splits, groups=None, **fields):
    evidence = make_evidence([f"{row}.png" for row in range(len(labels))], labels, groups, splits, **fields)
    return SimpleNamespace(table=evidence.table, splits=evidence.splits, sha256=evidence.sha256, split_made=("val",))


def test_validation_images_are_counted_by_patient_and_by_the_rarest_class(request_for):
    labels, splits = np.arange(40) % 8 // 7, ["val" if row % 2 else "train" for row in range(40)]
    alone = describe_images(make_images(labels, splits), request_for())["validation"]
    assert alone == {"images": 20, "units": 20, "rarest": "well", "fewest": 5, "grouped": False}
    patients = tuple(f"patient {row // 8}" for row in range(40))
    grouped = describe_images(make_images(labels, splits, patients), request_for())["validation"]
    assert grouped == {"images": 20, "units": 5, "rarest": "ill", "fewest": 5, "grouped": True}


def test_a_positive_class_whose_name_sounds_healthy_is_doubted_unless_it_was_asked_for(request_for):
    images = make_images(np.arange(8) % 2, ["train"] * 8, classes=("abnormal", "normal"))
    (said,) = describe_images(images, request_for())["positive_doubts"]
    assert "`--positive abnormal`" in said
    assert describe_images(images, request_for("normal"))["positive_doubts"] == []
