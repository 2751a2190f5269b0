"""Images of another source are recognised by their content, with the groups and labels that the run recorded."""

import numpy as np
import pytest

from tlmed.data import ImageSet
from tlmed.data.familiar import compare_with_run
from tlmed.data.learned import list_learned
from tlmed.data.table import Table

RECORDED = [
    # digest, label, group, split
    ("a", "ill", "001", "train"),
    ("b", "well", "002", "val"),
    ("c", "ill", "001", "test"),
    ("d", "well", "003", "test"),
    ("e", "ill", "004", "test"),
]
ROWS = [
    dict(zip(("path", "sha256", "label", "group", "split"), (f"old {row[0]}", *row), strict=True)) for row in RECORDED
]
ALONE = [{**row, "group": ""} for row in ROWS]


def make_images(digests, labels=None, groups=None, alone=False):
    truth = {row["sha256"]: row["label"] for row in ROWS}
    labels = labels or [truth.get(digest, "ill") for digest in digests]
    paths = tuple(f"{i}.png" for i in range(len(digests)))
    classes = ("ill", "well")
    numbers = np.array([classes.index(label) for label in labels])
    table = Table("x.csv", paths, numbers, classes, groups, ("test",) * len(paths), None, alone=alone)
    return ImageSet(table, np.array(table.splits), tuple(digests), (4, 4), (), (), (), False, None)


def ask(digests, rows=ROWS, elsewhere=None, **columns):
    return compare_with_run(make_images(digests, **columns), rows, elsewhere or {})


def test_images_that_no_run_knows_say_nothing():
    found = ask("xyz", groups=("u", "v", "w"))
    assert found.sentences == ()
    assert not found.leaked.any()
    assert found.images.table.groups == ("u", "v", "w")


def test_identical_images_are_named_by_what_the_run_did_with_them():
    found = ask("abx", ALONE)
    assert found.leaked.tolist() == [True, True, False]
    trained, validated = found.sentences
    assert trained.startswith("1 image of 3 is among those that the run was trained on, and will look better")
    assert validated.startswith("1 image of 3 is among those that the run was validated on")
    (own,) = ask("dx", ALONE).sentences
    assert own == "1 image of 2 is among the run's own test images: 0.png."


def test_of_several_networks_one_is_named_that_knows_an_image():
    found = compare_with_run(make_images("abd"), ALONE, {}, run="one of the members").sentences
    assert found[0].startswith("1 image of 3 is among those that one of the members was trained on, and will look")
    assert found[2] == "1 image of 3 is among test images of members, and none learned from them: 2.png."


def test_what_runs_before_know_is_known():
    found = ask(
        "xy",
        elsewhere={"runs/first": list_learned([{"sha256": "y", "group": "", "split": "train"}])},
        groups=("p", "p"),
    )
    assert found.leaked.tolist() == [True, True]
    assert found.sentences[0].startswith(
        "1 image of 2 is among those that runs/first, where the weights come from, knows"
    )
    assert found.sentences[1].startswith("1 image of 2 is of groups with other images in training or validation (p)")


def test_names_that_runs_before_know_are_told_and_count_where_an_image_shows_that_they_are_the_same():
    first = {"runs/first": list_learned([{"sha256": "y", "group": "07", "split": "train"}])}
    named = ask("xz", elsewhere=first, groups=("7", "8"))
    assert named.leaked.tolist() == [False, False]
    assert named.sentences == (
        "1 of 2 test images belongs to groups that have the names of groups on which runs/first, where the weights "
        "come from, was trained or validated (7): if they are the same patients, their scores are too good.",
    )
    assert ask("xzy", elsewhere=first, groups=("7", "8", "007")).leaked.tolist() == [True, False, True]


@pytest.mark.parametrize("groups", [None, ("001", "003"), ("1", "3"), ("somebody", "else")])
@pytest.mark.parametrize("alone", [True, False])
def test_a_patient_in_training_is_known_by_the_content_of_another_image(groups, alone):
    found = ask("cd", groups=groups, alone=alone)
    assert found.leaked.tolist() == [True, False]
    assert any(
        "1 image of 2 is of groups with other images in training or validation" in said for said in found.sentences
    )


def test_names_count_where_images_that_both_have_show_that_they_are_the_same():
    assert ask("dx", groups=("3", "1")).leaked.tolist() == [False, True]
    other = ask("dx", groups=("9", "1"))
    assert other.leaked.tolist() == [False, False]
    assert other.sentences[-1].startswith("1 of 2 test images belongs to groups that have the names of groups")
    assert ask("xy", groups=("1", "9")).leaked.tolist() == [False, False]


def test_an_image_of_a_group_with_known_images_is_known():
    assert ask("axy", ALONE, groups=("p", "p", "q")).leaked.tolist() == [True, True, False]


def test_missing_groups_are_those_that_the_run_recorded():
    found = ask("cdx")
    assert found.images.table.groups == ("001", "003", "2.png")
    assert found.images.splits is not None
    (said,) = (said for said in found.sentences if "names no groups" in said)
    assert "knows those of 2 images of 3 (2 groups), by their content, and they are used; each other image" in said
    assert ask("cdx", alone=True).images.table.groups is None
    assert ask("cdx", ALONE).images.table.groups is None
    assert ask("xyz").images.table.groups is None


def test_labels_that_contradict_the_record_are_counted_and_named():
    (said,) = (said for said in ask("cdx", labels=("well", "well", "well")).sentences if "label" in said)
    assert said == (
        "1 image of 3 has another label here than in the run's splits.csv: 0.png ('well' here, 'ill' there). "
        "Those given here are used."
    )
    twice = [*ROWS, {**ROWS[2], "label": "well"}]  # the run had both
    assert not any("label" in said for said in ask("cdx", twice, labels=("well", "well", "well")).sentences)


def test_of_several_labels_only_those_that_both_sides_know_can_contradict():
    recorded = [
        {**row, "label": text} for row, text in zip(ROWS, ("edema", "?edema", "?mass", "mass", ""), strict=True)
    ]
    labels = np.array([[1, -1], [1, 0], [0, 1], [1, 1]])
    paths, test = ("0.png", "1.png", "2.png", "3.png"), np.array(["test"] * 4)
    table = Table("x.csv", paths, labels, ("edema", "mass"), None, tuple(test), None)
    images = ImageSet(table, test, tuple("abcd"), (4, 4), (), (), (), False, None)
    (said,) = (said for said in compare_with_run(images, recorded, {}).sentences if "another label" in said)
    assert said == (
        "1 image of 4 has another label here than in the run's splits.csv: 3.png ('edema|mass' here, 'mass' there). "
        "Those given here are used."
    )


def test_a_group_that_is_divided_here_is_told():
    one = [{**row, "group": "001"} for row in ROWS]
    (said,) = (said for said in ask("cde", one, groups=("1", "2", "3")).sentences if "several groups here" in said)
    assert said.startswith("Images of 1 group of the run's splits.csv have several groups here (001).")
    assert not any("several" in said for said in ask("cde", one, groups=("u", "u", "u")).sentences)
    assert not any("several" in said for said in ask("cde", groups=("001", "3", "u")).sentences)


def test_images_without_patients_may_be_of_patients_that_the_run_knows_and_that_is_said():
    told = (
        "Whether the run was trained or validated on other images of the same patients cannot be told for {}, because "
    )
    assert [said for said in ask("xy").sentences if said.startswith(told.format("2 of 2 images"))]
    told_of_one = ask("axy").sentences[-1]
    assert told_of_one.startswith(told.format("2 of 3 images"))
    # Nothing to tell where neither has patients, all images are its own, or the user says that each stands alone.
    files = [{**row, "group": f"file:{row['sha256']}"} for row in ROWS]
    quiet = (ask("xy", ALONE), ask("ad"), ask("xy", alone=True), ask("xy", groups=("u", "v")), ask("xy", files))
    for found in quiet:
        assert not [said for said in found.sentences if "cannot be told" in said]
        assert not found.undecided.any()
    volumes = ask("xy", groups=("file:x", "file:y"))  # which name no patients
    assert volumes.sentences[-1].startswith(told.format("2 of 2 images"))
    given = {"runs/first": list_learned([{"sha256": "y", "group": "9", "split": "train"}])}
    (said,) = ask("x", ALONE, given).sentences
    assert said.startswith(told.format("1 of 1 image").replace("the run", "runs/first, where the weights come from,"))


@pytest.mark.parametrize("rows", [ALONE, [{**row, "group": f"file:{row['sha256']}"} for row in ROWS]])
def test_patients_may_be_those_of_a_run_that_names_none_and_that_is_said(rows):
    # Of p, the run was trained on an image; z stands alone; the run recorded d, and no other image of its patient.
    found = ask("axdyz", rows, groups=("p", "p", "q", "r", ""))
    assert found.undecided.tolist() == [False, False, True, True, False]
    assert found.sentences[-1] == (
        "Whether the run was trained or validated on other images of the same patients cannot be told for 2 of 5 "
        "images, because nothing named its patients."
    )
    assert not ask("xy", rows, groups=("file:x", "")).undecided.any()
