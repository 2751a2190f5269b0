"""Where the cache lies and how large it may be, by the user's word before all others."""

import os
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from tlmed.cache import Store, find_writers, make_private
from tlmed.cache.folder import FOLDER, LIMIT, cache_folder, cache_limit, parse_size, show_size
from tlmed.data.known_files import KnownPixels, TrustedDigests
from tlmed.errors import InputError


@pytest.mark.parametrize(
    ("text", "size"),
    [
        *(("20GB", 20 * 10**9), ("500MB", 500 * 10**6), ("2 TB", 2 * 10**12), ("1.5 GB", 1_500_000_000)),
        *((" 7kb ", 7000), ("5g", 5 * 10**9), ("200", 200), ("200 B", 200), ("0", 0)),
    ],
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("size", [0, 12, 999, 4000, 2_500_000, 20 * 10**9, 3 * 10**12])
def test_a_size_that_is_shown_can_be_read(size):
    assert parse_size(show_size(size)) == size


@pytest.mark.parametrize("text", ["lots", "GB", "-1GB", "5 XB", "1e9", "1,5GB", "5GB left", "nan", " "])
def test_what_is_no_size_is_named_with_its_variable(monkeypatch, text):
    monkeypatch.setenv(LIMIT, text)
    with pytest.raises(InputError) as error:
        cache_limit()
    assert f"{LIMIT}={text!r}" in str(error.value)


def test_environment_variables_win(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER, str(tmp_path / "mine"))
    monkeypatch.setenv(LIMIT, "3GB")
    assert cache_folder() == tmp_path / "mine"
    assert cache_limit() == 3 * 10**9


@pytest.mark.parametrize("value", [None, ""])
def test_without_variables_it_is_the_users_cache_directory_and_20_gb(monkeypatch, value):
    for name in (FOLDER, LIMIT):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    assert cache_folder() == Path(platformdirs.user_cache_dir("tlmed"))
    assert cache_limit() == 20 * 10**9


def test_a_tilde_is_the_users_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv(FOLDER, "~/features")
    assert cache_folder() == tmp_path / "features"


@pytest.fixture
def filled(tmp_path):
    """Give a cache directory that holds something of each kind, made where new files are open to all."""
    folder = tmp_path / "above" / "cache"
    (tmp_path / "x.png").touch()
    before = os.umask(0)
    try:
        with Store(folder, 10**9).create("key", {}, (2,), "float32", [bytes(32)]) as append:
            append(np.ones((1, 2), "float32"))
        known, trusted = KnownPixels(folder, (8, 8)), TrustedDigests(folder)
        known.add("a" * 64, bytes(32))
        trusted.add(tmp_path / "x.png", "b" * 64)
        known.save()
        trusted.save()
    finally:
        os.umask(before)
    return folder


def test_what_is_made_is_for_its_owner_alone(filled):
    places = [filled.parent, filled, *filled.rglob("*")]
    assert len(places) == 2 + 3 + 4 - 1
    assert all(not place.stat().st_mode & 0o077 for place in places)
    assert find_writers(filled) == ""
    assert find_writers(filled / "none") == ""


@pytest.mark.parametrize(
    "place", [".", "features-1", "features-1/key", "features-1/key/*", "pixels-1/*", "digests-1.txt"]
)
def test_others_who_can_write_are_told(filled, place):
    (path,) = [filled] if place == "." else filled.glob(place)
    for bit in (0o020, 0o002):
        path.chmod(path.stat().st_mode | bit)
        assert f"and {path} can be written to by other users: keep others out (chmod -R go-w" in find_writers(filled)
        path.chmod(path.stat().st_mode & ~bit)
    assert find_writers(filled) == ""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_another_owner_is_told(filled):
    os.chown(filled / "features-1", 12345, -1)
    assert f"and {filled / 'features-1'} belongs to another user" in find_writers(filled)


def test_clear_forgets_the_digests_that_are_trusted_by_time(filled, tmp_path):
    assert TrustedDigests(filled).get(tmp_path / "x.png") == "b" * 64
    (filled / "mine.txt").write_text("mine")
    files, size = Store(filled, 10**9).clear()
    assert files == 3
    assert size > 200
    assert TrustedDigests(filled).get(tmp_path / "x.png") is None
    assert [path.name for path in filled.iterdir()] == ["mine.txt"]


def test_a_folder_that_another_process_makes_at_the_same_time_is_used(tmp_path, monkeypatch):
    is_dir, made = Path.is_dir, []

    def make_meanwhile(path):
        found = is_dir(path)
        if path.name == "features" and not made:
            made.append(path)
            path.mkdir()
        return found

    monkeypatch.setattr(Path, "is_dir", make_meanwhile)
    make_private(tmp_path / "features" / "key")
    assert made == [tmp_path / "features"]
    assert (tmp_path / "features" / "key").is_dir()


def test_a_file_where_a_folder_is_needed_is_told(tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(NotADirectoryError):
            make_private(folder)
