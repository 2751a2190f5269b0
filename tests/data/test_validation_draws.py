"""Validation images that are drawn anew: the test images stay, units stay whole, and given ones are refused."""

import numpy as np
import pytest

from tests.data.test_data_splits import FRACTIONS, digests, grouped, table
from tlmed.data.splits import assign_splits
from tlmed.data.validation_draws import draw_validation, find_draw_faults, refuse_given
from tlmed.errors import InputError
from tlmed.sections import KFold

DRAWS = range(6)


@pytest.mark.parametrize("scheme", [FRACTIONS, KFold(k=3, fold=2), KFold(k=4, fold=1, val=0.3)])
def test_the_test_images_stay_and_the_others_are_divided_anew_in_the_same_shares(scheme):
    random, sizes = np.random.RandomState(0), (300, 200, 100)
    data = table(sizes, groups=grouped(random, sizes, 200))
    sha = tuple(digests(600)[:560] + digests(40))
    before, _ = assign_splits(data, sha, scheme, 0)
    drawn = [draw_validation(data, sha, before, scheme, seed) for seed in DRAWS]
    assert len({tuple(splits) for splits in (before, *drawn)}) == len(DRAWS) + 1
    np.testing.assert_array_equal(drawn[0], draw_validation(data, sha, before, scheme, 0))
    amounts = np.bincount(data.labels[before == "val"])
    for splits in drawn:
        np.testing.assert_array_equal(splits == "test", before == "test")
        # Units are of several images, so that a class may miss its share by a part of one.
        np.testing.assert_allclose(np.bincount(data.labels[splits == "val"]), amounts, atol=8)
        for keys in (data.groups, sha):
            homes = {}
            for key, split in zip(keys, splits, strict=True):
                assert homes.setdefault(key, split) == split
    # Over many draws each image that is not tested becomes one for validation.
    often = np.mean([draw_validation(data, sha, before, scheme, seed) == "val" for seed in range(40)], axis=0)
    assert (often[before != "test"] > 0).all()
    assert (often[before == "test"] == 0).all()


def test_a_source_that_gives_train_and_test_has_its_val_drawn_and_one_that_gives_val_refuses():
    given = ("train",) * 60 + ("test",) * 40
    data = table((50, 50), splits=tuple(np.random.RandomState(0).permutation(given)))
    before, made = assign_splits(data, digests(100), FRACTIONS, 0)
    refuse_given(made, 1, "busi")
    drawn = draw_validation(data, digests(100), before, FRACTIONS, 1)
    np.testing.assert_array_equal(drawn == "test", np.array(data.splits) == "test")
    assert (drawn != before).any()
    with pytest.raises(InputError, match=r"`data.val_seed` must be None where the data gives.*val_seed=1 with data=b"):
        refuse_given((), 1, "busi")
    assert find_draw_faults(("train", "val", "test"), None, "busi") == find_draw_faults(None, 3, "busi") == []


def test_a_class_without_enough_images_is_refused():
    data = table((50, 2))
    splits = np.array(["train"] * 49 + ["test"] * 2 + ["train"])
    with pytest.raises(InputError, match=r"Received: class '.*' with 1 image"):
        draw_validation(data, digests(52), splits, FRACTIONS, 0)
