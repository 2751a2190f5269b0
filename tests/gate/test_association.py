"""Cross-validated areas, against scikit-learn and against loops."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import roc_auc_score

from tlmed.gate.association import Bins, Linear


def make(n, seed=0, columns=3, unknown=False):
    random = np.random.RandomState(seed)
    answers = random.randint(-1 if unknown else 0, 2, (n, columns)).astype(np.int8)
    return random, random.randint(0, 4, n), answers


def average(scores, answer, folds):
    """Return the area of pairs of one fold, over all folds."""
    areas, pairs = [], []
    for fold in np.unique(folds):
        rows = (folds == fold) & (answer >= 0)
        ones = (answer[rows] == 1).sum()
        if 0 < ones < rows.sum():
            areas.append(roc_auc_score(answer[rows], scores[rows]))
            pairs.append(ones * (rows.sum() - ones))
    return np.average(areas, weights=pairs)


def rate_by_loops(bins, answer, folds):
    scores = np.empty(len(bins))
    for row in range(len(bins)):
        others = (folds != folds[row]) & (answer >= 0)
        mean = (answer[others] == 1).mean()
        same = others & (bins == bins[row])
        scores[row] = ((answer[same] == 1).sum() + 2 * mean) / (same.sum() + 2)
    return scores.round(6)


@pytest.mark.parametrize("unknown", [False, True])
def test_bins_have_the_area_of_scikit_learn(unknown):
    random, folds, answers = make(90, unknown=unknown)
    bins = [random.randint(0, most, 90) for most in (2, 5, 11)]
    found = Bins(bins, folds).measure(answers)
    for test, each in enumerate(bins):
        for column, answer in enumerate(answers.T):
            assert found[test, column] == pytest.approx(average(rate_by_loops(each, answer, folds), answer, folds))


def test_bins_that_tell_the_answer_have_an_area_of_one_and_others_of_half():
    answers = np.arange(40)[:, None] % 2
    folds = np.arange(40) // 2 % 4
    found = Bins([np.arange(40) % 2, np.zeros(40, int)], folds).measure(answers.astype(np.int8))
    assert found.ravel().tolist() == [1, 0.5]


def test_parts_of_many_columns_change_nothing(monkeypatch):
    random, folds, answers = make(50, columns=9)
    bins = Bins([random.randint(0, 5, 50)], folds)
    whole = bins.measure(answers)
    monkeypatch.setattr("tlmed.gate.association._CELLS", 40)
    np.testing.assert_array_equal(bins.measure(answers), whole)


@pytest.mark.parametrize(("n", "d"), [(60, 100), (100, 12)])
def test_the_linear_model_is_the_ridge_regression_of_scikit_learn(n, d):
    random, folds, answers = make(n)
    values = random.randn(n, d) + answers[:, :1]
    model = Linear(values, folds, random, least=0.01)
    assert (model.hat is None) == (n > 2 * d)
    scaled = (values - values.mean(axis=0)) / values.std(axis=0)
    expected = np.empty(answers.shape)
    for fold in range(4):
        train, test = folds != fold, folds == fold
        ridge = Ridge(alpha=n * (scaled**2).mean(), fit_intercept=False)
        expected[test] = ridge.fit(scaled[train], (answers - answers.mean(axis=0))[train]).predict(scaled[test])
    np.testing.assert_allclose(model.score(answers), expected, atol=1e-4)
    found = model.measure(answers)
    for column, answer in enumerate(answers.T):
        assert found[column] == pytest.approx(average(expected[:, column], answer, folds), abs=0.01)
    assert found[0] > 0.7


def test_both_ways_to_solve_agree(monkeypatch):
    random, folds, answers = make(80, unknown=True)
    values = random.randn(80, 41)
    small = Linear(values, folds, random).score(answers)
    monkeypatch.setattr(Linear, "_find_hat", lambda self: None)
    large = Linear(values, folds, random)
    assert large.hat is None
    np.testing.assert_allclose(large.score(answers), small, atol=1e-5)


def test_equal_images_in_the_order_of_classes_tell_nothing():
    answers = (np.arange(400)[:, None] >= 200).astype(np.int8)
    values = np.zeros((400, 5))
    values[7] = 1
    found = Linear(values, np.arange(400) % 5, np.random.RandomState(0)).measure(answers)
    assert abs(found[0] - 0.5) < 0.1


def test_answers_of_one_kind_have_an_area_of_half():
    random, folds, _ = make(30)
    same = np.ones((30, 1), np.int8)
    assert Bins([random.randint(0, 3, 30)], folds).measure(same).item() == 0.5
    assert Linear(random.randn(30, 4), folds, random).measure(same).item() == 0.5
