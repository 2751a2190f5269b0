"""Heads on nested subsets, compared with heads that are fitted on one."""

import numpy as np
import pytest

from tlmed.logistic import fit_head, fit_nested


@pytest.mark.parametrize(("n", "d", "strength"), [(400, 20, 0.5), (60, 80, 1.0), (200, 10, 30.0)])
def test_heads_are_those_of_each_subset_alone(n, d, strength):
    random = np.random.RandomState(0)
    positive = random.rand(n) < 0.3
    features = random.standard_normal((n, d)).astype(np.float32)
    features[:, 0] += strength * positive
    order = random.permutation(n)
    subsets = [order[:size] for size in (n // 8, n // 3, n)]
    weights, levels = fit_nested(features, positive, subsets, 5.0)
    for rows, own, level in zip(subsets, weights, levels, strict=True):
        head = fit_head(features[rows], positive[rows].astype(int), 2, 5.0 / len(rows))
        expected = features @ head.weights[:, 0] + head.intercept[0]
        assert features @ own + level == pytest.approx(expected, abs=0.01)


def test_one_kind_only_has_no_weights():
    features = np.random.RandomState(0).standard_normal((9, 3)).astype(np.float32)
    weights, levels = fit_nested(features, np.arange(9) > 5, [np.arange(4), np.arange(9)], 1.0)
    assert (weights[0] == 0).all()
    assert levels[0] == 0
    assert (weights[1] != 0).all()
