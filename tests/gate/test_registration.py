import numpy as np
import pytest
from scipy import ndimage

from tlmed.gate.content import level
from tlmed.gate.local_correlation import correlate_blocks
from tlmed.gate.registration import align_quarters, halve, refine, warp


@pytest.fixture(scope="module")
def scenes():
    """Give pictures with structure at all scales, larger than is looked at."""
    noise = np.random.RandomState(0).normal(size=(6, 96, 96))
    return sum(30 * scale * ndimage.gaussian_filter(noise, (0, scale, scale)) for scale in (1, 3, 8)).astype(np.float32)


MAP = np.array([[0.93, -0.06, 0.04], [0.05, 0.97, -0.03]])


def look(scene, matrix):
    """Return the middle 64 pixels of a scene under a map, by SciPy, which counts rows first and from pixel centres."""
    rows = matrix[::-1, 1::-1]
    centre = 95 / 2 + 32 * matrix[::-1, 2] - rows @ [63 / 2, 63 / 2]
    return ndimage.affine_transform(scene, rows, centre, (64, 64), order=1)


def test_a_picture_is_warped_as_scipy_does(scenes):
    whole = np.stack([look(scene, np.eye(2, 3)) for scene in scenes])
    warped, inside = warp(whole, np.tile(MAP, (len(whole), 1, 1)))
    expected = np.stack([look(scene, MAP) for scene in scenes])
    assert inside.mean() > 0.9
    np.testing.assert_allclose(warped[inside], expected[inside], atol=2e-2)


def test_registration_finds_the_map_that_was_drawn(scenes):
    first = level(np.stack([look(scene, np.eye(2, 3)) for scene in scenes]), 4)
    second = level(np.stack([look(scene, MAP) for scene in scenes]), 4)
    start = np.tile(np.eye(2, 3), (len(scenes), 1, 1))
    maps, scores = align_quarters(halve(first), halve(second), start)
    assert (scores > 0.7).all()
    maps = refine(first, second, refine(halve(first), halve(second), maps, 4), 4)
    np.testing.assert_allclose(maps, np.tile(MAP, (len(scenes), 1, 1)), atol=0.01)
    assert np.abs(start - MAP).max() > 0.05  # it had something to find


def test_blocks_are_correlated_as_numpy_does(scenes):
    first, second = scenes[0, :64, :64], scenes[1, :64, :64]
    inside = np.ones((64, 64), bool)
    inside[:, 60:] = False
    inside[:8, :8] = False
    blocks = correlate_blocks(first[None], second[None], inside[None])[0].reshape(8, 8)
    assert np.isnan(blocks[0, 0])
    np.testing.assert_allclose(
        blocks[3, 4], np.corrcoef(first[24:32, 32:40].ravel(), second[24:32, 32:40].ravel())[0, 1], 1e-4
    )
    np.testing.assert_allclose(
        blocks[2, 7], np.corrcoef(first[16:24, 56:60].ravel(), second[16:24, 56:60].ravel())[0, 1], 1e-4
    )


def test_a_flat_block_says_nothing(scenes):
    flat = scenes[:1, :64, :64].copy()
    flat[0, :8] = 3
    blocks = correlate_blocks(flat, scenes[:1, :64, :64], np.ones((1, 64, 64), bool)).reshape(8, 8)
    assert np.isnan(blocks[0]).all()
    np.testing.assert_allclose(blocks[1:], 1, atol=1e-4)
