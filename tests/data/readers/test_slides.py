"""Slides: the same pixels as OpenSlide gives, resolutions, and files that are refused."""

import contextlib

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image

from tlmed.data.kinds import read_head
from tlmed.data.readers.slides import is_slide, open_slide

TILED = {"tile": (128, 128), "photometric": "rgb"}


def draw(height=600, width=800, seed=0):
    """Draw coarse noise in the colours of tissue, with white glass on the left."""
    small = np.random.RandomState(seed).randint(80, 220, (height // 20, width // 20, 3)).astype(np.uint8)
    image = np.asarray(Image.fromarray(small).resize((width, height)))
    return np.where(np.arange(width)[None, :, None] < width // 2, np.uint8(245), image)


def write(file, *levels, mpp=0.5, **options):
    """Write a pyramid as a scanner does, and return its path."""
    options = {**TILED, **options}
    if mpp is not None:
        options |= {"resolution": (1e4 / mpp,) * 2, "resolutionunit": "CENTIMETER"}
    with tifffile.TiffWriter(file) as writer:
        for number, pixels in enumerate(levels):
            writer.write(pixels, subifds=len(levels) - 1 if number == 0 else 0, subfiletype=int(number > 0), **options)
    return file


@pytest.mark.parametrize("compression", ["jpeg", "lzw", "deflate", None])
def test_tiles_are_those_of_openslide(tmp_path, compression):
    file = write(tmp_path / "a.tif", draw(), compression=compression)
    theirs, ours = openslide.OpenSlide(file), open_slide(file)
    assert ours.shape == theirs.dimensions[::-1]
    for corner in [(0, 0), (411, 203), (544, 344)]:
        expected = np.asarray(theirs.read_region(corner, 0, (256, 256)).convert("RGB")).astype(int)
        assert np.abs(ours.read(corner, 256).values - expected).max() <= 1


def test_the_smallest_level_with_enough_detail_is_read(tmp_path):
    levels = [draw(), np.full((300, 400, 3), 2, np.uint8), np.full((150, 200, 3), 4, np.uint8)]
    slide = open_slide(write(tmp_path / "a.tif", *levels))
    found = [slide.read((400, 200), 128, shrink).values for shrink in (1, 1.9, 2, 3.9, 4, 50)]
    assert [len(pixels) for pixels in found] == [128, 128, 64, 64, 32, 32]
    assert [int(pixels.max()) for pixels in found[2:]] == [2, 2, 4, 4]


@pytest.mark.parametrize(("mpp", "known"), [(0.25, 0.25), (352.8, None), (None, None)])
def test_a_resolution_is_known_unless_it_is_one_of_print(tmp_path, mpp, known):
    assert open_slide(write(tmp_path / "a.tif", draw(), mpp=mpp)).mpp == pytest.approx(known)


def test_pixels_that_are_no_squares_are_refused(tmp_path):
    file = write(tmp_path / "a.tif", draw(), mpp=None, resolution=(20_000, 10_000), resolutionunit="CENTIMETER")
    with pytest.raises(ValueError, match=r"no squares: 0.5 x 1 micrometres"):
        open_slide(file)


def test_a_tiff_in_tiles_is_a_slide_and_one_in_strips_is_a_picture(tmp_path):
    tiled = write(tmp_path / "a.tif", draw())
    strips = tmp_path / "b.tif"
    Image.fromarray(draw()).save(strips)
    picture = tmp_path / "c.svs"
    Image.fromarray(draw()).save(picture, "PNG")
    assert [is_slide(file, read_head(file)) for file in (tiled, strips, picture)] == [True, False, False]


def test_what_would_be_decoded_as_one_piece_is_bounded(tmp_path):
    file = write(tmp_path / "a.svs", np.zeros((64, 64, 3), np.uint8), tile=(64, 64))
    content = bytearray(file.read_bytes())
    with tifffile.TiffFile(file) as found:
        tags = {name: found.pages[0].tags[name].valueoffset for name in ("TileWidth", "TileLength")}
    for place in tags.values():
        content[place : place + 4] = (2**20).to_bytes(4, "little")
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"more than 67,108,864 pixels of it are stored as one piece"):
        open_slide(file)


def test_16_bits_are_refused(tmp_path):
    file = write(tmp_path / "a.tif", draw().astype(np.uint16))
    with pytest.raises(ValueError, match="its pixels have no 8 bits"):
        open_slide(file)


@pytest.mark.parametrize("keep", [20, 400, 5000])
def test_a_slide_that_is_cut_off_is_refused_with_nothing_of_it_in_the_reason(tmp_path, keep, capsys):
    file = write(tmp_path / "a.svs", draw(), description="Aperio Jane Doe", compression="jpeg")
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(ValueError, match="damaged") as error:
        open_slide(file).read((544, 344), 256)
    assert "Jane" not in str(error.value)
    assert error.value.__cause__ is None
    assert capsys.readouterr() == ("", "")  # tifffile logs what it finds


def test_label_and_overview_of_a_slide_are_not_read(tmp_path):
    """Scanners keep a photo of the label, with the patient's name, and one of the whole glass, as further pages."""
    file, label = tmp_path / "a.svs", np.full((700, 700, 3), 7, np.uint8)
    with tifffile.TiffWriter(file) as writer:
        about = "Aperio Image Library v10\r\n800x600 (128x128) JPEG|AppMag = 20|MPP = 0.5"
        writer.write(draw(), description=about, metadata=None, **TILED)
        for kind, number in {"label": 1, "macro": 9}.items():
            said = f"Aperio Image Library v10\r\n{kind} 700x700"
            writer.write(label, description=said, metadata=None, photometric="rgb", subfiletype=number)
    slide = open_slide(file)
    assert (slide.shape, slide.mpp) == ((600, 800), 0.5)
    assert min(slide.read((x, y), 100, shrink).values.min() for x, y in [(0, 0), (700, 500)] for shrink in (1, 50)) > 7


@pytest.mark.parametrize("compression", ["jpeg", "lzw", "deflate"])
def test_a_tile_that_is_damaged_is_not_shown(tmp_path, compression):
    file = write(tmp_path / "a.svs", draw(), compression=compression)
    with tifffile.TiffFile(file) as found:
        page = found.pages[0]
        start, size = page.dataoffsets[-1], page.databytecounts[-1]
    content = bytearray(file.read_bytes())
    content[start : start + size] = bytes(size)
    file.write_bytes(content)
    slide = open_slide(file)
    assert slide.read((0, 0), 128).values.shape == (128, 128, 3)
    with pytest.raises(ValueError, match="it is damaged where a tile is read"):
        slide.read((672, 472), 128)


@pytest.mark.slow
def test_mutants_end_in_a_reason(tmp_path):
    sound = write(tmp_path / "a.tif", draw(200, 300), draw(100, 150), compression="jpeg", tile=(64, 64)).read_bytes()
    random, mutant, read = np.random.RandomState(0), tmp_path / "m.tif", 0
    for number in range(2000):
        content = bytearray(sound)
        # Half of the mutants change the directory, which is at the end or the start, half of them anything.
        span = 600 if number % 2 else len(content)
        for place in random.randint(0, span, random.randint(1, 6)):
            content[place] = random.randint(256)
        mutant.write_bytes(content)
        with contextlib.suppress(ValueError):
            slide = open_slide(mutant)
            if min(slide.shape) >= 64:
                slide.read((0, 0), 64, 2)
            read += 1
    assert 200 < read < 2000
