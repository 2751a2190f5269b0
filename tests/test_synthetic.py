"""Phantoms, and networks that learned from them, are called synthetic wherever their scores are shown."""

import json
import shutil

import pytest

from tests.conftest import write_images
from tlmed import inference
from tlmed.rundir import RunDir
from tlmed.synthetic import describe_learned, describe_source, is_synthetic
from tlmed.voice import Voice

SOURCE = "tfds:tlmed_phantoms/images=60,size=32"


@pytest.mark.parametrize(
    ("source", "synthetic"),
    [
        (SOURCE, True),
        ("tfds:tlmed_phantoms", True),
        ("tfds:tlmed_phantoms:1.0.0", True),
        ("tfds:tlmed_phantoms_of_others", False),
        ("tfds:colorectal_histology", False),
        ("scans/tlmed_phantoms", False),
        ("", False),
    ],
)
def test_only_the_builder_itself_is_synthetic(source, synthetic):
    assert is_synthetic(source) == bool(describe_source(source)) == bool(describe_learned(source)) == synthetic


@pytest.fixture
def run(finished, tmp_path):
    """Give a run that says that it was trained on phantoms."""
    folder = shutil.copytree(finished.path, tmp_path / "run")
    recipe = json.loads((folder / "recipe.json").read_text())
    recipe["data"]["source"] = SOURCE
    (folder / "recipe.json").write_text(json.dumps(recipe))
    (folder / "lock.json").unlink()  # which would tell that the recipe was edited
    return RunDir(folder)


def test_what_learned_from_phantoms_is_said_of_other_images(run, tmp_path):
    folder = write_images(tmp_path / "images", 3)
    told = []
    voice = Voice(warn=told.append)
    inference.predict(run, [folder], voice=voice)
    assert sum("The network was trained on synthetic phantoms" in sentence for sentence in told) == 1
    _, result = inference.evaluate(run, str(folder), voice=voice)
    assert sum("trained on synthetic phantoms" in sentence for sentence in result["evaluated"]["warnings"]) == 1
    assert sum("trained on synthetic phantoms" in sentence for sentence in told) == 2


def test_other_images_are_not_called_synthetic(finished, images):
    said = []
    inference.evaluate(RunDir(finished.path), str(images), voice=Voice(say=said.append))
    assert not any("synthetic" in sentence for sentence in said)


def test_scoring_phantoms_says_so(run, monkeypatch):
    said = []
    monkeypatch.setattr("tlmed.inference.scored_images._recall", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        inference.evaluate(run, voice=Voice(say=said.append))
    assert [sentence for sentence in said if "Data: synthetic phantoms" in sentence]
