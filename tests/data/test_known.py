"""Files that were decoded before are not decoded again, and nobody can tell by the pixels."""

import contextlib
import hashlib
import shutil

import numpy as np
import pytest
from PIL import Image

from tlmed.data import KnownPixels, decode, load, resize
from tlmed.data.decode_and_resize import decode_resized, examine
from tlmed.data.readers import read_plane
from tlmed.errors import InputError

SIZE = (12, 10)
NUMBER = 18


@pytest.fixture
def folder(tmp_path):
    """Two classes of 9 images of different sizes."""
    random = np.random.RandomState(0)
    for name in ("benign", "malignant"):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(NUMBER // 2):
            pixels = random.randint(0, 256, (random.randint(8, 20), 14, 3)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{index}.png")
    return tmp_path / "images"


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def decoded(monkeypatch):
    """Give a list that grows by the content of every image that is decoded."""
    contents = []

    def note(decode_it):
        def noted(content, size):
            contents.append(content)
            return decode_it(content, size)

        return noted

    for function in (decode_resized, examine):
        monkeypatch.setattr(f"tlmed.data.reading.{function.__name__}", note(function))
    return contents


def look(source, cache, size=SIZE, **options):
    return load(source, size, known=KnownPixels(cache, size), **options)


def pixels_of(images):
    return images.pixels.take(np.arange(len(images.splits)))


def expected(source, images):
    return np.stack([resize(decode((source / path).read_bytes()), images.image_size) for path in images.table.paths])


def check(source, images):
    """Assert that pixels and digests are those of the files, in the order of the table."""
    pixels = expected(source, images)
    np.testing.assert_array_equal(pixels_of(images), pixels)
    assert images.pixels.digests == tuple(hashlib.sha256(image).digest() for image in pixels)


@pytest.mark.parametrize("form", ["bmp", "tif", "gif", "png"])
def test_only_what_may_be_a_mask_is_decoded_twice_and_known_files_not_at_all(tmp_path, cache, monkeypatch, form):
    for name, colours in (("few", 2), ("many", 256)):
        (tmp_path / "images" / name).mkdir(parents=True)
        for seed in range(6):
            pixels = np.random.RandomState(seed).randint(0, colours, (12, 12)).astype(np.uint8) * (255 // (colours - 1))
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{seed}.{form}")
    opened, open_it = [], read_plane
    monkeypatch.setattr(
        "tlmed.data.decode_and_resize.read_plane", lambda content: opened.append(content) or open_it(content)
    )
    first = look(tmp_path / "images", cache)
    assert len(opened) == 6 * 3
    again = look(tmp_path / "images", cache)
    assert len(opened) == 6 * 3
    assert again.warnings == first.warnings
    assert any("two colours only" in said for said in first.warnings)


def test_known_files_are_not_decoded_and_give_the_same_pixels(folder, cache, decoded, memory_bytes):
    first = look(folder, cache, memory_bytes=memory_bytes)
    assert len(decoded) == NUMBER
    decoded.clear()
    again = look(folder, cache, memory_bytes=memory_bytes)
    assert decoded == []
    check(folder, first)
    check(folder, again)
    assert (again.sha256, again.table.paths) == (first.sha256, first.table.paths)
    np.testing.assert_array_equal(again.splits, first.splits)


def test_kept_pixels_are_decoded_once_when_they_are_needed(folder, cache, decoded):
    look(folder, cache)
    images = look(folder, cache)
    decoded.clear()
    rows = np.array([5, 2, 7])
    for _ in range(2):
        np.testing.assert_array_equal(images.pixels.take(rows), expected(folder, images)[rows])
        assert len(decoded) == 3
    for _ in range(2):
        check(folder, images)
        assert len(decoded) == NUMBER


def test_pixels_have_no_digests_where_nobody_asks(folder):
    assert load(folder, SIZE).pixels.digests is None


def test_another_image_size_is_another_table(folder, cache, decoded):
    look(folder, cache)
    check(folder, look(folder, cache, size=SIZE[::-1]))
    decoded.clear()
    look(folder, cache)
    look(folder, cache, size=SIZE[::-1])
    assert decoded == []


@pytest.mark.parametrize("name", ["PIL.__version__", "tlmed.data.decode_and_resize.RULE"])
def test_another_way_to_decode_is_another_table(folder, cache, decoded, name):
    look(folder, cache)
    decoded.clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(name, "another")
        look(folder, cache)
        assert len(decoded) == NUMBER
    decoded.clear()
    look(folder, cache)
    assert decoded == []


def flip(place):
    def damage(line):
        damaged = bytearray(line)
        damaged[place] = ord("1") if damaged[place] == ord("0") else ord("0")
        return bytes(damaged)

    return damage


DAMAGES = {
    "cut in the checksum": lambda line: line[:-3],
    "cut before the checksum": lambda line: line[:-9],
    "cut in the pixels": lambda line: line[:80],
    "cut in the content": lambda line: line[:40],
    "other content": flip(5),
    "other pixels": flip(70),
    "other checksum": flip(-1),
    "not text": lambda line: b"\xff" + line[1:],
    "two writers": lambda line: line[:30] + line,
    "nothing": lambda line: b"",
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_line_is_not_believed_and_harms_no_other(folder, cache, decoded, damage):
    look(folder, cache)
    path = KnownPixels(cache, SIZE).path
    first, *between, last = path.read_bytes().strip(b"\n").split(b"\n")
    path.write_bytes(b"\n".join([damage(first), *between, damage(last)]))
    decoded.clear()
    images = look(folder, cache)
    contents = [hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*.png")]
    tones = {hashlib.sha256(f"{content} tones".encode()).hexdigest(): content for content in contents}
    told = [line[:64].decode() for line in (first, last)]  # of an image's pixels, or of its tones
    assert {hashlib.sha256(content).hexdigest() for content in decoded} == {tones.get(name, name) for name in told}
    check(folder, images)
    decoded.clear()
    look(folder, cache)
    assert decoded == []


def test_a_changed_file_is_decoded_anew(folder, cache, decoded):
    look(folder, cache)
    path = folder / "malignant" / "3.png"
    Image.fromarray(np.full((9, 9, 3), 77, np.uint8)).save(path)
    decoded.clear()
    images = look(folder, cache)
    assert decoded == [path.read_bytes()]
    check(folder, images)


def test_a_file_is_known_by_its_content_wherever_it_lies(folder, cache, decoded):
    look(folder, cache)
    (folder / "malignant" / "3.png").rename(folder / "malignant" / "a new name.png")
    decoded.clear()
    images = look(folder, cache)
    assert decoded == []
    check(folder, images)


def test_what_two_runs_add_at_once_is_known_afterwards(folder, cache, decoded, tmp_path):
    tables = KnownPixels(cache, SIZE), KnownPixels(cache, SIZE)
    shutil.copytree(folder, tmp_path / "inverted")
    for path in (tmp_path / "inverted").rglob("*.png"):
        Image.fromarray(255 - decode(path.read_bytes())).save(path)
    folders = folder, tmp_path / "inverted"
    for source, table in zip(folders, tables, strict=True):
        load(source, SIZE, known=table)
    decoded.clear()
    found = [look(source, cache) for source in folders]
    assert decoded == []
    for source, images in zip(folders, found, strict=True):
        check(source, images)


def test_broken_images_are_found_every_time(folder, cache, decoded, memory_bytes):
    options = {"skip_bad": True, "memory_bytes": memory_bytes}
    look(folder, cache)
    whole = (folder / "benign" / "4.png").read_bytes()
    broken = {"benign/10.png": b"not an image", "malignant/0 cut.png": whole[: len(whole) // 2]}
    for path, content in broken.items():
        (folder / path).write_bytes(content)
    Image.fromarray(np.full((9, 9, 3), 77, np.uint8)).save(folder / "malignant" / "1 new.png")
    new = [(folder / "malignant" / "1 new.png").read_bytes()]
    for sound in (new, []):
        decoded.clear()
        images = look(folder, cache, **options)
        assert sorted(decoded) == sorted([*broken.values(), *sound])
        assert [path for path, _ in images.broken] == list(broken)
        check(folder, images)
        with pytest.raises(InputError, match="2 images of 21 cannot be read"):
            look(folder, cache)
    known = KnownPixels(cache, SIZE)
    assert not any(known.get(hashlib.sha256(content).hexdigest()) for content in broken.values())


@pytest.mark.parametrize("shapes", [((4, 9), (9, 4)), ((6, 6), (2, 6, 3))])
def test_arrays_of_other_shapes_with_the_same_bytes_are_told_apart(tmp_path, cache, decoded, shapes):
    numbers = np.random.RandomState(0).randint(0, 256, (30, 36)).astype(np.uint8)
    labels = np.arange(30).reshape(-1, 1) % 2
    for number, shape in enumerate(shapes):
        images = numbers.reshape(30, *shape)
        parts = {"train_images": images[:20], "test_images": images[20:]}
        parts |= {"train_labels": labels[:20], "test_labels": labels[20:]}
        np.savez(tmp_path / f"{number}.npz", **parts)
    for _ in range(2):
        for number in range(2):
            found = look(tmp_path / f"{number}.npz", cache)
            assert found.pixels.digests == tuple(hashlib.sha256(image).digest() for image in pixels_of(found))
    decoded.clear()
    for number in range(2):
        look(tmp_path / f"{number}.npz", cache)
    assert decoded == []


@pytest.mark.parametrize("place", ["cache", "pixels-1", "table"])
def test_a_table_that_cannot_be_written_costs_time_and_nothing_else(folder, cache, decoded, place):
    taken = {"cache": cache, "pixels-1": cache / "pixels-1", "table": KnownPixels(cache, SIZE).path}[place]
    taken.parent.mkdir(parents=True, exist_ok=True)
    taken.mkdir() if place == "table" else taken.write_text("mine")
    for _ in range(2):
        decoded.clear()
        images = look(folder, cache)
        assert len(decoded) == NUMBER
        check(folder, images)
    with contextlib.suppress(IsADirectoryError):
        assert taken.read_text() == "mine"
