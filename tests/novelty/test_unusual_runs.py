"""A run keeps what tells images unlike its training images, and every command that scores images uses it."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.cli.test_cli import here
from tests.conftest import draw
from tlmed import inference
from tlmed.data.decode_and_resize import decode_resized
from tlmed.errors import InputError
from tlmed.evaluation.lines import describe_metrics
from tlmed.inference.panel import open_panel
from tlmed.intact import check_intact
from tlmed.lock import write_lock
from tlmed.members import Member, write_members
from tlmed.novelty import load_novelty, write_novelty
from tlmed.novelty.conformal import Calibration
from tlmed.novelty.known_images import Novelty
from tlmed.report import make_page, read_run
from tlmed.run_files import NOVELTY_JSON
from tlmed.rundir import NOVELTY, RunDir
from tlmed.voice import Voice
from tlmed.whole_files import read_csv, write_csv

KNOWN, HELD_OUT = 42, 9  # training and validation images of the run


@pytest.fixture(scope="module")
def run(finished):
    """Give a run whose last blocks were trained on features that were kept."""
    return RunDir(finished.path)


@pytest.fixture
def copied(run, tmp_path):
    """Give a copy of the run, to change."""
    shutil.copytree(run.path, tmp_path / "copied")
    return RunDir(tmp_path / "copied")


def read_features(run, paths):
    """Return the features of image files by the network that was saved."""
    pixels = np.stack([decode_resized(path.read_bytes(), (32, 32)) for path in paths])
    features, scores = (part.numpy() for part in inference.load_scorer(run).joint(pixels))
    return features, scores


def test_what_is_kept_is_of_the_network_that_was_saved(run, images):
    rows = read_csv(run / "splits.csv")
    val = [images / row["path"] for row in rows if row["split"] == "val"]
    features, scores = read_features(run, val)
    known = load_novelty(run)
    np.testing.assert_allclose(known.measure.score(features), known.calibration.scores, atol=1e-4)
    assert len(known.measure.known) == KNOWN
    # One pass gives the scores of the table, too.
    table = [row for row in read_csv(run / "predictions.csv") if row["split"] == "val"]
    expected = [[float(row[f"score_{name}"]) for name in ("benign", "malignant", "normal")] for row in table]
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_false_alarms_are_written_down(run):
    said = json.loads((run / "novelty.json").read_text())
    assert said.pop("validation_reason") == (
        f"validation has {HELD_OUT} images unknown to training; it takes 40 for each half to be judged by the other one"
    )
    assert said | {"test": None} == {
        **{
            "kept": True,
            "measure": "nearest",
            "images": KNOWN,
            "known": KNOWN,
            "unit": "image",
            "held_out": HELD_OUT,
            "units": HELD_OUT,
        },
        **{"least": 1 / (HELD_OUT + 1), "alarm": 0.05, "test": None},
    }
    assert said["test"]["n"] == 9
    assert 0 <= said["test"]["low"] <= said["test"]["value"] == said["test"]["unusual"] / 9
    page = (run / "report.html").read_text()
    assert "Images unlike those of training" in page
    assert f"Validation: not counted; validation has {HELD_OUT} images" in page
    assert f"Test: {said['test']['unusual']} of 9 images" in page


def test_predictions_have_a_column_of_p_values(run, images, tmp_path, capsys):
    paths = sorted((images / "normal").iterdir())
    expected = load_novelty(run).judge(read_features(run, paths)[0])
    found = inference.answer(run, [images / "normal"])
    assert found.columns[-2:] == ["unusual", "image_note"]
    np.testing.assert_allclose([row[-2] for row in found.rows], expected, atol=1e-12)
    np.testing.assert_allclose(found.unusual, [row[-2] for row in found.rows])
    # Its own table may be written over.
    for _ in range(2):
        assert here("predict", run.path, images / "normal", "--out", tmp_path / "rows.csv", "--force")[0] == 0
    assert read_csv(tmp_path / "rows.csv")[0].keys() >= {"unusual", "image_note"}


def test_unlike_images_are_named(copied, images, tmp_path):
    known = load_novelty(copied)
    # As if there had been 30 validation images, next to the training images.
    near = Calibration(np.full(30, 1e-6), np.arange(30))
    write_novelty(copied, Novelty(known.measure, near, known.width, known.about))
    write_lock(copied)
    said = []
    Image.fromarray(draw(0, 77)).save(tmp_path / "new.png")
    inference.predict(copied, [tmp_path / "new.png"], voice=Voice(warn=said.append))
    assert [line.partition(":")[0] for line in said if "unlike" in line] == [
        "1 of 1 image is unlike the images that the network was trained on (p < 0.05)"
    ]


def test_other_images_are_counted(copied, images, tmp_path):
    shutil.copytree(images, tmp_path / "images")
    rows = [(f"images/{name}/{name} ({i}).png", name, f"p{i}") for name in ("benign", "normal") for i in range(4)]
    rows += [("images/malignant/malignant (0).png", "malignant", "p0")]
    write_csv(tmp_path / "others.csv", ["path", "label", "group"], rows)
    known, features = load_novelty(copied), read_features(copied, [tmp_path / row[0] for row in rows])[0]
    # As if 30 validation images had been nearer than the two farthest of these, and not nearer than the others.
    border = np.sort(known.measure.score(features))[6:8].mean()
    held_out = Calibration(np.full(30, border), np.arange(30))
    write_novelty(copied, Novelty(known.measure, held_out, known.width, known.about))
    write_lock(copied)
    _, result = inference.evaluate(copied, str(tmp_path / "others.csv"))
    found = result["unusual"]
    assert (found["n"], found["unusual"]) == (9, 2)
    assert "effective sample size of 4 groups" in found["method"]
    line = next(line for line in describe_metrics(result) if line.startswith("Unlike the training images"))
    assert line.startswith("Unlike the training images: 2 of 9 images, 22 %")
    assert line.endswith("where at most 5 % are expected by chance.")
    # The run's own test images are in its report.
    assert "unusual" not in inference.evaluate(copied)[1]


def test_without_the_file_the_column_is_left_out_and_a_line_says_so(copied, images):
    (copied / NOVELTY).unlink()
    said = []
    columns, _, _ = inference.predict(copied, [images / "normal"], voice=Voice(say=said.append))
    assert "unusual" not in columns
    assert [line for line in said if line.startswith("Images unlike those of training are not marked")] == [
        "Images unlike those of training are not marked: the run keeps nothing of its training images (it is of an "
        "older version, or the file was deleted)."
    ]


def test_a_run_with_too_few_validation_images_says_so(copied, images):
    (copied / NOVELTY).unlink()
    NOVELTY_JSON.write(copied, {"kept": False, "reason": "validation has 4 images unknown to training"})
    write_lock(copied)
    said = []
    columns, _, _ = inference.predict(copied, [images / "normal"], voice=Voice(say=said.append))
    assert "unusual" not in columns
    line = "Images unlike those of training are not marked: validation has 4 images unknown to training."
    assert line in said
    assert "validation has 4 images unknown to training." in make_page(read_run(copied.path))


def test_the_file_of_another_run_is_refused(copied, images):
    known = load_novelty(copied)
    write_novelty(copied, Novelty(known.measure, known.calibration, known.width, {**known.about, "images": 43}))
    with pytest.raises(InputError, match=r"novelty\.sealed is not as recorded"):
        inference.predict(copied, [images / "normal"])
    write_lock(copied)
    assert check_intact(copied, [NOVELTY, "novelty.json"]) == []


def test_several_networks_judge_together(run, copied, images, tmp_path):
    known = load_novelty(copied)
    half = Calibration(known.calibration.scores[::2], np.arange(5))
    write_novelty(copied, Novelty(known.measure, half, known.width, known.about))
    write_lock(copied)
    both = RunDir(tmp_path / "both")
    both.path.mkdir()
    for name in ("metrics.json", "timing.json", "predictions.csv"):
        shutil.copy(run / name, both / name)
    members = [Member(run, 0.75), Member(copied, 0.25)]
    write_members(both, members, "mean", ["metrics.json", "timing.json", "predictions.csv"])
    found = inference.answer(both, [images / "normal"])
    first, second = (inference.answer(one, [images / "normal"]).unusual for one in (run, copied))
    assert (first != second).any()
    np.testing.assert_array_equal(found.unusual, (0.75 * first + 0.25 * second).round(6))
    # If one of them cannot tell, nobody does.
    (copied / NOVELTY).unlink()
    with pytest.raises(InputError, match="as they were when it was made"):
        open_panel(both)
    write_members(both, members, "mean", ["metrics.json", "timing.json", "predictions.csv"])
    said = []
    assert inference.answer(both, [images / "normal"], voice=Voice(say=said.append)).unusual is None
    assert any("are not marked: copied: the run keeps nothing" in line for line in said)
