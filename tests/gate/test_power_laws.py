"""Laws that are fitted to points of a learning curve."""

import numpy as np
import pytest

from tlmed.gate.nested_subsets import Points
from tlmed.gate.power_laws import fit_laws

SIZES = np.geomspace(40, 400, 8)


def make_points(areas, noise, random, level=0.0):
    """Return points whose subsets were drawn with noise, of a test that made the level uncertain by so much."""
    repeats = areas + noise * np.sqrt(10) * random.standard_normal((10, len(areas)))
    owners = 1000
    moves = np.tile(np.where(np.arange(owners) % 2, 1.0, -1.0) * level / np.sqrt(owners), (len(areas), 1))
    return Points(SIZES, repeats, moves, moves[-1:], areas[-1:], np.zeros((1, owners)), owners - 1.0, 1.0)


@pytest.mark.parametrize(("limit", "slope", "exponent"), [(0.9, 1.5, 0.6), (0.97, 0.8, 0.4), (0.85, 1.0, 0.5)])
def test_a_law_is_found_again(limit, slope, exponent):
    points = make_points(limit - slope * SIZES**-exponent, 1e-5, np.random.RandomState(0))
    low, middle, high = fit_laws(points).foresee(1600)
    truth = limit - slope * 1600.0**-exponent
    assert low < truth < high
    assert middle == pytest.approx(truth, abs=0.01)
    assert high - low < 0.05


def test_nine_in_ten_truths_lie_in_the_interval():
    random, inside = np.random.RandomState(0), []
    for _ in range(200):
        exponent = np.exp(np.log(0.5) + 0.7 * random.standard_normal())
        last = 0.75 + 0.2 * random.rand()
        slope = random.rand() * (1 - last) * 400**exponent
        law = last + slope * 400**-exponent - slope * SIZES**-exponent
        truth = last + slope * 400**-exponent - slope * 800.0**-exponent
        points = make_points(law + 0.01 * random.standard_normal(), 0.004, random, level=0.01)
        low, _, high = fit_laws(points).foresee(800)
        inside.append(low <= truth <= high)
    assert 0.85 <= np.mean(inside) <= 0.97


def test_no_law_exceeds_an_area_of_one_or_falls():
    random = np.random.RandomState(0)
    points = make_points(np.linspace(0.95, 0.99, 8), 0.005, random, level=0.01)
    laws = fit_laws(points)
    assert laws.limits.max() <= 1
    assert laws.slopes.min() >= 0
    assert laws.weights.sum() == pytest.approx(1)


def test_what_stays_among_the_images_makes_no_difference():
    points = make_points(0.9 - 1.5 * SIZES**-0.6, 1e-3, np.random.RandomState(0), level=0.02)
    widths = [np.ptp(fit_laws(points, times).foresee(800)) for times in (2, 4, np.inf)]
    assert widths[0] < widths[1] < widths[2]
