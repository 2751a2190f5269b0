"""Where the cache lies and how large it may be, by the user's word before all others."""

from pathlib import Path

import platformdirs
import pytest

from tlmed.cache.folder import FOLDER, LIMIT, cache_folder, cache_limit, parse_size, show_size
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
