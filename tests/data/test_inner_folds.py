"""An inner fold: test images are put aside, and each of the others is tested once; whole units, one seed."""

import csv
import dataclasses
from collections import Counter

import numpy as np
import pytest

from tests.conftest import draw
from tests.data.test_data_splits import FRACTIONS, digests, grouped, table
from tests.run.test_run import small
from tlmed.data.pipeline import divide
from tlmed.data.redivision import divide_again, redivide
from tlmed.data.splits import assign_splits
from tlmed.errors import InputError
from tlmed.recipe import override
from tlmed.run.reading_images import describe_counts, read_images, read_leniently
from tlmed.sections import Images, KFold, find_faults
from tlmed.split_names import SPLITS

SIZES = (300, 200, 100)
GIVEN = {
    "train and test": ("train", "train", "train", "test"),
    "train, val and test": ("train", "train", "val", "test"),
}


def ask(fold=1, k=5, **fields):
    return Images("data", inner=KFold(k, fold=fold, repeats=fields.pop("repeats", 1)), **fields)


def divide_inside(data, sha, settings, seed=0):
    return divide_again(data, sha, assign_splits(data, sha, settings.split, seed), settings, seed)[0]


def keep_whole(splits, *keys):
    """Assert that images with one key are in one split."""
    for names in keys:
        homes = {}
        for key, split in zip(names, splits, strict=True):
            assert homes.setdefault(key, split) == split


@pytest.fixture(scope="module", params=["images alone", "patients and copies", *GIVEN])
def case(request):
    """Give a table, its digests, and which images are test images."""
    random = np.random.RandomState(0)
    kept = GIVEN.get(request.param)
    given = None if kept is None else tuple(random.permutation(kept * 150))
    groups = grouped(random, SIZES, 200) if request.param == "patients and copies" else None
    data, sha = table(SIZES, groups, given), digests(600)
    sha = sha if groups is None else tuple(digests(600)[:560] + digests(40))
    return data, sha, assign_splits(data, sha, FRACTIONS, 0)[0] == "test"


def test_test_images_are_in_no_split_and_each_other_one_is_tested_once_in_each_repeat(case):
    data, sha, tested = case
    found = [divide_inside(data, sha, ask(fold, k=3, repeats=2)) for fold in range(1, 7)]
    for splits in found:
        np.testing.assert_array_equal(splits == "unused", tested)
        assert set(splits[~tested]) == set(SPLITS)
    for repeat in (found[:3], found[3:]):
        often = np.sum([splits == "test" for splits in repeat], axis=0)
        np.testing.assert_array_equal(often, np.where(tested, 0, 1))
    assert (found[0] != found[3]).any()
    totals = np.bincount(data.labels[~tested])
    for splits in found:
        if data.groups is None:  # stratified: within one of the exact share
            assert np.abs(np.bincount(data.labels[splits == "test"]) - totals / 3).max() <= 1
        else:
            keep_whole(splits, data.groups, sha)


def test_the_seed_of_the_splits_alone_decides_and_test_images_do_not():
    given = tuple(np.random.RandomState(0).permutation(GIVEN["train and test"] * 150))
    data, sha = table(SIZES, tuple(f"p{row // 2}" for row in range(600)), given), digests(600)
    first = divide_inside(data, sha, ask(2))
    np.testing.assert_array_equal(divide_inside(data, sha, ask(2)), first)
    assert (divide_inside(data, sha, ask(2), seed=1) != first).any()
    # Test images that join other patients, as copies of them and by their group, join nothing here.
    tested = np.array(given) == "test"
    others = dataclasses.replace(
        data, groups=tuple("p0" if own else name for own, name in zip(tested, data.groups, strict=True))
    )
    same = tuple(sha[5] if own else digest for own, digest in zip(tested, sha, strict=True))
    np.testing.assert_array_equal(divide_inside(others, same, ask(2)), first)


@pytest.mark.parametrize("given", [None, *GIVEN.values()])
def test_other_validation_images_move_train_and_val_alone(given):
    data, sha = table(SIZES, splits=None if given is None else tuple(given * 150)), digests(600)
    before, *drawn = (divide_inside(data, sha, ask(3, val_seed=seed)) for seed in (None, 1, 2))
    for splits in drawn:
        for name in ("test", "unused"):
            np.testing.assert_array_equal(splits == name, before == name)
        assert np.abs(np.bincount(data.labels[splits == "val"]) - np.bincount(data.labels[before == "val"])).max() <= 1
    assert len({tuple(splits) for splits in (before, *drawn)}) == 3


def test_a_share_is_of_the_training_images_of_the_fold():
    data, sha = table(SIZES), digests(600)
    whole, half = (divide_inside(data, sha, ask(2, train_share=share)) for share in (1.0, 0.5))
    for name in ("val", "test"):
        np.testing.assert_array_equal(half == name, whole == name)
    assert abs((half == "train").sum() - (whole == "train").sum() / 2) <= 1.5
    assert set(half[whole == "unused"]) == {"unused"}
    with pytest.raises(InputError, match=r"which leaves 0 of .* in fold 1 of 5"):
        divide_inside(table((100, 8)), digests(108), ask(1, train_share=0.05))


def test_a_class_with_too_few_images_and_a_fold_that_is_not_named_are_refused_in_one_line():
    data = table((50, 5))
    with pytest.raises(InputError) as caught:
        divide_inside(data, digests(55), ask(2, k=5))
    (fault,) = caught.value.faults
    assert fault.startswith("Among the images that `data.inner` divides, which are all but the test images: a class")
    assert "5 different images or more; fewer folds need fewer. Received: class 'class1' with 4 images" in fault
    with pytest.raises(InputError, match=r"^`data.inner.fold` must be a number from 1 to 5.*Received.*fold=None"):
        divide_inside(data, digests(55), ask(None))
    (fault,) = find_faults(Images("data", split=KFold(3), inner=KFold(5, fold=1)), "data.")
    assert fault.startswith("`data.inner` must be None where `data.split` is a cross-validation")


def name_sources(folder, images):
    """Write other sources of the images of a folder: two tables and an `.npz`."""
    (folder / "images").symlink_to(images)
    files = sorted(path.relative_to(images).as_posix() for path in images.rglob("*.png"))
    rows = [
        (
            f"images/{file}",
            file.split("/")[0],
            f"p{number // 2}",
            GIVEN["train, val and test"][number % 4],
        )
        for number, file in enumerate(files)
    ]
    for name, columns in {"groups.csv": (0, 1, 2), "given.csv": (0, 1, 3)}.items():
        with (folder / name).open("w", newline="") as stream:
            chosen = [("path", "label", "group", "split"), *rows]
            csv.writer(stream).writerows([[row[column] for column in columns] for row in chosen])
    arrays = {}
    for split, amount in {"train": 24, "val": 9, "test": 9}.items():
        labels = np.arange(amount) % 3
        arrays[f"{split}_images"] = np.stack([draw(label, 40 * len(split) + row) for row, label in enumerate(labels)])
        arrays[f"{split}_labels"] = labels[:, None]
    np.savez(folder / "set.npz", **arrays)
    return {"folder": images, **{name: folder / name for name in ("groups.csv", "given.csv", "set.npz")}}


@pytest.mark.parametrize("name", ["folder", "groups.csv", "given.csv", "set.npz"])
def test_each_kind_of_source_keeps_its_test_images_out_of_all_folds(name, images, tmp_path):
    source = {"data.source": str(name_sources(tmp_path, images)[name])}
    whole = read_images(override(small("seed=0"), [], source), skip_bad=False)
    recipes = [
        override(small(f"data.inner=KFold(3, fold={fold})", "seed=7", "data.split_seed=0"), [], source)
        for fold in (1, 2, 3)
    ]
    first = read_images(recipes[0], skip_bad=False)
    folds = [first, *(redivide(divide(whole, FRACTIONS, 0), recipe.data, 0) for recipe in recipes[1:])]
    for found in folds:
        np.testing.assert_array_equal(found.splits == "unused", whole.splits == "test")
        assert found.apart == (whole.splits == "test").sum()
        keep_whole(found.splits, found.sha256, found.table.groups or found.table.paths)
        assert not found.leaks
        assert len(found.indices("test"))
        assert not any("became val" in sentence for sentence in found.warnings)
    assert (
        Counter(np.sum([found.splits == "test" for found in folds], axis=0).tolist())[1]
        == (whole.splits != "test").sum()
    )
    np.testing.assert_array_equal(read_leniently(recipes[0])[0].splits, first.splits)
    assert first.split_made == (SPLITS if whole.table.splits is None else (*SPLITS, "inner"))
    said = describe_counts(recipes[0], first)
    assert (
        f"unused {first.apart}); {first.apart} test images are put aside, and test is fold 1 of 3 of the others" in said
    )
    assert divide(first, FRACTIONS, 0).apart == 0


def test_what_is_known_before_images_are_read_is_refused_before(images, tmp_path, monkeypatch):
    monkeypatch.setattr("tlmed.run.reading_images.load", None)
    source = {"data.source": str(name_sources(tmp_path, images)["given.csv"])}
    for setting, fault in {
        "KFold(3)": "`data.inner.fold` must",
        "KFold(16, fold=1)": "Among .* with 15 images",
    }.items():
        with pytest.raises(InputError, match=fault):
            read_images(override(small(f"data.inner={setting}"), [], source), skip_bad=False)
