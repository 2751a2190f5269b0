"""What the gate finds at the start of a run is said, kept in the run, and shown in its report."""

import shutil
from collections import Counter

import pytest
from PIL import Image

import tlmed
from tests.conftest import SMALL
from tlmed.errors import CheckFailed, RunFailed
from tlmed.inference.rescoring import evaluate
from tlmed.recipe import override
from tlmed.report.evaluations import make_evaluation_page
from tlmed.run.clock import Clock
from tlmed.run_files import CHECK_JSON
from tlmed.rundir import RunDir
from tlmed.voice import Voice

pytestmark = pytest.mark.usefixtures("empty_figures")


@pytest.fixture
def copied(images, tmp_path):
    """Give images with given splits; one file is in train and in test, under two labels."""
    for place, split in enumerate(("train", "val", "test")):
        for name in ("benign", "malignant"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for number in range(4 * place, 4 * place + 4):
                shutil.copyfile(
                    images / name / f"{name} ({number}).png", tmp_path / "data" / split / name / f"{number}.png"
                )
    shutil.copyfile(images / "benign" / "benign (0).png", tmp_path / "data" / "test" / "malignant" / "copy.png")
    return tmp_path / "data"


@pytest.fixture(autouse=True)
def whole(gate):
    with gate():
        yield


def small():
    return override(tlmed.load_recipe("feature_extractor"), SMALL)


def test_findings_are_in_the_run_and_in_its_report(copied, tmp_path):
    run = tlmed.train(small(), tmp_path / "run", copied)
    content = CHECK_JSON.read(RunDir(run.path))
    assert content["complete"]
    assert content["images"] == 25
    (found,) = [each for each in content["findings"] if each["kind"] == "two-labels"]
    assert found["files"] == ["test/malignant/copy.png", "train/benign/0.png"]
    assert any("`tlmed data check`" in sentence for sentence in content["unchecked"])
    page = (run.path / "report.html").read_text()
    assert "Check of the data" in page
    assert found["cure"].split("`")[0].strip() in page


def test_what_reading_the_images_has_not_said_is_said(copied, tmp_path, capsys):
    Image.open(copied / "train/benign/1.png").save(copied / "test/benign/other.tiff")
    tlmed.train(small(), tmp_path / "run", copied, verbose=True)
    said = "".join(capsys.readouterr())
    assert said.count("Images of equal pixels, at the size of the network, in 2 different files (PNG and TIFF)") == 1
    assert said.count("Byte-identical files stand under the labels") == 1


def test_a_strict_run_ends_before_anything_is_written(copied, tmp_path):
    with pytest.raises(CheckFailed, match="stand under the labels"):
        tlmed.train(small(), tmp_path / "run", copied, strict=True)
    assert not (tmp_path / "run").exists()


def test_a_run_that_goes_on_keeps_what_was_found_at_its_beginning(copied, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("tlmed.run.story.evaluate_run", lambda *job: (_ for _ in ()).throw(RunFailed("Stopped here.")))
        with pytest.raises(RunFailed, match="Stopped here"):
            tlmed.train(small(), tmp_path / "run", copied)
    written = (tmp_path / "run" / "check.json").read_bytes()
    monkeypatch.setattr("tlmed.run.gate_check.gather", lambda *images: pytest.fail("It looked again."))
    tlmed.train(small(), tmp_path / "run", copied)
    assert (tmp_path / "run" / "check.json").read_bytes() == written


def test_shortcuts_and_near_copies_are_told_before_training_and_kept(images, tmp_path):
    told = []
    run = tlmed.train(small(), tmp_path / "run", images, voice=Voice(say=told.append))
    kinds = {found["kind"] for found in CHECK_JSON.read(RunDir(run.path))["findings"]}
    assert "shortcut" in kinds  # classes of these images differ in brightness
    assert any(str(line).startswith("Check of the data: ") and "shortcut" in line for line in told)
    assert "shortcuts" in CHECK_JSON.read(RunDir(run.path))["figures"]


@pytest.mark.parametrize("cache", ["on", "off"])
def test_the_check_comes_before_training(images, tmp_path, cache):
    run = RunDir(tlmed.train(override(small(), [f"cache={cache}"]), tmp_path / "run", images).path)
    stages = [stage["name"] for stage in run.json("timing.json")["stages"]]
    assert stages.index("check data") < stages.index("phase head")


def test_the_check_is_no_part_of_the_seconds_of_training():
    stages = [{"name": "read images", "seconds": 2.0}, {"name": "check data", "seconds": 8.0}]
    assert Clock(begin=1.0, reading=10.0, trained=30.0, stages=stages).training == 12.0
    waited = [{"waiting_seconds": 2.0}, {}]  # an extraction of an older version has no such seconds
    assert Clock(reading=10.0, trained=30.0, stages=stages, extractions=waited).training == 10.0
    assert Clock(reading=10.0, stages=stages).training == 0  # nothing was trained


def test_errors_are_called_errors_and_counted_as_check_json_has_them(copied, tmp_path, capsys):
    Image.open(copied / "train/benign/1.png").save(copied / "test/benign/other.tiff")
    out = tmp_path / "run"
    tlmed.train(small(), out, copied, verbose=True)
    levels = Counter(found["level"] for found in CHECK_JSON.read(RunDir(out))["findings"])
    said = "".join(capsys.readouterr())
    assert "Error in the data: Images of equal pixels" in said
    (line,) = [line for line in said.splitlines() if line.startswith("Check of the data: ")]
    assert line.startswith(f"Check of the data: {levels['error']} errors (")
    assert f" and {levels['warning']} warning" in line
    assert line.endswith(f"in the report and in {out / 'check.json'}")


def test_what_the_check_found_is_said_where_the_run_is_scored_again(copied, tmp_path):
    Image.open(copied / "train/benign/1.png").save(copied / "test/benign/other.tiff")
    run = tlmed.train(small(), tmp_path / "run", copied)
    told = []
    units, result = evaluate(RunDir(run.path), voice=Voice(warn=told.append))
    (said,) = [line for line in told if line.startswith("The check of the data found")]
    assert "2 of 10 test images repeat an image of train. Scores without known images leave out only 1" in said
    assert said in result["evaluated"]["warnings"]
    assert result["metrics"].keys() == run.metrics["metrics"].keys()
    assert "had no part in it" not in make_evaluation_page(units.units, result)
    told.clear()
    evaluate(RunDir(run.path), str(copied / "train"), voice=Voice(warn=told.append))
    assert not any("check of the data" in line for line in told)  # it is of other images


def test_a_cross_validation_names_places_that_exist(images, tmp_path):
    data = shutil.copytree(images, tmp_path / "data")
    for number in range(8):
        Image.open(data / f"benign/benign ({number}).png").save(data / f"benign/again{number}.tiff")
    told, out = [], tmp_path / "cv"
    voice = Voice(say=told.append, warn=told.append)
    tlmed.train(override(small(), ["data.split=KFold(2)"]), out, data, voice=voice)
    (line,) = [line for line in map(str, told) if line.startswith("Check of the data: ")]
    assert line.endswith(f"in the report and in {out / 'folds' / '01' / 'check.json'}")
    assert (out / "folds" / "01" / "check.json").exists()
    (whole,) = [line for line in map(str, told) if line.startswith("The check of the data found")]
    page = (out / "report.html").read_text()
    assert "Check of the data" in page
    assert whole.partition(" See ")[0] in page
    copies = [it for it in CHECK_JSON.read(RunDir(out / "folds" / "02"))["findings"] if it["kind"] == "identical"]
    assert len(copies) == 8
    assert all(path in page for found in copies for path in found["files"])
