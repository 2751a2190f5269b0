import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from tlmed.novelty import nearest_known
from tlmed.novelty.nearest_known import direct, measure_nearest


@pytest.mark.parametrize("k", [1, 2, 7])
def test_distances_are_those_of_scikit_learn(k, monkeypatch):
    random = np.random.RandomState(0)
    train, others = random.gamma(1.0, size=(50, 12)), random.gamma(1.0, size=(20, 12))
    unit = train / np.linalg.norm(train, axis=1, keepdims=True)
    wanted = others / np.linalg.norm(others, axis=1, keepdims=True)
    expected = NearestNeighbors(n_neighbors=k).fit(unit).kneighbors(wanted)[0][:, -1]
    np.testing.assert_allclose(measure_nearest(others, direct(train), k), expected, atol=1e-6)
    monkeypatch.setattr(nearest_known, "_ROOM", 150)  # three rows at a time
    np.testing.assert_allclose(measure_nearest(others, direct(train), k), expected, atol=1e-6)


def test_lengths_do_not_count_and_nothing_gives_nothing():
    train = np.array([[1.0, 2.0], [3.0, 1.0]])
    np.testing.assert_allclose(measure_nearest(5 * train, direct(train), 1), 0, atol=1e-7)
    assert measure_nearest(np.zeros((0, 2)), direct(train), 1).shape == (0,)
    assert np.isfinite(measure_nearest(np.zeros((1, 2)), direct(train), 1)).all()
