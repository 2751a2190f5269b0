import gc
import os

import numpy as np
import pytest

from tlmed.cache import Store, limit_features, make_room
from tlmed.errors import InputError

SHAPE = (10, 100, 100, 3)  # 300,000 bytes


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TLMED_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TLMED_CACHE_LIMIT", "1MB")
    return tmp_path / "cache"


def fill(folder, name, rows):
    with Store(folder, 10**6).create(name, {}, (1000,), "uint8", [bytes(32)] * rows) as append:
        append(np.zeros((rows, 1000), np.uint8))


def test_pixels_are_in_memory_if_they_are_small_enough(folder):
    pixels, room = make_room(SHAPE, 300_000)
    assert (pixels.shape, room.place, folder.exists()) == (SHAPE, "memory", False)
    assert room.describe() == "Pixels: 300.0 KB, kept in memory"


def test_pixels_on_disk_count_against_the_limit_until_they_are_gone(folder):
    pixels, room = make_room(SHAPE, 1000)
    assert (room.place, limit_features(), os.listdir(folder)) == ("disk", 700_000, [])
    assert str(folder) in room.describe()
    part = pixels[2:4]
    del pixels
    gc.collect()
    assert limit_features() == 700_000  # a part of it is still there
    del part
    gc.collect()
    assert limit_features() == 1_000_000


def test_features_that_were_not_used_for_longest_make_room_for_pixels(folder):
    fill(folder, "older", 400)
    fill(folder, "newer", 400)
    pixels, _ = make_room(SHAPE, 1000)
    assert pixels is not None
    assert [path.parent.name for path in folder.glob("*/*/*.rows")] == ["newer"]


def test_pixels_larger_than_the_limit_are_not_kept_and_nothing_is_deleted_for_them(folder):
    fill(folder, "features", 400)
    pixels, room = make_room((40, 100, 100, 3), 1000)
    assert (pixels, room.place) == (None, "")
    assert room.describe() == (
        "Pixels: not kept, because they take 1.2 MB, and the limit of the cache is 1.0 MB (TLMED_CACHE_LIMIT): "
        "each epoch that is fed with images decodes them again"
    )
    assert len(list(folder.glob("*/*/*.rows"))) == 1


def test_a_folder_that_is_a_file_is_named(folder):
    folder.write_text("")
    pixels, room = make_room(SHAPE, 1000)
    assert pixels is None
    assert f"{folder} cannot hold them (Not a directory)" in room.describe()


def test_a_limit_that_is_no_size_is_refused(monkeypatch):
    monkeypatch.setenv("TLMED_CACHE_LIMIT", "much")
    with pytest.raises(InputError, match="must be a size"):
        make_room(SHAPE, 1000)
