import numpy as np
import pytest
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tlmed.gate import candidates
from tlmed.gate.bare_pictures import open_pictures
from tlmed.gate.candidates import find_candidates
from tlmed.gate.copy_sets import Sets
from tlmed.gate.registration import warp
from tlmed.gate.turned_views import TURNS, describe_parts, flatten, list_views, turn_parts


def draw_sketches(amount, seed=0):
    noise = np.random.RandomState(seed).normal(size=(amount, 64, 64))
    scales = (1, 3, 8)
    return np.clip(128 + sum(60 * s * ndimage.gaussian_filter(noise, (0, s, s)) for s in scales), 0, 255).astype(
        np.uint8
    )


def test_a_turned_view_has_the_coefficients_of_the_turned_picture():
    maps = draw_sketches(3).astype(np.float32) - 128
    views = list_views()
    parts = len(views) // TURNS
    coefficients = turn_parts(describe_parts(maps))
    for number in range(0, len(views), parts):  # the whole picture, turned in eight ways
        turned, _ = warp(maps, np.tile(views[number], (3, 1, 1)))
        expected = flatten(describe_parts(turned)[:, 0])
        np.testing.assert_allclose(coefficients[:, number], expected, atol=1e-3 * np.abs(expected).max())


def test_a_window_has_the_coefficients_of_the_part_that_it_shows():
    maps = ndimage.gaussian_filter(draw_sketches(3).astype(np.float32) - 128, (0, 3, 3))
    views = list_views()
    coefficients = turn_parts(describe_parts(maps))
    for number in (1, 7, len(views) // TURNS - 1):
        seen, _ = warp(maps, np.tile(views[number], (3, 1, 1)))
        expected = flatten(describe_parts(seen)[:, 0])
        for one, other in zip(coefficients[:, number], expected, strict=True):
            assert np.corrcoef(one, other)[0, 1] > 0.95  # corners that were not there differ


@pytest.mark.parametrize("most", [3000, 100])
def test_the_index_finds_what_all_pairs_find(monkeypatch, most):
    monkeypatch.setattr(candidates, "_EXACT", most)
    sketches = draw_sketches(400)
    sketches[390:] = sketches[:10, ::-1]  # upside down
    sketches[380:390] = np.clip(sketches[10:20].astype(int) + 25, 0, 255)
    found = find_candidates(open_pictures(sketches, np.arange(400)), 3)
    pairs = {frozenset(pair) for pair in zip(found.first.tolist(), found.second.tolist(), strict=True)}
    planted = {frozenset((row, 390 + row)) for row in range(10)} | {
        frozenset((10 + row, 380 + row)) for row in range(10)
    }
    assert planted <= pairs
    assert len(pairs) == len(found) <= 400 * 6


def test_sets_are_the_connected_components_of_pairs():
    random = np.random.RandomState(1)
    first, second = random.randint(0, 200, (2, 120))
    sets = Sets(200)
    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        sets.join(one, other)
    _, labels = connected_components(coo_array((np.ones(120), (first, second)), shape=(200, 200)), directed=False)
    expected = [np.flatnonzero(labels == label).tolist() for label in range(labels.max() + 1)]
    assert sets.list_sets() == sorted(rows for rows in expected if len(rows) > 1)
