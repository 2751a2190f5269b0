"""What a check computed from pixels is taken from the store when the same images are checked again, and only then."""

import dataclasses
import json
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.gate.test_near_copies import compress, draw_scene, frame
from tlmed.cache import Store
from tlmed.data import KnownPixels, load
from tlmed.gate import evidence, kept_evidence, near_copies
from tlmed.gate.battery import CHEAP, conduct
from tlmed.gate.evidence import gather
from tlmed.gate.kept_evidence import NOWHERE, Memory

SIZE = (96, 96)
LIMIT = 10**8


@pytest.fixture
def folder(tmp_path):
    """Twenty pictures of two classes, three of them copies of others."""
    pictures = [draw_scene(number) for number in range(17)]
    pictures += [compress(pictures[0]), frame(pictures[1]), pictures[2].point(lambda value: value * 0.8)]
    for number, picture in enumerate(pictures):
        path = tmp_path / "data" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        picture.save(path)
    return tmp_path / "data"


@pytest.fixture
def computed(monkeypatch):
    """Give how many pictures were drawn, and how often they were compared."""
    found = {"drawn": 0, "compared": 0}
    draw, compare = evidence.draw_sketches, near_copies._find_pairs

    def note_drawn(pixels):
        found["drawn"] += len(pixels)
        return draw(pixels)

    def note_compared(*arguments):
        found["compared"] += 1
        return compare(*arguments)

    monkeypatch.setattr(evidence, "draw_sketches", note_drawn)
    monkeypatch.setattr(near_copies, "_find_pairs", note_compared)
    return found


def make_memory(tmp_path, limit=LIMIT, warn=lambda line: None):
    return Memory(Store(tmp_path / "store", limit), warn)


def check(folder, tmp_path, memory, seed=0):
    images = load(folder, SIZE, seed=seed, known=KnownPixels(tmp_path / "known", SIZE))
    parts = conduct(gather(images, seed, memory=memory), CHEAP)
    return json.dumps([dataclasses.asdict(part) for part in parts], sort_keys=True, default=str)


def test_a_second_check_finds_the_same_without_computing_it_again(folder, tmp_path, computed):
    memory = make_memory(tmp_path)
    found = [check(folder, tmp_path, NOWHERE), check(folder, tmp_path, memory)]
    assert computed == {"drawn": 40, "compared": 2}
    found.append(check(folder, tmp_path, memory))
    assert computed == {"drawn": 40, "compared": 2}
    assert found == found[:1] * 3
    assert found[0].count("near-copy") >= 3


def test_checks_at_the_same_time_compare_images_once(folder, tmp_path, computed, monkeypatch):
    compare = near_copies._find_pairs

    def take_long(*arguments):
        time.sleep(0.3)
        return compare(*arguments)

    monkeypatch.setattr(near_copies, "_find_pairs", take_long)
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda _: check(folder, tmp_path, make_memory(tmp_path)), range(2)))
    assert computed["compared"] == 1
    assert found[0] == found[1]
    assert not list((tmp_path / "store").rglob("*.turn"))


def test_another_seed_divides_the_same_copies_in_another_way(folder, tmp_path, computed):
    memory = make_memory(tmp_path)
    check(folder, tmp_path, memory)
    known = check(folder, tmp_path, memory, seed=1)
    assert computed == {"drawn": 20, "compared": 1}
    assert known == check(folder, tmp_path, NOWHERE, seed=1)


def test_a_file_that_changed_is_computed_anew(folder, tmp_path, computed):
    memory = make_memory(tmp_path)
    before = check(folder, tmp_path, memory)
    draw_scene(99).save(folder / "a" / "18.png")  # was a copy
    after = check(folder, tmp_path, memory)
    assert computed == {"drawn": 21, "compared": 2}
    assert after == check(folder, tmp_path, NOWHERE)
    assert after != before


def test_groups_decide_what_a_copy_is(folder, tmp_path, computed):
    memory = make_memory(tmp_path)
    images = load(folder, SIZE, known=KnownPixels(tmp_path / "known", SIZE))
    grouped = dataclasses.replace(images, table=dataclasses.replace(images.table, groups=("one",) * len(images.table)))
    for part in (images, grouped, images, grouped):
        near_copies.check_near_copies(gather(part, memory=memory))
    assert computed == {"drawn": 20, "compared": 2}


@pytest.mark.parametrize("damage", ["cut", "changed"])
def test_damaged_files_are_named_and_computed_anew(folder, tmp_path, computed, damage):
    said = []
    memory = make_memory(tmp_path, warn=said.append)
    before = check(folder, tmp_path, memory)
    files = sorted((tmp_path / "store").rglob("*.rows"))
    assert len(files) == 2
    for file in files:
        content = bytearray(file.read_bytes())
        content[10] ^= 1
        file.write_bytes(content[:-5] if damage == "cut" else content)
    assert check(folder, tmp_path, memory) == before
    assert computed == {"drawn": 40, "compared": 2}
    assert len(said) == 2
    assert all(str(file) in " ".join(said) for file in files)
    assert check(folder, tmp_path, memory) == before
    assert computed == {"drawn": 40, "compared": 2}


def test_other_code_computes_anew(folder, tmp_path, computed, monkeypatch):
    memory = make_memory(tmp_path)
    check(folder, tmp_path, memory)
    monkeypatch.setattr(kept_evidence, "_describe_means", lambda: {"code": "another"})
    check(folder, tmp_path, memory)
    assert computed == {"drawn": 40, "compared": 2}


def test_a_store_without_room_or_that_is_no_folder_changes_nothing(folder, tmp_path, computed):
    (tmp_path / "file").write_text("no folder")
    expected = check(folder, tmp_path, NOWHERE)
    for memory in (make_memory(tmp_path, limit=1000), Memory(Store(tmp_path / "file", LIMIT))):
        assert check(folder, tmp_path, memory) == expected
    assert computed == {"drawn": 60, "compared": 3}


def test_what_is_kept_is_what_was_computed_to_the_bit(folder, tmp_path):
    memory, images = make_memory(tmp_path), load(folder, SIZE, known=KnownPixels(tmp_path / "known", SIZE))
    one, other = (gather(images, memory=memory) for _ in range(2))
    np.testing.assert_array_equal(one.sketches, other.sketches)
    assert one.frames.tobytes() == other.frames.tobytes()
    pairs = near_copies._find_pairs(one.sketches, np.arange(20), near_copies.Sets(20))
    memory.keep_pairs("0" * 64, *pairs)
    again = memory.recall_pairs("0" * 64)
    assert again[1] == pairs[1]
    assert len(again[0]) == len(pairs[0]) >= 3
    for pair, kept in zip(pairs[0], again[0], strict=True):
        assert (pair.first, pair.second, pair.correlation) == (kept.first, kept.second, kept.correlation)
        np.testing.assert_array_equal(pair.matrix, kept.matrix)
        np.testing.assert_array_equal(pair.boxes, kept.boxes)
        assert (pair.matrix.dtype, pair.boxes.dtype) == (kept.matrix.dtype, kept.boxes.dtype)


def test_no_copies_are_remembered_too(tmp_path):
    memory = make_memory(tmp_path)
    memory.keep_pairs("0" * 64, [], 7)
    assert memory.recall_pairs("0" * 64) == ([], 7)
    assert memory.recall_pairs("1" * 64) is None
