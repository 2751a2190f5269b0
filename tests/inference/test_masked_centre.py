"""Where trained networks look: at a marker in the corner, or at what is in the centre."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

import tlmed
from tests.conftest import SMALL
from tests.run.test_run_hybrid import hybrid
from tlmed.findings import SHORTCUT, WARNING
from tlmed.inference import masked_centre
from tlmed.inference.masked_centre import check_run
from tlmed.recipe import override
from tlmed.rundir import RunDir

SIZE = 32
PLACES = {"corner": (slice(1, 7), slice(1, 7)), "centre": (slice(11, 21), slice(11, 21))}


def train(place, folder):
    """Train a network on noise in which a square, in one place, is bright in one class and dark in the other."""
    random = np.random.RandomState(0)
    for label in ("ill", "well"):
        (folder / "images" / label).mkdir(parents=True)
        for number in range(100):
            image = random.randint(60, 190, (SIZE, SIZE, 3)).astype(np.uint8)
            image[PLACES[place]] = 255 if label == "ill" else 0
            Image.fromarray(image).save(folder / "images" / label / f"{number}.png")
    wanted = [*SMALL, "phases.learning_rate=1e-3", "phases.epochs=6", "data.split=0.5,0.1,0.4"]
    recipe = override(tlmed.load_recipe("fine_tuning"), wanted)
    return RunDir(tlmed.train(recipe, folder / "run", folder / "images").path)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return {place: train(place, tmp_path_factory.mktemp(place)) for place in PLACES}


@pytest.fixture(scope="module")
def found(runs):
    """Give what is found of each run."""
    return {place: check_run(run) for place, run in runs.items()}


def test_a_network_that_looks_at_a_marker_in_the_corner_is_found(found):
    checked = found["corner"]
    views = checked.figures["views"]
    assert views["whole"]["auc"] > 0.95
    assert views["covered 70 %"]["above_chance"]
    assert views["covered 70 %"]["left"] > 0.9
    assert views["kept 50 %"]["left"] < 0.5
    first = checked.findings[0]
    assert (first.kind, first.level) == (SHORTCUT, WARNING)
    assert first.text.startswith("The network still tells the classes apart without the centre of the images: where ")
    assert first.cure
    assert checked.unchecked == ()
    assert json.loads(json.dumps(checked.figures)) == checked.figures


def test_a_network_that_looks_at_the_centre_is_not(found):
    checked = found["centre"]
    views = checked.figures["views"]
    assert views["whole"]["auc"] > 0.95
    assert not views["covered 70 %"]["above_chance"]
    assert views["kept 50 %"]["left"] > 0.9
    assert checked.findings == ()
    assert checked.figures["images"] == 80


def test_maps_lie_where_the_networks_look(found):
    corner, centre = (found[place].figures["map"] for place in PLACES)
    assert corner["method"].startswith("grad-cam")
    assert corner["even"] == centre["even"] == 1 - 0.75**2
    assert corner["share"] > centre["share"]
    assert centre["low"] < centre["share"] < centre["high"]
    assert centre["high"] < centre["even"]


def test_a_run_is_found_the_same_again_and_with_its_images_elsewhere(runs, found, tmp_path):
    images = runs["centre"].path.parent / "images"
    shutil.copytree(images, tmp_path / "moved")
    assert check_run(runs["centre"], str(tmp_path / "moved")).figures == found["centre"].figures


def test_the_scores_of_whole_images_are_those_of_the_run(finished):
    run = RunDir(finished.path)
    figures = check_run(run).figures
    auc = json.loads((run.path / "metrics.json").read_text())["metrics"]["auc"]
    assert figures["views"]["whole"]["auc"] == pytest.approx(auc["value"], abs=1e-6)
    assert figures["metric"] == "mean AUC"
    assert figures["views"]["whole"]["left"] in (None, pytest.approx(1))


def test_a_map_of_few_cells_is_not_measured(runs, monkeypatch):
    monkeypatch.setattr(masked_centre, "_LEAST_CELLS", 100)
    checked = check_run(runs["corner"])
    assert checked.figures["map"] is None
    (said,) = (sentence for sentence in checked.unchecked if "cells" in sentence)
    assert said.startswith("Where Grad-CAM lies: its map has ")
    assert said.endswith(" cells, too few to tell the outer frame from the centre.")


def test_a_hybrid_has_views_and_no_maps(images, tmp_path):
    run = RunDir(tlmed.train(hybrid(), tmp_path / "run", images).path)
    checked = check_run(run)
    assert checked.figures["map"] is None
    assert checked.figures["views"]["whole"]["auc"] is not None
    assert "Where Grad-CAM lies: the run is a hybrid, whose classifier has no gradients." in checked.unchecked
