import numpy as np
import pytest
from scipy import stats

from tests.contests.test_mean_ranks import DEMSAR
from tlmed.contests import compare_places
from tlmed.errors import InputError


# No mean of two differences is on the border of these regions, where the last digit of a sum would decide.
# baycomp 1.0.3, SignedRankTest.probs(DEMSAR[:, 0], DEMSAR[:, i], region, nsamples=400000, random_state=1)
@pytest.mark.parametrize(
    ("other", "region", "expected"),
    [
        (3, 0.0051, (0.0014, 0.0007, 0.9979)),
        (3, 0.0101, (0.0003, 0.0384, 0.9613)),
        (3, 0.0203, (0.0000, 0.5577, 0.4423)),
        (1, 0.0101, (0.0000, 0.3287, 0.6714)),
        (1, 0.0203, (0.0000, 0.8952, 0.1048)),
    ],
)
def test_probabilities_are_those_of_the_authors_program(other, region, expected):
    found = compare_places(DEMSAR[:, 0], DEMSAR[:, other], region, seed=0)
    # 50,000 draws: three standard errors are 0.007.
    assert (found.left, found.equal, found.right) == pytest.approx(expected, abs=0.007)
    assert found.left + found.equal + found.right == pytest.approx(1)


def test_both_orders_mirror_each_other_and_a_seed_repeats():
    one, other = np.random.RandomState(0).normal(size=(2, 8))
    there, back = compare_places(one, other, 0.1, seed=3), compare_places(other, one, 0.1, seed=3)
    assert (there.left, there.equal, there.right) == pytest.approx((back.right, back.equal, back.left))
    assert there == compare_places(one, other, 0.1, seed=3) != compare_places(one, other, 0.1, seed=4)


def test_without_a_region_it_agrees_with_wilcoxon_on_which_is_better():
    rng = np.random.RandomState(1)
    one = rng.normal(size=30)
    other = one + rng.normal(0.5, 1, 30)
    found = compare_places(one, other, 0, seed=0)
    p = stats.wilcoxon(one, other, alternative="less").pvalue
    assert found.equal < 0.01
    assert found.left == pytest.approx(p, abs=0.02)


def test_equal_scores_are_equal_and_not_half_a_win_of_each():
    assert compare_places(np.ones(6), np.ones(6), 0.01, seed=0).equal == 1
    nothing = compare_places(np.ones(6), np.ones(6), 0, seed=0)
    assert nothing.left == nothing.right == 0.5


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="region=-1"):
        compare_places(np.ones(3), np.ones(3), -1, seed=0)
    with pytest.raises(InputError, match="shapes"):
        compare_places(np.ones(3), np.ones(2), 0, seed=0)
