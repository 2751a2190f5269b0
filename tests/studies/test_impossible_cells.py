"""What is wrong with the backbones of a study is said before a cell begins, as the networks themselves would say it."""

import re

import pytest

from tests.studies.conftest import small
from tlmed.backbones import applications, locate
from tlmed.errors import InputError
from tlmed.run_files.study_files import read_cells
from tlmed.studies.impossible_cells import check_backbones, find_impossible


def cells_of(**fields):
    return small(**{"recipes": ("feature_extractor",), "seeds": 1} | fields).expand("images")


def say(call, *arguments):
    with pytest.raises(InputError) as found:
        call(*arguments)
    return str(found.value)


def test_a_name_that_no_backbone_has_is_refused_before_anything_is_made(sweeping, tmp_path):
    cells = cells_of(backbones=("ResNet5O", "LeNet5", "MobileNet:0.25", "VGG", "hub:dinov2_small=own"))
    said = say(check_backbones, cells)
    assert said.splitlines() == [
        *say(applications.find, "ResNet5O").splitlines(),
        *("  " + line for line in say(applications.find, "VGG").splitlines()),
    ]
    assert "Did you mean 'ResNet50'?" in said
    with pytest.raises(InputError, match="Did you mean 'ResNet50'"):
        sweeping(small(backbones=("ResNet5O",)))
    assert not list(tmp_path.iterdir())


def test_images_that_are_too_small_and_weights_that_nobody_has_are_found_without_keras():
    cells = cells_of(
        backbones=("InceptionV3=none", "AlexNet", "AlexNet=none", "LeNet5=digits", "MobileNetV2"),
        vary={"data.image_size": ((75, 74), (75, 75))},
    )
    found = {(cell.backbone, cell.weights, cell.recipe.data.image_size): cell.name for cell in cells}
    reasons = find_impossible(cells)
    assert reasons == {
        found["InceptionV3", "none", (75, 74)]: say(
            applications.draw, applications.find("InceptionV3"), (75, 74), False
        ),
        found["AlexNet", "imagenet", (75, 74)]: say(locate, "AlexNet"),
        found["AlexNet", "imagenet", (75, 75)]: say(locate, "AlexNet"),
    }


def test_phases_that_thaw_more_blocks_than_there_are_are_found():
    cells = small(recipes=("fine_tuning",), seeds=1, vary={"phases.1.thaw": (2, 3, "all")}).expand("images")
    reasons = find_impossible(cells)
    assert {(cell.backbone, cell.varied["phases.1.thaw"]) for cell in cells if cell.name in reasons} == {
        ("LeNet5", "3")
    }
    assert set(reasons.values()) == {"`thaw` must be from 0 to 2 (blocks of LeNet5) or 'all'. Received: thaw=3."}


def test_cells_that_cannot_be_trained_fail_at_once_and_the_others_are_trained(sweeping):
    folder, shown = sweeping(small(backbones=("LeNet5", "CaffeNet"), recipes=("lora",)), jobs=1)
    assert [(row["backbone"], row["state"]) for row in read_cells(folder)] == [
        *(("LeNet5", "complete"), ("CaffeNet", "failed")),
        *(("LeNet5", "complete"), ("CaffeNet", "failed")),
    ]
    said = re.sub(r"\s+", " ", shown)
    assert "2 cells cannot be trained (lora-CaffeNet-seed0, lora-CaffeNet-seed1): `weights` must be" in said
    assert said.index("cannot be trained") < said.index("lora-LeNet5-seed0: auc")
