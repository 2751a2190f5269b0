"""Tiles of slides and large pictures: where they lie, which are taken, and what cannot be cut."""

import hashlib
import sys

import numpy as np
import pytest
from PIL import Image

from tests.data.readers.test_slides import draw, write
from tlmed.data import decode, read_files
from tlmed.data.samples import take_samples
from tlmed.data.sources import open_source
from tlmed.data.table import Table
from tlmed.data.tiles import cut_slides, find_tissue
from tlmed.errors import InputError
from tlmed.part_names import split_part
from tlmed.sections import Images, find_faults
from tlmed.slicing import Tiling
from tlmed.source_layout import AS_FOUND, Layout


def cut_files(folder, tiles, *names):
    table = Table("x", names, np.arange(len(names)) % 2, ("a", "b"), None, None, lambda row: None, root=folder)
    return cut_slides(table, tiles)


def corners(table):
    parts = [split_part(path)[1] for path in table.paths]
    return [tuple(int(value.split("=")[1]) for value in part.split(",")) for part in parts]


def test_tiles_are_squares_of_the_file_at_their_coordinates(tmp_path):
    pixels = draw()
    write(tmp_path / "a.tif", pixels, compression="lzw")
    table = cut_files(tmp_path, Tiling(100, most=None, tissue=0), "a.tif")
    assert corners(table) == [(x, y) for y in range(0, 600, 100) for x in range(0, 800, 100)]
    for row, (x, y) in enumerate(corners(table)):
        np.testing.assert_array_equal(decode(table.read(row)), pixels[y : y + 100, x : x + 100])


def test_a_picture_of_another_format_is_cut_in_its_own_pixels(tmp_path):
    pixels = draw()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    Image.fromarray(pixels[..., 0]).save(tmp_path / "gray.png")
    table = cut_files(tmp_path, Tiling(128, mpp=None, most=3), "a.png")
    (x, y), found = corners(table)[1], decode(table.read(1))
    np.testing.assert_array_equal(found, pixels[y : y + 128, x : x + 128])
    with pytest.raises(InputError, match=r"must be 0 for gray pictures.*with 'gray.png'"):
        cut_files(tmp_path, Tiling(128, mpp=None), "gray.png")
    assert len(cut_files(tmp_path, Tiling(128, mpp=None, tissue=0, most=None), "gray.png")) == 4 * 6


def test_a_tile_measures_the_same_in_files_of_different_resolutions(tmp_path):
    for name, mpp in [("fine.tif", 0.25), ("coarse.tif", 0.5)]:
        write(tmp_path / name, draw(), draw()[::2, ::2], mpp=mpp)
    table = cut_files(tmp_path, Tiling(96, mpp=0.5, most=None, tissue=0), "coarse.tif", "fine.tif")
    by_file = {
        name: [c for c, p in zip(corners(table), table.paths, strict=True) if name in p] for name in ("fine", "coarse")
    }
    assert by_file["coarse"][1] == (96, 0)
    assert by_file["fine"][1] == (192, 0)
    # A level with half of the detail is enough for the finer file.
    fine = next(row for row, path in enumerate(table.paths) if "fine" in path)
    assert decode(table.read(fine)).shape == (96, 96, 3)


def test_files_whose_tiles_are_enlarged_are_counted_for_each_class(tmp_path):
    for name, mpp in [("fine.tif", 0.25), ("near.tif", 0.54), ("coarse.tif", 0.9), ("most.tif", 1.0)]:
        write(tmp_path / name, draw(), mpp=mpp)
    every = Tiling(96, mpp=0.5, most=1, tissue=0)
    table = cut_files(tmp_path, every, "fine.tif", "coarse.tif", "near.tif", "most.tif")
    assert table.notes[1:] == (
        "2 of 4 files (2 of class 'b') are coarser than 0.5 micrometres per pixel, up to 1: tiles of them are "
        "enlarged, and less sharp.",
    )
    assert len(cut_files(tmp_path, every, "fine.tif", "near.tif").notes) == 1
    loose = Table("x", ("most.tif",), np.zeros(1, int), (), None, None, lambda row: None, root=tmp_path)
    assert cut_slides(loose, every).notes[1].startswith("1 of 1 file is coarser than 0.5 micrometres")


def test_only_tiles_with_tissue_are_taken_and_glass_is_none(tmp_path):
    write(tmp_path / "a.tif", draw())
    table = cut_files(tmp_path, Tiling(100, most=None), "a.tif")
    assert corners(table) == [(x, y) for y in range(0, 600, 100) for x in range(400, 800, 100)]


def test_the_seed_draws_tiles_and_other_files_change_nothing(tmp_path):
    for name in ("a.tif", "b.tif"):
        write(tmp_path / name, draw())
    alone = cut_files(tmp_path, Tiling(50, most=5), "a.tif")
    both = cut_files(tmp_path, Tiling(50, most=5), "a.tif", "b.tif")
    other = cut_files(tmp_path, Tiling(50, most=5, seed=1), "a.tif")
    assert len(alone) == 5
    assert both.paths[:5] == alone.paths
    assert corners(both)[5:] != corners(alone)
    assert other.paths != alone.paths
    assert "1 file cut into 5 tiles of 50 x 50 pixels of 0.5 micrometres, at least 50% of each tissue" in alone.notes[0]


def test_copies_have_the_same_digests_and_tiles_of_a_file_different_ones(tmp_path):
    for name in ("a.tif", "b.tif"):
        write(tmp_path / name, draw())
    every = Tiling(200, most=None, tissue=0)
    one, other = (cut_files(tmp_path, every, name) for name in ("a.tif", "b.tif"))
    digests = [[table.read(row).digest for row in range(len(table))] for table in (one, other)]
    assert digests[0] == digests[1]
    assert len(set(digests[0])) == len(one)
    file = hashlib.sha256((tmp_path / "a.tif").read_bytes()).hexdigest()
    part = hashlib.sha256(f"{file} x=0,y=0 side=200 shrink=1".encode()).hexdigest()
    assert digests[0][0] == file[:32] + part[:32]


def test_tissue_is_told_as_by_saturation_of_pillow():
    pixels = np.random.RandomState(0).randint(25, 256, (50, 50, 3)).astype(np.uint8)
    pixels[:, :25] = pixels[:, :25, :1] // 20 + 230  # nearly gray
    pixels[:, :25, 1] += np.arange(25, dtype=np.uint8)[None] // 2
    saturation = np.asarray(Image.fromarray(pixels).convert("HSV"))[..., 1]
    sure = np.abs(saturation.astype(int) - 8) > 1  # Pillow rounds
    np.testing.assert_array_equal(find_tissue(pixels)[sure], (saturation > 8)[sure])
    assert 0.3 < find_tissue(pixels).mean() < 0.9


@pytest.mark.parametrize(
    ("tiles", "names", "match"),
    [
        (
            Tiling(100),
            ("a.tif", "none.tif"),
            r"must state its resolution.*mpp=0.5 and 1 file of 2 without it \(none.tif\)",
        ),
        (Tiling(100, mpp=None), ("a.tif", "none.tif"), r"all or none where they are measured in pixels.*1 file of 2"),
        (Tiling(100, mpp=None), ("a.tif", "fine.tif"), r"set `mpp`.*mpp=None with 0.25 to 0.5 micrometres"),
        (Tiling(100, mpp=0.2), ("a.tif", "fine.tif"), r"half of the detail.*mpp=0.2 with a.tif: 0.5 micrometres"),
        (Tiling(700), ("a.tif",), r"must give a tile.*none from 1 file of 1 \(a.tif\)"),
        (Tiling(100), ("a.tif", "broken.tif"), r"1 file of 2 cannot be opened. Received: 'broken.tif' \("),
        (Tiling(100), ("a.tif", "missing.tif"), r"'missing.tif' \(No such file or directory\)"),
    ],
)
def test_what_cannot_be_cut_is_named(tmp_path, tiles, names, match):
    write(tmp_path / "a.tif", draw())
    write(tmp_path / "fine.tif", draw(), mpp=0.25)
    write(tmp_path / "none.tif", draw(), mpp=None)
    (tmp_path / "broken.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:2000])
    with pytest.raises(InputError, match=match):
        cut_files(tmp_path, tiles, *names)


@pytest.mark.parametrize(
    ("name", "module", "said"),
    [
        ("a.svs", "tiffslide", r"^Slides are read by an extra: pip install '\.\[slides\]'\. Received: "),
        ("a.dcm", "pydicom", r"^DICOM files are read by an extra: pip install '\.\[dicom\]'\. Received: "),
    ],
)
def test_a_missing_extra_is_one_line(tmp_path, monkeypatch, name, module, said):
    write(tmp_path / "a.svs", draw())
    (tmp_path / "a.dcm").write_bytes(bytes(128) + b"DICM")
    monkeypatch.setitem(sys.modules, module, None)
    for number in ("datadict", "encaps", "filereader", "pixels"):
        monkeypatch.setitem(sys.modules, f"pydicom.{number}", None)
    with pytest.raises(InputError, match=said) as caught:
        cut_files(tmp_path, Tiling(100), name)
    assert len(caught.value.faults) == 1


def test_slides_are_not_taken_for_pictures(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(tmp_path / name / "1.svs", draw())
    with pytest.raises(InputError, match=r"set `data.tile`, such as 224. Received: tile=None with 2 slides \(a/1.svs"):
        open_source(tmp_path)
    with pytest.raises(InputError, match=r"trained without tiles takes pictures, and no slides.*Received: tile=None"):
        open_source(tmp_path, AS_FOUND.for_another(alike=True))
    with pytest.raises(InputError, match=r"trained without tiles takes pictures, and no slides.*with 1 slide \("):
        read_files([tmp_path / "a"], (8, 8))
    table = open_source(tmp_path, Layout(slicing=Tiling(200, most=2)))
    assert [split_part(path)[0] for path in table.paths] == ["a/1.svs"] * 2 + ["b/1.svs"] * 2
    assert table.groups == ("file:a/1.svs",) * 2 + ("file:b/1.svs",) * 2


def test_only_files_are_cut():
    table = Table(
        "x.npz", ("test/0",), np.zeros(1, int), ("a", "b"), None, None, lambda row: np.zeros((9, 9), np.uint8)
    )
    with pytest.raises(InputError, match=r"no files of their own. Received: tile=200 with data=x.npz"):
        take_samples(table, Tiling(200))


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"tile": 8}, "`tile` must be a whole number from 16 to 4096"),
        ({"tile": 224, "mpp": 0}, "`mpp` must be a number above 0"),
        ({"tile": 224, "planes": 3}, "`tile` must be None where planes become samples"),
        ({"tissue": 0.2}, "`tile` must be the size of a tile where other fields of tiles are set"),
    ],
)
def test_fields_about_tiles_go_together(fields, fault):
    [found] = find_faults(Images("data", **fields))
    assert found.startswith(fault)
