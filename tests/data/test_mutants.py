"""Images with damage anywhere: read as pixels, or named with a reason; nothing hangs, nothing is lost unsaid."""

import io
import time

import numpy as np
import pytest
from PIL import Image

from tests.data.test_data_images import COLOUR, DEEP, GRAY, PALETTE, SMOOTH, encode, encode_png16, tiff16
from tlmed.data import load, read_files
from tlmed.data.decode_and_resize import PixelRule
from tlmed.errors import InputError
from tlmed.intensity import resolve

MUTANTS = 160  # of each seed file: some 2,000 in all
RULE = PixelRule((8, 8), resolve((0, 255, "range")))  # with floats, some range is needed
LONGEST = 10  # seconds for one image, on a machine that has other work


def encode_frames(form):
    stream = io.BytesIO()
    frames = [Image.fromarray(GRAY), Image.fromarray(255 - GRAY)]
    frames[0].save(stream, form, save_all=True, append_images=frames[1:])
    return stream.getvalue()


def encode_npy(values):
    stream = io.BytesIO()
    np.save(stream, values)
    return stream.getvalue()


def encode_turned():
    exif = Image.Exif()
    exif[0x0112] = 6
    return encode(SMOOTH, "JPEG", exif=exif)


SEEDS = {
    "png": encode(COLOUR, "PNG"),
    "png palette": encode(PALETTE, "PNG"),
    "png 16": encode_png16(np.dstack([DEEP] * 3), 2),
    "png frames": encode_frames("PNG"),
    "jpeg": encode(SMOOTH, "JPEG"),
    "jpeg progressive": encode(SMOOTH, "JPEG", progressive=True),
    "jpeg turned": encode_turned(),
    "gif": encode_frames("GIF"),
    "bmp": encode(COLOUR, "BMP"),
    "tiff": tiff16(DEEP, 1),
    "tiff deflated": encode(COLOUR, "TIFF", compression="tiff_deflate"),
    "tiff lzw": encode(COLOUR, "TIFF", compression="tiff_lzw"),
    "tiff frames": encode_frames("TIFF"),
    "tiff floats": encode(Image.fromarray(GRAY.astype(np.float32)), "TIFF"),
    "tiff floats deflated": encode(Image.fromarray(GRAY.astype(np.float32)), "TIFF", compression="tiff_deflate"),
    "npy": encode_npy(GRAY.astype(np.int32)),
}


def mutate(content: bytes, random: np.random.RandomState) -> bytes:
    """Change bits, bytes, words or blocks of a file, cut it, or join parts of it."""
    changed, size = bytearray(content), len(content)
    for _ in range(random.randint(1, 5)):
        place = random.randint(min(size, 200) if random.randint(2) else size)
        kind = random.randint(6)
        if kind == 0:
            changed[place : place + 1] = bytes([changed[min(place, len(changed) - 1)] ^ (1 << random.randint(8))])
        elif kind == 1:
            changed[place : place + 1] = bytes([random.randint(256)])
        elif kind == 2:  # lengths, sizes and offsets are words
            changed[place : place + 4] = [b"\xff" * 4, b"\x7f\xff\xff\xff", bytes(4), b"\x80\0\0\0"][random.randint(4)]
        elif kind == 3:
            del changed[place : place + random.randint(1, 40)]
        elif kind == 4:
            changed[place:place] = random.bytes(random.randint(1, 40))
        else:
            start = random.randint(size)
            changed[place:place] = content[start : start + random.randint(1, 200)]
        if not changed:
            break
    return bytes(changed)


SOUND = 3


@pytest.fixture(params=SEEDS)
def mutants(request, tmp_path):
    """Give a folder of two classes, in one of which are damaged images beside a sound one."""
    name = request.param
    random = np.random.RandomState(list(SEEDS).index(name))
    suffix = f".{name.split()[0]}"
    for folder in ("sound", "odd"):
        (tmp_path / "images" / folder).mkdir(parents=True)
        (tmp_path / "images" / folder / f"whole{suffix}").write_bytes(SEEDS[name])
    for number in range(SOUND - 1):  # so many as each split needs one of
        (tmp_path / "images" / "sound" / f"{number}{suffix}").write_bytes(SEEDS[name])
    for number in range(MUTANTS):
        (tmp_path / "images" / "odd" / f"{number:03}{suffix}").write_bytes(mutate(SEEDS[name], random))
    return tmp_path / "images"


@pytest.mark.slow
def test_mutants_are_read_or_named(mutants):
    paths = sorted((mutants / "odd").iterdir())
    named, read = {}, []
    for path in paths:
        begin = time.perf_counter()
        try:
            names, files, broken = read_files([path], RULE, skip_bad=True)
            assert (names, len(files.rows), broken) == ([str(path)], 1, [])
            read.append(str(path))
        except InputError as error:  # both are right: some damage cannot be seen
            (fault,) = error.faults
            assert "\n" not in fault
            assert fault.startswith("Every image must be readable"), fault
            named[str(path)] = fault
        assert time.perf_counter() - begin < LONGEST, path
    assert len(named) > MUTANTS // 10
    assert str(next((mutants / "odd").glob("whole*"))) in read

    # All at once: nothing is missing, and the pixels are those that each gives alone.
    names, files, broken = read_files([mutants / "odd"], RULE, skip_bad=True)
    assert (sorted(names), sorted(path for path, _ in broken)) == (read, sorted(named))
    assert len(files.pixels.tones) == len(files.rows) == len(read)
    for row in range(0, len(names), 10):
        _, alone, _ = read_files([names[row]], RULE)
        np.testing.assert_array_equal(files.pixels.take(np.array([row])), alone.pixels.take(np.array([0])))

    images = load(mutants, RULE, split=None, skip_bad=True)
    assert {f"{mutants}/{path}" for path, _ in images.broken} == set(named)
    assert len(images.table) + len(images.broken) == len(paths) + SOUND
    assert any(f"{len(named)} images left out" in sentence for sentence in images.warnings)
    with pytest.raises(InputError) as caught:
        load(mutants, RULE)
    (fault,) = caught.value.faults
    assert f"{len(named)} images of {len(paths) + SOUND} cannot be read" in fault
    assert "\n" not in fault
