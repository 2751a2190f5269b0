"""The centre of images: covered, kept alone, and how much of a map lies around it."""

import numpy as np
import pytest

from tlmed.evaluation.explanations.centres import (
    SHARES,
    WHOLE,
    cover_centre,
    find_centre,
    keep_centre,
    list_views,
    measure_frame,
    score_views,
)

IMAGES = np.random.RandomState(0).randint(0, 256, (3, 20, 30, 3)).astype(np.uint8)


@pytest.mark.parametrize("share", SHARES)
def test_what_is_covered_says_nothing_more_and_the_rest_stays(share):
    rows, columns = find_centre(20, 30, share)
    outside = np.ones((20, 30), bool)
    outside[rows, columns] = False
    assert 1 - outside.mean() == pytest.approx(share**2, abs=0.06)
    covered, kept = cover_centre(IMAGES, share), keep_centre(IMAGES, share)
    assert (covered[:, outside] == IMAGES[:, outside]).all()
    assert (kept[:, ~outside] == IMAGES[:, ~outside]).all()
    for filled, where in ((covered, ~outside), (kept, outside)):
        for image, own in zip(filled, IMAGES, strict=True):
            assert (image[where] == np.rint(own[~where].mean(axis=0))).all()


def test_the_centre_has_no_influence_once_it_is_covered():
    other = IMAGES.copy()
    rows, columns = find_centre(20, 30, 0.6)
    other[:, rows, columns] = 7
    assert (cover_centre(other, 0.6) == cover_centre(IMAGES, 0.6)).all()
    assert (keep_centre(other, 0.6) != keep_centre(IMAGES, 0.6)).any()


def test_each_view_of_each_image_is_scored_in_order():
    scores = score_views(lambda images: images.mean(axis=(1, 2)), [IMAGES[:2], IMAGES[2:]])
    assert list(scores) == list(list_views())
    assert scores[WHOLE] == pytest.approx(IMAGES.mean(axis=(1, 2)))
    assert scores["covered 70 %"] == pytest.approx(cover_centre(IMAGES, 0.7).mean(axis=(1, 2)))


def test_an_even_map_has_the_even_share_and_an_empty_one_none():
    maps = np.zeros((3, 16, 16))
    maps[0], maps[1, 8, 8] = 1, 5
    shares, even = measure_frame(maps)
    assert even == pytest.approx(1 - 0.75**2)
    assert shares[:2] == pytest.approx([even, 0])
    assert np.isnan(shares[2])
