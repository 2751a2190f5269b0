"""Whether a kind of image goes with the class: exact for images that stand alone, and by patients where they do not."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from tlmed.data.class_shares import CHANCE, Classed, find_chances, say_shares

CLASSES = ("a", "b")


def find_exactly(table):
    """Return the share of all ways to deal the labels whose chi-squared statistic is as large, by counting them."""
    (a, b), (c, d) = table
    rows, column, total = (a + b, c + d), a + c, a + b + c + d
    ways = {k: math.comb(rows[0], k) * math.comb(rows[1], column - k) for k in range(min(column, rows[0]) + 1)}
    far = abs(a - rows[0] * column / total)
    return sum(way for k, way in ways.items() if abs(k - rows[0] * column / total) >= far - 1e-9) / sum(ways.values())


def deal(table):
    """Return a choice and labels with these counts: rows are chosen or not, columns classes."""
    cells = [(row == 0, column) for row in (0, 1) for column in (0, 1) for _ in range(table[row][column])]
    chosen, labels = map(np.array, zip(*cells, strict=True))
    return chosen, labels


def test_images_that_stand_alone_are_tested_exactly():
    sure = 0
    for row, other in itertools.product(itertools.product(range(1, 11, 3), repeat=2), repeat=2):
        exact = find_exactly((row, other))
        if not 0.004 < exact < 0.025:  # nearer to 0.01, permutations that are drawn may decide otherwise
            chosen, labels = deal((row, other))
            found = find_chances(chosen, Classed(labels, CLASSES, np.arange(len(labels))))[0]
            assert (found < CHANCE) == (exact < CHANCE), (row, other, exact, found)
            sure += exact < CHANCE
    assert sure > 3
    # Chi-squared itself, which holds for many images, would call this sure.
    chosen, labels = deal(((4, 0), (0, 4)))
    assert stats.chi2_contingency([[4, 0], [0, 4]], correction=False).pvalue < CHANCE < find_exactly(((4, 0), (0, 4)))
    assert say_shares(chosen, Classed(labels, CLASSES, np.arange(8))) == ""


def test_many_images_of_a_patient_are_one_draw():
    random, by_units, by_images = np.random.RandomState(0), 0, 0
    units = np.repeat(np.arange(24), random.randint(1, 20, 24))
    for _ in range(60):
        labels, chosen = random.permutation(24)[units] % 2, (random.rand(24) < 0.5)[units]
        counts = [[int((chosen[labels == label] == one).sum()) for label in (0, 1)] for one in (True, False)]
        by_images += stats.chi2_contingency(counts, correction=False).pvalue < CHANCE
        by_units += bool(say_shares(chosen, Classed(labels, CLASSES, units)))
    assert by_units <= 2 < 20 < by_images
    labels = np.arange(24)[units] % 2
    chosen = (labels == 1) & (units > 2)
    assert say_shares(chosen, Classed(labels, CLASSES, units)).startswith("0 of ")


def test_what_changes_within_a_patient_is_told_by_images():
    # Each of 12 patients has images of both classes; all of one class were stored in another way.
    units, labels = np.repeat(np.arange(12), 10), np.tile([0, 1], 60)
    assert say_shares(labels == 1, Classed(labels, CLASSES, units)) == "0 of 60 in class 'a', 60 of 60 in class 'b'"


@pytest.mark.parametrize("unknown", [False, True])
def test_one_of_many_labels_is_told_and_chance_among_them_is_not(unknown):
    random, names = np.random.RandomState(1), tuple(f"label {number}" for number in range(20))
    told = 0
    for _ in range(20):
        labels = random.randint(-unknown, 2, (40, 20))
        told += bool(say_shares(random.rand(40) < 0.5, Classed(labels, names, np.arange(40))))
    assert told <= 1
    labels[:, 7] = np.where(labels[:, 7] < 0, -1, np.arange(40) % 2)
    known = labels[:, 7] >= 0
    assert say_shares(np.arange(40) % 2 == 1, Classed(labels, names, np.arange(40))) == (
        f"0 of {(labels[known, 7] == 0).sum()} in class 'no label 7', "
        f"{(labels[known, 7] == 1).sum()} of {(labels[known, 7] == 1).sum()} in class 'label 7'"
    )


def test_nothing_or_all_goes_with_no_class():
    classed = Classed(np.arange(8) % 2, CLASSES, np.arange(8))
    assert [find_chances(np.full(8, value), classed).tolist() for value in (False, True)] == [[1.0], [1.0]]
