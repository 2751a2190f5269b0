"""Nearest neighbours are those of scikit-learn, also among near-copies and among some rows only."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from tlmed.gate.neighbours import find_neighbours


@pytest.mark.parametrize("rows", [6, 400])
def test_neighbours_are_those_of_scikit_learn(rows):
    random = np.random.RandomState(rows)
    features = random.normal(size=(rows, 7)).astype(np.float32) + 100
    features[1] = features[0] + 1e-3  # a near-copy far from the origin, where products lose digits
    theirs = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(features.astype(float)).kneighbors()
    distances, found = find_neighbours(features, 5)
    assert distances == pytest.approx(theirs[0], rel=1e-3)
    assert (found == theirs[1]).mean() > 0.99
    assert found[0, 0] == 1


def test_only_rows_that_are_asked_for_are_neighbours():
    random = np.random.RandomState(0)
    features, among = random.normal(size=(60, 4)).astype(np.float32), np.arange(10, 40)
    _, found = find_neighbours(features, 3, among)
    assert np.isin(found, among).all()
    assert not (found == np.arange(60)[:, None]).any()
    index = NearestNeighbors(n_neighbors=3, algorithm="brute").fit(features[among])
    outside = np.r_[0:10, 40:60]
    assert (found[outside] == among[index.kneighbors(features[outside], return_distance=False)]).all()
