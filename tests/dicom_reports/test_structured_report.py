"""Reports in DICOM: what they say is read back by highdicom and dcmtk, and two validators find no error."""

import shutil
import subprocess
import warnings

import numpy as np
import pytest

hd = pytest.importorskip("highdicom", reason="needs highdicom: pip install '.[dicom]'")
import pydicom  # noqa: E402
from dicom_validator.validator.validation_result import ErrorCode  # noqa: E402
from pydicom.sr.codedict import codes as terms  # noqa: E402

from tests.dicom_reports.plain_answers import (  # noqa: E402
    ENHANCED,
    LOCK,
    SCORES,
    SOFTWARE,
    STUDY,
    make_answer,
    make_image,
)
from tests.dicom_reports.standard_tables import find_faults  # noqa: E402
from tlmed.data.sample_sources import Shown  # noqa: E402
from tlmed.dicom_reports.captured_overlays import Overlay, capture  # noqa: E402
from tlmed.dicom_reports.class_codes import code_classes  # noqa: E402
from tlmed.dicom_reports.reporting import _refer  # noqa: E402
from tlmed.dicom_reports.structured_report import make_report, make_uid  # noqa: E402
from tlmed.tasks import MULTI_LABEL, SINGLE_LABEL  # noqa: E402

CODES = code_classes(list(SCORES), {"malignant": ("86049000", "SCT", "Malignant neoplasm")})


def write(path, answers, task=SINGLE_LABEL, overlays=None, codes=CODES):
    make_report(answers, overlays or {}, codes, SOFTWARE, task).save_as(path, enforce_file_format=True)
    return path


def write_overlay(path, image, frames=()):
    picture = np.random.RandomState(0).randint(0, 255, (20, 30, 3), np.uint8)
    made = capture(
        Overlay(0, "x", picture, "malignant 0.877: grad-cam"), image, frames, SOFTWARE, (make_uid(), 1, make_uid())
    )
    made.save_as(path, enforce_file_format=True)
    return made, picture


def read(path):
    """Return the report, and its measurement groups, as highdicom reads them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = hd.sr.srread(path)
    return report, report.content.get_image_measurement_groups()


def as_read(name):
    return hd.sr.CodedConcept(CODES[name].value, CODES[name].scheme, CODES[name].meaning)


def take(group, name, method, code):
    """Return the number of a class in a group."""
    found = [
        measured.value
        for measured in group.get_measurements(name)
        for modifier in [{item.name.meaning: item.value for item in measured[0].ContentSequence}]
        if modifier["Finding"].value == code and modifier["Measurement Method"].meaning == method
    ]
    assert len(found) == 1
    return found[0]


def run(tool, path):
    if shutil.which(tool) is None:
        pytest.skip(f"needs {tool}: apt install dcmtk dicom3tools")
    done = subprocess.run([tool, path], capture_output=True, text=True, errors="replace", timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_what_was_predicted_is_read_back(tmp_path):
    answers = [make_answer(1), make_answer(2, predicted=("benign",), note="few grey levels", unusual=0.03)]
    report, groups = read(write(tmp_path / "r.dcm", answers))
    assert [group.finding_type for group in groups] == [as_read("malignant"), as_read("benign")]
    for answer, group in zip(answers, groups, strict=True):
        for score in answer.scores:
            code = CODES[score.name].value
            # To the bit: what a decimal string cannot hold is stored as a floating-point number beside it.
            assert take(group, terms.DCM.Probability, "network output", code) == score.score
            assert take(group, terms.DCM.Probability, "calibrated probability", code) == score.calibrated
        assert take(group, terms.DCM.ThresholdValue, "network output", "86049000") == 0.5
        assert {measured.unit.value for measured in group.get_measurements()} == {"1"}
        [source] = group.source_images
        image = answer.shown[0].image
        assert source.value == (image.sop_class, image.instance)
        assert source.referenced_frame_numbers is None
    odd = [measured.value for measured in groups[1].get_measurements() if measured.name.scheme_designator == "99TLMED"]
    assert odd == [0.03]
    assert len(groups[0].get_measurements()) == len(groups[1].get_measurements()) - 1
    assert report.get_evidence() == [
        (STUDY, f"{STUDY}.1", f"{STUDY}.1.1", answers[0].source.sop_class),
        (STUDY, f"{STUDY}.1", f"{STUDY}.1.2", answers[0].source.sop_class),
    ]


def test_a_report_says_what_made_it_and_that_it_is_no_finding_of_a_physician(tmp_path):
    report, [group] = read(write(tmp_path / "r.dcm", [make_answer()]))
    assert (report.Manufacturer, report.ManufacturerModelName, report.SoftwareVersions, report.DeviceSerialNumber) == (
        *("tlmed", "MobileNetV2", "0.1.0", LOCK),
    )
    assert (report.CompletionFlag, report.VerificationFlag, report.PreliminaryFlag) == (
        *("COMPLETE", "UNVERIFIED", "PRELIMINARY"),
    )
    assert report.ContentQualification == "RESEARCH"
    [observer] = report.content.get_observer_contexts()
    device = observer.observer_identifying_attributes
    assert (device.uid, device.name, device.model_name) == (SOFTWARE.uid, "tlmed 0.1.0", "MobileNetV2")
    assert hd.UID(SOFTWARE.uid).is_valid
    texts = [item.TextValue for item in report.ContentSequence if item.ValueType == "TEXT"]
    assert LOCK in texts
    assert "Not a medical device" in texts[-1]
    algorithm = [
        item.TextValue for item in group[0].ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "111002"
    ]
    assert algorithm == ["AUC 0.900 (no interval)."]


def test_patient_and_study_are_those_of_the_images_and_nothing_else_of_them(tmp_path):
    image = make_image(StudyDate="20200131", StudyTime="101112", AccessionNumber="A1", IssuerOfPatientID="Ward 3")
    report = pydicom.dcmread(write(tmp_path / "r.dcm", [make_answer(shown=(Shown(image),))]))
    said = {keyword: str(report[keyword].value) for keyword, text in image.repeated.items() if keyword in report}
    without = ("PatientIdentityRemoved", "DeidentificationMethod")
    assert said == {keyword: text for keyword, text in image.repeated.items() if keyword not in without}
    patients = {element.keyword for element in report if element.tag.group == 0x0010}
    assert patients == {"PatientName", "PatientID", "PatientBirthDate", "PatientSex", "IssuerOfPatientID"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Doe^Jane", None),
        ("Müller^Jürgen", "ISO_IR 100"),
        ("Yamada^Tarou=山田^太郎=やまだ^たろう", "ISO_IR 192"),
        ("", None),
    ],
)
def test_names_have_the_smallest_character_set_that_has_their_letters(tmp_path, name, expected):
    report = pydicom.dcmread(write(tmp_path / "r.dcm", [make_answer(shown=(Shown(make_image(PatientName=name)),))]))
    assert report.get("SpecificCharacterSet") == expected
    assert str(report.PatientName) == name


def test_classes_may_have_any_letters_and_long_names(tmp_path):
    name = "größer als " + "x" * 60
    codes = {**CODES, "malignant": code_classes([name], None)[name]}
    report, [group] = read(write(tmp_path / "r.dcm", [make_answer()], codes=codes))
    assert report.SpecificCharacterSet == "ISO_IR 100"
    assert group.finding_type.value == name
    assert group.finding_type.meaning == f"{name[:30]}...{name[-31:]}"


def test_each_label_is_evaluated_and_none_that_is_absent_is_a_finding(tmp_path):
    _, [group] = read(write(tmp_path / "r.dcm", [make_answer(predicted=("benign",))], MULTI_LABEL))
    assert group.finding_type is None
    said = {
        evaluated.name.meaning: evaluated.value.meaning
        for evaluated in group.get_qualitative_evaluations()
        if evaluated.name.meaning in ("benign", "Malignant neoplasm")
    }
    assert said == {"benign": "Present", "Malignant neoplasm": "Absent"}


def test_frames_and_all_images_of_a_volume_are_referred_to(tmp_path):
    frames = make_answer(shown=(Shown(make_image(1, sop_class=ENHANCED, frames=9), (4, 5)),))
    volume = make_answer(shown=tuple(Shown(make_image(number)) for number in (2, 3, 4)))
    report, groups = read(write(tmp_path / "r.dcm", [frames, volume]))
    assert groups[0].source_images[0].referenced_frame_numbers == [4, 5]
    assert [source.referenced_sop_instance_uid[-1] for source in groups[1].source_images] == ["2", "3", "4"]
    assert len(report.get_evidence()) == 4
    assert find_faults(tmp_path / "r.dcm") == {}


def test_an_overlay_is_an_image_of_the_same_study_that_the_report_refers_to(tmp_path):
    image = make_image(1, sop_class=ENHANCED, frames=9, PatientName="Müller")
    made, picture = write_overlay(tmp_path / "o.dcm", image, (4,))
    report, [group] = read(
        write(tmp_path / "r.dcm", [make_answer(shown=(Shown(image, (4,)),))], overlays={0: [_refer(made)]})
    )
    found = pydicom.dcmread(tmp_path / "o.dcm")
    assert np.array_equal(found.pixel_array, picture)
    assert (found.StudyInstanceUID, str(found.PatientName)) == (STUDY, "Müller")
    assert found.SeriesInstanceUID not in (image.series, report.SeriesInstanceUID)
    [source] = found.SourceImageSequence
    assert (source.ReferencedSOPInstanceUID, source.ReferencedFrameNumber) == (image.instance, 4)
    assert "Not a medical device" in found.ImageComments
    shown = [item for item in group[0].ContentSequence if item.ConceptNameCodeSequence[0].CodeValue == "130401"]
    assert [item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID for item in shown] == [found.SOPInstanceUID]
    assert {evidence[2] for evidence in report.get_evidence()} == {image.instance, found.SOPInstanceUID}
    assert find_faults(tmp_path / "o.dcm") == find_faults(tmp_path / "r.dcm") == {}


def test_new_objects_have_new_uids_and_the_same_software_has_the_same():
    one, other = (make_report([make_answer()], {}, CODES, SOFTWARE, SINGLE_LABEL) for _ in range(2))
    assert one.SOPInstanceUID != other.SOPInstanceUID
    assert one.SeriesInstanceUID != other.SeriesInstanceUID
    assert hd.UID(one.SOPInstanceUID).is_valid


def damage_type(report):
    del report.ContentSequence[-2].ContentSequence[0].ContentSequence[-2].ValueType


def damage_number(report):
    group = report.ContentSequence[-2].ContentSequence[0]
    del next(item for item in group.ContentSequence if item.ValueType == "NUM").MeasuredValueSequence


def damage_flag(report):
    del report.CompletionFlag


@pytest.mark.parametrize("task", [SINGLE_LABEL, MULTI_LABEL])
def test_dicom_validator_finds_no_error(tmp_path, task):
    path = write(tmp_path / "r.dcm", [make_answer(1, note="odd", unusual=0.5), make_answer(2)], task)
    assert find_faults(path) == {}


@pytest.mark.parametrize("damage", [damage_type, damage_number, damage_flag])
def test_dicom_validator_would_find_one(tmp_path, damage):
    path = write(tmp_path / "r.dcm", [make_answer()])
    report = pydicom.dcmread(path)
    damage(report)
    report.save_as(path)
    faults = [fault for found in find_faults(path).values() for fault in found.values()]
    assert ErrorCode.TagMissing in {fault.code for fault in faults}


def test_dcmtk_reads_a_report_without_a_warning(tmp_path):
    image = make_image(PatientName="Müller^Jürgen")
    path = write(tmp_path / "r.dcm", [make_answer(shown=(Shown(image),), note="odd", unusual=0.5)])
    status, said, warned = run("dsrdump", path)
    assert (status, warned) == (0, "")
    assert '<contains CODE:(,,"Finding")=(86049000,SCT,"Malignant neoplasm")>' in said
    assert '<contains NUM:(,,"Probability")="0.66666666666667" (1,UCUM,"no units")>' in said


# What the images lack is lacking in reports; schemes of one's own are allowed (PS3.16, 8.2).
HARMLESS = ("DICOMDIR", "<99TLMED>", "Retired Person Name form", "attribute <Laterality>")


@pytest.mark.parametrize("task", [SINGLE_LABEL, MULTI_LABEL])
def test_dciodvfy_finds_no_error(tmp_path, task):
    image = make_image(StudyID="1", StudyDate="20200131", StudyTime="101112")
    made, _ = write_overlay(tmp_path / "o.dcm", image)
    answer = make_answer(shown=(Shown(image),), note="odd", unusual=0.5)
    path = write(tmp_path / "r.dcm", [answer], task, overlays={0: [_refer(made)]})
    for file, kind in ((path, "Comprehensive3DSR"), (tmp_path / "o.dcm", "SCImage")):
        status, _, said = run("dciodvfy", file)
        lines = [line for line in said.splitlines() if not any(words in line for words in HARMLESS)]
        assert (status, lines) == (0, [kind])
