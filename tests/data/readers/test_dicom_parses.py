"""How often the header of a DICOM file is parsed while a data set is read."""

import numpy as np
import pytest

from tests.data.readers.dicom_files import write
from tlmed.data import KnownPixels, load
from tlmed.data.decode_and_resize import PixelRule
from tlmed.features.extractor import FeatureExtractor
from tlmed.intensity import resolve

FILES = 24
OPEN = PixelRule((16, 16), resolve("auto"))


@pytest.fixture
def parses(monkeypatch):
    from pydicom import filereader

    original, calls = filereader.read_dataset, []

    def count(*args, **options):
        calls.append(1)
        return original(*args, **options)

    monkeypatch.setattr(filereader, "read_dataset", count)

    def since():
        number = len(calls)
        calls.clear()
        return number / FILES

    return since


def write_folder(folder, **elements):
    random = np.random.RandomState(0)
    for number in range(FILES):
        path = folder / "ab"[number % 2] / f"{number}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = random.randint(0, 4000, (20, 20)).astype(np.uint16)
        path.write_bytes(write(pixels, 12, PatientID=f"p{number}", **elements))
    return folder


def test_a_file_is_parsed_once_for_its_patient_and_once_for_pixels_frames_and_remarks(parses, tmp_path):
    folder = write_folder(tmp_path / "images", WindowCenter=[2000, 1000], WindowWidth=[3000, 500])
    known = KnownPixels(tmp_path / "cache", OPEN)
    images = load(folder, OPEN, known=known)
    assert all("several windows" in " ".join(extras) for extras in images.pixels.extras)
    assert parses() == 2
    load(folder, OPEN, known=KnownPixels(tmp_path / "cache", OPEN))  # pixels of known files wait until they are needed
    assert parses() == 2


def test_a_file_is_parsed_once_more_where_the_range_is_that_of_training_images(parses, tmp_path):
    load(write_folder(tmp_path / "images"), OPEN)
    assert parses() == 3


def test_an_extractor_parses_a_file_once(parses, tmp_path):
    folder = write_folder(tmp_path / "images", WindowCenter=2000, WindowWidth=3000)
    extractor = FeatureExtractor("CifarNet", weights="none", image_size=(32, 32), window="full")
    files = [str(file) for file in sorted(folder.rglob("*.dcm"))]
    extractor.fit(files)
    parses()
    extractor.transform(files)
    assert parses() == 1
