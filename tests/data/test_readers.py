"""The registry: a file is read by what it holds, and a family is known everywhere by its place in `READERS`."""

import dataclasses
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import write_images
from tests.data.test_data_images import COLOUR, DEEP, GRAY, LOSSLESS, encode, encode_png16, tiff, tiff16
from tlmed.data import KnownPixels, decode, load, read_files, resize
from tlmed.data.decode_and_resize import PixelRule, decode_resized, examine
from tlmed.data.named_samples import make_lister
from tlmed.data.readers import READERS, find_reader, is_image, read_plane, readable_endings, registry
from tlmed.data.readers.plane import Plane
from tlmed.data.table import check_classes
from tlmed.errors import InputError
from tlmed.features.image_inputs import open_images, read_batches
from tlmed.slicing import WHOLE


def turned(form, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(COLOUR, form, exif=exif)


def pages(form, *images):
    first, *others = map(Image.fromarray, images)
    return encode(first, form, save_all=True, append_images=others)


HALF = np.dstack([COLOUR, GRAY])
STORED = {
    **{name: content for name, (content, _) in LOSSLESS.items() if "palette" not in name},
    **{f"{form} turned {number}": turned(form, number) for form in ("PNG", "TIFF") for number in range(1, 9)},
    **{f"tiff 16, white is {white}": tiff16(DEEP, white) for white in (0, 1)},
    **{f"tiff 8, white is {white}": tiff([GRAY], white, 8) for white in (0, 1)},
    "png 1 bit": encode_png16(GRAY % 2, 0, 1),
    "png 2 bits": encode_png16(GRAY % 4, 0, 2),
    "png 4 bits": encode_png16(GRAY % 16, 0, 4),
    "half transparent": encode(HALF, "PNG"),
    "gray, half transparent": encode(np.dstack([GRAY, GRAY[::-1]]), "PNG"),
    "16 bits, half transparent": encode_png16(np.dstack([DEEP, DEEP[::-1], DEEP[:, ::-1], DEEP[::-1, ::-1]]), 6),
    "16 bits of colour": encode_png16(np.dstack([DEEP, DEEP[::-1], DEEP[:, ::-1]]), 2),
    "16 bits, transparent gray": encode_png16(DEEP, 0, tRNS=DEEP[:1, :1].astype(">u2").tobytes()),
    "cmyk": encode(Image.fromarray(COLOUR).convert("CMYK"), "TIFF"),
    "pages": pages("TIFF", GRAY, 255 - GRAY),
}
# The pixels of all of them, as tlmed made them before it had a registry: printed by `digest_stored` of that time.
BEFORE = "9aec50b04ee2baeb2487ea2a2a513b5708bee4d688fd8d3779f116a5614c2dcc"


def digest_stored():
    found = hashlib.sha256()
    for content in STORED.values():
        seen = examine(content, (5, 4))
        for part in (decode(content), seen.pixels, seen.tones, decode_resized(content, (23, 19))):
            found.update(f"{part.dtype}{part.shape}".encode() + part.tobytes())
    return found.hexdigest()


def test_no_pixel_and_no_measure_of_tones_has_moved():
    assert digest_stored() == BEFORE


KINDS = {
    "array": (GRAY, COLOUR, DEEP),
    "picture": [encode(COLOUR, form) for form in ("PNG", "JPEG", "BMP", "GIF", "TIFF")],
    None: [b"", b"B", b"path,label\n", b"BMI of patients in kg/m2", encode(COLOUR, "WEBP"), b"\xff\xd8\xff\xf7"],
}


@pytest.mark.parametrize("name", KINDS)
def test_a_file_is_read_by_what_it_holds(name):
    for content in KINDS[name]:
        reader = find_reader(content)
        assert (reader and reader.name) == name
        assert reader is None or reader.count_planes(content) == 1


def test_endings_are_lower_case_and_each_is_of_one_family():
    assert len(set(readable_endings())) == len(readable_endings()) > 6
    assert all(ending.startswith(".") and ending == ending.lower() for ending in readable_endings())
    assert len({reader.name for reader in READERS}) == len(READERS)


@pytest.mark.parametrize("form", ["GIF", "TIFF", "PNG"])
def test_each_page_is_a_plane(form):
    content = pages(form, GRAY, 255 - GRAY, GRAY // 2)
    reader = find_reader(content)
    assert reader.count_planes(content) == 3
    for index, expected in enumerate((GRAY, 255 - GRAY, GRAY // 2)):
        plane = np.asarray(read_plane(content, index).values)
        np.testing.assert_array_equal(plane if plane.ndim == 2 else plane[..., 0], expected)
    with pytest.raises(ValueError, match=r"\w"):
        read_plane(content, 3)


@pytest.mark.parametrize(
    ("content", "kind", "bits"),
    [
        (encode(GRAY, "PNG"), "L", 8),
        (encode(COLOUR, "JPEG"), "RGB", 8),
        (encode(DEEP, "PNG"), np.uint16, 16),
        (tiff16(DEEP, 1), np.uint16, 16),
        (encode_png16(np.dstack([DEEP] * 3), 2), "RGB", 16),
        (DEEP, np.uint16, 16),
    ],
)
def test_a_plane_has_the_bits_of_its_file(content, kind, bits):
    plane = read_plane(content)
    assert getattr(plane.values, "mode", getattr(plane.values, "dtype", None)) == kind
    assert (plane.bits, plane.window, plane.inverted, plane.spacing) == (bits, None, False, None)


@pytest.fixture
def family(monkeypatch):
    """Add a family of files that begin with "plane" and end in .pln; return what its files are read as, to be set."""
    held = {}

    def read(content, index):
        if isinstance(found := held["plane"], Exception):
            raise found
        return found

    reader = dataclasses.replace(
        find_reader(encode(GRAY, "PNG")),
        name="PLN",
        endings=(".pln",),
        extra="planes",
        owns=lambda head: head.startswith(b"plane"),
        version=lambda: "pln-3",
        count_planes=lambda content: 2,
        read_plane=read,
        remarks=lambda content: frozenset(["{images} {hold} a remark."]),
    )
    monkeypatch.setattr(registry, "READERS", (*READERS, reader))
    return held


HOUNSFIELD = np.array([[-1000.0, -160.0, -159.0], [41.0, 239.0, 3000.0]])


@pytest.mark.parametrize(
    ("plane", "expected"),
    [
        (Plane(HOUNSFIELD, 12, (-160, 240)), [[0, 0, 1], [128, 254, 255]]),
        (Plane(HOUNSFIELD.astype(np.int16), 12, (-160, 240)), [[0, 0, 1], [128, 254, 255]]),
        (Plane(HOUNSFIELD, 12, (-160, 240), inverted=True), [[255, 255, 254], [127, 1, 0]]),
        (Plane(np.array([[0, 15, 16, 4095]], np.uint16), 12), [[0, 0, 1, 255]]),
        (Plane(np.array([[0, 4095]], np.uint16), 12, inverted=True), [[255, 0]]),
        (Plane(np.array([[7, 200]], np.uint8)), [[7, 200]]),
        (Plane(Image.fromarray(GRAY), inverted=True), 255 - GRAY),
        (Plane(Image.fromarray(COLOUR), window=(51, 204)), np.rint(np.clip((COLOUR - 51.0) / 0.6, 0, 255))),
    ],
)
def test_a_window_is_stretched_and_what_is_inverted_is_turned_last(family, plane, expected):
    family["plane"] = plane
    expected = np.asarray(expected)
    expected = expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, axis=2)
    np.testing.assert_array_equal(decode(b"plane"), expected)
    found = examine(b"plane", (2, 2))
    pixels, tones = found.pixels, found.tones
    np.testing.assert_array_equal(pixels, resize(decode(b"plane"), (2, 2)))
    assert (tones["levels"] > 0) == (plane.bits > 8)


def test_numbers_without_a_range_are_refused(family):
    family["plane"] = Plane(np.array([[-3, 4]], np.int16), 16)
    with pytest.raises(ValueError, match="it has 16 bits and names no window"):
        decode(b"plane")


def test_an_extra_that_is_missing_is_one_line_and_no_image_is_left_out_for_it(family, tmp_path):
    family["plane"] = ModuleNotFoundError("No module named 'planes'")
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(4):
            (tmp_path / name / f"{number}.png").write_bytes(b"plane")
    with pytest.raises(InputError, match=r"PLN files are read by an extra: pip install '\.\[planes\]'") as caught:
        load(tmp_path, (8, 8), skip_bad=True)
    assert len(caught.value.faults) == 1


PNG = encode(COLOUR, "PNG")


@pytest.mark.parametrize(
    ("name", "content", "is_read"),
    [
        ("scan.TIFF", b"", True),  # the ending is usual: a fault of the file is named later
        ("scan", PNG, True),
        ("1.2.840.113619.2.55", encode(COLOUR, "JPEG"), True),
        ("scan.dat", encode(GRAY, "TIFF"), True),
        ("scan.dat", b"BMI of patients, in kg/m2", False),
        ("scan", b"", False),
        ("photo.nef", encode(GRAY, "TIFF"), False),
        ("slide.svs", encode(GRAY, "TIFF"), True),
        ("slide.mrxs", encode(GRAY, "JPEG"), False),
        ("slide.vsi", encode(GRAY, "TIFF"), False),
        ("x.png.bak", PNG, False),
        ("x.jpg_original", PNG, False),
        ("x.png~", PNG, False),
    ],
)
def test_an_image_is_known_by_its_ending_or_by_what_it_holds(name, content, is_read, tmp_path):
    (tmp_path / name).write_bytes(content)
    assert is_image(tmp_path / name) == is_read


def test_what_is_no_file_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to("nowhere")
    assert not any(is_image(tmp_path / name) for name in ("pipe", "missing", "."))
    assert is_image(tmp_path / "gone")  # it may be one: reading it names the reason


@pytest.fixture
def odd(tmp_path):
    """Give a folder of two classes with images whose endings are missing, unusual or wrong."""
    folder = write_images(tmp_path / "images", 9)
    for number, name in enumerate(("IM0001", "1.2.840.7", "scan.dat", "wrong.gif", "x.png.bak")):
        Image.new("RGB", (8, 8), (number, 9, 9)).save(folder / "benign" / name, "PNG")
    return folder


def test_images_with_odd_names_are_used_and_told_in_folders(odd):
    images = load(odd, (8, 8))
    names = {Path(path).name for path in images.table.paths}
    assert names >= {"IM0001", "1.2.840.7", "scan.dat", "wrong.gif"}
    told = [sentence for sentence in images.warnings if "what they hold" in sentence]
    assert told == ["Used as images, by what they hold and not by their names: 1 file (benign/scan.dat)."]
    assert any("1 not an image (benign/x.png.bak)" in sentence for sentence in images.warnings)


def test_images_with_odd_names_are_used_in_tables_and_predictions(odd):
    rows = [f"{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(odd.glob("*/*"))]
    table = odd / "labels.csv"
    table.write_text("\n".join(["path,label", *(row for row in rows if ".bak" not in row)]))
    assert len(load(table, (8, 8)).table) == len(rows) - 1
    names, _, left_out = read_files([odd], (8, 8))
    assert len(names) == len(rows) - 1
    assert "x.png.bak" in str(left_out)
    assert read_files([odd / "benign" / "IM0001"], (8, 8))[0] == [str(odd / "benign" / "IM0001")]
    with pytest.raises(
        InputError,
        match=r"must be an image \(.png, .* or a folder; give the files that a table names. Received: path=.*csv",
    ):
        read_files([table], (8, 8))


def test_a_family_is_known_everywhere_by_its_place_in_the_registry(family, tmp_path):
    for name, ending in (("a", ".pln"), ("b", "")):
        (tmp_path / name).mkdir()
        for number in range(8):
            (tmp_path / name / f"{number}{ending}").write_bytes(b"plane%d" % number)
    family["plane"] = Plane(HOUNSFIELD, 12, (-160, 240))
    images = load(tmp_path, (4, 4))
    assert len(images.table) == 16
    assert any("16 images (a/0.pln, " in line and "several pages" in line for line in images.warnings)
    assert any("16 images (a/0.pln, " in line and "a remark" in line for line in images.warnings)
    assert "pln-3" in KnownPixels(tmp_path, (4, 4)).path.name
    rows = [path.name for path in (tmp_path / "a").iterdir()]
    (tmp_path / "x.csv").write_text(
        "path,label\n" + "".join(f"a/{row},{number % 2}\n" for number, row in enumerate(rows))
    )
    assert len(load(tmp_path / "x.csv", (4, 4)).table) == 8
    assert len(read_files([tmp_path], (4, 4))[0]) == 16
    (found,) = read_batches(open_images([tmp_path / "b" / "0"]), PixelRule((4, 4)), 1, make_lister(WHOLE))
    np.testing.assert_array_equal(found.images[0], resize(decode(b"plane"), (4, 4)))
    with pytest.raises(InputError, match=r"\.npy, \.pln"):
        check_classes(images.table.take([]))
