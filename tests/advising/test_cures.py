"""Images that cannot be divided are answered with what can be done about them."""

import numpy as np

from tests.gate.made_evidence import make_evidence
from tlmed.advising.cures import suggest_cure


def suggest(labels, groups=None, **fields):
    evidence = make_evidence([str(row) for row in range(len(labels))], labels, groups, **fields)
    return suggest_cure(evidence.table, evidence.sha256)


def test_a_class_of_one_image_can_be_collected_left_out_or_merged():
    three = {"classes": ("ill", "odd", "well")}
    assert suggest([0, 1] * 20 + [2], **three) == (
        "Collect 4 images or more of 'well'; or leave out the images of that class; or merge classes by "
        "`--set data.classes.NAME=A,B`."
    )
    both = suggest([0] * 20 + [1, 2], **three)
    assert "leave out" not in both  # which would leave one class
    assert "merge classes" in both
    assert suggest([0] * 20 + [1] * 4) == ""


def test_of_two_classes_none_can_be_left_out_or_merged():
    assert suggest([0] * 20 + [1]) == "Collect 4 images or more of 'well'."


def test_the_classes_of_few_patients_are_named():
    groups = tuple("abcdefgh") + ("i",) * 8
    assert "4 patients or more of 'well'" in suggest([0] * 8 + [1] * 8, groups)
    assert "'ill'" not in suggest([0] * 8 + [1] * 8, groups)


def test_one_patient_is_said_to_be_one():
    assert "--no-groups" in suggest([0, 1] * 10, ("p",) * 20)
    assert "--no-groups" not in suggest([0, 1] * 10, ("p",) * 19 + ("q",))


def test_identical_files_count_once():
    assert "'well'" in suggest([0] * 5 + [1] * 4, sha256=("a", "b", "c", "d", "e", "f", "f", "f", "f"))


def test_of_several_labels_more_images_are_asked_for():
    labels = np.array([[1, 0], [0, 1]])
    assert suggest(labels) == "Collect more images."
