"""Whatever opens a file that a user named: pipes, devices and files without end are a reason, and never a wait."""

import os
import socket
import threading

import numpy as np
import pytest
from PIL import Image

from tests.conftest import write_images
from tlmed.backbones import torch_checkpoint
from tlmed.cache import KeptTable, Store
from tlmed.data import load, open_source, read_files
from tlmed.data.decode_and_resize import PixelRule
from tlmed.data.named_samples import make_lister
from tlmed.errors import InputError
from tlmed.evaluation.predictions_csv import read_predictions
from tlmed.features.image_inputs import read_batches
from tlmed.lock import read_lock
from tlmed.regular_files import LIMIT, NotRegular, open_regular, read_regular, sha256
from tlmed.rundir import RunDir
from tlmed.sealed import DamagedFile, unseal
from tlmed.slicing import WHOLE
from tlmed.whole_files import read_csv

KINDS = ("pipe", "device", "socket")
RESCUES = []


def make(path, kind):
    """Put something at a path that is no file. A reader that waits at a pipe is set free after a while, and fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
        RESCUES.append(threading.Timer(10, lambda: os.close(os.open(path, os.O_WRONLY))))
        RESCUES[-1].start()
    elif kind == "device":
        path.symlink_to("/dev/null")  # and not /dev/zero: a reader that fails here should not fill the memory
    else:
        os.chdir(path.parent)  # a socket's whole path may have 107 characters
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind(path.name)
    return path


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    yield
    while RESCUES:
        RESCUES.pop().cancel()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_file_is_refused_by_its_kind(tmp_path, kind):
    path = make(tmp_path / "x.png", kind)
    for read in (open_regular, read_regular, sha256, torch_checkpoint.read):
        with pytest.raises(NotRegular, match=r"it is a (device|pipe|socket) and not a file"):
            read(path)


def test_files_links_and_what_grows_meanwhile(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    (tmp_path / "link").symlink_to("x")
    assert read_regular(tmp_path / "link", 3) == b"abc"
    with pytest.raises(OSError, match="larger than 2 bytes"):
        read_regular(tmp_path / "x", 2)
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)
    # A file of /proc has size 0 and content.
    with pytest.raises(OSError, match="larger than 5 bytes"):
        read_regular("/proc/self/status", 5)


def test_a_file_above_the_limit_is_not_read(tmp_path):
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(LIMIT + 1)  # sparse: it takes no room
    with pytest.raises(InputError, match=r"large.png' \(it is larger than 1,073,741,824 bytes\)"):
        read_files([tmp_path / "large.png"], (8, 8))


@pytest.mark.parametrize("kind", KINDS)
def test_images_that_are_no_files_are_named_or_left_out(tmp_path, kind):
    folder = write_images(tmp_path / "images", 4, ("a", "b"))
    make(folder / "a" / "odd.png", kind)
    with pytest.raises(InputError, match=r"1 image of 9 cannot be read. Received: 'a/odd.png' \(\w+"):
        load(folder, (8, 8))
    images = load(folder, (8, 8), skip_bad=True)
    assert [path for path, _ in images.broken] == ["a/odd.png"]
    names, _, broken = read_files([folder, folder / "a" / "odd.png"], (8, 8), skip_bad=True)
    assert (len(names), [path for path, _ in broken]) == (8, [str(folder / "a" / "odd.png")])
    with pytest.raises(InputError, match=r"odd\.png"):
        list(read_batches([folder / "a" / "odd.png"], PixelRule((8, 8)), 2, make_lister(WHOLE)))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["list.csv", "set.npz"])
def test_sources_that_are_no_files_are_refused(tmp_path, name, kind):
    path = make(tmp_path / name, kind)
    with pytest.raises(InputError, match=f"Received: data={path}"):
        open_source(path)


@pytest.mark.parametrize("kind", KINDS)
def test_tables_locks_and_files_of_a_run_that_are_no_files_are_refused(tmp_path, kind):
    for read, name in ((read_predictions, "predictions.csv"), (read_lock, "lock.json")):
        with pytest.raises(InputError, match=name):
            read(make(tmp_path / name, kind))
    with pytest.raises(OSError, match="not a file"):
        read_csv(make(tmp_path / "folds.csv", kind))
    make(tmp_path / "run" / "recipe.json", kind)
    with pytest.raises(InputError, match=r"recipe\.json"):
        RunDir(tmp_path / "run").json("recipe.json")
    with pytest.raises(DamagedFile):
        unseal(make(tmp_path / "phase", kind))


@pytest.mark.parametrize("kind", KINDS)
def test_what_lies_in_the_cache_and_is_no_file_is_passed_over(tmp_path, kind):
    table = KeptTable(make(tmp_path / "digests", kind))
    table.add("a", "b")
    table.save()
    assert not (tmp_path / "digests").is_file()
    store = Store(tmp_path / "cache", 10**9)
    path = make(store.folder / "key" / "0.rows", kind)
    assert store.entries() == []
    found, notes = store.open("key", (4,), "float32")
    assert (found, path.exists()) == ([], False)
    assert "damaged" in notes[0]


def test_an_array_of_paths_is_read_as_before(tmp_path):
    Image.fromarray(np.full((4, 4, 3), 9, np.uint8)).save(tmp_path / "x.png")
    (found,) = read_batches([tmp_path / "x.png"], PixelRule((4, 4)), 2, make_lister(WHOLE))
    assert found.images.tolist() == np.full((1, 4, 4, 3), 9).tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_models_and_classifiers_that_are_no_files_are_refused(tmp_path, kind):
    from tlmed.backbones.saved import load_network
    from tlmed.heads.skops_files import load_classifier

    for load_it, name in ((load_network, "model.keras"), (load_classifier, "classifier.skops")):
        with pytest.raises(InputError, match=name):
            load_it(make(tmp_path / name, kind))
