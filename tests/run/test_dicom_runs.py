"""What runs on folders of DICOM files record, and what is told of them afterwards."""

import json
import shutil

import pytest

import tlmed
from tests.conftest import SMALL
from tests.data.readers.dicom_files import make, save
from tests.data.test_patients import WINDOW, draw, write_folder
from tests.run.test_stopped import Killed, stop
from tlmed.backbones.ancestry import find_known
from tlmed.comparison import compare
from tlmed.comparison.sentences import say_leaks
from tlmed.data import open_source
from tlmed.data.recorded import find_recorded_leaks
from tlmed.errors import InputError
from tlmed.evaluation.lines import describe_metrics
from tlmed.export import write_card
from tlmed.identifiers import Identifiers, read_identifiers
from tlmed.inference.rescoring import evaluate
from tlmed.recipe import override
from tlmed.report.evaluations import make_evaluation_page
from tlmed.report.image_counts import say_formats
from tlmed.reproduce import Request, reproduce
from tlmed.run_files import ENVIRONMENT_JSON, METRICS_JSON, SPLITS_CSV
from tlmed.rundir import RunDir

pytestmark = pytest.mark.usefixtures("empty_figures")

PATIENTS = [f"P{number // 2:02}" for number in range(40)]


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Give a run on a folder of DICOM files; the folder is called as a CSV, and gone."""
    place = tmp_path_factory.mktemp("dicom")
    folder = write_folder(place / "scans.csv", PATIENTS)
    several = make(draw(41), 12, Modality="CT", PatientID="P41", WindowCenter=[2000, 40], WindowWidth=[4000, 400])
    (folder / "a" / "several").write_bytes(save(several))
    recipe = override(tlmed.load_recipe("feature_extractor"), [*SMALL])
    run = RunDir(tlmed.train(recipe, place / "run", folder).path)
    shutil.move(folder, place / "moved")
    return place / "moved", run


@pytest.fixture
def moved(scans, tmp_path):
    """Give a copy of the images that a test may change."""
    return shutil.copytree(scans[0], tmp_path / "moved")


@pytest.fixture(scope="module")
def second(scans, tmp_path_factory):
    """Give a run that starts from the other one, on a folder that shares some of its training images."""
    place = tmp_path_factory.mktemp("second")
    folder = write_folder(place / "scans", PATIENTS, RescaleSlope=1, RescaleIntercept=0)
    known = [row["path"] for row in SPLITS_CSV.read(scans[1]) if row["split"] == "train"]
    for path in known[:3]:
        shutil.copy2(scans[0] / path, folder / path)
    recipe = override(tlmed.load_recipe("fine_tuning"), [*SMALL, f"weights={scans[1].path}", "seed=3"])
    return folder, RunDir(tlmed.train(recipe, place / "run", folder).path)


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


def test_card_checklist_and_report_say_that_images_were_dicom_and_what_of_the_files_was_shown(scans):
    data = ENVIRONMENT_JSON.read(scans[1])["data"]
    shown = "by the first VOI LUT or window of each file; without one, 8 bits or fewer as stored"
    assert data["formats"] == {"DICOM": {"images": 41, "shown": shown}}
    said = (
        f"Formats: 41 DICOM (shown {shown}). 1 image holds several windows or VOI LUTs: the first is used, a LUT "
        "before a window, unless a window is set."
    )
    page = (scans[1] / "report.html").read_text()
    assert f"- {said}\n" in write_card(scans[1])
    assert f"<p>{said}</p>" in page
    assert f"{said} Resized to 32 x 32 pixels" in page


def test_a_window_that_is_set_is_what_was_shown(scans, tmp_path):
    recipe = override(tlmed.load_recipe("feature_extractor"), [*SMALL, "data.window=-100,300,range"])
    run = RunDir(tlmed.train(recipe, tmp_path / "run", scans[0]).path)
    said = "Formats: 41 DICOM (shown at -100 to 300, as the recipe asks)."
    for text in (write_card(run), (run / "report.html").read_text()):
        assert said in text
        assert "shown by the first" not in text


def test_pictures_that_are_used_as_they_are_need_no_words(finished):
    environment = ENVIRONMENT_JSON.read(RunDir(finished.path))
    assert environment["data"]["formats"] == {"picture": {"images": 60, "shown": ""}}
    assert environment["data"]["unused"] == []
    assert say_formats(environment) == ""
    mixed = {"formats": {"picture": {"images": 1, "shown": ""}, "DICOM": {"images": 2, "shown": "so"}}}
    assert say_formats({"data": mixed}) == "Formats: 1 picture, 2 DICOM (shown so)."


def test_a_new_patient_who_shifts_pseudonyms_is_no_other_group(scans, moved):
    first = make(draw(99), 12, Modality="CT", PatientID="A comes first", **WINDOW)
    (moved / "a" / "new").write_bytes(save(first))
    assert list_faults(scans[1], moved) == ["data: images: 41 locked, 42 now (new: a/new)"]


def test_an_image_that_goes_to_another_patient_is_another_group(scans, moved):
    taken = moved / "a" / "IM0000"
    taken.write_bytes(taken.read_bytes().replace(b"P00 ", b"P01 "))
    content, group = list_faults(scans[1], moved)
    assert content.startswith("data: content of a/IM0000: ")
    assert group.startswith("data: group of a/2.dcm: patient-0002 locked, patient-0002 of other images now")


def test_a_run_says_of_how_many_test_images_it_cannot_tell_what_its_weights_know(second, tmp_path):
    _, run = second
    metrics = METRICS_JSON.read(run)
    known, hidden, tested = metrics["without_leaks"]["leaked"], metrics["undecided"], metrics["n"]
    assert known > 0
    assert hidden > 0
    assert known + hidden == tested
    page, card = (run / "report.html").read_text(), write_card(run)
    more = f"(of {hidden} more this cannot be told)"
    assert f"<b>At least {known} of {tested} test images" in page
    assert f"known to the network {more}</b>" in page
    assert page.count(f"but at least {known} of {tested} test images are known") == 3  # phases, threshold, checklist
    assert f"**At least {known} of {tested} test images are in training or validation too" in card
    assert f"test images that the network knows {more}" in card.partition("# ")[0]
    assert any(more in line for line in describe_metrics(metrics))
    assert json.loads((run / "environment.json").read_text())["leaks"][0].startswith(f"At least {known} of {tested} ")
    copied = shutil.copytree(run.path, tmp_path / "copied")
    sentences = say_leaks(compare([run.path, copied]))
    assert f"knows at least {known} test images of {tested} {more}" in sentences[0]
    pooled, result = evaluate(run)
    assert f"known to the network {more}</b>" in make_evaluation_page(pooled.units, result)


def test_scoring_again_counts_the_images_of_which_it_cannot_tell_who_knows_them(scans, second):
    folder, run = second
    again, others = (evaluate(*words)[1] for words in ((run,), (scans[1], str(folder))))
    was = METRICS_JSON.read(run)
    assert (again["undecided"], again["without_leaks"]["leaked"]) == (was["undecided"], was["without_leaks"]["leaked"])
    # Patients with an image that both folders have are known, with all of their images.
    assert others["undecided"] + others["without_leaks"]["leaked"] == others["n"] == 40


def test_pseudonyms_of_a_finished_run_are_not_compared_by_name(scans, second):
    _, run = second
    rows = SPLITS_CSV.read(run)
    known, _ = find_known(f"run:{scans[1].path}", Identifiers(pseudonyms=True))
    texts = [leak.text for leak in find_recorded_leaks(rows, ["a", "b"], known, pseudonyms=True)]
    assert texts == json.loads((run / "environment.json").read_text())["leaks"]


def test_a_stopped_run_names_the_new_patient_and_not_the_groups_that_it_renumbers(moved, tmp_path, monkeypatch):
    recipe = override(tlmed.load_recipe("feature_extractor"), [*SMALL])
    with monkeypatch.context() as patch:
        stop(patch)
        with pytest.raises(Killed):
            tlmed.train(recipe, tmp_path / "run", moved)
    first = make(draw(99), 12, Modality="CT", PatientID="A comes first", **WINDOW)
    (moved / "a" / "new").write_bytes(save(first))
    with pytest.raises(InputError, match=r"; --fresh starts over. Received: .*/run: 1 new: a/new\.$"):
        tlmed.train(recipe, tmp_path / "run", moved)
