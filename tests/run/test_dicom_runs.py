"""What runs on folders of DICOM files record, and what is told of them afterwards."""

import json
import shutil

import pytest

import tlmed
from tests.conftest import SMALL
from tests.data.readers.dicom_files import make, save
from tests.data.test_patients import WINDOW, draw, write_folder
from tlmed.backbones.ancestry import find_known
from tlmed.data import open_source
from tlmed.export.card import write_card
from tlmed.identifiers import Identifiers, read_identifiers
from tlmed.recipe import override
from tlmed.reproduce import Request, reproduce
from tlmed.rundir import RunDir

PATIENTS = [f"P{number // 2:02}" for number in range(40)]


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Give a run on a folder of DICOM files; the folder is called as a CSV, and gone."""
    place = tmp_path_factory.mktemp("dicom")
    folder = write_folder(place / "scans.csv", PATIENTS)
    recipe = override(tlmed.load_recipe("fine_tuning"), [*SMALL])
    run = RunDir(tlmed.train(recipe, place / "run", folder).path)
    shutil.move(folder, place / "moved")
    return place / "moved", run


@pytest.fixture
def moved(scans, tmp_path):
    """Give a copy of the images that a test may change."""
    return shutil.copytree(scans[0], tmp_path / "moved")


def list_faults(run, folder):
    return reproduce(Request(run.path, "check", source=str(folder))).faults


def test_a_run_records_whether_tlmed_named_its_groups(scans):
    folder, run = scans
    data = json.loads((run / "environment.json").read_text())["data"]
    assert read_identifiers(data) == open_source(folder).identifiers == Identifiers(pseudonyms=True)
    assert find_known(str(run.path), Identifiers())[0][str(run.path)].pseudonyms
    older = {name: value for name, value in data.items() if name not in ("digested", "pseudonyms")}
    assert not read_identifiers(older).pseudonyms  # all that an older version recorded is a name like that of a CSV


def test_a_card_tells_studies_from_patients_where_the_folder_is_gone(scans, tmp_path):
    copied = RunDir(shutil.copytree(scans[1].path, tmp_path / "copy"))
    (copied / "lock.json").unlink()
    assert "\n- Groups (patients): " in write_card(copied)
    splits = copied / "splits.csv"
    splits.write_text(splits.read_text().replace("patient-", "study-"))
    assert "\n- Groups (studies; no patient is named" in write_card(copied)


def test_a_new_patient_who_shifts_pseudonyms_is_no_other_group(scans, moved):
    first = make(draw(99), 12, Modality="CT", PatientID="A comes first", **WINDOW)
    (moved / "a" / "new").write_bytes(save(first))
    assert list_faults(scans[1], moved) == ["data: images: 40 locked, 41 now (new: a/new)"]


def test_an_image_that_goes_to_another_patient_is_another_group(scans, moved):
    taken = moved / "a" / "IM0000"
    taken.write_bytes(taken.read_bytes().replace(b"P00 ", b"P01 "))
    content, group = list_faults(scans[1], moved)
    assert content.startswith("data: content of a/IM0000: ")
    assert group.startswith("data: group of a/2.dcm: patient-0002 locked, patient-0002 of other images now")
