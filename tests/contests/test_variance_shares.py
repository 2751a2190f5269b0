import numpy as np
import pytest

from tlmed.contests import divide_variance
from tlmed.errors import InputError


def make_cells():
    """Return three backbones by four approaches by five folds by two seeds: scores and factors."""
    rng = np.random.RandomState(0)
    b, a, f, _ = (grid.ravel() for grid in np.meshgrid(range(3), range(4), range(5), range(2), indexing="ij"))
    scores = rng.normal(0, 3, 3)[b] + rng.normal(0, 2, 4)[a] + rng.normal(0, 1, 5)[f] + rng.normal(0, 1, (3, 4))[b, a]
    return scores + rng.normal(0, 0.5, len(b)), {"backbone": b, "approach": a, "fold": f}


def test_balanced_shares_are_those_of_the_analysis_of_variance():
    # Mean squares of statsmodels 0.15.0: anova_lm(ols("y~(C(b)+C(a)+C(f))**3", cells).fit()).
    b, a, f, ba, bf, af, baf, seed = (
        *(182.801428, 215.972214, 8.409872, 13.646301),
        *(0.231829, 0.263518, 0.147628, 0.268533),
    )
    # Expected mean squares of random effects, solved from the last to the first.
    expected = {
        "backbone": (b - ba - bf + baf) / 40,
        "approach": (a - ba - af + baf) / 30,
        "fold": (f - bf - af + baf) / 24,
        "seed": seed,
        "rest": (ba - baf) / 10 + (bf - baf) / 8 + (af - baf) / 6 + (baf - seed) / 2,
    }
    found = divide_variance(*make_cells())
    assert found.balanced
    assert not found.cut
    assert sum(found.shares.values()) == pytest.approx(1)
    assert {name: deviation**2 for name, deviation in found.deviations.items()} == pytest.approx(expected, rel=1e-5)
    assert found.levels == {"backbone": 3, "approach": 4, "fold": 5}


def test_no_order_of_factors_matters_where_cells_are_missing():
    scores, factors = make_cells()
    kept = np.random.RandomState(1).random_sample(len(scores)) < 0.7
    some = {name: code[kept] for name, code in factors.items()}
    there, back = divide_variance(scores[kept], some), divide_variance(scores[kept], dict(reversed(some.items())))
    assert not there.balanced
    assert dict(there.shares) == pytest.approx(dict(back.shares))


def test_shares_are_right_on_average_with_missing_cells():
    rng, sums = np.random.default_rng(0), {}
    b, f, _ = (grid.ravel() for grid in np.meshgrid(range(6), range(5), range(2), indexing="ij"))
    kept = rng.random(len(b)) < 0.8
    b, f = b[kept], f[kept]
    for _ in range(300):
        scores = 2 * rng.standard_normal(6)[b] + rng.standard_normal(5)[f] + rng.standard_normal((6, 5))[b, f]
        found = divide_variance(scores + rng.standard_normal(len(b)), {"backbone": b, "fold": f})
        for name, deviation in found.deviations.items():
            estimate = found.cut.get(name, deviation**2)
            sums[name] = sums.get(name, 0) + estimate / 300
    assert sums == pytest.approx({"backbone": 4, "fold": 1, "seed": 1, "rest": 1}, rel=0.12)


def test_nothing_is_below_zero_without_a_word():
    rng = np.random.RandomState(4)
    b, a = np.repeat(range(3), 6), np.tile(np.repeat(range(3), 2), 3)
    found = divide_variance(rng.normal(size=18), {"backbone": b, "approach": a})
    assert found.cut
    assert all(value < 0 and found.shares[name] == 0 for name, value in found.cut.items())
    assert sum(found.shares.values()) == pytest.approx(1)


def test_one_seed_has_no_share_and_factors_that_vary_together_count_once():
    scores, factors = make_cells()
    one = divide_variance(scores[::2], {name: code[::2] for name, code in factors.items()})
    assert "seed" not in one.shares
    twins = divide_variance(scores, factors | {"size": factors["backbone"] * 32, "always": factors["fold"] * 0})
    assert twins.joined == {"backbone": ("size",)}
    assert twins.shares["backbone"] == pytest.approx(divide_variance(scores, factors).shares["backbone"])
    assert twins.shares["always"] == 0


def test_what_cannot_be_divided_is_refused():
    scores, factors = make_cells()
    with pytest.raises(InputError, match="must vary"):
        divide_variance(scores * 0, factors)
    with pytest.raises(InputError, match="two values"):
        divide_variance(scores, {"backbone": np.zeros(len(scores))})
    with pytest.raises(InputError, match="two cells or more"):
        divide_variance(np.arange(3.0), {"backbone": ["a", "b", "c"]})
    with pytest.raises(InputError, match="3 of 'backbone'"):
        divide_variance(scores, {"backbone": [1, 2, 3]})
