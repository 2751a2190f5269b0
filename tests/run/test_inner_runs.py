"""A run of an inner fold neither trains on test images nor scores them, says so, and knows nothing of them."""

import shutil
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import tlmed
from tests.run.test_run import small
from tlmed.export.card import write_run_card
from tlmed.inference.rescoring import evaluate
from tlmed.inspection.subjects import open_run
from tlmed.lock import compare_inputs, describe_inputs, read_lock
from tlmed.lock.inputs import repeat_recipe
from tlmed.recipe import override
from tlmed.run.previewing import preview
from tlmed.run.reading_images import read_images
from tlmed.run_files import ENVIRONMENT_JSON, SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.sections import KFold
from tlmed.whole_files import read_csv

pytestmark = [pytest.mark.usefixtures("empty_figures"), pytest.mark.slow]
INNER = ("phases.epochs=1", "data.inner=KFold(3, fold=2)", "data.train_share=0.5", "data.split_seed=0", "seed=3")
SAID = "9 test images are put aside, and test is fold 2 of 3 of the others"


@pytest.fixture(scope="module")
def inside(images, tmp_path_factory):
    """Give a run of an inner fold on half of its training images, and the paths of the test images put aside."""
    out = tmp_path_factory.mktemp("inside") / "run"
    tlmed.train(small(*INNER), out, images)
    outer = read_images(override(small("seed=0"), [], {"data.source": str(images)}), skip_bad=False)
    return RunDir(out), {outer.table.paths[row] for row in outer.indices("test")}


def test_no_test_image_is_trained_on_chosen_by_or_scored(inside):
    run, apart = inside
    rows = SPLITS_CSV.read(run)
    unused = {row["path"] for row in rows if row["split"] == "unused"}
    assert len(apart) == 9
    assert apart < unused
    counts = Counter(row["split"] for row in rows)
    assert (len(rows), counts["test"]) == (60, 17)
    assert abs(counts["train"] - len(unused - apart)) <= 3  # half of each class
    predicted = [row["path"] for row in read_csv(run / "predictions.csv")]
    assert len(predicted) == counts["val"] + counts["test"]
    assert not apart & set(predicted)
    assert run.json("metrics.json")["n"] == 17
    data = ENVIRONMENT_JSON.read(run)["data"]
    assert (data["apart"], data["aside"], data["made"]) == (9, len(unused - apart), ["train", "val", "test"])
    # No features of them were computed.
    assert run.json("timing.json")["extractions"][0]["images"] == 60 - len(unused)


def test_pages_and_the_terminal_say_it(inside, images):
    run, _ = inside
    report = (run / "report.html").read_text()
    assert "Unused: 9 test images put aside by <code>data.inner</code>." in report
    assert f"Splits</a>: all were made by tlmed; {SAID}." in report.replace("</dfn>", "</a>")
    assert "left out: 9 test images by data.inner; " in report  # the checklist
    card = write_run_card(run)
    assert "Left out: 9 test images by data.inner" in card
    assert "| data.inner | fold 2 of 3, of which 0.15 of the rest is val |" in card
    assert SAID in open_run(run).words[0]
    recipe = override(small(*INNER), [], {"data.source": str(images)})
    assert any(SAID in str(line) for line in preview(recipe)[0])


def test_images_that_were_put_aside_are_new_to_it(inside, images, tmp_path):
    run, apart = inside
    for path in apart:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(images / path, tmp_path / path)
    result = evaluate(run, str(tmp_path))[1]
    assert result["n"] == 9
    assert "without_leaks" not in result
    assert evaluate(run)[1]["n"] == 17


def test_it_is_reproduced_and_its_lock_holds_the_fold(inside, tmp_path):
    run, _ = inside
    lock = read_lock(run / "lock.json")
    recipe = repeat_recipe(lock, None, ())
    assert recipe.data.inner == KFold(3, fold=2)
    assert not [it for it in compare_inputs(lock.content, describe_inputs(lock, recipe)) if it.part == "data"]
    for other in (KFold(3, fold=1), None):
        other = replace(recipe, data=replace(recipe.data, inner=other))
        found = compare_inputs(lock.content, describe_inputs(lock, other))
        assert any(it.part == "data" and it.name.startswith("split of") for it in found)
    again = RunDir(tmp_path / "again")
    tlmed.train(repeat_recipe(lock, None, ()), again.path)
    first, second = (
        np.array([float(row["score_benign"]) for row in read_csv(each / "predictions.csv")]) for each in (run, again)
    )
    np.testing.assert_array_equal(first, second)
