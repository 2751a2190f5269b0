"""Images at one scale in millimetres, and values by a range of each file."""

import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tlmed
from tests.conftest import SMALL
from tests.data.readers.nifti_files import open_canonical
from tests.data.readers.nifti_files import write as write_nifti
from tests.data.test_data_images import encode
from tlmed import inference
from tlmed.data import KnownPixels, decode, load, open_source
from tlmed.data.decode_and_resize import PixelRule, decode_resized, examine
from tlmed.data.extras import CUT
from tlmed.data.readers import read_plane
from tlmed.data.recorded import read_rule
from tlmed.errors import InputError
from tlmed.intensity import resolve
from tlmed.recipe import load_recipe, override
from tlmed.reproduce import Request, reproduce
from tlmed.run import preview
from tlmed.rundir import RunDir
from tlmed.slicing import Slicing
from tlmed.source_layout import Layout

SQUARE = (16, 16)
GRAY = np.arange(200, dtype=np.uint8).reshape(10, 20)
RULE = PixelRule(SQUARE, resolve((1, 99, "file")), spacing=1.0)


def make_rule(size, spacing, asked="full"):
    return PixelRule(size, resolve(asked), spacing=spacing)


def make_volume(sides, values):
    """Return a volume of one plane whose voxels have these sides, as its file holds it."""
    return write_nifti(values, np.diag([*sides, 1.0]))


def test_a_pixel_measures_the_millimetres_that_are_asked_for():
    values = np.full((12, 10, 1), 200, np.uint8)  # to the patient's right, 24 mm, and to the front, 5 mm
    shown = decode_resized(make_volume((2, 0.5, 3), values), make_rule((40, 40), 1.0))[..., 0]
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    assert (rows[0], rows[-1], columns[0], columns[-1]) == (17, 21, 8, 31)
    assert set(shown.ravel()) == {0, 200}


@pytest.mark.parametrize("spacing", [0.25, 0.5, 1.0, 1.7])
def test_what_is_too_much_is_cut_off_around_the_middle(spacing):
    values = np.random.RandomState(0).randint(0, 256, (60, 50, 1)).astype(np.uint8)
    content = make_volume((1, 1, 1), values)
    found = examine(content, make_rule((16, 20), spacing))
    # As if it were scaled whole and cut afterwards.
    image = Image.fromarray(decode(content))
    whole = image.resize((round(60 / spacing), round(50 / spacing)), Image.Resampling.BILINEAR)
    top, left = (whole.height - 16) / 2, (whole.width - 20) / 2
    expected = np.asarray(whole)[math.floor(top) : math.floor(top) + 16, math.floor(left) : math.floor(left) + 20]
    assert found.is_cut
    if top == round(top) and left == round(left) and 60 / spacing == round(60 / spacing):
        np.testing.assert_allclose(found.pixels, expected, atol=1)
    assert not examine(content, make_rule((100, 100), 1.0)).is_cut


def test_an_image_without_millimetres_is_refused_where_they_are_needed():
    with pytest.raises(ValueError, match="does not say how many millimetres its pixels measure"):
        decode_resized(GRAY, make_rule(SQUARE, 1.0))


@pytest.mark.parametrize(("unit", "sides"), [("mm", (2, 3)), ("meter", (2000, 3000)), ("micron", (0.002, 0.003))])
def test_sides_of_voxels_are_millimetres_whatever_the_unit_of_the_file(unit, sides):
    values = np.zeros((4, 5, 1), np.uint8)
    codes = {"meter": 1, "mm": 2, "micron": 3}
    content = write_nifti(values, np.diag([3.0, 2.0, 1.0, 1.0]), xyzt_units=codes[unit])
    np.testing.assert_allclose(read_plane(content).spacing, sides)


def test_a_range_of_each_file_makes_files_of_other_scales_alike():
    values = np.random.RandomState(0).gamma(3, 40, (30, 20, 1))
    shown = [
        decode(write_nifti((values * scale).astype(kind)), resolve((1, 99, "file"))).astype(int)
        for scale, kind in [(1, "f4"), (400, "f4"), (60, "i2"), (0.2, "u1")]
    ]
    assert np.abs(shown[0] - shown[1]).max() <= 1
    assert np.abs(shown[0] - shown[2]).max() <= 2  # whole numbers
    assert np.abs(shown[0] - shown[3]).max() <= 8  # some 90 of them
    low, high = np.percentile(values.astype("f4"), (1, 99), method="inverted_cdf")
    expected = np.clip((values[:, ::-1, 0].T[:, ::-1] - low) * 255 / (high - low), 0, 255)
    np.testing.assert_allclose(shown[0][..., 0], expected, atol=2)
    np.testing.assert_array_equal(decode(encode(GRAY, "PNG"), resolve((1, 99, "file"))), decode(GRAY))


@pytest.mark.parametrize("with_pictures", [False, True])
def test_only_pictures_of_8_bits_are_said_to_stay_as_they_are(tmp_path, with_pictures):
    for number in range(8):
        folder = tmp_path / "ab"[number % 2]
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.nii").write_bytes(
            write_nifti(np.random.RandomState(number).randint(0, 90, (9, 8, 1), "u1"))
        )
    if with_pictures:
        (tmp_path / "a" / "x.png").write_bytes(encode(GRAY, "PNG"))
    said = [each for each in load(tmp_path, PixelRule(SQUARE, resolve((1, 99, "file")))).warnings if "8 bits" in each]
    assert [each.partition(" have")[0].partition(" has")[0] for each in said] == [
        "1 of 9 images (a/x.png)"
    ] * with_pictures


@pytest.fixture
def folder(tmp_path):
    """Give 24 volumes of other scales and sizes; half of them are larger than 16 mm."""
    for number in range(24):
        rng, side = np.random.RandomState(number), 12 + 8 * (number % 2)
        values = rng.gamma(3, 40 * 100 ** (number % 3), (side, side, 6)).astype("f4")
        path = tmp_path / "data" / "ab"[number // 12] / f"{number}.nii"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(write_nifti(values, np.eye(4)))
    return tmp_path / "data"


def open_cut(folder, *slicing, **fields):
    return open_source(folder, Layout(slicing=Slicing(*slicing, **fields)))


def test_images_that_are_cut_off_are_counted_also_when_they_are_known(folder, tmp_path):
    table = open_cut(folder, 1, together=True)
    for _ in range(2):
        images = load(table, RULE, known=KnownPixels(tmp_path / "cache", RULE))
        cut = [CUT in extras for extras in images.pixels.extras]
        assert cut == [int(path.partition("/")[2].partition(".")[0]) % 2 == 1 for path in images.table.paths]
        assert any("12 images (" in said and "is cut off" in said for said in images.warnings)


def test_all_planes_of_a_volume_decide_its_range(folder):
    images = load(open_cut(folder, "all", together=True), RULE)
    for row, image in enumerate(images.pixels.take(np.arange(12))):
        path, _, part = images.table.paths[row].partition("#plane=")
        values = open_canonical((folder / path).read_bytes())
        low, high = np.percentile(values, (1, 99))
        expected = np.clip((values[:, :, int(part)] - low) * 255 / (high - low), 0, 255).T[::-1, ::-1]
        side = min(16, len(expected))
        start = (len(expected) - side) // 2
        expected, shown = expected[start : start + side, start : start + side], image[..., 0]
        edge = (16 - side) // 2
        np.testing.assert_allclose(shown[edge : edge + side, edge : edge + side], expected, atol=3)


@pytest.mark.slow  # by default, test_windows_of_runs has a run that repeats its range
def test_a_run_repeats_scale_and_range(folder, tmp_path):
    fields = ["data.window=1,99,file", "data.spacing=1", "data.channels=views", "data.image_size=32,32"]
    recipe = override(load_recipe("feature_extractor"), [*SMALL, "backbone=LeNet5", "weights=none", *fields])
    words, _, _ = preview(override(recipe, [f"data.source={folder}"]))
    assert "Window: 1 to 99 per cent of the values of each file, of a volume together" in words
    assert "Shape: 32 x 32 pixels of 1 mm, 32 x 32 mm around the middle" in words
    run = RunDir(tlmed.train(recipe, tmp_path / "run", folder).path)
    assert read_rule(run) == PixelRule((32, 32), resolve((1, 99, "file")), spacing=1.0)
    found, _ = inference.evaluate(run)
    _, [row], _ = inference.predict(run, [folder / found.units.paths[0].partition("#")[0]])
    np.testing.assert_allclose(row[2:4], found.units.scores[0], atol=1e-6)
    assert not reproduce(Request(run.path, out=tmp_path / "again")).faults


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"spacing": 0.5, "fit": "pad"}, "`data.fit` must be 'stretch' where `spacing` says how large"),
        ({"spacing": 0.5, "tile": 64}, "`data.tile` must be None where `spacing` says how large"),
        ({"spacing": 0.0}, "`data.spacing` must be a number of millimetres above 0 and up to 100, or None"),
    ],
)
def test_fields_that_contradict_a_scale_are_refused(fields, fault):
    with pytest.raises(InputError, match=fault):
        override(load_recipe("feature_extractor"), [f"data.{name}={value}" for name, value in fields.items()])


def test_features_are_of_the_same_pixels(folder):
    extractor = tlmed.FeatureExtractor(
        "LeNet5", weights="none", image_size=(32, 32), channels="views", window=(1, 99, "file"), spacing=1.0
    )
    paths = [str(file) for file in sorted(folder.rglob("*.nii"))]
    rule = PixelRule((32, 32), resolve((1, 99, "file")), spacing=1.0)
    images = load(open_cut(folder, channels="views", together=True), rule)
    rows = [images.table.paths.index(f"{file.relative_to(folder).as_posix()}#views") for file in map(Path, paths)]
    pixels = images.pixels.take(np.array(rows))
    expected = tlmed.FeatureExtractor("LeNet5", weights="none", image_size=(32, 32)).fit(pixels).transform(pixels)
    np.testing.assert_allclose(extractor.fit(paths).transform(paths), expected, atol=1e-6)
    with pytest.raises(InputError, match="`resize` must be 'stretch' where `spacing`"):
        tlmed.FeatureExtractor("LeNet5", weights="none", resize="pad", spacing=1.0).fit(paths)
