import json
import shutil

import numpy as np
import pytest
from PIL import Image

import tlmed
from tests.cli.test_cli import here
from tests.conftest import write_images
from tlmed import findings
from tlmed.inspection import Inquiry, check_page, inquiry
from tlmed.whole_files import read_csv


@pytest.fixture
def folder(tmp_path):
    """Give a folder of 24 images of two classes."""
    random = np.random.RandomState(0)
    for name in ("ill", "well"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(12):
            pixels = random.randint(0, 256, (24, 24), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    return tmp_path / "images"


def read_check(folder):
    return json.loads((folder / "check.json").read_text())


def test_a_copy_under_two_labels_is_an_error_with_exit_status_1(folder, tmp_path):
    shutil.copyfile(folder / "ill" / "3.png", folder / "well" / "copy.png")
    status, said, _ = here("data", "check", folder, "--quick", "--out", tmp_path / "out")
    assert status == 1
    assert "Error: Byte-identical files stand under the labels ill, well: 'ill/3.png', 'well/copy.png'." in said
    content = read_check(tmp_path / "out")
    (finding,) = [found for found in content["findings"] if found["kind"] == "two-labels"]
    assert (finding["level"], finding["files"]) == ("error", ["ill/3.png", "well/copy.png"])
    assert finding["cure"]
    assert (content["complete"], content["images"]) == (True, 25)
    page = (tmp_path / "out" / "check.html").read_text()
    assert "One image under two labels" in page
    assert page.count("data:image/jpeg") >= 2


def test_a_corrected_table_can_be_trained_on_and_has_no_error_left(folder, tmp_path):
    shutil.copyfile(folder / "ill" / "3.png", folder / "well" / "copy.png")
    shutil.copyfile(folder / "ill" / "5.png", folder / "ill" / "again.png")
    fixed = folder / "fixed.csv"
    status, said, _ = here("data", "check", folder, "--quick", "--write", fixed)
    assert status == 1
    assert f"Written: {fixed}, 24 images; " in said
    assert "2 images left out" in said
    rows = read_csv(fixed)
    assert {row["path"] for row in read_csv(folder / "fixed-left-out.csv")} == {"ill/3.png", "well/copy.png"}
    groups = {row["path"]: row["group"] for row in rows}
    assert groups["ill/5.png"] == groups["ill/again.png"]
    assert here("data", "check", fixed, "--quick")[0] == 0
    assert here("data", "check", folder, "--quick", "--write", fixed)[0] == 2
    assert here("data", "check", folder, "--quick", "--write", fixed, "--force")[0] == 1


@pytest.mark.parametrize(("name", "rule"), [("fixed.txt", "ends in .csv"), ("no/fixed.csv", "folder that exists")])
def test_a_corrected_table_has_a_place_for_it(folder, name, rule):
    status, _, err = here("data", "check", folder, "--quick", "--write", folder / name)
    assert status == 2
    assert rule in err


def test_clean_images_end_with_exit_status_0(folder, tmp_path):
    status, said, err = here("data", "check", folder, "--quick", "--out", tmp_path / "out")
    assert status == 0, said + err
    assert [found for found in read_check(tmp_path / "out")["findings"] if found["level"] == "error"] == []


def test_what_was_found_before_a_stop_is_written(folder, tmp_path, monkeypatch):
    shutil.copyfile(folder / "ill" / "3.png", folder / "well" / "copy.png")

    def stop(evidence):
        raise KeyboardInterrupt

    monkeypatch.setattr(inquiry, "CHEAP", (*inquiry.CHEAP, stop))
    with pytest.raises(KeyboardInterrupt):
        tlmed.check(folder, out=tmp_path / "out", quick=True)
    content = read_check(tmp_path / "out")
    assert not content["complete"]
    assert [found["kind"] for found in content["findings"] if found["level"] == "error"] == ["two-labels"]
    assert content["unchecked"][-1] == (
        "The check was stopped, and did not look for near-copies by features, wrong labels, images unlike all others "
        "and how many images are enough."
    )
    assert "The check was stopped before its end" in (tmp_path / "out" / "check.html").read_text()


def test_images_of_one_class_and_a_single_image_are_checked_as_far_as_possible(folder, tmp_path):
    shutil.rmtree(folder / "well")
    assert tlmed.check(folder, quick=True).images == 12
    assert here("data", "check", folder, "--quick")[1].startswith(
        f"Images: 12 from {folder}, of 1 class (ill); training would refuse them"
    )
    for image in sorted((folder / "ill").iterdir())[1:]:
        image.unlink()
    found = tlmed.check(folder, quick=True)
    assert found.images == 1
    assert any("could not be divided" in sentence for sentence in found.unchecked)


def test_an_earlier_check_is_written_over_only_with_force(folder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "check.json").write_text("{}")
    status, _, err = here("data", "check", folder, "--quick", "--out", tmp_path / "mine", "--force")
    assert status == 2
    assert "must be a new file, or with --force one that the same command made" in err
    again = [
        here("data", "check", folder, "--quick", "--out", tmp_path / "out", *more)[0] for more in ((), (), ["--force"])
    ]
    assert again == [0, 2, 0]


def test_a_run_is_checked_in_its_own_splits(finished):
    found = tlmed.check(finished.path, quick=True)
    assert found.source == str(finished.path)
    assert any("what the network looks at" in said for said in found.unchecked)
    assert found.images == len((finished.path / "splits.csv").read_text().splitlines()) - 1
    status, _, err = here("data", "check", finished.path, "--set", "seed=3")
    assert status == 2
    assert "--set must go with DATA or a RECIPE" in err


def test_a_width_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"`width` must be between 0 and 1\. Received: width=1\.5"):
        Inquiry(width=1.5)


LENET5 = ("--set", "backbone=LeNet5", "--set", "weights=digits", "--set", "data.image_size=32,32")


def test_with_features_the_page_has_labels_learning_curve_tests_and_numbers(tmp_path):
    folder = write_images(tmp_path / "images", 30, ("ill", "well"))
    names = sorted((folder / "ill").iterdir())[:2]
    for name in names:  # under the wrong label
        name.rename(folder / "well" / f"moved {name.name}")
    status, _, err = here("data", "check", "feature_extractor", "--data", folder, *LENET5, "--out", tmp_path / "out")
    assert status in (0, 1), err
    content = read_check(tmp_path / "out")
    assert content["complete"]
    ranked = [entry["path"] for entry in content["figures"]["labels"]["ranked"][:6]]
    assert {f"well/moved {name.name}" for name in names} & set(ranked)
    assert content["fingerprint"]["classes"] == {"ill": 28, "well": 32}
    assert content["fingerprint"]["intrinsic_dimension"] > 0
    page = (tmp_path / "out" / "check.html").read_text()
    for title in ("How sure labels are", "Enough images?", "What tells the class", "The data in numbers"):
        assert f">{title}</h2>" in page, title
    assert "the rest suggests ill" in page
    assert "ill (28), well (32)" in page
    assert tlmed.check(folder, quick=True).fingerprint["intrinsic_dimension"] is None


def test_without_weights_it_is_said_what_could_not_be_checked(folder):
    status, said, _ = here("data", "check", "feature_extractor", "--data", folder, "--set", "weights=none")
    assert status == 0
    assert "Not checked: Wrong labels were not looked for: the recipe begins with random weights" in said


def test_every_kind_of_finding_has_a_title_on_the_page():
    named = {value for name, value in vars(findings).items() if name.isupper() and isinstance(value, str)}
    of_training = {findings.AMOUNT, findings.KNOWN, findings.NAMES, findings.CHOOSING}
    assert set(check_page.KINDS) == named - of_training - {findings.ERROR, findings.WARNING}


def test_a_line_end_in_a_name_makes_no_line_of_its_own(folder):
    copy = next((folder / "ill").iterdir())
    shutil.copy(copy, copy.with_name("x\nWarning: nothing else.png"))
    said = here("data", "check", folder, "--quick")[1]
    assert "x\\nWarning: nothing else.png" in said
    assert not any(line.startswith("Warning: nothing") for line in said.splitlines())
