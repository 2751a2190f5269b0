import csv
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime

import numpy as np
import pytest
from PIL import Image

from tests.conftest import write_images
from tlmed.advising.advice import Advice
from tlmed.recipe import load_recipe

MAIN = "from tlmed.cli import main; main()"
TLMED = (sys.executable, "-c", MAIN)
SMALL = ("--backbones", "LeNet5=digits", "--set", "data.image_size=32,32", "--set", "data.batch_size=16", "--jobs", "1")


def begin(images, out, *words, first=""):
    """Begin an advice on images, with networks that train in a second, in a process of its own that does `first`."""
    command = [sys.executable, "-c", first + MAIN, "advise", "--data", str(images), "--out", str(out), *SMALL, *words]
    environment = {**os.environ, "TLMED_CACHE_DIR": str(out.parent / "cache")}
    with (out.parent / f"{out.name}.log").open("ab") as log:
        return subprocess.Popen(command, env=environment, start_new_session=True, stdout=log, stderr=log)


def finish(images, out, *words):
    """Let an advice go on to its end, and return it."""
    status = begin(images, out, *words).wait()
    assert status == 0, (out.parent / f"{out.name}.log").read_text()
    return Advice(out)


def list_splits(run):
    """Return the paths of each split of a run."""
    with (run / "splits.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    return {split: {row["path"] for row in rows if row["split"] == split} for split in {row["split"] for row in rows}}


@pytest.fixture(scope="module")
def learnable(tmp_path_factory):
    """Give a folder of two classes of 40 images that differ in colour and coarseness, and a finished advice on it."""
    folder = tmp_path_factory.mktemp("advice")
    images = write_images(folder / "images", 40, ("benign", "malignant"))
    return images, finish(images, folder / "out", "--accept")


@pytest.mark.slow
def test_an_advice_ends_in_a_recipe_a_run_and_a_page(learnable):
    _, advice = learnable
    content = advice.content
    assert content["state"] == "complete"
    assert content["verdict"]["learnable"] == "yes"
    tested, found = (
        content["answer"]["metrics"]["auc"]["value"],
        json.loads((advice.path / "decision.json").read_text()),
    )
    difference = found["found_auc"]["value"] - tested
    if difference < 0:  # several networks are better than the one that development images judged
        assert content["difference"] is None
    else:
        assert content["difference"]["value"] == pytest.approx(difference)
    assert content["parts"] == []
    assert advice.recipe.backbone == "LeNet5"
    assert advice.recipe.data.inner is None
    assert advice.run.metrics["metrics"]["auc"] == content["answer"]["metrics"]["auc"]
    assert {step["step"] for step in advice.steps} >= {"probes", "thawing"}
    assert "LeNet5" in (advice.path / "advice.html").read_text()
    assert load_recipe(advice.path / "recipe.py") == advice.recipe
    assert content["answer"]["path"] == "ensemble"
    assert content["answer"]["members"] == 1 + len(found["folds"]) > 2
    assert all((advice.path / "tried" / name / "model.keras").exists() for name in found["folds"])


@pytest.mark.slow
def test_nothing_that_was_tried_has_seen_a_test_image(learnable):
    _, advice = learnable
    tested = list_splits(advice.path / "run")["test"]
    assert len(tested) == 12
    runs = sorted(path for path in (advice.path / "tried").iterdir() if (path / "splits.csv").is_file())
    assert len(runs) > 12
    for run in runs:
        splits = list_splits(run)
        assert not tested & set.union(*(paths for split, paths in splits.items() if split != "unused")), run.name
        with (run / "predictions.csv").open(newline="") as stream:
            assert not tested & {row["path"] for row in csv.DictReader(stream)}, run.name


@pytest.mark.slow
def test_the_decision_is_sealed_before_the_test_images_are_scored(learnable):
    _, advice = learnable
    sealed, decision = advice.content["sealed"], (advice.path / "decision.json").read_bytes()
    assert sealed["sha256"] == hashlib.sha256(decision).hexdigest()
    assert sealed["at"] <= sealed["opening_began_at"] < sealed["test_scored_at"]
    written = (advice.path / "decision.json").stat().st_mtime
    began = datetime.fromisoformat(sealed["opening_began_at"]).timestamp()
    assert written - 1 <= began <= (advice.path / "run" / "recipe.json").stat().st_mtime
    recipe = hashlib.sha256((advice.path / "recipe.py").read_bytes()).hexdigest()
    assert json.loads(decision)["recipe_sha256"] == recipe


@pytest.mark.slow
def test_the_same_command_trains_nothing_again(learnable):
    images, advice = learnable
    before = {path: path.stat().st_mtime for path in advice.path.rglob("metrics.json")}
    again = finish(images, advice.path, "--accept")
    assert {path: path.stat().st_mtime for path in advice.path.rglob("metrics.json")} == before
    assert again.content["answer"] == advice.content["answer"]


@pytest.mark.slow
def test_an_image_that_was_added_stops_an_advice_that_goes_on(learnable):
    images, advice = learnable
    added = images / "benign" / "added.png"
    Image.fromarray(np.full((40, 40, 3), 77, np.uint8)).save(added)
    try:
        assert begin(images, advice.path, "--accept").wait() == 2
    finally:
        added.unlink()
    assert "goes on with the images that it began with" in (advice.path.parent / "out.log").read_text()


@pytest.mark.slow
def test_an_advice_that_is_killed_again_and_again_decides_the_same_and_opens_nothing_before(learnable, tmp_path):
    images, advice = learnable
    out = tmp_path / "killed"
    random, kills = np.random.RandomState(0), 0
    while kills < 5:
        process = begin(images, out, "--accept")
        deadline = time.monotonic() + random.uniform(4, 16)
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kills += 1
        assert (out / "decision.json").exists() or not (out / "run").exists()
    assert kills > 1
    assert finish(images, out, "--accept").content["answer"]["metrics"] == advice.content["answer"]["metrics"]


# A process that is killed when the decision is sealed, when the answer is trained, and when its scores were noted.
MOMENTS = {
    "sealed": ("course.now = kill", "no test image is scored yet", False),
    "trained": (
        "train = opening.open_test; opening.open_test = lambda *parts: (train(*parts), kill())",
        "the opening of the test images began at",
        True,
    ),
    "joining": ("opening.write_ensemble = kill", "the opening of the test images began at", True),
    "scored": ("opening.describe_answer = kill", "the test images were scored by", True),
}


@pytest.mark.slow
@pytest.mark.parametrize("moment", MOMENTS)
def test_whoever_kills_an_advice_reads_how_far_its_test_images_were_opened(learnable, tmp_path, moment):
    images, advice = learnable
    place, said, has_run = MOMENTS[moment]
    out = tmp_path / "out"
    shutil.copytree(advice.path, out, ignore=shutil.ignore_patterns("run", "ensemble", "*decision*", "adv*"))
    state = json.loads((out / "state.json").read_text())
    for noted in ("sealed", "decided", "opening", "opened"):
        state["done"].pop(noted, None)
    (out / "state.json").write_text(json.dumps(state))
    kill = "import os, signal; from tlmed.advising import course, opening; "
    kill += f"kill = lambda *_: os.kill(os.getpid(), signal.SIGKILL); {place}; "
    assert begin(images, out, "--accept", first=kill).wait() == -signal.SIGKILL
    assert (out / "run" / "predictions.csv").exists() == has_run
    status = subprocess.check_output([*TLMED, "status", out], text=True)
    assert said in " ".join(status.split())
    content, page = Advice(out).content, (out / "advice.html").read_text()
    assert content["sealed"]["sha256"] == hashlib.sha256((out / "decision.json").read_bytes()).hexdigest()
    assert bool(content["sealed"]["opening_began_at"]) == has_run
    assert "Missing: the score on test images." in page
    assert ("may be scored already" in page) == has_run
    assert ("no test image is scored yet" in page) != has_run


@pytest.mark.slow
def test_random_labels_have_nothing_to_learn(tmp_path):
    images, random = tmp_path / "images", np.random.RandomState(5)
    for label in ("a", "b"):
        (images / label).mkdir(parents=True)
        for number in range(40):
            pixels = random.randint(0, 255, (40, 40, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(images / label / f"{number}.png")
    content = finish(images, tmp_path / "out", "--accept").content
    assert content["verdict"]["learnable"] != "yes"
    assert "guessing" in content["verdict"]["says"][0]
