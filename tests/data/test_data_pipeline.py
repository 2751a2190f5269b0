"""From a folder to batches: what is trained on must be the images, in an order that the seed decides."""

import hashlib
import math
import os
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tlmed.data
from tests import conftest
from tlmed.data import Share, balanced_order, decode, epoch_order, folders, load, pipeline, read_files, resize
from tlmed.data.reading import Pixels
from tlmed.errors import InputError
from tlmed.findings import TWO_LABELS

SIZE = (12, 10)


@pytest.fixture
def folder(tmp_path):
    """Two classes of 12 and 9 images of different sizes, formats and modes."""
    random = np.random.RandomState(0)
    for name, number in (("benign", 12), ("malignant", 9)):
        (tmp_path / name).mkdir()
        for index in range(number):
            shape = (random.randint(8, 20), random.randint(8, 20)) + ((3,) if index % 2 else ())
            pixels = random.randint(0, 256, shape).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{name} ({index}).{('png', 'bmp', 'tiff')[index % 3]}")
    return tmp_path


def collect(dataset):
    return [(images.numpy(), labels.numpy()) for images, labels in dataset]


def test_batches_are_the_resized_files_in_the_order_asked_for(folder):
    images = load(folder, SIZE)
    rows = np.array([3, 0, 20, 7, 11])
    batches = collect(images.batches(rows, 2))
    assert [len(labels) for _, labels in batches] == [2, 2, 1]
    expected = [resize(decode((folder / images.table.paths[row]).read_bytes()), SIZE) for row in rows]
    np.testing.assert_array_equal(np.concatenate([pixels for pixels, _ in batches]), expected)
    np.testing.assert_array_equal(np.concatenate([labels for _, labels in batches]), images.table.labels[rows])
    assert batches[0][0].dtype == np.uint8
    assert batches[0][1].dtype == np.int64


def test_batches_have_a_static_shape_and_a_known_number(folder):
    batches = load(folder, SIZE).batches(np.arange(21), 4)
    assert batches.element_spec[0].shape.as_list() == [None, *SIZE, 3]
    assert batches.cardinality() == 6


def test_memory_and_disk_and_files_give_identical_batches(folder, memory_bytes):
    kept, read = load(folder, SIZE), load(folder, SIZE, memory_bytes=memory_bytes)
    assert (kept.sha256, kept.table.paths) == (read.sha256, read.table.paths)
    for one, other in zip(
        collect(kept.training_batches(np.arange(21), 4, seed=1).take(14)),
        collect(read.training_batches(np.arange(21), 4, seed=1).take(14)),
        strict=True,
    ):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])


def test_pixels_beyond_the_memory_go_to_a_file_that_no_crash_leaves_behind(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("TLMED_CACHE_DIR", str(tmp_path / "cache"))
    size = 21 * math.prod(SIZE) * 3
    assert load(folder, SIZE, memory_bytes=size).pixels.kept.base is None
    assert not (tmp_path / "cache").exists()
    on_disk = load(folder, SIZE, memory_bytes=size - 1).pixels.kept
    assert isinstance(on_disk.base, np.memmap)
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize("free", [0, 2 * 21 * math.prod(SIZE) * 3 - 1])
def test_pixels_leave_half_of_the_disk_free(folder, tmp_path, monkeypatch, free):
    monkeypatch.setenv("TLMED_CACHE_DIR", str(tmp_path / "cache"))  # without features that could make room
    monkeypatch.setattr("tlmed.cache.store.shutil.disk_usage", lambda folder: SimpleNamespace(free=free))
    assert load(folder, SIZE, memory_bytes=0).pixels.kept is None


def test_pixels_are_decoded_each_time_where_the_cache_cannot_be_written(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("TLMED_CACHE_DIR", str(tmp_path / "file" / "cache"))
    images = load(folder, SIZE, memory_bytes=0)
    assert images.pixels.kept is None
    assert images.pixels.take(np.arange(3)).shape == (3, *SIZE, 3)


def test_training_batches_follow_the_epochs_order_and_never_mix_epochs(folder):
    images = load(folder, SIZE)
    train = images.indices("train")
    steps = -(-len(train) // 4)
    batches = collect(images.training_batches(train, 4, seed=3).take(2 * steps))
    assert [len(labels) for _, labels in batches] == ([4] * (steps - 1) + [len(train) - 4 * (steps - 1)]) * 2
    for epoch in range(2):
        order = train[epoch_order(len(train), 3, epoch)]
        seen = np.concatenate([pixels for pixels, _ in batches[epoch * steps : (epoch + 1) * steps]])
        np.testing.assert_array_equal(seen, images.pixels.take(order))
    assert images.training_batches(train, 4, seed=3).cardinality() == tf.data.INFINITE_CARDINALITY


def test_a_resumed_run_sees_the_batches_that_an_uninterrupted_one_would(folder):
    images = load(folder, SIZE)
    whole = collect(images.training_batches(np.arange(21), 5, seed=3).take(15))
    resumed = collect(images.training_batches(np.arange(21), 5, seed=3, begin=(1, 3)).take(7))
    for one, other in zip(whole[8:], resumed, strict=True):
        np.testing.assert_array_equal(one[0], other[0])


def test_balanced_batches_follow_their_order_on_any_number_of_replicas_and_after_a_stop(folder):
    images, train = load(folder, SIZE), np.arange(3, 21)
    steps, labels = 4, images.table.labels[train]
    batches = collect(images.training_batches(train, 5, 3, balanced=True).take(2 * steps))
    for epoch in range(2):
        order = train[balanced_order(labels, 3, epoch)]
        seen = batches[epoch * steps : (epoch + 1) * steps]
        np.testing.assert_array_equal(np.concatenate([pixels for pixels, _ in seen]), images.pixels.take(order))
        np.testing.assert_array_equal(np.concatenate([found for _, found in seen]), images.table.labels[order])
    shares = [
        collect(images.training_batches(train, 5, 3, (1, 1), Share(2, first, 1), balanced=True).take(3))
        for first in (0, 1)
    ]
    for whole, *parts in zip(batches[steps + 1 :], *shares, strict=True):
        np.testing.assert_array_equal(np.concatenate([pixels for pixels, _ in parts]), whole[0])


@pytest.mark.parametrize("counts", [(50, 5), (17, 3, 1), (1, 1, 40, 7), (6,)])
def test_a_balanced_epoch_draws_classes_evenly_and_no_image_again_before_all_of_its_class(counts):
    labels = np.repeat(np.arange(len(counts)), counts)[np.random.RandomState(0).permutation(sum(counts))]
    drawn = np.zeros(len(labels), int)
    for epoch in range(2 * len(labels)):
        order = balanced_order(labels, 1, epoch)
        assert len(order) == len(labels)
        assert np.ptp(np.bincount(labels[order], minlength=len(counts))) <= 1
        drawn += np.bincount(order, minlength=len(labels))
        for label in range(len(counts)):
            assert np.ptp(drawn[labels == label]) <= 1
    assert np.ptp(np.bincount(labels, drawn)) <= 1  # in all, too, each class came as often


def test_balanced_orders_differ_by_seed_and_epoch_and_repeat():
    labels = np.repeat([0, 1], [30, 4])
    orders = [tuple(balanced_order(labels, seed, epoch)) for seed in range(2) for epoch in range(2)]
    assert len(set(orders)) == 4
    assert orders[0] == tuple(balanced_order(labels, 0, 0))
    assert orders[0] != tuple(sorted(orders[0]))


def test_epochs_and_seeds_give_different_orders():
    orders = [tuple(epoch_order(30, seed, epoch)) for seed in range(2) for epoch in range(2)]
    assert len(set(orders)) == 4
    assert all(sorted(order) == list(range(30)) for order in orders)


def test_digests_are_those_of_the_files(folder):
    images = load(folder, SIZE)
    path = images.table.paths[5]
    assert images.sha256[5] == hashlib.sha256((folder / path).read_bytes()).hexdigest()


def test_split_does_not_depend_on_the_order_of_files(folder, monkeypatch):
    images = load(folder, SIZE, seed=2)
    visible = folders.list_visible
    monkeypatch.setattr(folders, "list_visible", lambda folder: sorted(visible(folder), reverse=True))
    again = load(folder, SIZE, seed=2)
    assert images.table.paths == again.table.paths == tuple(sorted(images.table.paths))
    np.testing.assert_array_equal(images.splits, again.splits)
    assert set(images.splits) == {"train", "val", "test"}
    assert images.split_made


def test_broken_images_are_all_named_and_nothing_starts(folder):
    (folder / "benign" / "note.png").write_text("not an image")
    whole = (folder / "benign" / "benign (0).png").read_bytes()
    (folder / "malignant" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (folder / "malignant" / "gone.png").symlink_to(folder / "nowhere.png")
    with pytest.raises(InputError) as error:
        load(folder, SIZE)
    text = str(error.value)
    assert "3 images of 24 cannot be read" in text
    assert all(name in text for name in ("'benign/note.png'", "'malignant/cut.png'", "'malignant/gone.png'"))
    assert "--skip-bad" in text
    assert "\n" not in text


def test_skip_bad_leaves_broken_images_out_and_changes_nothing_else(folder, memory_bytes):
    before = load(folder, SIZE, memory_bytes=memory_bytes)
    (folder / "benign" / "a first.png").write_bytes(b"")
    (folder / "malignant" / "m.png").write_text("not an image")
    after = load(folder, SIZE, skip_bad=True, memory_bytes=memory_bytes)
    assert dict(after.broken) == {
        "benign/a first.png": "the file is empty",
        "malignant/m.png": "it is no readable picture, DICOM, NIfTI or NumPy",
    }
    assert any("2 images left out" in sentence for sentence in after.warnings)
    assert after.table.paths == before.table.paths
    np.testing.assert_array_equal(after.splits, before.splits)
    rows = np.arange(21)
    np.testing.assert_array_equal(after.pixels.take(rows), before.pixels.take(rows))


def test_many_broken_images_are_counted_after_the_first_twenty(folder):
    for index in range(30):
        (folder / "benign" / f"x{index:02d}.png").write_bytes(b"x")
    with pytest.raises(InputError, match=r"30 images of 51 cannot be read.*x19\.png.* and 10 more"):
        load(folder, SIZE)


def test_nothing_but_broken_images_is_an_error_even_with_skip_bad(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
        for number in range(3):
            (tmp_path / name / f"{number}.png").write_bytes(b"x")
    with pytest.raises(InputError, match="6 images of 6"):
        load(tmp_path, SIZE, skip_bad=True)


def test_too_few_images_are_told_before_any_is_read(tmp_path, monkeypatch):
    conftest.write_images(tmp_path, 2)
    monkeypatch.setattr(pipeline, "read_all", lambda *args: pytest.fail("read"))
    with pytest.raises(InputError, match=r"each of train, val, test: 3 different images or more"):
        load(tmp_path, SIZE)


def test_one_file_under_two_labels_is_a_leak_and_stays_in_one_split(folder):
    content = (folder / "benign" / "benign (3).png").read_bytes()
    (folder / "malignant" / "copy.png").write_bytes(content)
    for seed in range(5):
        images = load(folder, SIZE, seed=seed)
        same = [images.table.paths.index(path) for path in ("benign/benign (3).png", "malignant/copy.png")]
        assert len({images.splits[row] for row in same}) == 1
        (leak,) = images.leaks
        assert leak.kind == TWO_LABELS
        assert "'benign/benign (3).png', 'malignant/copy.png'" in leak.text
        assert "benign, malignant" in leak.text


def test_a_class_whose_name_holds_a_comma_is_quoted_in_lists(tmp_path):
    for name in ("ill", "normal, benign"):
        (tmp_path / name).mkdir()
        for i in range(8):
            Image.fromarray(np.full((8, 8), 9 * i + 3 if i else 200, np.uint8)).save(tmp_path / name / f"{i}.png")
    [said] = [leak.text for leak in load(tmp_path, SIZE).leaks if "'ill/0.png'" in leak.text]
    assert "stand under the labels ill, 'normal, benign': " in said


def test_skipped_files_are_counted_and_named(folder):
    (folder / "README.md").write_text("x")
    (folder / "benign" / "Thumbs.db").write_text("x")
    for name in (".DS_Store", "benign/.hidden.png", "malignant/._x.png", ".git/a/b.png", "benign/notes/.c.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    images = load(folder, SIZE)
    assert images.table.skipped == ("README.md", "benign/Thumbs.db")
    hidden = (".DS_Store", ".git/", "benign/.hidden.png", "benign/notes/.c.png", "malignant/._x.png")
    assert images.table.hidden == hidden
    assert images.warnings == (
        "7 files skipped: 2 not images (README.md, benign/Thumbs.db); 5 hidden, by the dot before "
        "their names (.DS_Store, .git/, benign/.hidden.png and 2 more).",
    )


def test_hidden_files_of_given_splits_are_named_once(tmp_path):
    for split in ("train", "test"):
        conftest.write_images(tmp_path / split, 4, ("a", "b"))
        (tmp_path / split / ".DS_Store").write_text("x")
    (tmp_path / "train" / "a" / ".x.png").write_text("x")
    table = folders.open_folder(tmp_path)
    assert table.hidden == ("test/.DS_Store", "train/.DS_Store", "train/a/.x.png")


def test_a_name_that_is_not_utf8_of_a_file_that_is_not_used_can_be_written_down(folder):
    (folder / os.fsdecode(b".x\xff")).write_text("x")
    (sentence,) = load(folder, SIZE).warnings
    sentence.encode()
    assert "'.x\\udcff'" in sentence


def test_a_class_with_too_few_images_is_named(folder):
    for index in range(2, 9):
        next((folder / "malignant").glob(f"*({index}).*")).unlink()
    with pytest.raises(InputError, match="class 'malignant' with 2 images"):
        load(folder, SIZE)


def test_nothing_tunes_the_pipeline_where_its_end_would_wait_for_that(folder):
    images = load(folder, (8, 8))
    for dataset in (images.batches([0], 1), images.training_batches([0, 1], 1, seed=0)):
        assert dataset.options().autotune.enabled is False


def test_op_determinism_leaves_reading_parallel():
    tf.config.experimental.enable_op_determinism()  # as every run does
    meeting = threading.Barrier(2)

    def read(row):
        meeting.wait(timeout=20)  # two images wait for each other: read one at a time they would never be done
        return np.zeros((4, 4), np.uint8)

    options = tf.data.Options()
    options.threading.private_threadpool_size = 4
    rows = tf.data.Dataset.range(4).batch(1).with_options(options)
    assert sum(1 for _ in Pixels(read, (4, 4)).batches(rows)) == 4


def test_read_files_takes_folders_and_files(folder):
    single = folder / "malignant" / "malignant (1).bmp"
    names, images, broken = read_files([folder / "benign", single, single], SIZE)
    assert len(names) == 13
    assert names[:12] == sorted(names[:12])
    assert names[-1] == single.as_posix()
    assert broken == []
    pixels = np.concatenate(list(images.batches(5).as_numpy_iterator()))
    assert [len(batch) for batch in images.batches(5)] == [5, 5, 3]
    np.testing.assert_array_equal(pixels, [resize(decode(Path(name).read_bytes()), SIZE) for name in names])


def test_read_files_walks_folders_below(folder):
    names, _, _ = read_files([str(folder)], SIZE)
    assert len(names) == 21


def test_read_files_names_every_fault(folder):
    (folder / "empty").mkdir()
    (folder / "notes.txt").write_text("x")
    with pytest.raises(InputError) as error:
        read_files([folder / "bening", folder / "empty", folder / "notes.txt"], SIZE)
    assert len(error.value.faults) == 3
    assert "Did you mean 'benign'?" in error.value.faults[0]


def test_read_files_skips_broken_images_only_when_asked(folder):
    (folder / "benign" / "broken.png").write_text("x")
    with pytest.raises(InputError, match=r"broken\.png"):
        read_files([folder], SIZE)
    names, images, broken = read_files([folder], SIZE, skip_bad=True)
    assert len(names) == 21
    assert [path for path, _ in broken] == [(folder / "benign" / "broken.png").as_posix()]
    assert sum(len(batch) for batch in images.batches(4)) == 21


def test_public_names():
    assert set(tlmed.data.__all__) >= {"Table", "ImageSet", "open_source", "load", "read_files", "EXTENSIONS"}
    assert all(hasattr(tlmed.data, name) for name in tlmed.data.__all__)
