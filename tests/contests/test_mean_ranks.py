import numpy as np
import pytest
from scipy import stats

from tlmed.contests import find_critical_difference, rank_places, rank_scores
from tlmed.errors import InputError

# Demšar, JMLR 2006, 7:1-30, table 6: AUC of C4.5, C4.5+m, C4.5+cf and C4.5+m+cf on 14 sets. The paper ranks `voting` by
# more digits than it prints, which the fifth digit here stands for.
DEMSAR = np.array(
    [
        *([0.763, 0.768, 0.771, 0.798], [0.599, 0.591, 0.590, 0.569], [0.954, 0.971, 0.968, 0.967]),
        *([0.628, 0.661, 0.654, 0.657], [0.882, 0.888, 0.886, 0.898], [0.936, 0.931, 0.916, 0.931]),
        *([0.661, 0.668, 0.609, 0.685], [0.583, 0.583, 0.563, 0.625], [0.775, 0.838, 0.866, 0.875]),
        *([1.000, 1.000, 1.000, 1.000], [0.940, 0.962, 0.965, 0.962], [0.619, 0.666, 0.614, 0.669]),
        *([0.972, 0.981, 0.97501, 0.975], [0.957, 0.978, 0.946, 0.970]),
    ]
)


# Demšar 2006, table 5a: q at 0.05 for so many classifiers.
@pytest.mark.parametrize(("count", "q"), [(2, 1.960), (5, 2.728), (8, 3.031), (10, 3.164)])
def test_critical_differences_are_those_of_the_paper(count, q):
    assert find_critical_difference(count, 9) == pytest.approx(q * (count * (count + 1) / (6 * 9)) ** 0.5, rel=1e-3)


def test_the_worked_example_of_the_paper_has_its_numbers():
    found = rank_places(DEMSAR, correct_ties=False)
    assert found.ranks == pytest.approx((3.143, 2.000, 2.893, 1.964), abs=5e-4)
    assert (round(found.chi_squared, 2), round(found.statistic, 2)) == (9.28, 3.69)
    assert found.freedom == (3, 39)
    assert found.critical_difference == pytest.approx(1.25, abs=5e-3)
    assert found.p < 0.05  # the paper's critical value of F(3, 39) is 2.85
    # At 0.10 the paper's critical difference is 1.12, which tells C4.5 from both that tune m, and no other pair.
    less = rank_places(DEMSAR, correct_ties=False, level=0.10)
    assert less.critical_difference == pytest.approx(1.12, abs=5e-3)
    told = [(i, j) for i in range(4) for j in range(i) if less.differ(i, j)]
    assert told == [(1, 0), (3, 0)]


def test_ties_count_as_in_scipy():
    assert rank_places(DEMSAR).chi_squared == pytest.approx(stats.friedmanchisquare(*DEMSAR.T).statistic)


def test_the_statistic_is_that_of_an_analysis_of_variance_of_ranks():
    ranks = stats.rankdata(-DEMSAR, axis=1)
    own = ranks.mean(0) - ranks.mean()
    rest = ranks - ranks.mean(1, keepdims=True) - own
    by_hand = (14 * (own**2).sum() / 3) / ((rest**2).sum() / 39)
    found = rank_places(DEMSAR)
    assert found.statistic == pytest.approx(by_hand)
    assert found.p == pytest.approx(stats.f.sf(by_hand, 3, 39))


def test_who_is_told_apart_is_as_scikit_posthocs_says():
    scores = np.random.RandomState(3).normal(size=(12, 5)) + np.arange(5) * 0.5
    found = rank_places(scores)
    # scikit_posthocs.posthoc_nemenyi_friedman(scores), version 0.17.1: p below 0.05 only for the first and last, and
    # 0.05234 for the first and fourth.
    assert [(i, j) for i in range(5) for j in range(i) if found.differ(i, j)] == [(4, 0)]
    assert [(i, j) for i in range(5) for j in range(i) if rank_places(scores, level=0.053).differ(i, j)] == [
        (3, 0),
        (4, 0),
    ]
    assert found.alike == ((4, 3, 1, 2), (3, 1, 2, 0))


def test_folds_of_one_set_need_larger_differences_than_places_of_their_own():
    scores = np.random.RandomState(0).normal(size=(10, 3)) + np.arange(3)
    alone, folds = rank_places(scores), rank_places(scores, test_share=1 / 9)
    # By r = 0.1, nine others: D = 1.9, and (n - D) / (n - 1) = 0.9.
    assert folds.statistic == pytest.approx(alone.statistic * 0.9 / 1.9)
    assert folds.critical_difference == pytest.approx(alone.critical_difference * 1.9**0.5)
    pairs = rank_places(scores, sets=np.arange(10) // 5, test_share=1 / 4)  # r = 0.2, four others: D = 1.8
    assert pairs.critical_difference == pytest.approx(alone.critical_difference * 1.8**0.5)


def test_places_that_all_agree_and_equal_scores():
    assert rank_places(np.tile([0.9, 0.8, 0.7], (9, 1))).p == pytest.approx(6**-8)
    assert rank_places(np.tile([0.9, 0.8], (5, 1))).p == pytest.approx(stats.binomtest(5, 5).pvalue)
    same = rank_places(np.full((9, 3), 0.5))
    assert (same.p, same.alike, same.ranks) == (1.0, ((0, 1, 2),), (2.0, 2.0, 2.0))


def test_what_cannot_be_ranked_is_refused():
    with pytest.raises(InputError, match="two or more"):
        rank_places(np.ones((1, 3)))
    with pytest.raises(InputError, match="finite"):
        rank_places(np.array([[1.0, np.nan], [0.0, 1.0]]))
    with pytest.raises(InputError, match="len\\(sets\\)=1"):
        rank_places(np.ones((2, 2)), sets=["a"])
    assert rank_scores(np.array([[1, 2]])).tolist() == [2.0, 1.0]


def test_who_is_told_apart_needs_the_test_and_the_critical_difference():
    found = rank_places(np.tile([0.9, 0.8], (4, 1)))
    assert abs(found.ranks[0] - found.ranks[1]) > found.critical_difference
    assert found.p == pytest.approx(0.125)
    assert found.alike == ((0, 1),)
