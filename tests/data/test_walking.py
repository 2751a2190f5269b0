"""Links, and files and folders that cannot be read: followed, named or refused, never passed over in silence."""

import os
from pathlib import Path

import pytest

from tests.data.readers.dicom_files import write as write_dicom
from tests.data.test_data_sources import faults, png
from tests.data.test_patients import WINDOW, draw
from tlmed.columns import Grouping
from tlmed.data import load, open_source, read_files
from tlmed.errors import InputError
from tlmed.source_layout import Layout


@pytest.fixture
def images(tmp_path):
    """Give a folder of two classes with three images each, which have no endings in their names."""
    for number in range(6):
        file = tmp_path / "images" / "ab"[number % 2] / str(number)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(number))
    return tmp_path / "images"


@pytest.fixture
def elsewhere(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    for number in range(7, 10):
        (tmp_path / "elsewhere" / f"{number}.png").write_bytes(png(number))
    return tmp_path / "elsewhere"


def deny(monkeypatch, denied):
    """Let the system refuse one file or folder, as it does to those who are not root."""
    listing, opening = Path.iterdir, os.open

    def refuse(path):
        if Path(path) == denied:
            raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "iterdir", lambda path: refuse(path) or listing(path))
    monkeypatch.setattr(os, "open", lambda path, *args, **more: refuse(path) or opening(path, *args, **more))


def test_a_file_elsewhere_is_read_through_a_link_and_named(images, elsewhere):
    (images / "a" / "inside").symlink_to(images / "a" / "0")
    assert open_source(images).notes == ()
    (images / "a" / "out").symlink_to(elsewhere / "7.png")
    table = open_source(images)
    assert table.read(table.paths.index("a/out")) == (elsewhere / "7.png").read_bytes()
    assert table.notes == (
        "1 file (a/out) lies outside of the folder of the data, and links lead there: a copy of the folder may lack "
        "them.",
    )


@pytest.mark.parametrize("form", ["folder", "table"])
def test_files_of_a_folder_elsewhere_are_named(images, elsewhere, form):
    (images / "c").symlink_to(elsewhere)
    source = images
    if form == "table":
        source = images / "list.csv"
        source.write_text("path,label\na/0,x\n" + "".join(f"c/{number}.png,y\n" for number in range(7, 10)))
    (sentence,) = open_source(source).notes
    assert sentence.startswith("3 files (c/7.png, c/8.png, c/9.png) lie outside of the folder of the data")


def test_a_link_to_a_folder_that_is_not_followed_is_named(images, elsewhere):
    for file in list(images.rglob("?")):
        if file.is_file():
            (folder := file.with_name(f"p{file.name}")).mkdir()
            file.rename(folder / file.name)
    (images / "a" / "p0" / "more").symlink_to(elsewhere)
    (images / "a" / "p0" / "loop").symlink_to(images)
    said = "Not followed: 2 links to folders ('a/p0/loop', 'a/p0/more'). The files there are not used."
    assert said in open_source(images, Layout(Grouping(folders=True))).notes
    _, _, left = read_files([images], (8, 8))
    assert [reason for _, reason in left] == [said.rstrip(".")]


@pytest.mark.parametrize("read", [open_source, lambda folder: read_files([folder], (8, 8))], ids=["train", "predict"])
def test_a_folder_that_cannot_be_read_is_a_fault_of_the_input(images, monkeypatch, read):
    deny(monkeypatch, images / "a")
    with pytest.raises(InputError, match=r"Every folder of the data must be readable. Received: data=") as error:
        read(images)
    assert str(error.value).endswith(f": '{images}/a' (Permission denied).")


def test_a_file_that_cannot_be_read_is_not_said_to_be_no_image(images, monkeypatch):
    deny(monkeypatch, images / "a" / "0")
    with pytest.raises(InputError, match=r"1 image of 6 cannot be read. Received: 'a/0' \(Permission denied\)"):
        load(images, (8, 8))
    with pytest.raises(InputError, match=r"a/0' \(Permission denied\)"):
        read_files([images], (8, 8))


def test_a_link_to_nothing_is_not_said_to_be_no_image(images):
    (images / "a" / "gone").symlink_to(images / "nothing")
    with pytest.raises(InputError, match=r"Received: 'a/gone' \(No such file or directory\)"):
        load(images, (8, 8))


def write_studies(root, *files):
    for number, file in enumerate(files):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_bytes(write_dicom(draw(number), 12, **WINDOW, PatientID=f"P{number % 3}"))
    return root


def test_studies_may_lie_in_any_depth_of_a_class_folder(tmp_path):
    files = ["ill/a/study/IM0", "ill/IM1", "well/b/IM2", "well/c/x/y/IM3.dcm"]
    table = open_source(write_studies(tmp_path, *files))
    assert table.paths == tuple(sorted(files))
    assert [table.classes[label] for label in table.labels] == ["ill", "ill", "well", "well"]
    assert table.groups == ("patient-0002", "patient-0001", "patient-0003", "patient-0001")


@pytest.mark.parametrize(
    ("more", "named"), [("ill/b/picture.png", "'ill/b/picture.png'"), ("ill/train/IM9", "'ill/train/IM9'")]
)
def test_other_folders_below_class_folders_are_still_not_guessed(tmp_path, more, named):
    write_studies(tmp_path, "ill/a/IM0", "well/b/IM2")
    if more.endswith("png"):
        (tmp_path / more).parent.mkdir()
        (tmp_path / more).write_bytes(png())
    else:
        write_studies(tmp_path, more)
    (fault,) = faults(tmp_path)
    assert "A class folder must hold its images directly" in fault
    assert named in fault


def test_a_folder_above_class_folders_of_studies_is_refused_with_the_right_one(tmp_path):
    write_studies(tmp_path, "data/ill/a/IM0", "data/well/b/IM1")
    assert f"Did you mean data={tmp_path}/data?" in faults(tmp_path)[0]
