import dataclasses
import json
import math
import re

import numpy as np
import pytest
from PIL import Image

from tests.data.readers.dicom_files import make_table, write
from tlmed.data.decode_and_resize import PixelRule, decode, decode_resized
from tlmed.data.measured_ranges import VALUES, measure_range, summarise
from tlmed.data.readers import read_plane
from tlmed.data.readers.plane import Plane
from tlmed.data.showing import needs_range, say_shown, show
from tlmed.errors import InputError
from tlmed.intensity import AUTO, FULL, WINDOWS, Intensity, find_ends, from_json, is_window, resolve, to_json

UNITS = np.arange(-2048, 2048, dtype=np.float32).reshape(64, 64)
STORED = np.arange(4096, dtype=np.uint16).reshape(64, 64)
GRAY = np.arange(200, dtype=np.uint8).reshape(10, 20)
CT = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "RescaleSlope": 1, "RescaleIntercept": -2048}
MEASURED = resolve("auto").measured((100.0, 1100.0))


@pytest.mark.parametrize(
    ("asked", "is_right"),
    [
        ("auto", True),
        ("full", True),
        *((name, True) for name in WINDOWS),
        ("lungs", False),
        ("", False),
        ((40, 400), True),
        ((-0.5, 1.5), True),
        ((40, 1), False),
        ((40, -400), False),
        ((math.nan, 400), False),
        ((40, math.inf), False),
        ((1, 99, "percentile"), True),
        ((0, 100, "percentile"), True),
        ((99, 1, "percentile"), False),
        ((-1, 99, "percentile"), False),
        ((1, 101, "percentile"), False),
        ((-1000, 400, "range"), True),
        ((400, -1000, "range"), False),
        ((1, 99, "percent"), False),
        ((1, 99, "file"), True),
        ((1, 101, "file"), False),
    ],
)
def test_a_recipe_may_ask_for_these_windows(asked, is_right):
    assert is_window(asked) == is_right


@pytest.mark.parametrize(
    "asked", ["auto", "full", "lung", (40, 400), (0, 0.1, "range"), (1, 99, "percentile"), (0, 99, "file")]
)
def test_what_a_run_used_is_recorded_and_found_again(asked):
    for found in (resolve(asked), resolve(asked).measured((0.1, 3.3)), resolve(asked).measured(None)):
        assert from_json(json.loads(json.dumps(to_json(found)))) == found


@pytest.mark.parametrize(
    "change", [{"kind": "lung"}, {"low": None}, {"low": 1e9}, {"low": "0"}, {"high": True}, {"unit": "mm"}]
)
def test_a_window_that_no_run_records_is_refused(change):
    with pytest.raises(InputError, match="must be as `tlmed train` records it"):
        from_json({**to_json(resolve("brain")), **change})


def test_a_run_of_an_older_version_keeps_its_rule():
    assert from_json(None) == Intensity()
    np.testing.assert_array_equal(decode(STORED, from_json(None))[..., 0], STORED >> 8)


@pytest.mark.parametrize("name", WINDOWS)
def test_windows_in_hounsfield_units_are_those_of_pydicom(name):
    pydicom = pytest.importorskip("pydicom")
    center, width = WINDOWS[name]
    dataset = pydicom.Dataset()
    dataset.WindowCenter, dataset.WindowWidth, dataset.BitsStored, dataset.PixelRepresentation = center, width, 12, 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    # It maps to the whole range of the bits, which are signed.
    expected = (pydicom.pixels.apply_windowing(UNITS, dataset) + 2048) / 4095 * 255
    found = show(Plane(UNITS, 12, (0, 1), unit="HU"), resolve(name))
    assert np.abs(found - expected).max() <= 0.5001


@pytest.mark.parametrize("shown", ["window", "lut", "sigmoid"])
def test_a_window_in_hounsfield_units_takes_the_place_of_what_the_file_names(shown):
    own = {
        "window": {"WindowCenter": 0, "WindowWidth": 100},
        "lut": {"VOILUTSequence": [make_table(STORED[::-1].ravel(), 0, 12)]},
    }
    own["sigmoid"] = {**own["window"], "VOILUTFunction": "SIGMOID"}
    content = write(STORED, 12, **CT, **own[shown])
    np.testing.assert_array_equal(decode(content, resolve("lung")), decode(write(STORED, 12, **CT), resolve("lung")))
    assert (decode(content) != decode(content, resolve("lung"))).any()
    np.testing.assert_array_equal(decode(content, resolve("auto").measured((0, 10))), decode(content))


def test_what_is_inverted_is_inverted_after_any_window():
    white = write(STORED, 12, PhotometricInterpretation="MONOCHROME1", **CT)
    black = write(STORED, 12, **CT)
    for asked in (resolve("bone"), resolve("full"), MEASURED, resolve((40, 400))):
        np.testing.assert_array_equal(decode(white, asked), 255 - decode(black, asked))


@pytest.mark.parametrize(
    "content",
    [GRAY, STORED, write(STORED, 12), write(STORED, 12, **{**CT, "SOPClassUID": "1.2.840.10008.5.1.4.1.1.4"})],
)
def test_values_that_are_no_hounsfield_units_are_refused_for_a_window_in_these(content):
    with pytest.raises(ValueError, match="its values are not in Hounsfield units by what it says, and the window is"):
        decode(content, resolve("lung"))


@pytest.mark.parametrize("asked", [AUTO, FULL, (40, 100), (1, 99, "percentile"), (0, 1, "range")])
@pytest.mark.parametrize("image", [GRAY, np.dstack([GRAY] * 3), np.dstack([STORED] * 3)])
def test_8_bits_and_colours_stay_as_they_are(asked, image):
    rule = resolve(asked).measured((3.0, 9.0)) if resolve(asked).is_open else resolve(asked)
    assert not needs_range(read_plane(image), resolve(asked))
    np.testing.assert_array_equal(decode(image, rule), decode(image))


@pytest.mark.parametrize(
    ("values", "bits"),
    [
        (STORED, 16),
        (STORED.astype(np.int16) - 500, 16),
        (STORED.astype(np.int32) * 100_000, 32),
        (STORED.astype(np.uint32) * 1_000_000, 32),
        (STORED / np.float32(4095), 32),
        (STORED / 4095 - 3, 64),
    ],
)
def test_a_range_makes_any_numbers_readable(values, bits):
    plane, (low, high) = Plane(values, bits), (float(values.min()), float(values.max()))
    shown = show(plane, resolve("auto").measured((low, high)))
    np.testing.assert_allclose(shown, STORED / 4095 * 255, atol=0.51)
    np.testing.assert_array_equal(show(plane, resolve((low, high, "range"))), shown)


def test_all_bits_are_shown_where_that_is_asked_for():
    named = write(STORED, 12, WindowCenter=40, WindowWidth=10, **CT)
    np.testing.assert_allclose(decode(named, resolve("full"))[..., 0], STORED / 4095 * 255, atol=0.51)
    np.testing.assert_array_equal(decode(STORED, resolve("full")), decode(STORED))
    with pytest.raises(ValueError, match="floats, which have no range of bits"):
        show(Plane(STORED / 2, 64), resolve("full"))


def test_without_a_range_a_dicom_file_of_more_than_8_bits_must_name_a_window():
    with pytest.raises(ValueError, match="it has 12 bits and names no window"):
        decode(write(STORED, 12))
    assert decode(write(STORED, 12), MEASURED).max() == 255


@pytest.mark.parametrize(
    ("asked", "own", "needed"), [("auto", None, True), ("auto", (0, 1), False), ((1, 99, "percentile"), (0, 1), True)]
)
def test_a_range_is_measured_only_where_a_file_names_none(asked, own, needed):
    assert needs_range(Plane(STORED, 12, own), resolve(asked)) == needed
    assert not needs_range(Plane(GRAY, 8, own), resolve(asked))


@pytest.mark.parametrize("percentiles", [(0.5, 99.5), (1, 99), (0, 100), (0.1, 60)])
@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_a_range_is_that_of_all_pixels_together(percentiles, dtype):
    rng = np.random.RandomState(0)
    images = [rng.gamma(2, 200 + 20 * number, (64, 64)).astype(dtype) for number in range(20)]
    low, high = measure_range([summarise(image) for image in images], percentiles)
    pixels = np.sort(np.stack(images), axis=None)
    for value, wanted in ((low, percentiles[0]), (high, percentiles[1])):
        ranks = np.searchsorted(pixels, [value], "left")[0], np.searchsorted(pixels, [value], "right")[0]
        near = 0.05 if wanted <= 2 or wanted >= 98 else 1
        assert ranks[0] / len(pixels) * 100 - near <= wanted <= ranks[1] / len(pixels) * 100 + near
    assert (low in pixels, high in pixels) == (True, True)


def test_each_image_counts_the_same_whatever_its_size():
    small, large = np.full((4, 4), 7), np.full((400, 400), 90)
    assert measure_range([summarise(small), summarise(large)], (40, 60)) == (7, 90)
    assert len(summarise(small)) == len(summarise(large)) == VALUES


def test_a_range_of_one_value_has_two_ends():
    low, high = measure_range([summarise(np.full((4, 4), -3000))], (1, 99))
    assert low < high
    assert show(Plane(np.array([[-3000, -2999]]), 16), resolve("auto").measured((low, high))).tolist() == [[0, 255]]
    assert measure_range([], (1, 99)) is None


def test_padding_counts_in_no_range():
    shown = np.arange(100.0).reshape(10, 10)
    padding = shown < 40
    padded = Plane(np.where(padding, -2000, shown), 16, padding=padding)
    assert measure_range([summarise(padded.counted)], (0, 100)) == (40, 99)
    nothing = Plane(np.full((4, 4), -2000), 16, padding=np.ones((4, 4), bool))
    assert measure_range([summarise(plane.counted) for plane in (nothing, padded)], (0, 100)) == (40, 99)
    assert measure_range([summarise(nothing.counted)], (0, 100)) is None


def test_a_measured_range_is_part_of_the_key_that_keeps_facts_apart():
    rules = [Intensity(), resolve("full"), resolve("lung"), MEASURED, resolve("auto").measured((100.0, 1100.1))]
    rules.append(dataclasses.replace(MEASURED, kind="percentile"))
    assert len({rule.key for rule in rules}) == len(rules)
    assert Intensity().key == ""


WIDE = np.zeros((20, 40, 3), np.uint8)
WIDE[:, 10:30] = 200
SQUARE = (16, 16)


def test_an_image_is_stretched_padded_or_cropped():
    stretched, padded, cropped = (
        decode_resized(WIDE, PixelRule(SQUARE, fit=fit)) for fit in ("stretch", "pad", "crop")
    )
    np.testing.assert_array_equal(stretched, decode_resized(WIDE, SQUARE))
    np.testing.assert_array_equal(
        padded[4:12], np.asarray(Image.fromarray(WIDE).resize((16, 8), Image.Resampling.BILINEAR))
    )
    assert padded[:4].max() == padded[12:].max() == 0
    # As if it were scaled whole and cut afterwards.
    whole = np.asarray(Image.fromarray(WIDE).resize((32, 16), Image.Resampling.BILINEAR))
    np.testing.assert_allclose(cropped, whole[:, 8:24], atol=1)


@pytest.mark.parametrize("fit", ["stretch", "pad", "crop"])
def test_an_image_of_the_right_size_stays_as_it_is(fit):
    np.testing.assert_array_equal(decode_resized(WIDE, PixelRule((20, 40), fit=fit)), WIDE)


def test_the_centre_and_the_width_are_those_of_the_standard():
    assert find_ends(40, 400) == (-160, 239)  # PS3.3, C.11.2.1.2.1


@pytest.mark.parametrize(
    ("plane", "intensity", "said"),
    [
        (Plane(UNITS, 12, window=(-160, 239), unit="HU"), Intensity(), "-160 to 239 Hounsfield units, the file's own"),
        (Plane(UNITS, 12, window=(-160, 239), unit="HU"), MEASURED, "-160 to 239 Hounsfield units, the file's own"),
        (Plane(UNITS, 12, window=(-160, 239), unit="HU"), resolve("lung"), "-1,350 to 149 Hounsfield units"),
        (Plane(UNITS, 12, window=(-160, 239)), resolve((40, 400)), "-160 to 239"),
        (Plane(UNITS, 12), MEASURED, "100 to 1,100"),
        (Plane(UNITS, 12, inverted=True), MEASURED, "100 to 1,100"),
    ],
)
def test_what_is_said_to_be_shown_is_shown(plane, intensity, said):
    words = say_shown(plane, intensity)
    assert words.startswith(said)
    low, high = (float(text.replace(",", "")) for text in re.match(r"(\S+) to ([^\s]+)", words).groups())
    shown = np.array(show(plane, intensity)).ravel()
    shown = 255 - shown if plane.inverted else shown
    values = plane.values.ravel()
    width = high - low
    assert not shown[values <= low].any()
    assert (shown[values >= high] == 255).all()
    inside = (values > low + width / 255) & (values < high - width / 255)
    assert ((shown[inside] > 0) & (shown[inside] < 255)).all()


def test_what_is_shown_by_bits_or_after_a_lut_is_said_so():
    assert say_shown(Plane(GRAY), MEASURED) == ""
    assert say_shown(Plane(Image.fromarray(GRAY)), Intensity()) == ""
    assert say_shown(Plane(STORED, 16), Intensity()) == "the highest 8 of 16 bits"
    assert say_shown(Plane(STORED, 12), resolve("full")) == "all 12 bits"
    looked_up = Plane(UNITS, 12, window=(0, 4095), voi=lambda values: values)
    assert say_shown(looked_up, Intensity()) == "the file's own window, after its VOI LUT: 0 to 4,095"
