"""What files say besides their pixels."""

import io

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from tlmed.data import KnownPixels, load
from tlmed.data.decode_and_resize import PixelRule
from tlmed.data.readers import read_facts
from tlmed.data.samples import take_samples
from tlmed.data.sources import open_source
from tlmed.intensity import resolve
from tlmed.slicing import Slicing

GRAY = np.arange(12 * 20, dtype=np.uint8).reshape(12, 20)
RGB = np.dstack([GRAY, GRAY // 2, 255 - GRAY])


def save(pixels, kind, **options):
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "kind", "bits", "colours"),
    [
        (save(GRAY, "PNG"), "PNG", 8, "gray"),
        (save(RGB, "PNG"), "PNG", 8, "colour"),
        (save(Image.fromarray(RGB).quantize(16), "PNG", bits=4), "PNG", 4, "palette"),
        (save(GRAY.astype(np.uint16) * 200, "PNG"), "PNG", 16, "gray"),
        (save(GRAY, "JPEG"), "JPEG", 8, "gray"),
        (save(RGB, "JPEG"), "JPEG", 8, "colour"),
        (save(GRAY, "BMP"), "BMP", 8, "gray"),
        (save(GRAY, "TIFF"), "TIFF", 8, "gray"),
        (save(GRAY.astype(np.float32), "TIFF"), "TIFF", 32, "gray"),
    ],
)
def test_a_picture_says_its_format_size_depth_and_colours(content, kind, bits, colours):
    facts = read_facts(content)
    assert (facts.bytes, facts.format, facts.height, facts.width) == (len(content), kind, 12, 20)
    if kind != "BMP":
        assert (facts.bits, facts.colours) == (bits, colours)


def test_a_jpeg_says_its_camera_and_its_quality():
    exif = Image.Exif()
    exif[271], exif[272] = "Maker", "Model 7"
    good, same, poor = (save(RGB, "JPEG", quality=quality, exif=exif) for quality in (95, 95, 40))
    tags = read_facts(good).tags
    assert (tags["manufacturer"], tags["model"]) == ("Maker", "Model 7")
    assert tags["quantisation"] == read_facts(same).tags["quantisation"] != read_facts(poor).tags["quantisation"]


def test_a_png_says_its_software_and_transparency():
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", "Writer")
    tags = read_facts(save(Image.fromarray(RGB).convert("RGBA"), "PNG", pnginfo=info)).tags
    assert (tags["software"], tags["transparency"]) == ("Writer", "yes")


def test_damaged_headers_leave_the_length():
    content = save(RGB, "PNG")[:20]
    assert (read_facts(content).bytes, read_facts(content).height) == (20, 0)
    assert read_facts(b"no image").format == ""


def test_damaged_exif_data_leave_the_size():
    exif = Image.Exif()
    exif[271] = "Maker"
    content = save(RGB, "JPEG", exif=exif).replace(b"Exif\0\0MM\0*", b"Exif\0\0XX\0*").replace(b"II*\0", b"II*\1")
    assert read_facts(content).height == 12


def test_an_array_is_no_file():
    facts = read_facts(RGB)
    assert (facts.bytes, facts.format, facts.height, facts.width, facts.colours) == (0, "", 12, 20, "colour")


def test_a_dicom_file_says_its_scanner_and_how_it_is_inverted():
    dicom = pytest.importorskip("tests.data.readers.dicom_files")
    pixels = np.arange(200, dtype=np.uint16).reshape(10, 20)
    content = dicom.write(
        pixels, 12, PhotometricInterpretation="MONOCHROME1", Manufacturer="Maker", SoftwareVersions=["1", "2"]
    )
    facts = read_facts(content)
    assert (facts.format, facts.height, facts.width, facts.bits, facts.colours) == ("DICOM", 10, 20, 12, "inverted")
    assert (facts.tags["manufacturer"], facts.tags["software"]) == ("Maker", "1\\2")
    assert "PatientName" not in str(facts)


def test_planes_of_a_volume_have_the_facts_of_their_file(tmp_path):
    nifti = pytest.importorskip("nibabel.nifti1")
    for number in range(6):
        path = tmp_path / "ab"[number % 2] / f"{number}.nii"
        path.parent.mkdir(exist_ok=True)
        values = np.random.RandomState(number).randint(0, 900, (8, 9, 10)).astype(np.int16)
        nifti.save(nifti.Nifti1Image(values, np.diag([2.0, 3.0, 4.0, 1.0])), path)
    table = take_samples(open_source(tmp_path), Slicing(2))
    images = load(table, PixelRule((8, 8), resolve("full")), None)
    assert len(images.pixels.files) == len(images.table) == 12
    for path, facts in zip(images.table.paths, images.pixels.files, strict=True):
        assert facts.bytes == (tmp_path / path.partition("#")[0]).stat().st_size
        assert (facts.format, facts.height, facts.width, facts.bits) == ("NIfTI", 9, 8, 16)
        assert facts.spacing == (2.0, 3.0)


def test_images_that_are_known_or_broken_change_no_facts(tmp_path):
    for number in range(8):
        path = tmp_path / "data" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(save(RGB + np.uint8(number), "PNG") if number != 3 else b"\x89PNG\r\n\x1a\n")
    first, again = (
        load(tmp_path / "data", (8, 8), None, skip_bad=True, known=KnownPixels(tmp_path / "cache", (8, 8)))
        for _ in range(2)
    )
    sizes = [(tmp_path / "data" / path).stat().st_size for path in first.table.paths]
    assert [facts.bytes for facts in first.pixels.files] == sizes
    assert first.pixels.files == again.pixels.files
    assert not again.pixels.ready.any()  # nothing was decoded
