import numpy as np
import pytest

from tlmed.contests import draw_means, measure_folds, measure_split
from tlmed.contests.score_errors import measure_parts
from tlmed.contests.stable_scales import stabilise
from tlmed.errors import InputError


def test_errors_on_one_split_are_those_of_images_and_of_seeds_counted_once():
    rng, m, n, seeds = np.random.default_rng(0), 4, 200, 3
    found, scores = [], []
    for _ in range(60):
        # In an image's number, 1 is common to all, 1 the configuration's, 1 the seed's; a seed has 0.1 of its own.
        values = rng.standard_normal((1, 1, n)) + rng.standard_normal((m, 1, n)) + rng.standard_normal((m, seeds, n))
        values += 0.1 * rng.standard_normal((m, seeds, 1))
        draws, units = draw_means(values, draws=200)
        found.append(measure_split(values.mean(2), draws, units).covariance)
        scores.append(values.mean((1, 2)))
    mean = np.mean(found, axis=0)
    assert np.diag(mean).mean() == pytest.approx((1 + 1 + 1 / 3) / n + 0.01 / 3, rel=0.1)
    assert mean[np.triu_indices(m, 1)].mean() == pytest.approx(1 / n, rel=0.1)
    assert np.var(scores, axis=0).mean() == pytest.approx(np.diag(mean).mean(), rel=0.2)


def test_errors_of_folds_are_those_of_the_corrected_resampled_t():
    rng = np.random.RandomState(0)
    cells = rng.normal(0, 0.02, (2, 5, 1)) + rng.normal(0, 0.1, (1, 5, 1))
    covariance, differences = measure_folds(cells, 0.25).covariance, (cells[0] - cells[1])[:, 0]
    assert covariance[0, 0] + covariance[1, 1] == pytest.approx(differences.var(ddof=1) * (1 / 5 + 0.25))
    assert measure_folds(cells, 0.25).freedom == 4
    # Of folds that vary only by their seeds, nothing is in common: the mean is one of 15.
    noise = rng.normal(0, 0.02, (40, 5, 3))
    assert measure_folds(noise, 0.25).covariance[0, 0] == pytest.approx(0.02**2 / 15, rel=0.15)


def test_errors_of_folds_shrink_near_the_highest_score():
    rng, missed = np.random.RandomState(0), np.array([0.01, 0.01, 0.16, 0.16])
    cells = 1 - missed[:, None, None] * (1 + rng.normal(0, 0.05, (4, 200, 2)) / np.sqrt(missed / 0.16)[:, None, None])
    own = np.diag(measure_folds(cells, 0.25, top=1.0).covariance)
    within = cells.mean(2).var(axis=1, ddof=1)
    np.testing.assert_allclose(own / own[3], within / within[3], rtol=0.25)
    assert np.ptp(np.diag(measure_folds(cells, 0.25).covariance)) == 0
    # On the scale on which they are compared, all have the same, and a perfect one too.
    cells[0] = 1.0
    scale = stabilise(cells.mean((1, 2)), measure_folds(cells, 0.25, top=1.0).covariance, top=1.0)
    np.testing.assert_allclose(np.diag(scale.covariance), scale.covariance[3, 3], rtol=0.01)
    with pytest.raises(InputError, match="or less"):
        measure_folds(cells, 0.25, top=0.9)


def test_seeds_that_differ_less_than_images_explain_still_add_an_error_the_less_the_more_there_are():
    rng, sizes = np.random.default_rng(0), {}
    values = rng.standard_normal((2, 3, 200))
    draws, units = draw_means(values, draws=300)
    one = np.repeat(values.mean(2)[:, :1], 3, axis=1)  # as if all seeds had the same score
    for m in (2, 20):
        scores, there = np.tile(one, (m // 2, 1)), np.tile(draws, (m // 2, 1, 1))
        images, seeds = measure_parts(scores, there, units)
        assert seeds.covariance.max() == 0
        found = measure_split(scores, there, units)
        sizes[m] = found.covariance[0, 0] / images.covariance[0, 0]
        assert found.freedom < images.freedom
    assert sizes[2] > sizes[20] > 1


def test_two_that_no_image_tells_apart_have_an_error_all_the_same():
    right = np.repeat((np.arange(50) < 45).astype(float)[None, None], 2, axis=0)
    draws, units = draw_means(right)
    covariance = measure_split(right.mean(2), draws, units, step=1 / units).covariance
    assert covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1] == pytest.approx(2 * (0.2 / 50) ** 2)


def test_what_does_not_fit_is_refused():
    with pytest.raises(InputError, match="units=1"):
        measure_split(np.ones((2, 1)), np.ones((2, 1, 5)), 1)
    with pytest.raises(InputError, match="shapes"):
        measure_split(np.ones((2, 1)), np.ones((2, 5)), 9)
    with pytest.raises(InputError, match="test_share=0"):
        measure_folds(np.ones((2, 2, 2)), 0)
