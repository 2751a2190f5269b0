"""Pages that are not used, and colours for printing, are said by name and count, whatever reads the images."""

import numpy as np
import pytest
from PIL import Image

from tests.conftest import write_images
from tests.data.test_data_images import GRAY, LOSSLESS, SMOOTH, encode
from tlmed import inference
from tlmed.data import KnownPixels, decode, load
from tlmed.data.extras import PAGES, describe_extras, find_extras
from tlmed.data.readers.picture_files import PRINT
from tlmed.rundir import RunDir
from tlmed.voice import Voice


def encode_frames(form):
    return encode(SMOOTH, form, save_all=True, append_images=[Image.fromarray(255 - SMOOTH)])


CMYK = Image.fromarray(SMOOTH).convert("CMYK")


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        *((encode_frames(form), {PAGES}) for form in ("GIF", "TIFF", "PNG", "MPO")),
        *((encode(SMOOTH, form), set()) for form in ("GIF", "TIFF", "PNG", "JPEG", "BMP")),
        (encode(SMOOTH, "JPEG", exif=Image.Exif(), progressive=True), set()),
        (encode(CMYK, "JPEG"), {PRINT}),
        (encode(CMYK, "TIFF"), {PRINT}),
        *(
            (encode(CMYK, "TIFF", save_all=True, append_images=[CMYK], big_tiff=is_big), {PAGES, PRINT})
            for is_big in (False, True)
        ),
        (encode(Image.fromarray(GRAY), "TIFF", big_tiff=True), set()),
        (b"", set()),
        (b"\xff\xd8\xff", set()),
        (b"II*\0\0\0", set()),
        (b"\x89PNG", set()),
        (GRAY, set()),
    ],
)
def test_pages_and_colours_for_printing_are_found(content, kinds):
    assert find_extras(content) == kinds


@pytest.mark.parametrize("name", LOSSLESS)
def test_usual_images_have_nothing_that_is_not_used(name):
    assert find_extras(LOSSLESS[name][0]) == set()


def test_a_jpeg_cut_anywhere_is_no_crash():
    content = encode(CMYK, "JPEG")
    for length in range(200):
        assert find_extras(content[:length]) <= {PRINT}


@pytest.mark.parametrize("is_big", [False, True])
def test_a_tiff_cut_or_changed_anywhere_is_no_crash_and_no_endless_walk(is_big):
    content = encode(CMYK.resize((4, 4)), "TIFF", save_all=True, append_images=[CMYK.resize((4, 4))], big_tiff=is_big)
    for place in range(len(content)):
        assert find_extras(content[:place]) <= {PAGES, PRINT}
        for value in (0, 8, 255):
            assert find_extras(content[:place] + bytes([value]) * 8 + content[place + 8 :]) <= {PAGES, PRINT}


def test_they_are_named_three_and_a_count():
    found = describe_extras([f"{i}.tif" for i in range(5)], [frozenset([PAGES])] * 4 + [frozenset([PRINT])])
    assert found == [
        "4 images (0.tif, 1.tif, 2.tif and 1 more) hold several pages or frames: only the first is used.",
        "1 image (4.tif) holds the colours of printing (CMYK): RGB is computed from them without their colour profile.",
    ]


TOLD = "2 images (benign/benign (0).tif, benign/benign (1).tif) hold several pages or frames"


@pytest.fixture
def folder(tmp_path):
    folder = write_images(tmp_path / "images", 9)
    for i in range(2):
        path = folder / "benign" / f"benign ({i}).png"
        path.with_suffix(".tif").write_bytes(encode_frames("TIFF"))
        path.unlink()
    return folder


def test_training_evaluation_and_prediction_warn(finished, folder, tmp_path):
    for _ in range(2):  # and again where the pixels are known
        warnings = load(folder, (8, 8), known=KnownPixels(tmp_path / "cache", (8, 8))).warnings
        assert sum(TOLD in sentence for sentence in warnings) == 1
    told = []
    voice = Voice(warn=told.append)
    run = RunDir(finished.path)
    inference.evaluate(run, str(folder), voice=voice)
    assert sum(TOLD in sentence for sentence in told) == 1
    told.clear()
    inference.predict(run, [folder], voice=voice)
    assert sum("2 images" in sentence and "several pages" in sentence for sentence in told) == 1


def test_cmyk_is_converted_as_print_is_mixed():
    values = np.array(CMYK).astype(float)
    expected = (255 - values[..., :3]) * (255 - values[..., 3:]) / 255

    assert np.abs(decode(encode(CMYK, "TIFF")) - expected).max() < 1
