"""What a network is built from: the fields of a recipe that decide it, and those that docs/api.md says do not."""

import dataclasses
import html
import json
import re
from pathlib import Path

import keras
import numpy as np
import pytest

import tlmed
from tests.conftest import SMALL
from tlmed import building, phases
from tlmed.errors import InputError
from tlmed.features.extractor import FeatureExtractor
from tlmed.recipe import Augment, Dense, Hybrid, Images, Phase, Recipe, Stated, load_recipe, override
from tlmed.run.previewing import preview
from tlmed.sections import KFold
from tlmed.voice import Voice

PAGE = Path(tlmed.__file__).parents[1] / "docs" / "api.md"
STAGES = (
    Phase("head", thaw=0, epochs=1, learning_rate=1e-3),
    Phase("top", thaw=1, epochs=1, learning_rate=1e-3, start="pretrained", block_decay=0.5, batch_norm="update"),
)
SETTINGS = (
    {"head": Dense(units=(3,), loss="focal"), "phases": STAGES, "augment": Augment(flip="both")},
    {"head": Hybrid()},
    {"backbone": "MobileNet:0.25", "phases": (Phase("top", thaw=1, epochs=1, learning_rate=1e-3, adapt="lora"),)},
)


class Watched:
    """A section of a recipe that notes which of its fields are read."""

    def __init__(self, part, path, read):
        self.__dict__.update(_part=part, _path=path, _read=read)

    @property
    def __class__(self):
        return type(self._part)

    def __getattr__(self, name):
        value, path = getattr(self._part, name), self._path + name
        if name == "phases":
            return tuple(Watched(phase, "phases.", self._read) for phase in value)
        if dataclasses.is_dataclass(value):
            return Watched(value, f"{path}.", self._read)
        self._read.add(path)
        return value


def list_fields(kind, path=""):
    return {f"{path}{spec.name}" for spec in dataclasses.fields(kind)}


def list_all_fields():
    sections = {
        "data": (Images,),
        "head": (Dense, Hybrid),
        "augment": (Augment,),
        "phases": (Phase,),
        "stated": (Stated,),
    }
    nested = [list_fields(kind, f"{name}.") for name, kinds in sections.items() for kind in kinds]
    return (list_fields(Recipe) - sections.keys()).union(*nested)


@pytest.fixture(scope="module")
def said():
    """What the page lists as used by `build`, and as used by `tlmed.train` alone."""
    if not PAGE.is_file():
        pytest.skip("tlmed does not run from its source")
    _, _, section = PAGE.read_text().partition("## What `build` uses of a recipe")
    used, _, rest = section.partition("\n## ")[0].partition("Only `tlmed.train` uses the rest")
    names = list_all_fields()
    cells = [line.split("|")[1] for line in rest.splitlines() if line.startswith("| `")]
    return [set(re.findall(r"`([\w.]+)`", text)) & names for text in (used, " ".join(cells))]


def test_the_page_lists_every_field_of_a_recipe_once(said):
    used, left = said
    assert used | left == list_all_fields()
    assert not used & left


def test_build_and_thaw_read_the_fields_that_the_page_says_and_no_others(said, monkeypatch):
    monkeypatch.setattr(phases, "find_faults", lambda phase: [])  # which reads every field, to check it
    read = set()
    for settings in SETTINGS:
        recipe = Recipe(Images("x", image_size=(32, 32)), **{"backbone": "LeNet5", "weights": "none"} | settings)
        watched = Watched(recipe, "", read)
        model = building.build(watched, 2)
        for phase in watched.phases:
            phases.thaw(model, phase)
    assert read == said[0]


def test_lines_of_the_page_do_what_they_say():
    recipe = Recipe(Images("x", image_size=(32, 32), split=KFold(2)), "LeNet5", STAGES, "none", monitor="val_loss")
    model, labels = recipe.build(2), np.array([0, 0, 0, 1])
    pixels = np.random.RandomState(0).randint(0, 256, (4, 32, 32, 3)).astype("float32")
    early = keras.callbacks.EarlyStopping(recipe.monitor, patience=1, restore_best_weights=True)
    weights = tlmed.training.class_weights(labels)
    told = {"validation_data": (pixels, labels), "callbacks": [early], "verbose": 0, "batch_size": 4}
    start = model.get_weights()
    heavy = model.fit(pixels, labels, class_weight=weights, **told).history["loss"]
    model.set_weights(start)
    assert heavy != model.fit(pixels, labels, **told).history["loss"]
    assert tlmed.plan.expand(recipe.phases, model.parts.backbone) == STAGES


def test_how_images_are_prepared_for_a_file_of_weights_is_said_wherever_one_is_given(tmp_path):
    recipe = Recipe(Images("x", image_size=(32, 32)), "LeNet5", STAGES, "none")
    path = tmp_path / "mine.weights.h5"
    building.build_backbone(recipe).model.save_weights(path)
    with pytest.warns(
        UserWarning, match=r"Weights file:.*: images are prepared by the backbone's own preprocess_input"
    ):
        dataclasses.replace(recipe, weights=str(path)).build(2)
    pixels = np.zeros((2, 32, 32, 3), "uint8")
    with pytest.warns(UserWarning, match="own preprocess_input, because the file does not say how"):
        FeatureExtractor("LeNet5", str(path), (32, 32)).fit(pixels)


def test_plan_train_and_report_say_how_images_are_prepared_for_a_file_of_weights(images, tmp_path):
    recipe = override(load_recipe("feature_extractor"), [*SMALL, "backbone=LeNet5", "phases.epochs=1", "examples=0"])
    path = tmp_path / "mine.weights.h5"
    building.build_backbone(recipe).model.save_weights(path)
    recipe, said = override(recipe, [f"weights={path}"]), []
    words = "images are prepared by the backbone's own preprocess_input"
    asked = override(recipe, [f"data.source={images}"])
    lines, _, _ = preview(asked)
    assert any(str(line).startswith("Weights: file:") and words in str(line) for line in lines)
    tlmed.train(recipe, tmp_path / "run", images, voice=Voice(say=said.append))
    assert any(str(line).startswith(f"Weights file:{path}: {words}") for line in said)
    page = html.unescape((tmp_path / "run" / "report.html").read_text())
    assert f"weights; {words}" in page
    assert json.loads((tmp_path / "run" / "lock.json").read_text())["weights"][0]["graph"] == "keras-imagenet"
    path.write_bytes(path.read_bytes()[:1000])
    for ask in (
        lambda: preview(override(recipe, [f"data.source={images}"])),
        lambda: tlmed.train(recipe, tmp_path / "x", images),
    ):
        with pytest.raises(InputError, match="it is no HDF5 file that can be read"):
            ask()
