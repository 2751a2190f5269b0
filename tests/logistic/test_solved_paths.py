"""Paths of heads, compared with scikit-learn's at each strength."""

import numpy as np
import pytest
from scipy.special import expit, log_softmax
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from tlmed.logistic import Source, aim_at_classes, aim_at_labels, feature_rows, hold, solve_path, solved_paths

STRENGTHS = (10.0, 1.0, 0.1, 0.01, 0.001)


def draw(n, d, classes, seed=0):
    """Return features as a network pools them, 0 or above and correlated, and labels that partly follow from them."""
    random = np.random.RandomState(seed)
    features = np.maximum(random.randn(n, 20) @ random.randn(20, d) / 2 + random.randn(n, d), 0).astype(np.float32)
    scores = features @ random.randn(d, classes) / d**0.5
    return features, (scores + random.randn(n, classes) * scores.std() / 2).argmax(1)


def fit_by_scikit_learn(features, labels, l2, weights=None):
    """Return kernel, bias and mean log loss of scikit-learn's head on its standardised features."""
    scaler = StandardScaler().fit(features.astype(float))
    solver = LogisticRegression(C=1 / (len(labels) * l2), tol=1e-8, max_iter=10_000)
    solver.fit(scaler.transform(features.astype(float)), labels, weights)
    kernel = solver.coef_ / scaler.scale_
    return kernel.T, solver.intercept_ - kernel @ scaler.mean_


def log_losses(kernel, bias, features, labels):
    scores = features.astype(float) @ kernel + bias
    if scores.shape[1] == 1:
        scores = np.hstack([np.zeros_like(scores), scores])
    return -log_softmax(scores, axis=1)[np.arange(len(labels)), labels]


@pytest.mark.parametrize(("n", "d", "classes"), [(300, 40, 2), (300, 40, 4), (80, 200, 3), (1500, 500, 3)])
def test_each_strength_has_the_head_of_scikit_learn(n, d, classes):
    features, labels = draw(n, d, classes)
    path = list(solve_path(hold(features), aim_at_classes(labels, classes), STRENGTHS))
    assert [solution.l2 for solution in path] == list(STRENGTHS)
    for solution in path:
        kernel, bias = fit_by_scikit_learn(features, labels, solution.l2)
        assert solution.kernel.shape == kernel.shape
        np.testing.assert_allclose(solution.kernel, kernel, atol=2e-3 * np.abs(kernel).max())
        assert np.ptp(solution.bias - bias) < 5e-3
        theirs = log_losses(kernel, bias, features, labels).mean()
        assert log_losses(solution.kernel, solution.bias, features, labels).mean() == pytest.approx(theirs, abs=1e-5)
        assert solution.loss == pytest.approx(theirs, abs=1e-5)


def test_factors_of_classes_are_those_of_scikit_learn():
    features, labels = draw(200, 30, 3)
    factors = [0.5, 1.0, 3.0]
    (solution,) = solve_path(hold(features), aim_at_classes(labels, 3, factors), (0.03,))
    weights = np.take(factors, labels)
    kernel, bias = fit_by_scikit_learn(features, labels, 0.03, weights)
    np.testing.assert_allclose(solution.kernel, kernel, atol=1e-3 * np.abs(kernel).max())
    assert solution.loss == pytest.approx((log_losses(kernel, bias, features, labels) * weights).mean(), abs=1e-5)
    plain, _ = fit_by_scikit_learn(features, labels, 0.03)
    assert np.abs(solution.kernel - plain).max() > 0.05 * np.abs(plain).max()


@pytest.mark.parametrize("factors", [None, [(0.7, 2.0), (1.0, 1.0)]])
def test_each_of_several_labels_has_the_head_of_scikit_learn_on_images_where_it_is_known(factors):
    features, first = draw(150, 20, 2)
    labels = np.column_stack([first, draw(150, 20, 2, seed=1)[1]])
    labels[::7, 1] = -1
    known = (labels >= 0).sum()
    (solution,) = solve_path(hold(features), aim_at_labels(labels, factors), (0.02,))
    total = 0.0
    for label in range(2):
        rows = labels[:, label] >= 0
        # All rows set the scale; the mean is over all labels that are known.
        scaler = StandardScaler().fit(features.astype(float))
        standard, asked = scaler.transform(features[rows].astype(float)), labels[rows, label]
        weights = np.ones(len(asked)) if factors is None else np.take(factors[label], asked)
        theirs = LogisticRegression(C=1 / (known * 0.02), tol=1e-8, max_iter=5000).fit(standard, asked, weights)
        kernel = theirs.coef_[0] / scaler.scale_
        np.testing.assert_allclose(solution.kernel[:, label], kernel, atol=1e-3 * np.abs(kernel).max())
        scores = features[rows].astype(float) @ solution.kernel[:, label] + solution.bias[label]
        total -= (weights * np.log(np.where(asked, expit(scores), expit(-scores)))).sum()
    assert solution.loss == pytest.approx(total / known, abs=1e-6)


def test_a_label_that_no_image_has_ends_with_a_finite_head():
    features, first = draw(60, 10, 2)
    labels = np.column_stack([first, np.zeros_like(first)])
    (solution,) = solve_path(hold(features), aim_at_labels(labels), (0.1,))
    assert np.isfinite(solution.kernel).all()
    assert np.isfinite(solution.bias).all()
    assert solution.bias[1] < -5


def test_a_warm_start_does_not_change_the_head():
    features, labels = draw(200, 30, 3)
    path = list(solve_path(hold(features), aim_at_classes(labels, 3), STRENGTHS))
    (alone,) = solve_path(hold(features), aim_at_classes(labels, 3), STRENGTHS[-1:])
    np.testing.assert_allclose(path[-1].kernel, alone.kernel, atol=1e-3 * np.abs(alone.kernel).max())
    assert path[-1].steps < alone.steps


@pytest.mark.parametrize("shape", [(2000, 300), (200, 1000)])
def test_the_number_of_threads_does_not_change_a_bit(shape, monkeypatch):
    features, labels = draw(*shape, 3)
    monkeypatch.setattr(feature_rows, "CHUNK", 2**14)

    def solve(threads):
        monkeypatch.setattr(solved_paths, "_threads", lambda source: threads)
        with threadpool_limits(threads):
            return list(solve_path(hold(features), aim_at_classes(labels, 3), (1.0, 0.01)))

    for one, three in zip(solve(1), solve(3), strict=True):
        assert (one.kernel == three.kernel).all()
        assert (one.bias == three.bias).all()


def test_features_that_do_not_fit_into_memory_are_read_in_chunks(monkeypatch):
    features, labels = draw(600, 50, 3)
    held = list(solve_path(hold(features), aim_at_classes(labels, 3), (1.0, 0.01)))
    monkeypatch.setattr(feature_rows, "HELD", 0)
    monkeypatch.setattr(feature_rows, "CHUNK", 50 * 64)
    asked = []

    def take(rows):
        asked.append(len(rows))
        return features[rows].astype(np.float16)  # as a store may keep them

    streamed = list(solve_path(Source(take, np.arange(600), 50), aim_at_classes(labels, 3), (1.0, 0.01)))
    assert max(asked) == 64
    for one, other in zip(held, streamed, strict=True):
        np.testing.assert_allclose(one.kernel, other.kernel, atol=5e-3 * np.abs(one.kernel).max())


def test_constant_features_have_no_weight():
    features, labels = draw(90, 5, 2)
    features[:, 2] = 0.1
    (solution,) = solve_path(hold(features), aim_at_classes(labels, 2), (0.01,))
    assert solution.kernel[2, 0] == 0
    assert (solution.kernel[[0, 1, 3, 4], 0] != 0).all()


def test_rows_that_are_chosen_are_those_of_the_source():
    features, _ = draw(20, 3, 2)
    chosen = hold(features).choose(np.array([4, 2, 7]))
    assert np.concatenate(list(chosen.chunks())).tolist() == features[[4, 2, 7]].tolist()
    assert np.concatenate(list(chosen.choose(np.array([2])).chunks())).tolist() == features[[7]].tolist()
