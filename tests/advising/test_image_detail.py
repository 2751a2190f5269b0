"""Detail is what a reduction loses of images whose spectra are known, and noise is none of it."""

import numpy as np
import pytest
from PIL import Image

from tlmed.advising.image_detail import estimate_noise, measure_detail

SIDE = 192
Y, X = np.mgrid[:SIDE, :SIDE]


def make(plane):
    """Return a gray image of 8 bits."""
    return np.repeat(np.clip(np.round(plane), 0, 255).astype(np.uint8)[..., None], 3, axis=2)


def draw_smooth(amplitude=90):
    return 128 + amplitude * np.sin(2 * np.pi * X / 128) * np.cos(2 * np.pi * Y / 100)


def test_a_smooth_image_keeps_all_at_64_pixels():
    assert measure_detail([make(draw_smooth())], (64,))[64] > 0.98


def test_a_grating_of_three_pixels_is_lost_at_half_the_size_and_kept_at_the_whole():
    found = measure_detail([make(128 + 90 * np.sin(2 * np.pi * X / 3))], (SIDE // 2, SIDE))
    assert found[SIDE // 2] < 0.05
    assert found[SIDE] == 1.0


def test_of_two_gratings_of_the_same_energy_the_finer_one_is_lost():
    # The gradient of a sine has the energy of its amplitude times its frequency, squared; discrete differences of a
    # period p have 2 sin(pi / p) in place of the frequency.
    coarse, fine = (60 / (2 * np.sin(np.pi / period)) * np.sin(2 * np.pi * X / period) for period in (24, 3))
    assert measure_detail([make(128 + coarse / 2 + fine / 2)], (96,))[96] == pytest.approx(0.5, abs=0.05)


def test_white_noise_is_no_detail():
    random = np.random.RandomState(0)
    noise = [make(128 + 20 * random.normal(size=(SIDE, SIDE))) for _ in range(3)]
    assert measure_detail(noise, (64, 128)) == {64: 1.0, 128: 1.0}


def test_noise_on_a_smooth_image_changes_little():
    random = np.random.RandomState(0)
    noisy = [make(draw_smooth() + 4 * random.normal(size=(SIDE, SIDE))) for _ in range(5)]
    assert measure_detail(noisy, (64,))[64] > 0.9
    plane = noisy[0].mean(axis=2)
    # Without the correction, most of the energy of the gradient would be the noise's.
    energy = sum(np.square(np.diff(plane, axis=axis)).mean() for axis in (0, 1))
    assert energy < 4 * 4**2 / 0.75


def test_more_pixels_never_keep_less_of_a_texture_like_that_of_photographs():
    random = np.random.RandomState(0)
    frequencies = np.hypot(*np.meshgrid(*[np.fft.fftfreq(SIDE)] * 2))
    frequencies[0, 0] = np.inf
    texture = np.fft.ifft2(np.fft.fft2(random.normal(size=(SIDE, SIDE))) / frequencies).real
    found = list(measure_detail([make(128 + 40 * texture / texture.std())], (32, 64, 96, 128, 160)).values())
    assert found == sorted(found)
    assert found[0] < 0.2 < 0.5 < found[-1]


@pytest.mark.parametrize("value", [0, 128])
def test_an_image_of_one_gray_level_loses_nothing(value):
    assert measure_detail([np.full((100, 90, 3), value, np.uint8)], (64,)) == {64: 1.0}


def test_no_images_and_images_of_one_pixel_lose_nothing():
    assert measure_detail([], (64,)) == {64: 1.0}
    assert measure_detail([np.zeros((1, 1, 3), np.uint8), np.zeros((1, 200, 3), np.uint8)], (64,)) == {64: 1.0}


def test_only_the_side_that_is_longer_than_a_size_is_reduced():
    rows, columns = make(128 + 90 * np.sin(2 * np.pi * Y / 3))[:, :60], make(128 + 90 * np.sin(2 * np.pi * X / 3))[:60]
    assert measure_detail([rows], (96,))[96] < 0.05
    assert measure_detail([columns], (96,))[96] < 0.05
    assert measure_detail([columns.swapaxes(0, 1)[:, :60]], (96,))[96] < 0.05
    assert measure_detail([rows[:96]], (96,))[96] == 1.0


@pytest.mark.parametrize("deviation", [0.0, 1.0, 3.0, 10.0])
def test_the_level_of_noise_is_found_on_a_gradient_and_beside_a_black_background(deviation):
    random = np.random.RandomState(0)
    plane = make(draw_smooth(40) + deviation * random.normal(size=(SIDE, SIDE))).mean(axis=2)
    plane[:, SIDE // 2 :] = 0
    assert estimate_noise(plane) == pytest.approx(deviation**2 + 1 / 12, rel=0.15)


def test_the_level_of_noise_of_few_coefficients_far_apart_is_a_number():
    values = np.zeros((4, 4))
    values[0, 0], values[0, 2] = 10, 200  # coefficients of 5 and 100, and none between
    assert 0 < estimate_noise(values) < np.inf
    assert measure_detail([make(values)], (2,))[2] >= 0


def test_what_a_reduction_loses_of_noise_is_what_it_loses_of_many_draws():
    from tlmed.advising.image_detail import _measure_noise

    random, lost = np.random.RandomState(0), []
    for _ in range(40):
        noise = random.normal(size=(90, 120)).astype(np.float32)
        small = Image.fromarray(noise).resize((80, 80), Image.Resampling.BILINEAR)
        rest = noise - np.asarray(small.resize((120, 90), Image.Resampling.BILINEAR))
        lost.append(sum(np.square(np.diff(rest, axis=axis)).sum() for axis in (0, 1)) / noise.size)
    assert _measure_noise((90, 120), 80) == pytest.approx(np.mean(lost), rel=0.01)
