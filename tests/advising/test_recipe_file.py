import dataclasses
from pathlib import Path

import pytest

from tlmed.advising.at_hand import Network
from tlmed.advising.attempts import Attempt, Log
from tlmed.advising.ladder import make_thawed, make_whole
from tlmed.advising.reasons import give_reasons
from tlmed.advising.recipe_file import write_recipe
from tlmed.advising.trials import Score, Trial
from tlmed.recipe import load_recipe
from tlmed.sections import KFold

NETWORK = Network("MobileNetV2", "imagenet")


def read_back(text, folder):
    (folder / "recipe.py").write_text(text)
    return load_recipe(folder / "recipe.py")


def test_a_written_recipe_is_the_recipe_and_says_why_above_each_setting(tmp_path):
    recipe = make_thawed(load_recipe("feature_extractor"), NETWORK, 8, 2)
    reasons = {"backbone": "It was the best probe.", "data.image_size": "Detail is kept.", "phases": "Two blocks " * 20}
    text = write_recipe(recipe, reasons, ['Advice for `a"""b`.', "Second."])
    assert read_back(text, tmp_path) == recipe
    lines = text.splitlines()
    for field, reason in {"backbone": "It was the best probe.", "data": "Detail is kept."}.items():
        place = next(number for number, line in enumerate(lines) if line.startswith(f"    {field}="))
        assert lines[place - 1] == f"    # {reason}"
    assert max(map(len, lines)) <= 120


@pytest.mark.parametrize(("source", "is_said"), [("scans", True), ("/data/scans", False), ("tfds:mnist", False)])
def test_a_relative_path_of_the_images_is_said_to_lead_from_one_folder_only(source, is_said):
    base = load_recipe("feature_extractor")
    recipe = dataclasses.replace(base, data=dataclasses.replace(base.data, source=source))
    trial = Trial("probe", recipe, KFold(5), (1,))
    score = Score("auc", 0.9, 0.8, 1.0, "", 60, 1)
    reasons = give_reasons([], Log(Path("tried")), Attempt("probes", "probe", NETWORK, trial=trial, score=score))
    lines = write_recipe(recipe, reasons, ["Advice."]).splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("    data="))
    assert ("leads from the folder" in lines[place - 1]) == is_said


def test_all_blocks_of_a_network_are_all_its_layers():
    base = load_recipe("feature_extractor")
    assert make_thawed(base, NETWORK, 12, 5) == make_whole(base, NETWORK, 12)
    assert make_thawed(base, NETWORK, 12, 4).phases[-1].thaw == 4
    assert make_whole(base, NETWORK, 12).phases[-1].epochs == 12
    assert make_whole(base, NETWORK, 12).phases[-1].batch_norm == "affine"
