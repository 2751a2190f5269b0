"""`tlmed predict` on what people have: folders of studies, with series, loose files and much that is no image."""

import csv
import io
import shutil

import numpy as np
import pytest

from tests.cli.test_cli import here
from tests.conftest import SMALL
from tests.data.readers import nifti_files
from tests.data.readers.dicom_files import make, save
from tlmed.data import decode
from tlmed.data.recorded import read_rule
from tlmed.rundir import RunDir
from tlmed.whole_files import read_csv

PLANES = 6
DICOMDIR = b"\0" * 128 + b"DICM" + b"1.2.840.10008.1.3.10"
REPORT = "1.2.840.10008.5.1.4.1.1.88.11"


def draw(number, bright):
    return np.random.RandomState(number).randint(0, 1500 + 1500 * bright, (32, 32)).astype(np.uint16)


def write_series(folder, number, bright=0, name="IM{}"):
    """Write the planes of a series of 12 bits without a window, in files without an ending."""
    folder.mkdir(parents=True, exist_ok=True)
    for plane in range(PLANES):
        made = make(draw(10 * number + plane, bright), 12, Modality="CT", PatientID=str(number))
        made.StudyInstanceUID, made.SeriesInstanceUID = f"1.2.{number}", f"1.2.{number}.1"
        made.ImageOrientationPatient, made.ImagePositionPatient = [1, 0, 0, 0, 1, 0], [0, 0, 3 * plane]
        made.PixelSpacing = [1, 1]
        (folder / name.format(plane)).write_bytes(save(made))


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Give a run on all planes of 24 series, without a window in their files."""
    place = tmp_path_factory.mktemp("studies")
    for number in range(20):
        write_series(place / "data" / "ab"[number % 2] / str(number), number, number % 2)
        for file in (place / "data" / "ab"[number % 2] / str(number)).iterdir():
            file.rename(file.parent.parent / f"{number}-{file.name}")
        (place / "data" / "ab"[number % 2] / str(number)).rmdir()
    settings = [word for text in (*SMALL, "data.planes=all") for word in ("--set", text)]
    status, out, err = here("train", "feature_extractor", "--data", place / "data", "--out", place / "run", *settings)
    assert status == 0, out + err
    return place / "run"


@pytest.fixture
def study(tmp_path):
    """Give a study: a series in a folder, two nested together, a loose file, and files that are no images."""
    folder = tmp_path / "study"
    write_series(folder / "CT1", 101)
    write_series(folder / "deep" / "er", 102, 1, name="A{}")
    write_series(folder / "deep" / "er", 103, 0, name="B{}")
    (folder / "loose").write_bytes(save(make(draw(7, 1), 12, Modality="CT", PatientID="9")))
    (folder / "DICOMDIR").write_bytes(DICOMDIR)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden").write_bytes(b"x")
    return folder


def predict(run, *words):
    """Return the rows by path, and what is printed beside them."""
    status, out, err = here("predict", run, *words)
    assert status == 0, err
    return {row["path"]: row for row in csv.DictReader(io.StringIO(out))}, err


def score(row):
    return float(row["score_b"])


def test_a_study_has_a_row_per_series(run, study, tmp_path):
    rows, said = predict(run, study, "--explain", tmp_path / "pictures")
    names = ["CT1", "deep/er/A0", "deep/er/B0", "loose"]
    assert list(rows) == [str(study / name) for name in names]
    assert "3 volumes give 18 samples" in said
    assert "One row per file: the mean score of its images." in said
    assert "3 files of" in said
    assert all(name in said for name in ("DICOMDIR", "notes.txt", ".hidden", "it lists DICOM files and is no image"))
    assert len(list((tmp_path / "pictures").glob("*.png"))) == len(rows)
    single = [score(row) for plane in range(PLANES) for row in predict(run, study / "CT1" / f"IM{plane}")[0].values()]
    assert len(single) == PLANES
    assert score(rows[str(study / "CT1")]) == pytest.approx(np.mean(single), abs=1e-6)
    # Parts of the study, each named by itself, have the same scores.
    some, _ = predict(run, study / "deep", study / "CT1")
    assert {path: score(row) for path, row in some.items()} == pytest.approx(
        {path: score(row) for path, row in rows.items() if "loose" not in path}, abs=1e-6
    )


def test_the_images_of_a_run_have_the_answers_that_the_run_gave_them(run):
    rows, _ = predict(run, run.parent / "data")
    recorded = read_csv(run / "pooled.csv")
    assert len(recorded) >= 6
    for row in recorded:
        found = rows[str(run.parent / "data" / row["path"])]
        assert found["prediction"] == row["prediction"]
        assert score(found) == pytest.approx(score(row), abs=1e-6)


def test_values_are_shown_by_the_range_of_the_run(run, study):
    rule = read_rule(RunDir(run))
    assert rule.intensity.low is not None
    shown = decode((study / "loose").read_bytes(), rule.intensity)
    values = draw(7, 1)
    low, high = rule.intensity.low, rule.intensity.high
    expected = np.rint(np.clip((values - low) * 255 / (high - low), 0, 255))
    assert np.abs(shown[..., 0] - expected).max() <= 1
    # Brighter files beside it change nothing.
    alone, _ = predict(run, study / "loose")
    (study / "bright").write_bytes(save(make(draw(8, 1) * 20, 16, Modality="CT", PatientID="10")))
    together, _ = predict(run, study / "loose", study / "bright")
    path = str(study / "loose")
    assert score(together[path]) == pytest.approx(score(alone[path]), abs=1e-6)


def test_what_cannot_be_read_in_a_study_is_named(run, study):
    report = make(np.zeros((4, 4), np.uint8), Modality="SR", PatientID="101", SOPClassUID=REPORT)
    del report.PixelData
    (study / "CT1" / "report").write_bytes(save(report))
    cut = study / "deep" / "er" / "A1"
    cut.write_bytes(cut.read_bytes()[:-100])
    status, _, err = here("predict", run, study)
    assert status == 2
    assert "2 images of 20 cannot be read" in err
    rows, said = predict(run, study, "--skip-bad")
    assert len(rows) == 4
    assert f"{study / 'deep/er/A0'}#plane=1 left out: its pixel data are cut off" in said
    assert f"{study / 'CT1/report'} left out: it holds no pixel data" in said
    (study / "CT1" / "report").unlink()
    cut.unlink()
    _, said = predict(run, study)
    assert "Planes are missing in 1 of 3 series" in said


def test_files_of_other_kinds_are_read_beside_series(run, study):
    volume = nifti_files.draw(9, 8, 5)
    (study / "v.nii.gz").write_bytes(nifti_files.write(volume, compressed=True))
    rows, said = predict(run, study)
    assert len(rows) == 5
    assert f"{study / 'v.nii.gz'}" in rows
    assert "4 volumes give 23 samples" in said


def test_a_table_of_paths_is_refused_with_the_cure(run, tmp_path):
    (tmp_path / "list.csv").write_text("path\na.dcm\n")
    status, _, err = here("predict", run, tmp_path / "list.csv")
    assert status == 2
    assert "or a folder; give the files that a table names. Received:" in err


def test_a_copy_of_a_study_beside_it_counts_once_and_is_named(run, study, tmp_path):
    shutil.copytree(study / "CT1", tmp_path / "copy")
    rows, said = predict(run, study / "CT1", tmp_path / "copy")
    assert len(rows) == 1
    assert f"Left out, as copies of other files of their series: {PLANES} files" in said


def test_a_run_on_views_gives_a_row_per_volume_and_says_which_file_is_none(tmp_path):
    for number in range(20):
        folder = tmp_path / "data" / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        volume = nifti_files.draw(12, 11, 10, seed=number).astype(np.int16) * (1 + number % 2)
        (folder / f"{number}.nii.gz").write_bytes(nifti_files.write(volume, compressed=True))
    settings = [word for text in (*SMALL, "data.channels=views", "phases.epochs=1") for word in ("--set", text)]
    status, out, err = here(
        "train", "feature_extractor", "--data", tmp_path / "data", "--out", tmp_path / "run", *settings
    )
    assert status == 0, out + err
    volumes = [f"{tmp_path}/data/a/{name}.nii.gz" for name in (0, 2)]
    mask = nifti_files.write((nifti_files.draw(12, 11, 10) > 150).astype(np.uint8), compressed=True)
    (tmp_path / "data" / "a" / "0_seg.nii.gz").write_bytes(mask)
    rows, said = predict(tmp_path / "run", *volumes, "--explain", tmp_path / "pictures")
    assert list(rows) == [f"{volume}#views" for volume in volumes]
    assert len(list((tmp_path / "pictures").iterdir())) == 2
    assert "mean little" not in said
    (tmp_path / "data" / "a" / "flat").write_bytes(save(make(draw(7, 1), 12, Modality="CT", PatientID="9")))
    rows, said = predict(tmp_path / "run", tmp_path / "data" / "a")
    assert len(rows) == 11
    assert "0_seg.nii.gz left out: it is a mask of" in said
    assert "1 of 11 images (" in said
    assert "flat) is no volume, and shows one plane where a volume shows three" in said
