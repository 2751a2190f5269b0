"""`tlmed predict --dicom-sr`: from DICOM files of a study to its reports, whole or not at all."""

import csv
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

hd = pytest.importorskip("highdicom", reason="needs highdicom: pip install '.[dicom]'")
import pydicom  # noqa: E402
from click.testing import CliRunner  # noqa: E402
from PIL import Image  # noqa: E402
from pydicom.sr.codedict import codes as terms  # noqa: E402

from tests.data.readers.dicom_files import write  # noqa: E402
from tests.dicom_reports.plain_answers import STUDY, make_answer, make_image  # noqa: E402
from tests.dicom_reports.standard_tables import find_faults  # noqa: E402
from tests.dicom_reports.test_structured_report import read, take  # noqa: E402
from tlmed.cli.ensemble_command import ensemble  # noqa: E402
from tlmed.cli.predict_command import predict  # noqa: E402
from tlmed.data.readers.dicom_sources import REPEATED  # noqa: E402
from tlmed.data.sample_sources import Shown, find_sources  # noqa: E402
from tlmed.dicom_reports.image_answers import _find_shown, check_patients, divide_by_study  # noqa: E402
from tlmed.dicom_reports.report_folder import check_report_folder, writing_reports  # noqa: E402
from tlmed.errors import InputError  # noqa: E402
from tlmed.slicing import Slicing  # noqa: E402
from tlmed.targets import make_mark  # noqa: E402

OTHER = "1.2.826.0.1.8"
BOTH = ": '1.dcm' and '2.dcm'"  # files of two patients in one study


@pytest.fixture(scope="module")
def study(images, tmp_path_factory):
    """Give a folder with images of two studies, the first of two images."""
    folder = tmp_path_factory.mktemp("dicom") / "study"
    folder.mkdir()
    for number, (name, uid) in enumerate({"benign": STUDY, "malignant": STUDY, "normal": OTHER}.items()):
        pixels = np.asarray(Image.open(images / name / f"{name} (0).png"))
        said = {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1", "SOPInstanceUID": f"{uid}.1.{number}"}
        said |= {"PatientID": uid[-1], "PatientName": "Müller^Eva", "SpecificCharacterSet": "ISO_IR 192"}
        said |= {"IssuerOfPatientID": "Ward", "PatientIdentityRemoved": "YES", "DeidentificationMethod": "by hand"}
        (folder / f"{number}.dcm").write_bytes(write(pixels, **said))
    return folder


def call(*arguments):
    """Run the command in this process, and return what it wrote to both outputs; errors are raised."""
    return CliRunner().invoke(predict, [*map(str, arguments)], catch_exceptions=False, standalone_mode=False)


@pytest.fixture(scope="module")
def reported(finished, study, tmp_path_factory):
    """Give the folder of reports, and the table of predictions."""
    out = tmp_path_factory.mktemp("reports")
    code = "malignant=86049000,SCT,Malignant neoplasm"
    done = call(finished.path, study, "--dicom-sr", out / "sr", "--out", out / "p.csv", "--code", code)
    assert f"Reported 3 answers in 2 studies, with 3 pictures: {out / 'sr'}" in done.output
    with open(out / "p.csv", encoding="utf-8") as file:
        return out / "sr", list(csv.DictReader(file))


def test_reports_of_each_study_equal_the_predictions(reported, study):
    folder, rows = reported
    assert sorted(os.listdir(folder)) == [STUDY, OTHER]
    assert len(rows) == 3
    seen = []
    for uid in (STUDY, OTHER):
        report, groups = read(folder / uid / "report.dcm")
        assert report.StudyInstanceUID == uid
        assert str(report.PatientName) == "Müller^Eva"
        for group in groups:
            instances = {pydicom.dcmread(study / f"{n}.dcm").SOPInstanceUID: n for n in range(3)}
            number = instances[group.source_images[0].referenced_sop_instance_uid]
            [row] = [row for row in rows if row["path"] == str(study / f"{number}.dcm")]
            seen.append(number)
            names = {"86049000": "malignant"}
            assert names.get(group.finding_type.value, group.finding_type.value) == row["prediction"]
            for name in ("benign", "malignant", "normal"):
                code = "86049000" if name == "malignant" else name
                for method, column in (("network output", "score"), ("calibrated probability", "calibrated")):
                    assert take(group, terms.DCM.Probability, method, code) == float(row[f"{column}_{name}"])
            odd = [found.value for found in group.get_measurements() if found.name.scheme_designator == "99TLMED"]
            assert odd == ([float(row["unusual"])] if row.get("unusual") else [])
    assert sorted(seen) == [0, 1, 2]


def test_files_of_reports_are_valid_and_name_no_place_of_this_machine(reported, study, finished):
    folder, _ = reported
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert [path.name for path in files] == [
        *("overlay-001.dcm", "overlay-002.dcm", "report.dcm", "report.json"),
        *("overlay-001.dcm", "report.dcm", "report.json"),
    ]
    for path in files:
        if path.suffix == ".dcm":
            assert find_faults(path) == {}
        content = path.read_bytes()
        assert make_mark("predict").encode() in content
        assert not any(str(place).encode() in content for place in (study, finished.path, folder))
    lock = json.loads((Path(finished.path) / "lock.json").read_text())["sha256"]
    assert pydicom.dcmread(files[2]).DeviceSerialNumber == lock


def test_an_overlay_shows_the_image_that_it_refers_to(reported):
    folder, _ = reported
    report, groups = read(folder / STUDY / "report.dcm")
    overlays = [pydicom.dcmread(folder / STUDY / f"overlay-00{number}.dcm") for number in (1, 2)]
    assert len({overlay.SeriesInstanceUID for overlay in overlays}) == 1
    assert [overlay.InstanceNumber for overlay in overlays] == [1, 2]
    for group, overlay in zip(groups, overlays, strict=True):
        source = group.source_images[0].referenced_sop_instance_uid
        assert overlay.SourceImageSequence[0].ReferencedSOPInstanceUID == source
        assert overlay.pixel_array.std() > 0
    assert len(report.get_evidence()) == 4
    for keyword in REPEATED:  # of whom, and whether that was removed
        assert {str(overlay.get(keyword)) for overlay in overlays} == {str(report.get(keyword))}, keyword
    assert (report.PatientIdentityRemoved, report.IssuerOfPatientID) == ("YES", "Ward")


def test_the_same_command_refuses_its_own_reports_without_force_and_replaces_them_with_it(finished, study, tmp_path):
    asked = (finished.path, study / "0.dcm", "--dicom-sr", tmp_path / "sr", "--no-overlay", "--out", tmp_path / "p.csv")
    call(*asked)
    first = pydicom.dcmread(tmp_path / "sr" / STUDY / "report.dcm").SOPInstanceUID
    with pytest.raises(InputError, match="--force writes over"):
        call(finished.path, study / "2.dcm", "--dicom-sr", tmp_path / "sr", "--no-overlay")
    assert pydicom.dcmread(tmp_path / "sr" / STUDY / "report.dcm").SOPInstanceUID == first
    call(finished.path, study / "2.dcm", "--dicom-sr", tmp_path / "sr", "--no-overlay", "--force")
    assert os.listdir(tmp_path / "sr") == [OTHER]  # nothing of the earlier reports stays among the new ones
    assert sorted(os.listdir(tmp_path / "sr" / OTHER)) == ["report.dcm", "report.json"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--code", "malignan=1,SCT,x"], "Did you mean 'malignant'?"),
        (["--code", "malignant=1,SCT"], "CLASS=CODE,SCHEME,MEANING"),
        (["--code", "benign=1,SCT,x", "--code", "normal=1,SCT,y"], "a code of its own"),
    ],
)
def test_wrong_codes_are_refused_before_anything_is_computed(finished, study, tmp_path, monkeypatch, more, said):
    monkeypatch.setattr("tlmed.inference.answer", None)
    with pytest.raises(InputError) as raised:
        call(finished.path, study, "--dicom-sr", tmp_path / "sr", *more)
    assert said in str(raised.value)
    assert os.listdir(tmp_path) == []


def test_images_that_are_no_dicom_are_refused_before_anything_is_computed(
    finished, study, images, tmp_path, monkeypatch
):
    monkeypatch.setattr("tlmed.inference.answer", None)
    path = images / "benign" / "benign (0).png"
    with pytest.raises(InputError) as raised:
        call(finished.path, study, path, "--dicom-sr", tmp_path / "sr")
    assert f"'{path}' (it is no DICOM file)" in str(raised.value)
    assert os.listdir(tmp_path) == []


def test_a_folder_of_a_study_may_hold_earlier_reports_but_no_doses(finished, study, reported, tmp_path):
    folder, _ = reported
    shutil.copytree(study, tmp_path / "study")
    shutil.copy(folder / STUDY / "report.dcm", tmp_path / "study")
    asked = (finished.path, tmp_path / "study", "--dicom-sr", tmp_path / "sr", "--no-overlay", "--out", tmp_path / "p")
    with pytest.raises(InputError, match="none of the standard's classes"):
        call(*asked)
    done = call(*asked, "--skip-bad")
    assert "report.dcm left out" in done.output
    assert "Reported 3 answers in 2 studies" in done.output
    image = pydicom.dcmread(study / "0.dcm")
    image.SOPClassUID, image.SOPInstanceUID = pydicom.uid.RTDoseStorage, "1.2.9"
    image.save_as(tmp_path / "study" / "dose.dcm")
    shutil.rmtree(tmp_path / "sr")
    with pytest.raises(InputError, match=r"dose\.dcm' \(its SOP class"):
        call(*asked, "--skip-bad", "--force")
    assert not (tmp_path / "sr").exists()


def test_a_missing_extra_is_said_in_one_line(finished, study, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "highdicom", None)
    with pytest.raises(InputError, match=r"pip install '\.\[dicom\]'"):
        call(finished.path, study, "--dicom-sr", tmp_path / "sr")


def test_nothing_stays_of_reports_that_fail(finished, study, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("tlmed.dicom_reports.reporting.write_json", fail)
    with pytest.raises(InputError, match="No space left"):
        call(finished.path, study, "--dicom-sr", tmp_path / "sr", "--no-overlay", "--out", tmp_path / "p.csv")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("read", [".", "0.dcm"])
def test_reports_may_not_go_where_images_are(study, tmp_path, read):
    for place in (study / "sr", study / "sr" / "deep", study, study.parent):
        with pytest.raises(InputError, match="apart from those of the images"):
            check_report_folder(place, [study / read], force=True)
    check_report_folder(tmp_path / "sr", [study / read], force=False)


def test_reports_may_not_go_into_a_run(finished, study):
    for place in (finished.path, Path(finished.path) / "sr", Path(finished.path) / "deep" / "sr"):
        with pytest.raises(InputError, match=f"must not be in the directory of a run. Received: {place}"):
            check_report_folder(place, [study], force=True)


def test_reports_may_not_go_over_other_files(study, tmp_path):
    (tmp_path / "sr").mkdir()
    check_report_folder(tmp_path / "sr", [study], force=False)  # an empty folder will do
    (tmp_path / "sr" / "letter.txt").write_text("mine")
    with pytest.raises(InputError, match="one that the same command made"):
        check_report_folder(tmp_path / "sr", [study], force=True)
    (tmp_path / "sr" / "letter.txt").unlink()
    picture = tmp_path / "sr" / "0.png"  # as `predict --explain` leaves it
    picture.write_text(make_mark("predict"))
    with pytest.raises(InputError, match="one that the same command made"):
        check_report_folder(tmp_path / "sr", [study], force=True)
    picture.unlink()
    (tmp_path / "sr" / "elsewhere").symlink_to(study / "0.dcm")
    with pytest.raises(InputError):
        check_report_folder(tmp_path / "sr", [study], force=True)


def test_a_file_that_appears_while_reports_are_written_is_kept(tmp_path):
    def write_both():
        with writing_reports(tmp_path / "deep" / "sr", [], force=True) as folder:
            (folder / "report.json").write_text(make_mark("predict"))
            (tmp_path / "deep" / "sr").mkdir(parents=True)
            (tmp_path / "deep" / "sr" / "mine.txt").write_text("mine")

    with pytest.raises(InputError, match="one that the same command made"):
        write_both()
    assert os.listdir(tmp_path) == ["deep"]
    assert os.listdir(tmp_path / "deep" / "sr") == ["mine.txt"]


def test_an_answer_is_of_one_study():
    one, other = make_answer(1), make_answer(shown=(Shown(make_image(2, study=OTHER)),))
    assert divide_by_study([one, other, one]) == {STUDY: [0, 2], OTHER: [1]}
    with pytest.raises(InputError, match="one study"):
        divide_by_study([make_answer(shown=(*one.shown, *other.shown))])


@pytest.mark.parametrize(
    ("one", "other", "by"),
    [
        ({}, {}, None),
        ({}, {"PatientID": "8"}, f"PatientID{BOTH}"),
        ({}, {"PatientID": ""}, f"PatientID{BOTH}, which has no PatientID"),
        (
            {},
            {"IssuerOfPatientID": "A"},
            "IssuerOfPatientID: '1.dcm', which has no IssuerOfPatientID and '2.dcm'",
        ),
        ({}, {"PatientName": "X"}, f"PatientName{BOTH}"),
        ({"PatientID": ""}, {"PatientID": "", "PatientName": "Roe^Jane"}, f"PatientName{BOTH}"),
        ({"PatientID": ""}, {"PatientID": "", "PatientName": "DOE ^ jane^^"}, None),
        ({"PatientID": ""}, {"PatientID": "", "PatientName": "", "PatientBirthDate": "", "PatientSex": ""}, None),
        ({}, {"PatientBirthDate": "19990909", "PatientSex": "M"}, f"PatientBirthDate and PatientSex{BOTH}"),
        ({"PatientName": "Ou^Yi=\u6b50^\u4e00"}, {"PatientName": "Ou^Yi"}, None),
        ({"PatientName": "Ou^Yi=\u6b50^\u4e00"}, {"PatientName": "=\u6b50^\u4e8c"}, f"PatientName{BOTH}"),
    ],
)
def test_a_study_is_of_one_patient(one, other, by):
    stranger = make_image(4, study=OTHER, PatientID="9", PatientName="Other")
    made = [make_image(1, **one), make_image(2, **other), make_image(3, **one), stranger]
    images = {f"{number}.dcm": image for number, image in enumerate(made, 1)}
    if by is None:
        check_patients(images)
        return
    with pytest.raises(InputError, match=rf"one patient\. Received: several in {STUDY} \(by {by}\)\.$"):
        check_patients(images)


def test_where_images_of_a_study_differ_it_is_said_what_the_report_says(finished, study, tmp_path):
    shutil.copytree(study, tmp_path / "in")
    for number, said in enumerate(
        ({"AccessionNumber": "A1"}, {"AccessionNumber": "A2", "StudyDate": "20200102", "PatientIdentityRemoved": "NO"})
    ):
        file = tmp_path / "in" / f"{number}.dcm"
        header = pydicom.dcmread(file)
        header.StudyDate = "20200101"
        header.update(said)
        header.file_meta.MediaStorageSOPInstanceUID = (header.SOPInstanceUID, "1.2.9")[number]
        header.save_as(file)
    done = call(
        finished.path, tmp_path / "in", "--dicom-sr", tmp_path / "sr", "--no-overlay", "--out", tmp_path / "p.csv"
    )
    assert (
        "SOPInstanceUID in the file meta information of 1 image and in the data set differ: reports have that of the "
        f"data set. First: '{tmp_path / 'in' / '1.dcm'}'." in done.output
    )
    assert (
        f"AccessionNumber and StudyDate differ among the images of study {STUDY}: its report has what "
        f"'{tmp_path / 'in' / '0.dcm'}' says." in done.output
    )
    assert f"PatientIdentityRemoved differs among the images of study {STUDY}" in done.output
    assert OTHER not in done.output
    assert "no form" not in done.output
    report = pydicom.dcmread(tmp_path / "sr" / STUDY / "report.dcm")
    assert (report.AccessionNumber, report.StudyDate) == ("A1", "20200101")
    assert "PatientIdentityRemoved" not in report
    assert "DeidentificationMethod" not in report
    other = pydicom.dcmread(tmp_path / "sr" / OTHER / "report.dcm")
    assert (other.PatientIdentityRemoved, other.DeidentificationMethod) == ("YES", "by hand")


def test_several_networks_answer_without_pictures(finished, study, tmp_path, monkeypatch):
    both = tmp_path / "both"
    shutil.copytree(finished.path, tmp_path / "copy")
    monkeypatch.setattr("tlmed.ensembles.making._check_copies", lambda runs: None)  # a second training takes long
    CliRunner().invoke(
        ensemble, [str(finished.path), str(tmp_path / "copy"), "--out", str(both)], catch_exceptions=False
    )
    with pytest.raises(InputError, match="--no-overlay"):
        call(both, study, "--dicom-sr", tmp_path / "sr")
    assert not (tmp_path / "sr").exists()
    call(both, study / "0.dcm", "--dicom-sr", tmp_path / "sr", "--no-overlay", "--out", tmp_path / "p.csv")
    report = pydicom.dcmread(tmp_path / "sr" / STUDY / "report.dcm")
    assert report.ManufacturerModelName == "2 networks: CifarNet"
    assert len(report.DeviceSerialNumber) == 64
    assert find_faults(tmp_path / "sr" / STUDY / "report.dcm") == {}


def test_an_answer_for_a_volume_refers_to_the_planes_that_were_scored(tmp_path):
    frames = np.zeros((5, 4, 4), np.uint8)
    said = {"StudyInstanceUID": STUDY, "SeriesInstanceUID": f"{STUDY}.1", "SOPInstanceUID": f"{STUDY}.1.1"}
    (tmp_path / "a.dcm").write_bytes(write(frames, **said))
    name = str(tmp_path / "a.dcm")
    sources = find_sources([name], Slicing(3))
    [shown] = _find_shown(sources, [f"{name}#plane={index}" for index in (1, 2, 3)])
    assert shown.frames == (2, 3, 4)
    [shown] = _find_shown(sources, [f"{name}#plane={index}" for index in range(5)])
    assert shown.frames == ()  # all of it
