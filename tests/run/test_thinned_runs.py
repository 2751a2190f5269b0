"""A run that is trained on a share of its training images says so, and knows nothing of the others."""

import hashlib
import json
import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import tlmed
from tests.run.test_run import small
from tlmed.export.card import write_run_card
from tlmed.inference.rescoring import evaluate
from tlmed.lock import compare_inputs, describe_inputs, read_lock
from tlmed.lock.inputs import repeat_recipe
from tlmed.recipe import digest, from_json, override, to_json
from tlmed.run.reading_images import describe_counts, read_images
from tlmed.run_files import ENVIRONMENT_JSON, SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.whole_files import read_csv

pytestmark = pytest.mark.usefixtures("empty_figures")
SHARE = ("phases.epochs=1", "data.train_share=0.5", "data.split_seed=0", "seed=3")
DRAW = "data.val_seed=2"


@pytest.fixture(scope="module")
def thinned(images, tmp_path_factory):
    """Give a run of seed 3 on half of the training images of seed 0, with validation images of seed 2."""
    out = tmp_path_factory.mktemp("thinned") / "run"
    tlmed.train(small(*SHARE, DRAW), out, images)
    return RunDir(out)


def read(images, *settings):
    return read_images(override(small(*settings), [], {"data.source": str(images)}), skip_bad=False)


def test_the_seed_of_the_splits_decides_them_whatever_the_seed_of_training(images):
    first = read(images, "seed=0").splits
    np.testing.assert_array_equal(read(images, "seed=7", "data.split_seed=0").splits, first)
    assert (read(images, "seed=7").splits != first).any()
    whole, half = (read(images, "data.split=KFold(k=3,fold=2)", *more).splits for more in ((), SHARE[1:]))
    np.testing.assert_array_equal(whole == "test", half == "test")
    np.testing.assert_array_equal(whole == "val", half == "val")
    assert set(half[whole == "train"]) == {"train", "unused"}


def test_it_names_every_image_and_predicts_only_those_of_val_and_test(images, thinned):
    rows, whole = SPLITS_CSV.read(thinned), read(images, DRAW)
    assert Counter(row["split"] for row in rows) == {"train": 21, "val": 9, "test": 9, "unused": 21}
    for split in ("val", "test"):
        paths = [row["path"] for row in rows if row["split"] == split]
        assert paths == [whole.table.paths[row] for row in whole.indices(split)]
    assert Counter(row["split"] for row in read_csv(thinned / "predictions.csv")) == {"val": 9, "test": 9}
    assert ENVIRONMENT_JSON.read(thinned)["data"]["aside"] == 21
    # Features of the others were not computed.
    assert thinned.json("timing.json")["extractions"][0]["images"] == 39


def test_pages_and_the_terminal_count_them(images, thinned):
    assert "(train 21, val 9, test 9, unused 21)" in describe_counts(small(*SHARE), read(images, *SHARE))
    report = (thinned / "report.html").read_text()
    assert "Unused: 21 training images left aside" in report
    assert "Seed 3; of the splits 0; of the validation images 2." in report
    assert "left out: 21 training images by data.train_share" in report  # the checklist
    card = write_run_card(thinned)
    assert "| all | 21 | 9 | 9 | 21 |" in card
    assert "Left out: 21 training images by data.train" in card


def test_of_other_images_it_knows_those_that_it_was_trained_on(images, thinned, tmp_path):
    for split, leaked in (("train", 21), ("unused", 0)):
        for row in SPLITS_CSV.read(thinned):
            if row["split"] == split:
                (tmp_path / split / row["path"]).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(images / row["path"], tmp_path / split / row["path"])
        result = evaluate(thinned, str(tmp_path / split))[1]
        assert result["n"] == 21
        assert result.get("without_leaks", {"leaked": 0})["leaked"] == leaked


def test_its_lock_holds_the_share_and_repeats_it(thinned):
    lock = read_lock(thinned / "lock.json")
    recipe = repeat_recipe(lock, None, ())
    assert (recipe.data.train_share, recipe.data.val_seed) == (0.5, 2)
    assert not [it for it in compare_inputs(lock.content, describe_inputs(lock, recipe)) if it.part == "data"]
    other = replace(recipe, data=replace(recipe.data, train_share=0.6))
    found = [it.name for it in compare_inputs(lock.content, describe_inputs(lock, other)) if it.part == "data"]
    assert any(name.startswith("split of") for name in found)
    other = replace(recipe, data=replace(recipe.data, val_seed=None))
    assert any(it.name.startswith("split of") for it in compare_inputs(lock.content, describe_inputs(lock, other)))


def test_recipes_of_older_versions_have_the_default():
    fields = to_json(small())
    del fields["data"]["split_seed"], fields["data"]["train_share"], fields["data"]["val_seed"]
    assert from_json(fields) == small()


def test_digests_are_those_of_versions_without_later_fields():
    content = to_json(small())
    for later in ("source", "val_seed", "inner", "codes"):
        del content["data"][later]
    del content["name"]
    assert digest(small()) == hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    assert digest(small(DRAW)) != digest(small())
