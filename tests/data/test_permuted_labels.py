"""Labels that move between owners."""

import numpy as np

from tlmed.data.permuted_labels import permute_rows


def test_single_images_are_permuted_plainly_and_evenly():
    rows = permute_rows(np.array([3, 1, 0, 2]), 6000, np.random.RandomState(0))
    assert (np.sort(rows, axis=1) == np.arange(4)).all()
    shares = np.array([(rows == source).mean(axis=0) for source in range(4)])
    assert np.abs(shares - 0.25).max() < 0.03


def test_images_of_an_owner_take_labels_of_one_owner_and_all_owners_move():
    random = np.random.RandomState(1)
    owners = random.permutation(np.repeat(np.arange(12), random.randint(1, 9, 12)))
    rows = permute_rows(owners, 300, random)
    for owner in range(12):
        assert (np.ptp(owners[rows[:, owners == owner]], axis=1) == 0).all()
    sources = np.array([owners[rows[:, np.flatnonzero(owners == owner)[0]]] for owner in range(12)])
    assert (np.sort(sources, axis=0) == np.arange(12)[:, None]).all()  # each owner gives to one


def test_shares_of_a_mixed_owner_stay_as_they_are():
    owners, labels = np.repeat(np.arange(6), 4), np.tile([0, 0, 0, 1], 6)
    taken = labels[permute_rows(owners, 100, np.random.RandomState(2))]
    assert (taken.reshape(100, 6, 4).sum(axis=2) == 1).all()
    assert (taken != labels).any()


def test_an_owner_with_more_images_repeats_labels():
    owners, labels = np.array([0, 0, 0, 0, 1, 1]), np.array([5, 5, 5, 5, 7, 8])
    taken = labels[permute_rows(owners, 50, np.random.RandomState(3))]
    swapped = taken[(taken[:, 0] == 7) | (taken[:, 0] == 8)]
    assert len(swapped)
    assert {tuple(row) for row in swapped.tolist()} <= {(7, 8, 7, 8, 5, 5), (8, 7, 8, 7, 5, 5)}
