"""A share of the training images: nested, whole, in proportion; and nothing else moves."""

from dataclasses import replace

import numpy as np
import pytest

from tests.data.test_data_splits import FRACTIONS, digests, grouped, table
from tlmed.data.leaks import find_leaked, find_leaks
from tlmed.data.recorded import find_moved
from tlmed.data.splits import assign_splits, count_folds
from tlmed.data.training_share import leave_aside
from tlmed.errors import InputError
from tlmed.findings import GROUP, IDENTICAL
from tlmed.sections import KFold

SHARES = (0.05, 0.1, 0.25, 0.5, 0.9, 1)


def divide(data, sha, share, seed=0, scheme=FRACTIONS):
    return leave_aside(data, sha, assign_splits(data, sha, scheme, seed)[0], share, seed)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("sizes", [(437, 210, 133), (60, 1000), (40,) * 30])
def test_single_images_are_within_one_half_of_their_share_and_nested(sizes, seed):
    data, before = table(sizes), set()
    whole = divide(data, digests(len(data)), 1, seed)
    totals = np.bincount(data.labels[whole == "train"])
    for share in SHARES:
        splits = divide(data, digests(len(data)), share, seed)
        taken = np.bincount(data.labels[splits == "train"], minlength=len(sizes))
        assert np.abs(taken - share * totals).max() <= 0.5
        now = set(np.flatnonzero(splits == "train"))
        assert before <= now
        before = now
        for split in ("val", "test"):
            np.testing.assert_array_equal(splits == split, whole == split)
        assert set(splits[whole == "train"]) <= {"train", "unused"}
    assert before == set(np.flatnonzero(whole == "train"))


@pytest.mark.parametrize("scheme", [FRACTIONS, KFold(k=3, fold=2)])
@pytest.mark.parametrize("seed", range(3))
def test_patients_and_copies_stay_whole_and_shares_are_nested(scheme, seed):
    random, sizes = np.random.RandomState(seed), (300, 200, 100)
    data = table(sizes, groups=grouped(random, sizes, 200))
    # Few copies: many would join most patients into one unit.
    sha, before = tuple(digests(600)[:560] + digests(40)), set()
    whole = divide(data, sha, 1, seed, scheme)
    totals = np.bincount(data.labels[whole == "train"])
    for share in SHARES[1:]:
        splits = divide(data, sha, share, seed, scheme)
        for keys in (data.groups, sha):
            homes = {}
            for key, split in zip(keys, splits, strict=True):
                assert homes.setdefault(key, split) == split
        now = set(np.flatnonzero(splits == "train"))
        assert before <= now
        before = now
        # Units of several classes cannot be had in exact proportion: the largest has a few images.
        taken = np.bincount(data.labels[splits == "train"], minlength=3)
        assert np.abs(taken / totals - share).max() < 0.12


def test_another_seed_takes_other_images_of_the_same_split():
    data = table((60, 40))
    splits, _ = assign_splits(data, digests(100), FRACTIONS, 0)
    found = [leave_aside(data, digests(100), splits, 0.5, seed) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()


def test_of_given_splits_train_alone_is_thinned():
    given = ("train",) * 8 + ("val",) * 4 + ("test",) * 8
    data = replace(table((20,), splits=given), labels=np.arange(20) % 2, classes=("ill", "well"))
    found, made = assign_splits(data, digests(20), FRACTIONS, 0)
    assert made == ()
    found = leave_aside(data, digests(20), found, 0.5, 0).tolist()
    assert sorted(found[:8]) == ["train"] * 4 + ["unused"] * 4
    assert found[8:] == list(given[8:])


def test_each_label_keeps_its_proportion():
    random = np.random.RandomState(0)
    labels = (random.rand(600, 5) < (0.5, 0.3, 0.2, 0.1, 0.04)).astype(int)
    labels[random.rand(600, 5) < 0.05] = -1
    data = replace(table((600,)), labels=labels, classes=tuple("abcde"))
    whole = divide(data, digests(600), 1)
    has = labels == 1
    for share in (0.1, 0.25, 0.5):
        train = divide(data, digests(600), share) == "train"
        wanted = share * has[whole == "train"].sum(axis=0)
        off = np.abs(has[train].sum(axis=0) - wanted)
        assert (off <= np.maximum(1, 2 * np.sqrt(wanted * (1 - share)))).all()
        assert off[-1] <= 0.5  # the rarest one exactly


def test_a_share_that_leaves_no_image_of_a_class_says_which_would():
    data = table((400, 20))
    sha = digests(420)
    held = int((data.labels[divide(data, sha, 1) == "train"] == 1).sum())
    with pytest.raises(InputError) as caught:
        divide(data, sha, 0.01)
    (fault,) = caught.value.faults
    assert f"data.train_share=0.01, which leaves 0 of {held} training images of class 'class1'." in fault
    enough = float(fault.split(" or more")[0].rpartition(" ")[2])
    assert (data.labels[divide(data, sha, enough) == "train"] == 1).sum() == 1
    with pytest.raises(InputError):
        divide(data, sha, enough - 0.0002)


def test_the_share_is_checked_in_every_fold():
    data, scheme = table((40, 12)), KFold(k=4)
    with pytest.raises(InputError, match="in fold 1 of 4"):
        count_folds(data, digests(52), scheme, 0, 0.02)
    whole, half = (count_folds(data, digests(52), scheme, 0, share) for share in (1, 0.5))
    assert (whole["val"], whole["test"]) == (half["val"], half["test"])
    assert all(abs(some - all_ / 2) <= 1 for some, all_ in zip(half["train"], whole["train"], strict=True))


def test_unused_images_are_no_leak_and_trained_ones_are():
    data = table((2, 2), groups=("Ann", "Bob", "Ann", "Eve"))
    sha = ("a", "b", "c", "b")
    for place, leaks in (("train", [True, True]), ("unused", [False, False])):
        splits = np.array([place, place, "test", "test"])
        assert find_leaked(sha, data.groups, splits)[2:].tolist() == leaks
        assert bool({leak.kind for leak in find_leaks(data, sha, splits)} & {GROUP, IDENTICAL}) == any(leaks)


@pytest.mark.parametrize("made", [(), ("val",)])
def test_an_unused_image_came_as_a_training_image(made):
    rows = [{"a": {"split": split}} for split in ("train", "unused", "test")]
    assert not find_moved(rows[0], rows[1], (made, made))
    assert find_moved(rows[1], rows[2], (made, made)) == ["a"]
