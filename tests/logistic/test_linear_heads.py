import warnings

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from tlmed.logistic import fit_head, fit_path, project, standardise


def draw(n, d, classes, seed=0, noise=1.0):
    """Return correlated features on different scales, and labels that partly follow from them."""
    random = np.random.RandomState(seed)
    features = random.randn(n, d) @ random.randn(d, d) * np.exp(random.randn(d)) + 5
    scores = standardise(features) @ random.randn(d, classes) + noise * d**0.5 * random.randn(n, classes)
    return features, scores.argmax(1)


def fit_by_scikit_learn(features, labels, l2):
    solver = LogisticRegression(C=1 / (len(labels) * l2), tol=1e-9, max_iter=20_000)
    return solver.fit(features, labels).predict_proba(features)


@pytest.mark.parametrize("l2", [1.0, 0.03, 1e-3])
@pytest.mark.parametrize(("n", "d", "classes"), [(200, 12, 2), (200, 12, 4), (60, 150, 2), (60, 150, 3)])
def test_a_head_is_that_of_scikit_learn(n, d, classes, l2):
    features, labels = draw(n, d, classes)
    standard = standardise(features).astype(float)
    mine = fit_head(standard, labels, classes, l2).predict(standard)
    np.testing.assert_allclose(mine, fit_by_scikit_learn(standard, labels, l2), atol=2e-5)
    np.testing.assert_allclose(mine.sum(1), 1)


def test_features_far_from_zero_have_the_same_head():
    features, labels = draw(150, 8, 3)
    near = standardise(features).astype(float)
    far = fit_head(near + 100, labels, 3, 0.01).predict(near + 100)
    np.testing.assert_allclose(far, fit_head(near, labels, 3, 0.01).predict(near), atol=1e-5)


def test_a_path_of_penalties_holds_the_heads_of_each():
    features, labels = draw(150, 20, 3)
    standard, l2s = standardise(features), (1.0, 0.1, 0.001)
    for l2, head in zip(l2s, fit_path(standard, labels, 3, l2s), strict=True):
        np.testing.assert_allclose(
            head.predict(standard), fit_head(standard, labels, 3, l2).predict(standard), atol=1e-5
        )


def test_few_steps_suffice_whatever_the_scale_of_features_and_penalty():
    features, labels = draw(300, 30, 2, noise=0.5)
    for l2 in (1.0, 0.01, 1e-4):
        assert fit_head(features, labels, 2, l2).steps < 150


def test_separable_classes_with_a_tiny_penalty_converge():
    features = np.r_[np.full((20, 2), -1.0), np.full((20, 2), 1.0)] + np.random.RandomState(0).randn(40, 2) / 10
    labels = np.repeat([0, 1], 20)
    mine = fit_head(features, labels, 2, 1e-4).predict(features)
    np.testing.assert_allclose(mine, fit_by_scikit_learn(features, labels, 1e-4), atol=1e-4)


def test_classes_without_images_have_no_probability():
    features, labels = draw(100, 5, 2)
    found = fit_head(features, labels * 2, 4, 0.1).predict(features)
    np.testing.assert_allclose(found[:, [0, 2]], fit_head(features, labels, 2, 0.1).predict(features))
    assert (found[:, [1, 3]] == 0).all()
    alone = fit_head(features, np.full(100, 1), 3, 0.1).predict(features)
    assert alone.tolist() == [[0, 1, 0]] * 100


def test_standardised_features_are_those_of_scikit_learn_and_constants_become_zero():
    features, _ = draw(9000, 3, 2)  # more than one block
    features = np.c_[features, np.full(9000, 0.1)].astype(np.float32)
    found = standardise(features)
    np.testing.assert_allclose(found[:, :3], StandardScaler().fit_transform(features[:, :3].astype(float)), atol=1e-4)
    assert (found[:, 3] == 0).all()


@pytest.mark.parametrize(("n", "d"), [(300, 40), (40, 300)])
def test_components_are_those_of_scikit_learn_but_for_their_signs(n, d):
    features, _ = draw(n, d, 2)
    mine = project(features, 7)
    theirs = PCA(7, svd_solver="full").fit_transform(standardise(features).astype(float))
    np.testing.assert_allclose(np.abs(mine), np.abs(theirs), atol=1e-2)


@pytest.mark.parametrize(("n", "d"), [(300, 40), (40, 300)])
def test_all_components_keep_what_a_head_says(n, d):
    features, labels = draw(n, d, 3)
    standard, turned = standardise(features), project(features, 300)
    assert turned.shape[1] <= min(n, d)
    mine = fit_head(turned, labels, 3, 0.01).predict(turned)
    np.testing.assert_allclose(mine, fit_head(standard, labels, 3, 0.01).predict(standard), atol=1e-3)


def test_equal_images_can_be_projected_and_fitted():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        turned = project(np.full((10, 4), 3.5, np.float32))
        found = fit_head(turned, np.arange(10) % 2, 2, 0.1).predict(turned)
    np.testing.assert_allclose(found, 0.5)
