"""Floats, signed numbers and those of 32 and 64 bits, in TIFF files and arrays: shown by the ranges of other depths."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from tests.data.test_data_images import COLOUR, GRAY, encode, tiff
from tlmed.data import decode, load, read_files
from tlmed.data.decode_and_resize import PixelRule
from tlmed.data.masks import find_masks
from tlmed.data.readers import may_be_deep, read_plane
from tlmed.errors import InputError
from tlmed.intensity import Intensity, resolve

tifffile = pytest.importorskip("tifffile", reason="needs tifffile: pip install '.[slides]'")

KINDS = ("i1", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8")
OPEN = PixelRule((16, 16), resolve("auto"))


def draw(kind="f4", seed=0, shape=(17, 23)):
    low = 0 if kind[0] == "u" else -100
    return np.random.RandomState(seed).uniform(low, 100, shape).astype(kind)


def write_tiff(values, **options):
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, **{"photometric": "minisblack", **options})
    return stream.getvalue()


def write_npy(values):
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


FORMS = {
    "npy": write_npy,
    "npy of Fortran": lambda values: write_npy(np.asfortranarray(values)),
    "npy of another byte order": lambda values: write_npy(values.astype(values.dtype.newbyteorder(">"))),
    "array": lambda values: values,
    "array with a channel": lambda values: values[..., None],
    "tiff": write_tiff,
    "tiff of another byte order": lambda values: write_tiff(values, byteorder=">"),
    "tiff in tiles": lambda values: write_tiff(values, tile=(16, 16)),
    "tiff deflated": lambda values: write_tiff(values, compression="zlib", predictor=values.dtype.itemsize < 8),
    "tiff above 4 GB": lambda values: write_tiff(values, bigtiff=True),
}


def make_window(values, low, high):
    shares = (values.astype(np.float64) - low) / (high - low)
    return np.rint(np.clip(shares, 0, 1) * 255)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", FORMS)
def test_numbers_are_those_of_the_library_that_wrote_them_and_a_window_shows_them(form, kind):
    values = draw(kind)
    content = FORMS[form](values)
    plane = read_plane(content)
    np.testing.assert_array_equal(plane.values, values)
    assert plane.bits > 8
    assert may_be_deep(content)
    shown = decode(content, resolve((-50, 60, "range")))[..., 0]
    assert np.abs(shown - make_window(values, -50, 60)).max() <= (1 if kind == "f2" else 0)
    with pytest.raises(ValueError, match=r"names no window, so what is to be black or white is not known"):
        decode(content)


@pytest.mark.parametrize("kind", KINDS)
def test_all_bits_of_whole_numbers_can_be_shown_and_floats_have_none(kind):
    values = np.array([[-1e30, 1e30]], "f4")
    if kind[0] == "f":
        with pytest.raises(ValueError, match="its numbers are floats, which have no range of bits"):
            decode(values.astype("f4"), resolve("full"))
        return
    limits = np.iinfo(kind)
    values = np.array([[limits.min, limits.max]], kind)
    for content in (values, write_tiff(values)):
        assert decode(content, resolve("full"))[..., 0].tolist() == [[0, 255]]


@pytest.mark.parametrize("kind", ["i2", "i4", "f4"])
def test_what_pillow_wrote_is_read(kind):
    values = draw(kind)
    content = encode(Image.fromarray(values), "TIFF") if kind != "i2" else tiff([values], 1, 16, tag339=[2])
    np.testing.assert_array_equal(read_plane(content).values, values)


def test_white_may_be_low_in_a_tiff():
    content = tiff([np.array([[0, 100]], "<f4")], 0, 32, tag339=[3])
    assert decode(content, resolve((0, 100, "range")))[..., 0].tolist() == [[255, 0]]


@pytest.mark.parametrize("turn", range(1, 9))
def test_floats_are_turned_as_other_pictures_are(turn):
    values = draw("f4", shape=(3, 5))
    shown = decode(tiff([GRAY[:3, :5]], 1, 8, tag274=[turn]))[..., 0]
    np.testing.assert_array_equal(
        read_plane(tiff([GRAY[:3, :5].astype("<f4")], 1, 32, tag339=[3], tag274=[turn])).values, shown
    )
    assert read_plane(tiff([values], 1, 32, tag339=[3], tag274=[turn])).values.flags.c_contiguous


def spoil(value, kind="f8"):
    values = draw(kind)
    values[3, 4] = value
    return values


@pytest.mark.parametrize("form", ["npy", "array", "tiff"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_are_refused_by_name(form, value):
    with pytest.raises(ValueError, match=r"^1 of its 391 values are NaN, infinite or too large$"):
        read_plane(FORMS[form](spoil(value)))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (write_npy(COLOUR.astype("f4")), "colours of type float32 have no defined range"),
        (write_npy(COLOUR.astype("i8")), "colours of type int64 have no defined range"),
        (write_tiff(COLOUR.astype("f4"), photometric="rgb"), "its colours are floats, signed, or of more than 16 bits"),
        (write_tiff(draw("c8")), "its numbers are of a type|pixels of type complex64"),
        (write_npy(draw("c8")), "pixels of type complex64"),
        (write_npy(np.array([["a"]], object)), "it holds Python objects"),
        (write_npy(np.zeros(4)), r"pixels of shape \[4\] are neither"),
        (write_npy(np.zeros((4, 4)))[:-1], "it is cut off"),
        (write_npy(np.zeros((4, 4))).replace(b"(4, 4)", b"(4, 9)"), "it is cut off"),
        (write_npy(np.zeros((4, 4))).replace(b"(4, 4), ", b"(90000000000, 4), "[:8]), "header is damaged|is cut off"),
        (write_npy(np.zeros((9, 8, 7))), "it is a volume; a recipe says which planes"),
        (write_npy(np.zeros((4, 4)))[:20], "its header is damaged"),
        (write_npy(np.zeros((4, 4))).replace(b"}", b"("), "its header is damaged"),
        (write_tiff(draw())[:-40], "it is damaged|it is cut short|a kind of TIFF"),
        (write_tiff(draw("f8", shape=(1, 70_000))), "it has a side of more than 65,535 pixels"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(content, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        read_plane(content)
    assert not isinstance(caught.value, InputError)


def test_a_large_header_is_refused_before_memory_is_taken():
    content = write_npy(np.zeros((4, 4))).replace(b"(4, 4), }" + b" " * 8, b"(90000, 90000), }")
    with pytest.raises(ValueError, match=r"it has (more than 100,000,000 pixels|a side of more than)"):
        read_plane(content)


def test_a_tile_that_is_larger_than_any_image_is_refused():
    content = bytearray(write_tiff(draw(shape=(16, 16)), tile=(16, 16)))
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        places = [file.pages[0].tags[name].valueoffset for name in ("TileWidth", "TileLength")]
    for place in places:
        content[place : place + 4] = (2**15).to_bytes(4, "little")
    with pytest.raises(ValueError, match=r"it has more than 100,000,000 pixels: 32,768 x 32,768"):
        read_plane(bytes(content))


def test_pieces_that_are_missing_are_no_black_ones():
    content = write_tiff(draw(shape=(64, 64)), tile=(16, 16))
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        tag = file.pages[0].tags["TileOffsets"]
    changed = bytearray(content)
    changed[tag.valueoffset : tag.valueoffset + 4] = (2**31).to_bytes(4, "little")
    with pytest.raises(ValueError, match="pieces of it are missing"):
        read_plane(bytes(changed))


def test_a_missing_extra_is_one_line(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(4):
            (tmp_path / name / f"{number}.tif").write_bytes(write_tiff(draw(seed=number)))
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(
        InputError, match=r"^TIFF files of floats, .* read by an extra: pip install '\.\[slides\]'"
    ) as caught:
        load(tmp_path, OPEN, skip_bad=True)
    assert len(caught.value.faults) == 1


def write_folder(folder, name, write):
    for number in range(20):
        file = folder / "ab"[number % 2] / f"{number}.{name}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(write(draw("f8", seed=number)))
    return folder


def write_archive(folder):
    arrays = {"train": range(14), "val": range(14, 17), "test": range(17, 20)}
    content = {
        f"{split}_images": np.stack([draw("f8", seed=seed) for seed in seeds]) for split, seeds in arrays.items()
    }
    content |= {f"{split}_labels": np.arange(len(seeds))[:, None] % 2 for split, seeds in arrays.items()}
    np.savez(folder / "set.npz", **content)
    return folder / "set.npz"


@pytest.mark.parametrize("form", ["tif", "npy", "npz"])
def test_one_range_is_measured_on_training_images(tmp_path, form):
    write = {"tif": write_tiff, "npy": write_npy}.get(form)
    source = write_archive(tmp_path) if write is None else write_folder(tmp_path, form, write)
    images = load(source, OPEN)
    train = images.indices("train")
    values = np.stack([read_plane(images.table.read(row)).values for row in train])
    found = images.pixels.rule.intensity
    low, high = np.percentile(values, (0.5, 99.5), method="inverted_cdf")
    assert (found.low, found.high) == (pytest.approx(low, abs=0.5), pytest.approx(high, abs=0.5))
    assert images.pixels.tones["levels"].min() > 200
    asked = load(source, PixelRule((17, 23), resolve((-50, 60, "range"))))
    content = asked.table.read(0)
    np.testing.assert_array_equal(
        asked.pixels.take(np.array([0]))[0, ..., 0], make_window(read_plane(content).values, -50, 60)
    )


@pytest.mark.parametrize("form", ["tif", "npy"])
def test_a_file_with_nan_is_named_and_can_be_left_out(tmp_path, form):
    write = {"tif": write_tiff, "npy": write_npy}[form]
    write_folder(tmp_path, form, write)
    (tmp_path / "a" / f"0.{form}").write_bytes(write(spoil(np.nan)))
    with pytest.raises(InputError, match=rf"1 image of 20 .*'a/0.{form}' \(1 of its 391 values are NaN"):
        load(tmp_path, OPEN)
    assert len(load(tmp_path, OPEN, skip_bad=True).table) == 19
    with pytest.raises(InputError, match=r"names no window"):
        read_files([tmp_path / "a" / f"2.{form}"], PixelRule((8, 8), Intensity()))


def test_masks_of_floats_are_masks(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.tif").write_bytes(write_tiff(draw(seed=number)))
        (tmp_path / f"{number}_mask.tif").write_bytes(write_tiff((draw(seed=number) > 0).astype("f4")))
        (tmp_path / f"{number}_seg.npy").write_bytes(write_npy((draw(seed=number) > 0).astype("i8")))
    paths = sorted(path.name for path in tmp_path.iterdir())
    assert set(find_masks(tmp_path, paths).of) == {path for path in paths if "_" in path}
