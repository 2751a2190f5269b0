"""Reports in FHIR: valid by the official schema, with the numbers of the answers, and no name of a patient."""

import json
from dataclasses import replace

import pytest

pytest.importorskip("fhir.resources", reason="needs fhir.resources, of the extra test")
from fhir.resources.R4B.diagnosticreport import DiagnosticReport
from pydantic import ValidationError

from tests.dicom_reports.plain_answers import ENHANCED, SCORES, SOFTWARE, STUDY, make_answer, make_image
from tlmed.data.sample_sources import Shown
from tlmed.dicom_reports.class_codes import code_classes
from tlmed.dicom_reports.fhir_report import make_fhir
from tlmed.tasks import MULTI_LABEL, SINGLE_LABEL

CODES = code_classes(list(SCORES), {"malignant": ("86049000", "SCT", "Malignant neoplasm")})
NAMES = {"benign": "benign", "malignant": "Malignant neoplasm (malignant)"}


def make(answers, task=SINGLE_LABEL):
    return make_fhir(answers, CODES, SOFTWARE, task, "1.2.3.4")


def read(content):
    """Return a report as the official schema reads it."""
    return DiagnosticReport.model_validate_json(json.dumps(content))


def number(observation):
    return {part.code.text: part.valueQuantity.value for part in observation.component}


def test_a_report_is_valid_and_has_the_numbers_of_each_answer():
    shown = (Shown(make_image(1, sop_class=ENHANCED, frames=9), (4, 5)),)
    report = read(make([make_answer(1), make_answer(2, predicted=("benign",), shown=shown, note="odd", unusual=0.03)]))
    device, one, other = report.contained
    assert report.status == one.status == "preliminary"
    assert [result.reference for result in report.result] == [f"#{one.id}", f"#{other.id}"]
    assert one.device.reference == f"#{device.id}"
    assert device.identifier[0].value == f"urn:oid:{SOFTWARE.uid}"
    assert (device.serialNumber, device.version[0].value) == (SOFTWARE.lock, "0.1.0")
    coded, private = one.valueCodeableConcept, other.valueCodeableConcept
    assert (coded.coding[0].system, coded.coding[0].code) == ("http://snomed.info/sct", "86049000")
    assert (private.coding, private.text) == (None, "benign")
    assert {name: float(value) for name, value in number(one).items()} == {
        **{f"Probability of {NAMES[name]}: network output": numbers[0] for name, numbers in SCORES.items()},
        **{f"Probability of {NAMES[name]}: calibrated probability": numbers[1] for name, numbers in SCORES.items()},
        "Threshold of Malignant neoplasm (malignant): network output": 0.5,
    }
    assert float(number(other)["p-value that the image is like the training images"]) == 0.03
    assert other.note[0].text == "odd"
    assert [reference.identifier.value for reference in other.derivedFrom] == [
        *(f"urn:oid:{STUDY}", f"urn:oid:{STUDY}.1.1"),
    ]
    assert other.derivedFrom[1].display == "frames 4, 5"


def test_a_report_names_its_study_the_report_in_dicom_and_the_patient_by_id_alone():
    content = make([make_answer()])
    report = read(content)
    assert [study.identifier.value for study in report.imagingStudy] == [f"urn:oid:{STUDY}"]
    assert report.identifier[0].value == "urn:oid:1.2.3.4"
    assert report.subject.identifier.value == report.contained[1].subject.identifier.value == "7"
    assert not any(text in json.dumps(content) for text in ("Doe", "Jane", "19700102"))
    assert "Not a medical device" in report.conclusion


def test_a_report_of_nobody_is_valid_too():
    report = read(make([make_answer(shown=(Shown(make_image(PatientID="")),))]))
    assert report.subject is None


def test_each_label_is_an_observation_of_its_own():
    report = read(make([make_answer(predicted=("benign",))], MULTI_LABEL))
    said = {one.code.text: one.valueCodeableConcept.coding[0].code for one in report.contained[1:]}
    assert said == {"benign": "52101004", "Malignant neoplasm (malignant)": "272519000"}


def test_a_class_is_told_by_its_whole_name_beside_the_meaning_of_its_code():
    value = make([make_answer(1)])["contained"][1]["valueCodeableConcept"]
    assert value["text"] == "Malignant neoplasm (malignant)"
    assert value["coding"][0]["display"] == "Malignant neoplasm"
    grades = [f"invasive ductal carcinoma of the left breast, upper outer quadrant, grade {grade}" for grade in "12"]
    answer = make_answer(1)  # its second class
    scores = tuple(replace(score, name=name) for score, name in zip(answer.scores, grades, strict=True))
    report = make_fhir([replace(answer, scores=scores)], code_classes(grades, None), SOFTWARE, SINGLE_LABEL, "1.2.3.4")
    [observed] = report["contained"][1:]
    assert observed["valueCodeableConcept"] == {"text": grades[1]}
    assert observed["component"][0]["code"]["text"] == f"Probability of {grades[0]}: network output"


@pytest.mark.parametrize("damage", [{"status": None}, {"code": None}, {"result": "x"}, {"imagingStudi": []}])
def test_the_schema_would_find_an_error(damage):
    content = {**make([make_answer()]), **damage}
    with pytest.raises(ValidationError):
        read({key: value for key, value in content.items() if value is not None})
