"""Folders of DICOM files: with and without endings, with the patients that their headers name, under pseudonyms."""

import sys

import numpy as np
import pytest
from PIL import Image

from tests.data.readers.dicom_files import make, save, write
from tlmed.columns import Grouping
from tlmed.data import load, read_files
from tlmed.data.familiar import compare_with_run
from tlmed.data.leaks import find_leaks
from tlmed.data.learned import list_learned
from tlmed.data.readers import dicom_file
from tlmed.data.recorded import Changes, recall, to_rows
from tlmed.data.sources import open_source
from tlmed.errors import InputError
from tlmed.source_layout import Layout

WINDOW = {"WindowCenter": 2000, "WindowWidth": 4000}


def draw(seed):
    return np.random.RandomState(seed).randint(0, 4096, (24, 20)).astype(np.uint16)


def write_folder(folder, patients, **elements):
    """Write a file for each patient, of two classes in turn, without an ending of its name for every other one."""
    for number, patient in enumerate(patients):
        ids = {} if patient is None else {"PatientID": patient}
        path = folder / "ab"[number % 2] / (f"{number}.dcm" if number % 3 else f"IM{number:04}")
        path.parent.mkdir(parents=True, exist_ok=True)
        content = write(
            draw(number), 12, **WINDOW, Modality="CT", StudyInstanceUID=f"1.2.{number // 2}", **ids, **elements
        )
        path.write_bytes(content)
    return folder


def groups_by_path(table):
    return dict(zip(table.paths, table.groups, strict=True))


def test_patients_are_groups_under_pseudonyms_by_the_order_of_their_ids(tmp_path):
    table = open_source(write_folder(tmp_path, ["Zoe", "Adam", "Zoe ", "Bob"]))
    assert groups_by_path(table) == {
        "a/IM0000": "patient-0003",
        "a/2.dcm": "patient-0003",
        "b/1.dcm": "patient-0001",
        "b/IM0003": "patient-0002",
    }
    assert table.notes == ("Images are grouped by the 3 patients of their DICOM headers, under pseudonyms.",)


def test_ids_that_differ_in_spelling_are_different_groups_counted_but_not_named_and_split_together(tmp_path):
    names = ["P07", "P7", "p07", " P07 ", "Q 1", "Q1", *(f"N{number}" for number in range(20, 34))]
    images = load(write_folder(tmp_path, names), (8, 8))
    assert len(set(images.table.groups)) == 19
    assert images.table.notes[0].startswith("Images are grouped by the 19 patients")
    assert images.table.notes[1:] == (
        "5 of 19 PatientIDs differ from each other only in case, spaces or how a number is written, and count as "
        "different patients.",
    )
    assert groups_by_path(images.table)["a/IM0000"] == groups_by_path(images.table)["b/IM0003"]
    splits = dict(zip(images.table.paths, images.splits, strict=True))
    assert splits["a/IM0000"] == splits["b/1.dcm"] == splits["a/2.dcm"]
    assert splits["a/4.dcm"] == splits["b/5.dcm"]


def test_where_no_patient_is_named_the_study_counts_and_else_the_image(tmp_path):
    folder = write_folder(tmp_path, ["Adam", "", None, "anonymous"])
    bare = make(draw(9), 12, Modality="CT", **WINDOW)
    (folder / "a" / "bare").write_bytes(save(bare))
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "b" / "picture.png")
    table = open_source(folder)
    assert groups_by_path(table) == {
        "a/2.dcm": "study-0002",
        "a/IM0000": "patient-0001",
        "a/bare": "unknown-0001",
        "b/1.dcm": "patient-0001",
        "b/IM0003": "study-0002",
        "b/picture.png": "unknown-0002",
    }
    said = (
        "Images are grouped by the 1 patient of their DICOM headers, and 2 images that name none by study (1), under "
        "pseudonyms. A patient may have several studies, which may be in several splits. 2 images without either count "
        "alone."
    )
    assert table.notes[0] == said
    assert table.notes[1] == "1 image without a PatientID belongs to the patient whom other images of its study name."


def test_an_image_without_a_patient_stays_with_its_study_where_that_names_two(tmp_path):
    folder = write_folder(tmp_path, ["Adam", "Eve", "", "Bob", "", ""])
    for number in (0, 1, 4):
        path = folder / "ab"[number % 2] / (f"{number}.dcm" if number % 3 else f"IM{number:04}")
        ids = {"PatientID": ["Adam", "Eve", "", "", ""][number]}
        path.write_bytes(write(draw(number), 12, **WINDOW, Modality="CT", StudyInstanceUID="1.2.9", **ids))
    groups = groups_by_path(open_source(folder))
    assert groups["a/4.dcm"].startswith("study-")
    assert groups["a/2.dcm"] == groups["b/IM0003"] == "patient-0002"


@pytest.mark.parametrize("nobody", ["", "REMOVED", "anon", "De-identified", "Anonymous^Patient"])
def test_studies_alone_are_not_called_patients(tmp_path, nobody):
    (said,) = open_source(write_folder(tmp_path, [nobody] * 8)).notes
    assert said.startswith("No DICOM header names a patient: 8 images are grouped by study (4), under pseudonyms.")


def test_a_patient_id_that_stands_for_nobody_is_named_by_its_pseudonym(tmp_path):
    names = [*["000"] * 6, *(f"P{number}" for number in range(9))]
    told = open_source(write_folder(tmp_path / "one", names)).notes[1]
    assert told.startswith(
        "6 images of 15 have a PatientID such as 0, 999 or x, and count as one patient (patient-0001)"
    )
    assert len(open_source(write_folder(tmp_path / "two", names[5:])).notes) == 1


def test_one_patient_id_for_all_that_have_one_is_told_beside_studies(tmp_path):
    said = open_source(write_folder(tmp_path, [*["XXX"] * 6, *[""] * 8])).notes[1]
    assert said.startswith("6 images of 14 have a PatientID such as 0, 999 or x, and count as one patient")
    assert "XXX" not in said


def test_groups_can_be_switched_off_and_pictures_have_none(tmp_path):
    assert open_source(write_folder(tmp_path / "d", ["A", "B"]), Layout(Grouping(use=False))).groups is None
    for name in "ab":
        (tmp_path / "p" / name).mkdir(parents=True)
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "p" / name / "1.png")
    assert open_source(tmp_path / "p").groups is None


def test_patients_stay_whole_and_pixels_are_those_of_the_window(tmp_path):
    folder = write_folder(tmp_path, [f"P{number // 2}" for number in range(40)])
    images = load(folder, (24, 20))
    owners = {group: set() for group in images.table.groups}
    for group, split in zip(images.table.groups, images.splits, strict=True):
        owners[group].add(split)
    assert len(owners) == 20
    assert all(len(splits) == 1 for splits in owners.values())
    row = images.table.paths.index("b/1.dcm")
    # C.11.2.1.2.1 with center 2000 and width 4000: from 0 to 3999
    expected = np.rint(np.clip(draw(1) / 3999, 0, 1) * 255).astype(np.uint8)
    np.testing.assert_array_equal(images.pixels.take(np.array([row]))[0], np.stack([expected] * 3, axis=-1))


def test_a_given_split_that_divides_a_patient_is_a_leak(tmp_path):
    for split in ("train", "val", "test"):
        write_folder(tmp_path / split, ["Adam", "Bob"])
    leaks = " ".join(finding.text for finding in load(tmp_path, (8, 8)).leaks)
    assert "The group 'patient-0001' is in train and val and test" in leaks


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            write(np.stack([draw(0), draw(1)]), 12, Modality="CT", **WINDOW),
            "it has 2 frames; a recipe says which planes are samples",
        ),
        (write(draw(0), 12, Modality="CT"), "it has 12 bits and names no window"),
        (write(draw(0), 12, Modality="CT", **WINDOW)[:600], "cut off"),
    ],
)
def test_what_is_not_read_yet_is_named_or_left_out(tmp_path, content, reason):
    folder = write_folder(tmp_path, [f"P{number}" for number in range(20)])
    (folder / "a" / "odd").write_bytes(content)
    with pytest.raises(InputError, match=rf"1 image of 21 cannot be read. Received: 'a/odd' \(.*{reason}"):
        load(folder, (8, 8))
    [(path, why)] = load(folder, (8, 8), skip_bad=True).broken
    assert path == "a/odd"
    assert reason in why


def test_predict_reads_files_and_folders_of_them(tmp_path):
    folder = write_folder(tmp_path, ["Adam", "Bob", "Eve"])
    names, images, left_out = read_files([folder], (8, 8))
    assert len(names) == 3
    assert not left_out
    assert next(iter(images.batches(3))).shape == (3, 8, 8, 3)
    assert len(read_files([folder / "a" / "IM0000"], (8, 8))[0]) == 1


def test_a_file_may_begin_as_a_tiff_does(tmp_path):
    folder = write_folder(tmp_path, ["Adam", "Bob"])
    for path in (folder / "a" / "IM0000", folder / "b" / "1.dcm"):
        path.write_bytes(b"II*\0" + path.read_bytes()[4:])
    assert open_source(folder).groups == ("patient-0001", "patient-0002")
    assert len(read_files([folder], (8, 8))[0]) == 2


def test_a_listing_may_name_files_without_an_ending(tmp_path):
    write_folder(tmp_path, ["Adam", "Bob"])
    (tmp_path / "list.csv").write_text("path,label,patient\na/IM0000,a,1\nb/1.dcm,b,2\n")
    assert open_source(tmp_path / "list.csv").groups == ("1", "2")


def test_a_listing_of_dicom_files_without_patients_says_that_headers_are_not_asked(tmp_path):
    write_folder(tmp_path, ["Adam", "Bob"])
    for name in "ab":
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / name / "picture.png")
    file, rows = tmp_path / "list.csv", "a/IM0000,a\nb/1.dcm,b\n"
    file.write_text(f"path,label\n{rows}")
    (said,) = open_source(file).notes
    assert said == (
        "No column names the patients, and in a CSV the headers of DICOM files are not asked. They are if the data are "
        "a folder of class folders; or add a column `patient`."
    )
    assert open_source(file, Layout(Grouping(use=False))).notes == ()
    file.write_text("path,label,group\na/IM0000,a,1\nb/1.dcm,b,1\n")
    assert open_source(file).notes == ()
    file.write_text("path,label\na/picture.png,a\nb/picture.png,b\n")
    assert open_source(file).notes == ()


def test_without_the_extra_one_line_says_what_to_install(tmp_path, monkeypatch):
    folder = write_folder(tmp_path, ["Adam", "Bob"])
    dicom_file._number.cache_clear()
    monkeypatch.setitem(sys.modules, "pydicom.datadict", None)
    with pytest.raises(InputError, match=r"^DICOM files are read by an extra: pip install '\.\[dicom\]'") as caught:
        load(folder, (8, 8))
    assert len(caught.value.faults) == 1


def test_a_new_patient_changes_no_image_of_a_run(tmp_path):
    folder = write_folder(tmp_path, [f"P{number:02}" for number in range(30)])
    before = load(folder, (8, 8))
    recorded = to_rows(before)
    first = make(draw(99), 12, Modality="CT", PatientID="A comes first", **WINDOW)
    (folder / "a" / "new").write_bytes(save(first))
    assert groups_by_path(open_source(folder))["a/IM0000"] == "patient-0002"
    recalled = recall(folder, (8, 8), recorded, ["a", "b"])
    assert recalled.changes == Changes(new=("a/new",))
    assert recalled.same.all()
    # Another patient in the header is a change, as it is in a table.
    taken = folder / "a" / "IM0000"
    taken.write_bytes(taken.read_bytes().replace(b"P00 ", b"P01 "))
    assert not recall(folder, (8, 8), recorded, ["a", "b"]).same.all()


def test_pseudonyms_of_two_folders_mean_nothing_to_each_other(tmp_path):
    one = load(write_folder(tmp_path / "one", [f"P{number:02}" for number in range(30)]), (8, 8))
    other = [f"Q{number:02}" for number in range(30)]
    strangers = load(write_folder(tmp_path / "other", other, RescaleSlope=1, RescaleIntercept=0), (8, 8), split=None)
    assert set(strangers.table.groups) == set(one.table.groups)
    found = compare_with_run(strangers, to_rows(one), {})
    assert not found.leaked.any()
    (said,) = found.sentences
    assert "cannot be told for 30 of 30 images" in said
    learned = {"run": list_learned(to_rows(one))}
    assert find_leaks(strangers.table, strangers.sha256, strangers.splits, learned) == ()


def write_two_that_share_an_image(place):
    """Give the images of a folder, and another folder of its patients: one training image is the same file."""
    names = [f"P{number // 2:02}" for number in range(30)]
    one = load(write_folder(place / "one", names), (8, 8))
    kept = next(path for path, split in zip(one.table.paths, one.splits, strict=True) if split == "train")
    other = write_folder(place / "other", names, RescaleSlope=1, RescaleIntercept=0)
    (other / kept).write_bytes((place / "one" / kept).read_bytes())
    return one, other


def test_the_same_images_are_known_with_all_of_their_patient(tmp_path):
    one, other = write_two_that_share_an_image(tmp_path)
    images = load(other, (8, 8), split=None)
    assert compare_with_run(images, to_rows(one), {}).leaked.sum() == 2


def test_a_comparison_by_pseudonyms_says_for_which_images_it_cannot_tell(tmp_path):
    one, other = write_two_that_share_an_image(tmp_path)
    images, rows = load(other, (8, 8), split=None), to_rows(one)
    said = (
        "Whether {} was trained or validated on other images of the same patients cannot be told for 28 of 30 images: "
        "pseudonyms of a DICOM folder hold only there. List both sets in CSVs with a patient column."
    )
    assert compare_with_run(images, rows, {}).sentences[-1] == said.format("the run")
    first = {"runs/first": list_learned(rows)}
    last = compare_with_run(images, rows, first).sentences[-2:]
    assert last == (said.format("the run"), said.format("runs/first, where the weights come from,"))
    # The run's own images are all known by their content.
    again = load(tmp_path / "one", (8, 8), split=None)
    assert not any("cannot be told" in sentence for sentence in compare_with_run(again, rows, {}).sentences)


@pytest.mark.parametrize("pseudonyms", [False, True])
def test_a_column_is_not_compared_with_pseudonyms_of_a_run(tmp_path, pseudonyms):
    one = load(write_folder(tmp_path / "one", [f"P{number:02}" for number in range(30)]), (8, 8))
    write_folder(tmp_path / "other", ["Q"] * 4, RescaleSlope=1, RescaleIntercept=0)
    (tmp_path / "other" / "list.csv").write_text("path,label,patient\na/IM0000,a,P00\na/2.dcm,a,P00\nb/1.dcm,b,P01\n")
    images = load(tmp_path / "other" / "list.csv", (8, 8), split=None)
    sentences = compare_with_run(images, to_rows(one), {}, pseudonyms=pseudonyms).sentences
    assert any("cannot be told for 3 of 3 images" in sentence for sentence in sentences) == pseudonyms
