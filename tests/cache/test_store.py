"""What the store gives back is what was put in, whatever is killed, cut short, full or in another's hands."""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import resource
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

from tlmed.cache import Store, StoreError

PLENTY = 10**9
ROWS = np.random.RandomState(0).normal(size=(6, 100)).astype("float32")
NO_PROCESS = 999_999_999


def digests(rows, batch=""):
    return tuple(hashlib.sha256(f"{batch}{i}".encode()).digest() for i in range(len(rows)))


def write(store, key="key", rows=ROWS, batch="", dtype="float32", error=None):
    with store.create(key, {"name": "a network"}, rows.shape[1:], dtype, digests(rows, batch)) as append:
        append(rows[:4])
        if error is not None:
            raise error
        append(rows[4:])


def read(store, key="key", shape=ROWS.shape[1:], dtype="float32", wanted=None):
    return store.open(key, shape, dtype, wanted)


def fill(folder, *keys):
    for key in keys:
        write(Store(folder, PLENTY), key)


def files(store):
    return sorted(path for path in store.folder.rglob("*") if not path.is_dir())


def keys(folder):
    """Return the keys that the store holds, the last used one first."""
    return [entry.key for entry in Store(folder, PLENTY).entries()]


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "cache", PLENTY)


@pytest.fixture
def size(tmp_path):
    """Give the bytes of one entry."""
    fill(tmp_path / "one", "key")
    return Store(tmp_path / "one", PLENTY).entries()[0].size


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_rows_come_back_as_they_were_put_in(store, shape, dtype):
    rows = np.random.RandomState(1).normal(size=(9, *shape)).astype(dtype)
    write(store, rows=rows, dtype=dtype)
    (found,), notes = read(Store(store.folder.parent, PLENTY), "key", shape, dtype)
    entry = found.entry
    assert notes == []
    np.testing.assert_array_equal(found.values, rows)
    assert found.values.dtype == entry.dtype == dtype
    assert (entry.key, entry.about, entry.shape, entry.count) == ("key", {"name": "a network"}, shape, 9)
    assert found.digests == digests(rows)
    assert entry.size == entry.path.stat().st_size


def test_rows_are_kept_in_the_numbers_asked_for(store):
    write(store, dtype="float16")
    np.testing.assert_array_equal(read(store, dtype="float16")[0][0].values, ROWS.astype("float16"))


def test_rows_of_other_images_lie_beside_the_first(store):
    write(store)
    write(store, rows=ROWS[:5] + 1, batch="later ")
    found = {rows.entry.count: rows for rows in read(store, "key")[0]}
    np.testing.assert_array_equal(found[6].values, ROWS)
    np.testing.assert_array_equal(found[5].values, ROWS[:5] + 1)
    assert found[5].digests == digests(ROWS[:5], "later ")


def test_nobody_sees_an_entry_before_it_is_whole(store):
    other = Store(store.folder.parent, PLENTY)
    with store.create("key", {}, ROWS.shape[1:], "float32", digests(ROWS)) as append:
        append(ROWS)
        assert read(other, "key") == ([], [])
        assert other.verify() == (0, [])
    assert other.verify() == (1, [])


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_nothing_stays_of_an_entry_that_was_broken_off(store, error):
    with pytest.raises(error):
        write(store, error=error)
    assert files(store) == []
    assert read(store, "key") == ([], [])


@pytest.mark.parametrize("number", [5, 7])
def test_another_number_of_rows_than_images_is_an_error(store, number):
    with (
        pytest.raises(ValueError, match="one for each row"),
        store.create("key", {}, (100,), "float32", digests(range(number))) as append,
    ):
        append(ROWS)
    assert files(store) == []


def test_what_a_killed_process_left_is_not_read_and_swept(store):
    script = """
import os, signal, sys
import numpy as np
from tlmed.cache import Store
with Store(sys.argv[1], 10**9).create("key", {}, (5000,), "float32", [bytes(32)] * 4) as append:
    append(np.ones((2, 5000)))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    arguments = [sys.executable, "-c", script, str(store.folder.parent)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=100)
    assert done.returncode == -signal.SIGKILL, done.stderr[-2000:]
    (left,) = files(store)
    assert left.suffix == ".part"
    assert (read(store, "key"), store.entries(), store.verify()) == (([], []), [], (0, []))
    write(store, "other")
    assert files(store) == [store.entries()[0].path]


@pytest.mark.parametrize("host", ["elsewhere", "{own}-gpu", "{own}-999999999"])
def test_what_another_machine_is_writing_stays(store, host):
    write(store)
    part = store.folder / f"{host.format(own=socket.gethostname())}-{NO_PROCESS}-0123abcd.part"
    part.write_bytes(b"half")
    write(store, "other")
    assert part.exists()


def test_two_that_build_one_entry_at_once_both_succeed(store):
    half_way = threading.Barrier(2)

    def build(_):
        own = Store(store.folder.parent, PLENTY)
        with own.create("key", {}, ROWS.shape[1:], "float32", digests(ROWS)) as append:
            append(ROWS[:3])
            half_way.wait(timeout=20)
            append(ROWS[3:])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(build, range(2)))
    (found,), notes = read(store, "key")
    assert notes == []
    np.testing.assert_array_equal(found.values, ROWS)
    assert files(store) == [found.entry.path]


@contextlib.contextmanager
def disk_with(room):
    """Let no file grow above a number of bytes: the system itself refuses the rest, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("values", "room"),
    [(5000, 30_000), (5000, 120_000), (10, 100)],
    ids=["in the rows", "after the rows", "in what was buffered"],
)
def test_a_disk_that_gets_full_is_told_and_nothing_stays(store, values, room):
    rows = np.ones((6, values), "float32")
    with disk_with(room), pytest.raises(StoreError, match=f"File too large: {store.folder}"):
        write(store, rows=rows)
    assert files(store) == []
    write(store, rows=rows)
    assert store.verify() == (1, [])


def test_a_disk_that_is_full_only_when_all_is_written_is_told_too(store, monkeypatch):
    def fail(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(StoreError, match=f"No space left on device: {store.folder}"):
        write(store)
    assert files(store) == []


@pytest.mark.parametrize("taken", [".", "features-1", "features-1/key"])
def test_a_folder_that_cannot_be_made_is_told(store, taken):
    place = store.folder.parent / taken
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("mine")
    with contextlib.suppress(StoreError):
        assert read(store, "key") == ([], [])
    with pytest.raises(StoreError, match=str(store.folder)):
        write(store)
    assert place.read_text() == "mine"
    assert files(store) in ([], [place])


def flip(place):
    def damage(whole, _):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        return bytes(damaged)

    return damage


DAMAGES = {
    "cut at the end": lambda whole, _: whole[:-40],
    "cut in the rows": lambda whole, _: whole[:1000],
    "cut at the beginning": lambda whole, _: whole[1:],
    "longer": lambda whole, _: whole + b"\0",
    "empty": lambda *_: b"",
    "text": lambda *_: b"not rows\n" * 100,
    "first row": flip(0),
    "last row": flip(ROWS.nbytes - 1),
    "digests": flip(ROWS.nbytes + 40),
    "description": flip(ROWS.nbytes + 6 * 32 + 20),
    "length": flip(-52),
    "checksum": flip(-20),
    "magic": flip(-1),
    "of another key": lambda _, other: other,
}


@pytest.fixture
def shelves(store):
    """Give the paths of two entries of one key, and of one of another."""
    fill(store.folder.parent, "key", "other")
    write(Store(store.folder.parent, PLENTY), batch="later ")
    other, first, second = sorted(store.entries(), key=lambda entry: (entry.key == "key", entry.used))
    return first.path, second.path, other.path


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_file_is_deleted_when_it_is_opened(store, shelves, damage):
    path, beside, other = shelves
    path.write_bytes(damage(path.read_bytes(), other.read_bytes()))
    found, (note,) = read(store, "key")
    assert [rows.entry.path for rows in found] == [beside]
    assert "damaged and is computed again" in note
    assert str(path) in note
    assert files(store) == sorted([beside, other])
    assert [rows.entry.path for rows in read(store, "other")[0]] == [other]


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_verify_names_damaged_files_and_deletes_them(store, shelves, damage):
    path, beside, other = shelves
    path.write_bytes(damage(path.read_bytes(), other.read_bytes()))
    sound, ((named, reason),) = store.verify()
    assert (sound, named) == (2, path)
    assert reason
    assert files(store) == sorted([beside, other])
    assert store.verify() == (2, [])


@pytest.mark.parametrize("damage", ["empty", "text", "description"])
def test_a_file_that_cannot_be_read_hides_no_other_from_the_list(store, shelves, damage):
    path, beside, other = shelves
    path.write_bytes(DAMAGES[damage](path.read_bytes(), b""))
    assert {entry.path for entry in store.entries()} == {beside, other}


def test_a_damaged_entry_can_be_written_again(store, shelves):
    path, _, _ = shelves
    path.write_bytes(b"")
    read(store, "key")
    write(store)
    assert len(read(store, "key")[0]) == 2
    assert path.exists()


def seal(whole, change):
    """Change the description of a file, and make every hash and length in it right again."""
    length = struct.unpack("<Q", whole[-TAIL:][:8])[0]
    words = json.loads(whole[-TAIL - length : -TAIL])
    words = change(words) or words
    text = words if isinstance(words, bytes) else json.dumps(words).encode()
    return whole[: -TAIL - length] + text + struct.pack("<Q", len(text)) + hashlib.sha256(text).digest() + MAGIC


def put(**fields):
    return lambda words: words.update(fields)


MAGIC = b"tlmed-rows\x00\x01"
TAIL = 8 + 32 + len(MAGIC)
FORGED = {
    "objects": put(dtype="object", shape=[50]),
    "double precision": put(dtype="float64", shape=[50]),
    "text": put(dtype="S4"),
    "whole numbers": put(dtype="int32"),
    "other byte order": put(dtype=">f4"),
    "a record": put(dtype=[["x", "<f4"]]),
    "half precision": put(dtype="float16", shape=[200]),
    "no dtype": lambda words: {name: words[name] for name in words if name != "dtype"},
    "another shape": put(shape=[10, 10]),
    "fewer and wider": put(shape=[3 * 100 + 2 * 8], count=2),
    "negative": put(shape=[-1, -100]),
    "truth": put(shape=[100, True]),
    "zero": put(shape=[0], count=0),
    "huge": put(shape=[2**62, 2**62], count=2**62),
    "a number for a shape": put(shape=100),
    "text for a count": put(count="6"),
    "half a row": put(count=6.0),
    "no key": put(key=None),
    "no digest": put(sha256=7),
    "no words": put(about=None),
    "no table": lambda words: b"[1, 2]",
    "no JSON": lambda words: b"{",
    "no text": lambda words: b"\xff\xfe",
    "deep": lambda words: b"[" * 100_000,
    "long": lambda words: b" " * 2**20 + json.dumps(words).encode(),
}


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_a_forged_file_whose_hashes_are_right_is_damaged(store, change):
    write(store)
    (entry,) = store.entries()
    whole = entry.path.read_bytes()
    assert seal(whole, lambda words: None) == whole
    forged = seal(whole, change)
    entry.path.write_bytes(forged)
    assert [entry.shape for entry in store.entries()] in ([], [(10, 10)], [(316,)], [(200,)])
    found, (note,) = read(store)
    assert (found, entry.path.exists()) == ([], False)
    assert "damaged and is computed again" in note


@pytest.mark.slow
def test_a_file_with_any_byte_changed_gives_the_rows_that_were_put_in_or_none(store):
    random = np.random.RandomState(0)
    write(store)
    (entry,) = store.entries()
    whole = entry.path.read_bytes()
    entry.path.unlink()
    for place in [*range(0, ROWS.nbytes, 97), *range(ROWS.nbytes, len(whole))]:
        for damaged in (
            whole[:place] + bytes([whole[place] ^ (1 << random.randint(8))]) + whole[place + 1 :],
            whole[:place],
            whole[:place] + random.bytes(random.randint(1, 40)) + whole[place:],
        ):
            entry.path.parent.mkdir(exist_ok=True)
            entry.path.write_bytes(damaged)
            assert store.entries() in ([], [dataclasses.replace(entry, used=entry.path.stat().st_mtime)])
            found, notes = read(store)
            assert (found, len(notes)) == ([], 1), place


def test_older_formats_are_never_read_and_cleared(store):
    write(store)
    old, notes = store.folder.parent / "features-0", store.folder.parent / "notes.txt"
    store.folder.rename(old)
    notes.write_text("mine")
    assert (read(store, "key"), store.entries(), store.verify()) == (([], []), [], (0, []))
    write(store, "new")
    sizes = [path.stat().st_size for folder in (old, store.folder) for path in folder.rglob("*.rows")]
    assert store.clear() == (2, sum(sizes))
    assert list(store.folder.parent.iterdir()) == [notes]
    assert store.clear() == (0, 0)


def test_the_least_recently_used_goes_first(tmp_path, size):
    fill(tmp_path, "a", "b", "c")
    read(Store(tmp_path, PLENTY), "a")
    assert keys(tmp_path) == ["a", "c", "b"]
    write(Store(tmp_path, 3 * size), "d")
    assert keys(tmp_path) == ["d", "a", "c"]
    write(Store(tmp_path, 2 * size), "e")
    assert keys(tmp_path) == ["e", "d"]


def test_nothing_goes_while_there_is_room(tmp_path, size):
    fill(tmp_path, "a", "b")
    write(Store(tmp_path, 3 * size), "c")
    assert keys(tmp_path) == ["c", "b", "a"]


def test_what_this_process_reads_stays_while_others_go(tmp_path, size):
    fill(tmp_path, "a", "b")
    store = Store(tmp_path, 2 * size)
    read(store, "a")
    read(Store(tmp_path, PLENTY), "b")
    write(store, "c")
    assert keys(tmp_path) == ["c", "a"]


def test_what_this_process_wrote_stays_while_others_go(tmp_path, size):
    store = Store(tmp_path, 2 * size)
    write(store, "a")
    fill(tmp_path, "b")
    write(store, "c")
    assert keys(tmp_path) == ["c", "a"]


def test_what_is_larger_than_the_limit_is_refused_and_costs_nobody_a_file(tmp_path, size):
    fill(tmp_path, "a")
    with pytest.raises(StoreError, match="limit of the cache"):
        write(Store(tmp_path, size // 2), "b")
    assert keys(tmp_path) == ["a"]
    assert Store(tmp_path, PLENTY).verify() == (1, [])


def test_a_clock_that_went_back_costs_no_fresh_entry(tmp_path, size, monkeypatch):
    fill(tmp_path, "a", "b")
    an_hour_ago = time.time() - 3600
    monkeypatch.setattr(time, "time", lambda: an_hour_ago)
    read(Store(tmp_path, PLENTY), "a")
    assert keys(tmp_path) == ["a", "b"]
    fill(tmp_path, "c")
    assert keys(tmp_path) == ["c", "a", "b"]
    read(Store(tmp_path, PLENTY), "b")
    write(Store(tmp_path, 3 * size), "d")
    assert keys(tmp_path) == ["d", "b", "c"]


def test_deleting_a_file_harms_nobody_who_reads_it(store):
    rows = np.random.RandomState(2).normal(size=(64, 5000)).astype("float32")
    write(store, rows=rows)
    mapped = read(store, shape=(5000,))[0][0].values
    assert Store(store.folder.parent, PLENTY).clear()[0] == 1
    np.testing.assert_array_equal(mapped, rows)


def test_half_of_the_free_disk_is_left(tmp_path, size, monkeypatch):
    fill(tmp_path, "a", "b")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2 * size - 100))
    write(Store(tmp_path, PLENTY), "c")
    assert keys(tmp_path) == ["c", "b"]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    reader = Store(tmp_path, PLENTY)
    read(reader, "b"), read(reader, "c")
    with pytest.raises(StoreError, match="half of what the disk has left is 5 B"):
        write(reader, "d")
    assert keys(tmp_path) == ["c", "b"]


def test_files_of_other_images_are_neither_read_nor_kept(tmp_path, size):
    store = Store(tmp_path, PLENTY)
    write(store)
    write(store, rows=ROWS[:5] + 1, batch="later ")
    reader = Store(tmp_path, 2 * size + 100)
    (found,), _ = read(reader, wanted=set(digests(ROWS[:5], "later ")))
    np.testing.assert_array_equal(found.values, ROWS[:5] + 1)
    write(reader, "other")
    assert {entry.count for entry in reader.entries() if entry.key == "key"} == {5}


def test_numbers_beyond_half_precision_are_refused(store):
    with pytest.raises(StoreError, match="features up to 7e\\+04 do not fit into float16"):
        write(store, rows=ROWS + 70000, dtype="float16")
    assert files(store) == []


def test_a_folder_that_another_process_emptied_is_made_again(store):
    with store.create("key", {}, ROWS.shape[1:], "float32", digests(ROWS)) as append:
        append(ROWS)
        (store.folder / "key").rmdir()
    assert len(read(store, "key")[0]) == 1


def test_what_another_host_left_half_written_goes_after_a_day(store):
    store.folder.mkdir(parents=True)
    for name, age in {"old-1-0123abcd.part": 25 * 3600, "new-1-0123abcd.part": 3600}.items():
        (store.folder / name).touch()
        os.utime(store.folder / name, (time.time() - age,) * 2)
    write(store)
    assert [path.name for path in store.folder.glob("*.part")] == ["new-1-0123abcd.part"]
