import numpy as np
import pytest

from tests.gate.made_evidence import make_evidence
from tlmed.gate.frame_measures import measure_frames
from tlmed.gate.grouped_folds import deal_folds, find_owners, join_owners


def test_owners_are_joined_through_others():
    random = np.random.RandomState(0)
    first, second = random.randint(0, 60, 100), random.randint(0, 300, 100)
    owners = join_owners([np.unique(part, return_inverse=True)[1] for part in (first, second)])
    # brute force: join until nothing changes
    own = np.arange(100)
    for _ in range(100):
        for part in (first, second):
            for value in np.unique(part):
                own[part == value] = own[part == value].min()
    assert np.array_equal(owners[:, None] == owners, own[:, None] == own)
    assert sorted(set(owners)) == list(range(len(set(own))))


@pytest.mark.parametrize("folds", [2, 5])
def test_folds_keep_owners_whole_and_classes_balanced(folds):
    random = np.random.RandomState(0)
    owners = np.unique(random.randint(0, 200, 600), return_inverse=True)[1]
    labels = (owners % 7 == 0) * 1 + (owners % 7 == 1)
    found = deal_folds(labels, owners, folds, random)
    assert set(found) == set(range(folds))
    for owner in set(owners):
        assert len(set(found[owners == owner])) == 1
    shares = np.array([np.bincount(labels[found == fold], minlength=3) for fold in range(folds)])
    assert (np.ptp(shares, axis=0) <= np.bincount(owners).max()).all(), shares


def test_single_images_of_each_class_are_spread_as_evenly_as_they_can_be():
    labels = np.repeat([0, 1, 2], [101, 7, 13])
    found = deal_folds(labels, np.arange(121), 5, np.random.RandomState(1))
    counts = np.array([np.bincount(found[labels == label], minlength=5) for label in range(3)])
    assert (np.ptp(counts, axis=1) <= 2).all()


def test_folds_differ_from_draw_to_draw_and_agree_for_a_seed():
    labels, owners = np.arange(50) % 2, np.arange(50)
    one, same, other = (deal_folds(labels, owners, 5, np.random.RandomState(seed)) for seed in (0, 0, 1))
    assert (one == same).all()
    assert (one != other).any()


def test_equal_bytes_equal_pixels_and_groups_have_one_owner():
    paths = [f"{number}.png" for number in range(5)]
    digests = (b"\xb7\xff", b"\xb7\xff", b"\0a", b"\0", b"c")
    found = make_evidence(paths, groups=("p", "q", "q", "r", "s"), digests=digests, sha256="aabcd")
    assert find_owners(found).tolist() == [0, 0, 0, 1, 2]


@pytest.mark.parametrize("levels", [[0], [0, 4]])
def test_black_planes_join_no_patients_and_equal_pictures_do(levels):
    random = np.random.RandomState(0)
    pixels = random.randint(0, 256, (6, 32, 32, 3)).astype(np.uint8)
    pixels[[0, 2, 4]] = random.choice(levels, (32, 32, 1))
    frames = measure_frames(pixels)
    groups = ("P1", "P1", "P2", "P2", "P3", "P3")
    evidence = make_evidence(
        [f"{row}.png" for row in range(6)],
        [0, 1] * 3,
        frames=frames,
        groups=groups,
        digests=(b"0", b"a", b"0", b"b", b"0", b"b"),
    )
    assert find_owners(evidence).tolist() == [0, 0, 1, 1, 1, 1]


def test_one_black_file_in_many_places_joins_no_patients_and_a_dark_one_does():
    evidence = make_evidence([f"{row}.png" for row in range(4)], groups=("P", "Q", "R", "S"), sha256="aabb")
    evidence.frames["deviation"] = (0, 0, 1, 1)
    assert find_owners(evidence).tolist() == [0, 1, 2, 2]
