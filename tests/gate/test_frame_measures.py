"""Measures of the frame of images, against plain NumPy and against what was drawn."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tlmed.gate.frame_measures import FRAME, GRID, RING, measure_frames

SIZES = [(64, 64), (224, 224), (37, 51), (5, 9), (1, 1)]


def draw(height, width, seed=0, n=3, top=256):
    return np.random.RandomState(seed).randint(0, top, (n, height, width, 3)).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_brightness_is_that_of_numpy(height, width):
    pixels = draw(height, width)
    gray = np.stack([np.asarray(Image.fromarray(one).convert("L")) for one in pixels]).astype(float)
    found = measure_frames(pixels)
    np.testing.assert_allclose(found["mean"], gray.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found["deviation"], gray.std(axis=(1, 2)), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found["dark"], (gray <= 8).mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found["sides"][:, 0], gray[:, : max(round(min(height, width) / 16), 1)].mean((1, 2)))
    if width > 1:
        np.testing.assert_allclose(found["sharpness"], np.abs(np.diff(gray, axis=2)).mean(axis=(1, 2)), rtol=1e-5)


def test_chunks_change_nothing():
    pixels = draw(16, 16, n=70)
    one_by_one = np.concatenate([measure_frames(pixels[row : row + 1]) for row in range(70)])
    assert (measure_frames(pixels) == one_by_one).all()


def test_no_images_have_no_measures():
    assert measure_frames(np.zeros((0, 8, 8, 3), np.uint8)).shape == (0,)


def test_corners_are_in_order_and_the_centre_changes_none_of_them():
    pixels = np.zeros((2, 64, 64, 3), np.uint8)
    pixels[0, :8, -8:] = 200  # top right
    pixels[1, 24:40, 24:40] = 200  # the centre
    found = measure_frames(pixels)
    assert found["corners"][0].tolist() == found["peaks"][0].tolist() == [0, 200, 0, 0]
    frame = [name for name in FRAME.names if name not in ("mean", "deviation", "sharpness", "dark", "border_dark")]
    assert all((found[name][1] == 0).all() for name in frame)
    assert found["border_dark"][1] == 1


def test_the_ring_is_the_outer_eighth_of_the_small_picture():
    pixels = np.full((1, 224, 224, 3), 90, np.uint8)
    pixels[0, 28:-28, 28:-28] = 0
    assert (measure_frames(pixels)["ring"] == 90).all()
    assert RING.sum() == GRID**2 - (GRID * 3 // 4) ** 2


@pytest.mark.parametrize("side", [64, 128, 224])
def test_letters_near_the_border_are_marks_and_large_or_central_parts_are_none(side):
    def make(paint):
        image = Image.new("RGB", (side, side), (30, 30, 30))
        paint(ImageDraw.Draw(image))
        return np.asarray(image)

    pixels = np.stack(
        [
            make(lambda pen: [pen.rectangle((x, 3, x + 2, 7), fill=(255, 255, 255)) for x in (4, 12, 20)]),
            make(lambda pen: pen.rectangle((side // 2, side // 2, side // 2 + 3, side // 2 + 3), fill=(255,) * 3)),
            make(lambda pen: pen.rectangle((0, 0, side // 2, side // 2), fill=(255, 255, 255))),
            make(lambda pen: pen.rectangle((4, 3, 6, 7), fill=(120, 120, 120))),
        ]
    )
    found = measure_frames(pixels)
    assert found["marks"].tolist() == [3, 0, 0, 0]
    assert found["mark_area"][0] == pytest.approx(3 * 15 / side**2, rel=0.7)  # two by two pixels widen it


def test_colour_is_the_largest_difference_of_channels():
    pixels = np.zeros((2, 32, 32, 3), np.uint8)
    pixels[0], pixels[1] = (90, 40, 60), (70, 70, 70)
    assert measure_frames(pixels)["colour"].tolist() == [50, 0]
