"""Splits: a leak flatters every number, and a split that moves makes two runs incomparable."""

import dataclasses
import re
import shutil
import time
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.conftest import write_images
from tlmed.data import load
from tlmed.data.leaks import find_leaked, find_leaks
from tlmed.data.learned import list_learned
from tlmed.data.split_words import describe
from tlmed.data.splits import assign_splits, find_scheme_faults
from tlmed.data.table import Table
from tlmed.data.units import join_units, split_units
from tlmed.errors import InputError
from tlmed.findings import CHOOSING, GROUP, IDENTICAL, KNOWN, NAMES
from tlmed.sections import KFold
from tlmed.split_names import SPLITS

FRACTIONS = (0.70, 0.15, 0.15)


def table(sizes, groups=None, splits=None):
    """A table with so many images of each class."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    classes = tuple(f"class{number}" for number in range(len(sizes)))
    paths = tuple(f"{classes[label]}/{row:06d}.png" for row, label in enumerate(labels))
    return Table("data", paths, labels, classes, groups, splits, lambda row: b"", 0)


def digests(n):
    return tuple(f"{row:064x}" for row in range(n))


def counts(labels, splits):
    return {split: np.bincount(labels[splits == split], minlength=labels.max() + 1) for split in sorted(set(splits))}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sizes", [(437, 210, 133), (4, 5), (6, 7, 8, 9), (10, 1000), (20,) * 30])
@pytest.mark.parametrize("fractions", [FRACTIONS, (0.6, 0.2, 0.2), (0.5, 0.25, 0.25)])
def test_single_images_are_within_one_of_the_exact_fractions(sizes, fractions, seed):
    data = table(sizes)
    splits, made = assign_splits(data, digests(len(data)), fractions, seed)
    assert made == ("train", "val", "test")
    for split, fraction in zip(("train", "val", "test"), fractions, strict=True):
        found = np.bincount(data.labels[splits == split], minlength=len(sizes))
        assert np.abs(found - np.array(sizes) * fraction).max() <= 1 + 1e-9
        assert found.min() >= 1


def test_classes_of_three_images_still_reach_every_split():
    splits, _ = assign_splits(table((3, 3)), digests(6), FRACTIONS, 0)
    assert sorted(splits[:3]) == sorted(splits[3:]) == ["test", "train", "val"]


def test_the_seed_alone_decides():
    data = table((40, 30))
    first = assign_splits(data, digests(70), FRACTIONS, 5)[0]
    np.testing.assert_array_equal(first, assign_splits(data, digests(70), FRACTIONS, 5)[0])
    others = [assign_splits(data, digests(70), FRACTIONS, seed)[0] for seed in range(5)]
    assert all((first != other).any() for other in others)


def test_the_split_of_seed_0_is_pinned():
    # Printed by this call itself. A change makes old and new runs incomparable, and belongs in the changelog.
    splits = assign_splits(table((6, 5)), digests(11), FRACTIONS, 0)[0]
    assert "".join(split[1] for split in splits) == "rrerra" + "rearr"  # the second letters of the names


def grouped(random, sizes, patients):
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return tuple(f"p{random.randint(patients)}-{label % 2}" for label in labels)


@pytest.mark.parametrize("seed", range(4))
def test_groups_and_identical_files_stay_together(seed):
    random = np.random.RandomState(seed)
    sizes = (300, 200, 100)
    data = table(sizes, groups=grouped(random, sizes, 120))
    sha = tuple(f"{random.randint(550):064x}" for _ in range(600))
    splits, _ = assign_splits(data, sha, FRACTIONS, seed)
    for keys in (data.groups, sha):
        homes = {}
        for key, split in zip(keys, splits, strict=True):
            assert homes.setdefault(key, split) == split
    assert not [leak for leak in find_leaks(data, sha, splits) if leak.kind in (GROUP, IDENTICAL)]


def test_groups_are_stratified_as_near_as_they_allow():
    groups = tuple(f"{label}-{row // 4}" for label, size in enumerate((200, 120)) for row in range(size))
    data = table((200, 120), groups=groups)
    for seed in range(5):
        splits, _ = assign_splits(data, digests(320), FRACTIONS, seed)
        found = counts(data.labels, splits)
        for split, fraction in zip(("train", "val", "test"), FRACTIONS, strict=True):
            assert np.abs(found[split] - np.array((200, 120)) * fraction).max() <= 4


def test_a_large_group_does_not_starve_a_split():
    groups = ("big",) * 60 + tuple(f"s{row}" for row in range(40)) + tuple(f"t{row}" for row in range(40))
    data = table((100, 40), groups=groups)
    splits, _ = assign_splits(data, digests(140), FRACTIONS, 0)
    assert set(splits[:60]) == {"train"}
    np.testing.assert_array_equal(counts(data.labels, splits)["test"], (15, 6))


def draw_often(groups, labels, fractions, seeds):
    """Return how often each group came into each part [groups, parts], and how many images each group has."""
    units = join_units(groups, digests(len(groups)))
    sizes = np.bincount(units)
    found = np.zeros((len(sizes), len(fractions)))
    for seed in range(seeds):
        part_of = np.zeros(len(sizes), int)
        part_of[units] = split_units(labels, units, fractions, seed, labels.max() + 1)
        found[np.arange(len(sizes)), part_of] += 1
    return found / seeds, sizes


@pytest.mark.parametrize("fractions", [FRACTIONS, (0.6, 0.2, 0.2), (0.85, 0.15), (1 / 3, 1 / 3, 1 / 3)])
@pytest.mark.parametrize("kind", ["60 of 300 with several", "1 to 5 each", "two classes in a group"])
def test_a_patients_number_of_images_does_not_decide_where_it_goes(kind, fractions):
    random = np.random.RandomState(0)
    amounts = [1] * 240 + [random.randint(2, 25) for _ in range(60)] if "300" in kind else random.randint(1, 6, 200)
    groups = np.repeat(np.arange(len(amounts)), amounts)
    labels = (groups + (np.arange(len(groups)) if "two" in kind else 0)) % 2
    found, sizes = draw_often([str(group) for group in groups], labels, fractions, 100)
    for chosen in (sizes == 1, sizes == 2, (sizes > 2) & (sizes < 6), sizes > 5):
        if chosen.any():
            # Within four standard errors of independent draws; shares of the same split differ by less.
            error = np.sqrt(np.array(fractions) * (1 - np.array(fractions)) / (100 * chosen.sum()))
            assert (np.abs(found[chosen].mean(0) - fractions) < 4 * error + 0.015).all(), found[chosen].mean(0)
    each = np.abs(found - fractions)
    assert each.max() < 0.25  # no patient is always, or never, in one part


def test_groups_larger_than_a_part_go_where_there_is_room():
    groups = [*np.repeat(["a", "b"], 30), *np.repeat([f"s{row}" for row in range(40)], 2)]
    found, _ = draw_often(groups, np.arange(140) % 2, FRACTIONS, 20)
    assert found[:2, 0].tolist() == [1, 1]
    assert 0 < found[2:, 2].mean() < 1


def test_three_groups_that_are_all_larger_than_a_part_reach_every_split():
    parts = split_units(np.zeros(9, int), np.repeat(np.arange(3), 3), (0.7, 0.15, 0.15), 0, 1)
    assert sorted(parts[::3]) == [0, 1, 2]
    parts = split_units(np.zeros(9, int), np.repeat(np.arange(3), 3), (2 / 3, 1 / 3), 0, 1)
    assert sorted(parts[::3]) == [0, 0, 1]


@pytest.mark.parametrize("seed", range(20))
def test_a_class_of_few_groups_reaches_every_split(seed):
    groups = tuple(f"p{row // 3}" for row in range(9)) + tuple(f"q{row // 4}" for row in range(240))
    data = table((9, 240), groups=groups)
    splits, _ = assign_splits(data, digests(249), FRACTIONS, seed)
    assert set(splits[:9]) == set(SPLITS)


def test_joined_units_are_connected_through_both_relations():
    groups = ["a", "b", "b", "c", "d"]
    sha = ["1", "1", "2", "2", "3"]
    assert join_units(groups, sha).tolist() == [0, 0, 0, 0, 1]
    assert join_units(None, sha).tolist() == [0, 0, 1, 1, 2]


def test_a_part_of_size_zero_gets_nothing():
    parts = split_units(np.zeros(20, int), np.arange(20), (0.8, 0.2, 0.0), 0, 1)
    assert np.bincount(parts, minlength=3).tolist() == [16, 4, 0]


@pytest.mark.parametrize(
    ("data", "sha", "words"),
    [
        (table((2, 20)), digests(22), ["'class0' with 2 images", "3 different images", "none for"]),
        (table((2, 1, 9)), digests(12), ["'class0'", "'class1' with 1 image "]),
        (
            table((9, 9), groups=tuple("aaaaabbbbcdefghijk")),
            digests(18),
            ["9 images in 2", "separate groups"],
        ),
        (table((4, 9)), ("0" * 64,) * 4 + digests(10)[1:], ["4 images in 1 "]),
    ],
)
def test_a_class_that_cannot_reach_every_split_is_named(data, sha, words):
    with pytest.raises(InputError) as error:
        assign_splits(data, sha, FRACTIONS, 0)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_given_splits_are_never_altered():
    given = ("train", "val", "test") * 10
    data = table((15, 15), splits=given)
    splits, made = assign_splits(data, ("0" * 64,) * 30, FRACTIONS, 0)
    assert made == ()
    assert tuple(splits) == given


def test_val_is_split_off_train_by_the_same_rules():
    groups = tuple(f"p{row // 2}" for row in range(200))
    given = ("train",) * 100 + ("test",) * 20 + ("train",) * 60 + ("test",) * 20
    data = table((120, 80), groups=groups, splits=given)
    splits, made = assign_splits(data, digests(200), FRACTIONS, 0)
    assert made == ("val",)
    np.testing.assert_array_equal(splits == "test", np.array(data.splits) == "test")
    val = counts(data.labels, splits)["val"]
    assert np.abs(val - np.array((100, 60)) * 0.15 / 0.85).max() <= 2
    assert not find_leaks(data, digests(200), splits)
    assert "train became val" in describe(data, digests(200), splits, made)[0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("val",) * 3 + ("test",) * 3, ["'train' must hold images"]),
        (("train",) * 6, ["'test' must hold images"]),
        (("train", "val", "test", "val", "test", "test"), ["'class1' in test and val only"]),
    ],
)
def test_given_splits_that_cannot_be_used_are_refused(given, words):
    with pytest.raises(InputError) as error:
        assign_splits(table((3, 3), splits=given), digests(6), FRACTIONS, 0)
    assert all(word in str(error.value) for word in words), str(error.value)


def test_leaks_are_named():
    groups = ("p1", "p1", "p2", "p3", "p4", "p5")
    splits = np.array(["train", "test", "val", "train", "test", "val"])
    sha = ("a", "b", "c", "c", "d", "e")
    leaks = find_leaks(table((3, 3), groups=groups), sha, splits)
    assert tuple(leak.text for leak in leaks) == (
        "1 of 2 test images (50 %) is in train or val too, byte for byte, or of a group that has images there: their "
        "scores may be too good, and the main ones are also given without them.",
        "Byte-identical files stand under the labels class0, class1: 'class0/000002.png', 'class1/000003.png'.",
        "Byte-identical files are in train and val: 'class0/000002.png', 'class1/000003.png'.",
        "The group 'p1' is in train and test: 'class0/000000.png', 'class0/000001.png'.",
    )
    alone = find_leaks(table((3, 3), groups=("p1",) * 6), sha, np.array(["train", "test", "val"] * 2))
    assert alone[0].text.endswith("too good, and no image is left without them: nothing tells of new images.")


def test_groups_that_the_weights_know_by_name_are_findings_and_leaks_where_an_image_shows_that_they_are_the_same():
    rows = [
        {"sha256": "a", "group": "P1", "split": "train"},
        {"sha256": "b", "group": "P2", "split": "val"},
        {"sha256": "c", "group": "P3", "split": "test"},
    ]
    splits = np.array(["train", "val", "test", "test", "test", "test"])
    data = table((3, 3), groups=("q", "r", "p1", "P2", "P3", "x"))
    first = {"runs/first": list_learned(rows)}
    (named,) = find_leaks(data, digests(6), splits, first)
    assert (named.kind, named.text) == (
        NAMES,
        "2 of 4 test images belong to groups that have the names of groups on which runs/first, where the weights come "
        "from, was trained or validated (P2, p1): if they are the same patients, their scores are too good.",
    )
    assert not find_leaked(digests(6), data.groups, splits, first).any()
    shown = (*digests(4), "c", "z")  # the run's own test image, of the same name
    amount, known = find_leaks(data, shown, splits, first)
    assert amount.text.startswith("2 of 4 test images (50 %) are in train or val too")
    assert known.kind == KNOWN
    assert find_leaked(shown, data.groups, splits, first).tolist() == [False, False, True, True, False, False]


def test_validation_images_that_trained_the_run_of_the_weights_are_counted_and_named():
    rows = [
        {"sha256": "a", "group": "P1", "split": "train"},
        {"sha256": "b", "group": "P2", "split": "val"},
        {"sha256": "c", "group": "P3", "split": "test"},
    ]
    first = {"runs/first": list_learned(rows)}
    data = table((3, 3), groups=("P1", "P2", "P1", "x", "y", "z"))
    (found,) = find_leaks(data, ("a", "b", "new", "d", "e", "f"), np.array(["val"] * 4 + ["train", "test"]), first)
    assert (found.kind, found.text) == (
        CHOOSING,
        "2 of 4 validation images are among those on which runs/first, which gave the weights, was trained, or of "
        "their groups: 'class0/000000.png', 'class0/000002.png'. What validation chooses or fits (epoch, phase, "
        "threshold, temperature) may not suit new images.",
    )
    # The same division again: each run was validated on the same images and trained on none of them.
    assert not find_leaks(
        data, ("a", "b", "a", "d", "e", "f"), np.array(["train", "val", "train", *["test"] * 3]), first
    )


ONE_PATIENT = [("00000116", "116"), ("12", "12.0"), ("P 1", "p1"), ("Mu\u0308ller", "M\xfcller"), ("a07", "A7")]


@pytest.mark.parametrize("spellings", ONE_PATIENT)
def test_one_patient_in_two_spellings_leaks_where_given_splits_part_them(spellings):
    groups = (spellings[0], spellings[1], "b", "c", "d", "e")
    splits = np.array(["train", "test", "val", "train", "test", "val"])
    leaks = [leak.text for leak in find_leaks(table((3, 3), groups=groups), digests(6), splits)]
    assert len(leaks) == 2
    assert leaks[0].startswith("1 of 2 test images (50 %) is in train or val too, byte for byte, or of a group")
    assert "that has images there, in some spelling: their scores" in leaks[0]
    assert re.match(r"The groups '.*' and '.*', which differ only in .*, are in train and test: ", leaks[1])
    assert find_leaked(digests(6), groups, splits).tolist() == [False, True, False, False, False, False]


@pytest.mark.parametrize("spellings", ONE_PATIENT)
def test_one_patient_in_two_spellings_stays_in_one_split_where_tlmed_divides(spellings):
    groups = tuple(f"q{row // 4}q" for row in range(36)) + spellings * 2
    data = table((20, 20), groups=groups)
    for seed in range(5):
        splits, _ = assign_splits(data, digests(40), FRACTIONS, seed)
        assert len(set(splits[36:])) == 1
        assert find_leaks(data, digests(40), splits) == ()


def test_pictures_saved_anew_are_no_copies_and_pixels_are_called_pixels(tmp_path):
    picture = np.random.RandomState(0).randint(0, 256, (9, 9, 3)).astype(np.uint8)
    images, labels = np.array([picture, 255 - picture, picture // 2]), np.array([[0], [1], [0]])
    arrays = {
        f"{split}_{part}": values for split in SPLITS for part, values in {"images": images, "labels": labels}.items()
    }
    np.savez(tmp_path / "x.npz", **arrays)
    found = load(tmp_path / "x.npz", (9, 9))
    assert found.leaks[0].text.startswith(
        "3 of 3 test images (100 %) are in train or val too, pixel for pixel, or of a group"
    )
    assert found.leaks[1].text.startswith("Images of equal pixels are in train and val and test: ")
    assert any("repeat another one pixel for pixel. None is left out" in sentence for sentence in found.warnings)
    for split, form in {"train": "png", "val": "bmp", "test": "tiff"}.items():
        for i, image in enumerate(images):
            path = tmp_path / split / f"{i % 2}" / f"{i}.{form}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    (tmp_path / "x.npz").unlink()
    assert load(tmp_path, (9, 9)).leaks == ()  # and docs/data.md promises no more


def test_copies_within_a_group_make_no_interval_narrower():
    sha = [*digests(18)]
    sha[0] = sha[1]
    splits = np.array(["test"] * 18)
    groups = ("p", "p", *map(str, range(16)))
    (said,) = (line for line in describe(table((9, 9), groups=groups), sha, splits, ()) if "byte for byte" in line)
    assert said.endswith("Copies belong to the same group each time, and intervals count groups.")
    apart = ("p", "q", *map(str, range(16)))
    (said,) = (line for line in describe(table((9, 9), groups=apart), sha, splits, ()) if "byte for byte" in line)
    assert said.endswith("None is left out: many copies make intervals too narrow.")


def test_copies_in_a_group_are_told_from_others():
    sha = [*digests(18)]
    sha[0], sha[2] = sha[1], sha[3]
    groups = ("p", "p", *map(str, range(16)))
    (said,) = (
        line for line in describe(table((9, 9), groups=groups), sha, np.array(["test"] * 18), ()) if "byte for" in line
    )
    assert said == (
        "2 images of the data repeat another one byte for byte. 1 of them repeats one of no common group. "
        "None is left out: many copies make intervals too narrow."
    )


def test_all_images_of_another_source_are_no_split():
    splits, data = np.array(["test"] * 18), table((9, 9))
    labels = np.array([[1, 0, -1], [0, 0, -1]] * 9)
    several = dataclasses.replace(data, labels=labels, classes=("edema", "mass", "node"))
    assert describe(several, digests(18), splits, None) == (
        "'mass' is never 1 where known; what needs both values is not measured.",
        "'node' is known of no image; what needs both values is not measured.",
    )
    assert describe(several, digests(18), splits, ())[1].startswith("In test 'node' is known of no image; ")
    lacking = dataclasses.replace(data, classes=("a", "b", "c"))
    assert describe(lacking, digests(18), splits, None) == ("No image is of c; what needs one is not measured.",)
    assert describe(lacking, digests(18), splits, ()) == (
        "The given split 'test' has no image of c; what needs one is not measured.",
    )


def test_copies_share_a_split_where_no_given_one_parts_them():
    given, sha = (*("train",) * 6, *("test",) * 3) * 2, [*digests(18)]
    sha[0] = sha[1]
    data = table((9, 9), splits=given)
    splits, made = assign_splits(data, sha, FRACTIONS, 0)
    (copies,) = (said for said in describe(data, sha, splits, made) if "byte for byte" in said)
    assert copies.startswith(
        "1 image of the data repeats another one byte for byte; such images share a split. None is"
    )
    sha[17] = sha[1]
    splits, made = assign_splits(data, sha, FRACTIONS, 0)
    (copies,) = (said for said in describe(data, sha, splits, made) if "byte for byte" in said)
    assert copies.startswith("2 images of the data repeat another one byte for byte. None is left out")
    assert find_leaked(sha, None, splits).tolist() == [False] * 17 + [True]


def test_copies_that_no_test_repeats_leave_intervals_as_they_are(tmp_path):
    given, sha = np.array([*("train",) * 6, *("test",) * 3] * 2), digests(18)
    data = table((9, 9), splits=tuple(given))

    def ask(one, other, **fold):
        found = [*sha[:other], sha[one], *sha[other + 1 :]]
        return describe(data, found, given, (), **fold)[0].partition(" None is left out")[2]

    assert ask(0, 1) == "."
    assert ask(0, 17) == "."  # a leak, which is told by itself
    assert ask(7, 17) == ask(0, 1, fold=True) == ": many copies make intervals too narrow."
    folder = write_images(tmp_path, 12, ("ill", "well"))
    shutil.copy(folder / "ill" / "ill (0).png", folder / "ill" / "copy.png")
    for fold in range(1, 4):  # every fold, because each image is a test image once
        said = load(folder, (8, 8), KFold(3, fold=fold)).warnings
        assert any(sentence.endswith("many copies make intervals too narrow.") for sentence in said)


def test_a_clean_table_has_no_leaks_and_nothing_to_say():
    data = table((9, 9))
    splits, made = assign_splits(data, digests(18), FRACTIONS, 0)
    assert find_leaks(data, digests(18), splits) == ()
    assert describe(data, digests(18), splits, made) == ()


def test_a_class_that_a_given_split_lacks_is_told():
    given = ("train", "val", "test", "train", "train", "test")
    said = describe(table((3, 3), splits=given), digests(6), np.array(given), False)
    assert said == ("The given split 'val' has no image of class1; what needs one is not measured.",)


def test_a_hundred_thousand_images_take_seconds():
    random = np.random.RandomState(0)
    data = table((60_000, 30_000, 10_000))
    data = replace(data, groups=tuple(f"p{patient}" for patient in random.randint(40_000, size=100_000)))
    start = time.perf_counter()
    assign_splits(data, digests(100_000), FRACTIONS, 0)
    assert time.perf_counter() - start < 10


@pytest.mark.parametrize("scheme", [FRACTIONS, KFold(3, fold=1), KFold(2, fold=1)])
@pytest.mark.parametrize("groups", [None, ("a",) * 21])
@pytest.mark.parametrize("name", ["Benign", "cyst"])
def test_a_class_of_few_images_that_another_spelling_has_is_named(name, groups, scheme):
    data = replace(table((20, 1), groups=groups), classes=("benign", name))
    with pytest.raises(InputError) as error:
        assign_splits(data, digests(21), scheme, 0)
    fault = next(fault for fault in error.value.faults if f"class '{name}' with 1 image in 1 of them" in fault)
    said = " 'Benign' differs from 'benign' only in case or spaces. Received: "
    assert (said in fault) == (name == "Benign")
    assert scheme == KFold(3, fold=1) or "none for" in fault
    if scheme == FRACTIONS:
        assert (said in "".join(find_scheme_faults(data, scheme))) == (name == "Benign")
