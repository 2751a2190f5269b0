import numpy as np
import pytest
from sklearn.covariance import LedoitWolf, ledoit_wolf_shrinkage

from tlmed.novelty.shrunk_gaussians import fit_gaussian, shrink

SHAPES = [(40, 7), (7, 40), (30, 30), (500, 3)]


def draw(n, d, seed=0):
    random = np.random.RandomState(seed)
    rows = random.normal(size=(n, d)) * np.linspace(0.5, 4, d)
    return rows - rows.mean(0)


@pytest.mark.parametrize("shape", SHAPES)
def test_shrinkage_is_that_of_scikit_learn(shape):
    rows = draw(*shape)
    share, level = shrink(rows)
    assert share == pytest.approx(ledoit_wolf_shrinkage(rows, assume_centered=True), abs=1e-12)
    assert level == pytest.approx(np.square(rows).mean(), abs=1e-12)
    assert 0 < share < 1


@pytest.mark.parametrize("shape", SHAPES)
def test_distances_are_those_of_scikit_learn(shape):
    rows, others = draw(*shape), 3 * draw(9, shape[1], seed=1) + 1
    expected = LedoitWolf(assume_centered=True).fit(rows).mahalanobis(others)
    np.testing.assert_allclose(fit_gaussian(rows).measure(others), expected, rtol=1e-8)


def test_axes_beyond_the_limit_have_their_mean_variance():
    rows, others = draw(60, 8), draw(5, 8, seed=2)
    gaussian = fit_gaussian(rows, most=3)
    covariance = LedoitWolf(assume_centered=True).fit(rows).covariance_
    variances, axes = np.linalg.eigh(covariance)
    variances[:5] = variances[:5].mean()
    expected = np.einsum("ni,ij,nj->n", others, axes @ np.diag(1 / variances) @ axes.T, others)
    assert gaussian.axes.shape == (3, 8)
    np.testing.assert_allclose(gaussian.measure(others), expected, rtol=1e-8)
    assert not np.allclose(fit_gaussian(rows).measure(others), expected, rtol=1e-3)


def test_features_without_spread_give_finite_distances():
    found = fit_gaussian(np.zeros((5, 3))).measure(np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0]]))
    assert found[0] == 0
    assert np.isfinite(found[1])
    assert found[1] > 1e6
