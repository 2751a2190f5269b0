"""What networks answered becomes plain data: classes, thresholds, odd values, and the images that it is about."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="needs pydicom: pip install '.[dicom]'")
from tests.dicom_reports.plain_answers import make_answer, make_image
from tlmed.data.sample_sources import Shown
from tlmed.dicom_reports.image_answers import agree_on_study, check_patients, make_answers
from tlmed.errors import InputError
from tlmed.evaluation.predicted_tables import list_columns
from tlmed.inference.explained_images import Answers

SCORES = np.array([[0.2, 0.8], [0.6, 0.4]])


def answer(chosen, thresholds, task="single-label", **extra):
    """Return the answers for two images, whose calibrated probabilities are half of their scores."""
    several = task == "multi-label"
    columns = [*list_columns(["ill", "well"], several)[:-1], *extra, "image_note"]
    blank = [""] * (len(columns) - len(extra) - 1)
    decision = SimpleNamespace(threshold=None if several else thresholds, thresholds=thresholds)
    metrics = {"classes": ["ill", "well"], "positive": None if several else "ill", "task": task}
    answered = SimpleNamespace(
        panel=SimpleNamespace(metrics=metrics, decision=decision),
        names=["1", "2"],
        units=["1", "2"],
        answers=Answers(np.asarray(chosen), SCORES, SCORES, np.arange(2)),
        calibrated=SCORES / 2,
        columns=columns,
        rows=[(*blank, *(values[row] for values in extra.values()), ("", "few grey levels")[row]) for row in range(2)],
    )
    return make_answers(answered, SimpleNamespace(find=lambda name: [Shown(make_image(int(name)))]))


def test_a_class_is_predicted_by_the_threshold_of_the_positive_one():
    one, other = answer([1, 0], 0.5)
    assert [(score.name, score.predicted, score.threshold) for score in one.scores] == [
        *(("ill", False, 0.5), ("well", True, None)),
    ]
    assert [(score.score, score.calibrated) for score in other.scores] == [(0.6, 0.3), (0.4, 0.2)]
    assert [one.note, other.note] == ["", "few grey levels"]
    assert [one.source.instance[-1], other.source.instance[-1]] == ["1", "2"]
    assert one.unusual is None


def test_each_label_has_a_threshold_of_its_own_and_any_number_is_predicted():
    one, other = answer([[1, 1], [0, 0]], [0.1, 0.5], "multi-label")
    assert [score.predicted for score in (*one.scores, *other.scores)] == [True, True, False, False]
    assert [score.threshold for score in one.scores] == [0.1, 0.5]


def test_how_unlike_training_an_image_is_is_taken_from_the_table():
    assert [one.unusual for one in answer([1, 0], 0.5, unusual=[0.04, ""])] == [0.04, None]


@pytest.mark.parametrize(
    ("keyword", "first", "second"),
    [("PatientID", "A\\1", "B\\2"), ("PatientBirthDate", "1950.01.01", "1960.02.02"), ("PatientSex", "male", "female")],
)
def test_patients_are_told_apart_by_what_the_standard_does_not_allow_too(keyword, first, second):
    nobody = {"PatientName": "", "PatientID": "", "PatientBirthDate": "", "PatientSex": ""}
    one, other = (
        replace(make_image(number, **nobody), odd={keyword: text}) for number, text in enumerate((first, second))
    )
    with pytest.raises(InputError, match=f"several in .*{keyword}"):
        check_patients({"a.dcm": one, "b.dcm": other})
    check_patients({"a.dcm": one, "b.dcm": replace(one, instance="1.2.3")})


def agree(*said):
    answers = [make_answer(shown=(Shown(make_image(number, **one)),)) for number, one in enumerate(said)]
    alike, is_partly_marked = agree_on_study(answers)
    (repeated,) = {tuple(sorted(answer.source.repeated.items())) for answer in alike}
    return dict(repeated), is_partly_marked


def test_what_only_a_later_image_says_of_the_patient_is_in_the_report_of_all():
    nobody = {"PatientName": "", "PatientID": "", "PatientSex": ""}
    repeated, _ = agree(nobody, {"IssuerOfPatientID": "Hospital"})
    assert (repeated["PatientName"], repeated["PatientSex"]) == ("Doe^Jane", "F")
    assert (repeated["PatientID"], repeated["IssuerOfPatientID"]) == ("7", "Hospital")


def test_an_identity_was_removed_only_if_it_was_in_all_images():
    mark = {"PatientIdentityRemoved": "YES", "DeidentificationMethod": "by hand"}
    assert agree(mark, mark)[0] | mark == agree(mark, mark)[0]
    for other in ({}, {"PatientIdentityRemoved": "NO"}):
        for said in ((mark, other), (other, mark)):
            repeated, is_partly_marked = agree(*said)
            assert is_partly_marked
            assert (repeated["PatientIdentityRemoved"], repeated["DeidentificationMethod"]) == ("", "")
