"""What is tested, and in which bins."""

import numpy as np
import pytest

from tests.gate.made_evidence import make_evidence
from tlmed.data.file_facts import FileFacts
from tlmed.gate.evidence import take_asked
from tlmed.gate.frame_measures import FRAME
from tlmed.gate.grouped_folds import find_owners
from tlmed.gate.nuisances import MOST_BINS, bin_numbers, bin_texts, bin_words, list_nuisances
from tlmed.sections import Images


@pytest.mark.parametrize("most", [2, 5, 10])
def test_bins_of_numbers_are_about_as_large(most):
    values = np.random.RandomState(0).randn(400, 3)
    bins = bin_numbers(values, most)
    for column in range(3):
        assert np.ptp(np.bincount(bins[:, column], minlength=most)) <= most
        order = np.argsort(values[:, column])
        assert (np.diff(bins[order, column]) >= 0).all()


def test_few_different_numbers_and_missing_ones_have_bins_of_their_own():
    values = np.array([0.0] * 8 + [5.0] * 8 + [np.nan] * 2)[:, None]
    bins = bin_numbers(values, 4)[:, 0]
    assert len({*bins[:8]}) == len({*bins[8:16]}) == 1
    assert {*bins[16:]} == {4}
    assert {*bin_numbers(np.full((5, 1), np.nan), 3)[:, 0]} == {3}


def test_words_of_one_owner_share_a_bin():
    owners = np.array([0, 0, 0, 1, 2, 3])
    assert bin_words(["x", "x", "x", "y", "y", "z"], owners).tolist() == [0, 0, 0, 1, 1, 0]


def test_texts_are_read_as_numbers_where_there_are_many():
    ages = [f"{age:03}Y" for age in range(20, 80)]
    bins = bin_texts(ages, np.arange(60), 5)
    assert bins.max() == 4
    assert (np.diff(bins) >= 0).all()
    words = bin_texts([f"w{number % 20}" for number in range(60)], np.arange(60), 5)
    assert words.max() == MOST_BINS


def test_labels_that_classes_are_made_of_are_taken_out_of_names_as_those_of_classes_are():
    paths = [f"all/{label} ({number}).png" for label in ("benign", "cyst", "malignant") for number in range(30)]
    evidence = make_evidence(paths, [0] * 60 + [1] * 30, classes=("other", "ill"))
    asked = Images("x", classes={"other": ("benign", "cyst"), "ill": ("malignant",)}, positive="ill")
    told = take_asked(evidence, asked)
    assert told.positive == "ill"

    def list_words(one):
        owners = find_owners(one)
        return {it.name: it.bins for it in list_nuisances(one, owners) if "file names" in it.name}

    before, after = list_words(evidence), list_words(told)
    assert len(set(before["words in file names"])) > 1
    assert len(set(after.get("words in file names", [0]))) == 1
    assert "number 1 in file names" in before
    assert "number 1 in file names" not in after


def make_facts(n=40):
    tags = ({"manufacturer": "A", "sex": "F"}, {"manufacturer": "B", "sex": "F"})
    return tuple(FileFacts(1000 + row, "PNG", 64, 64, 8, "gray", (0.5, 0.5), tags[row % 2]) for row in range(n))


def test_only_what_differs_is_tested_and_says_what_it_is():
    frames = np.zeros(40, FRAME)
    frames["mean"], frames["corners"][:, 2] = np.arange(40), np.arange(40)
    evidence = make_evidence(
        [f"d/{row}.png" for row in range(40)],
        files=make_facts(),
        frames=frames,
        traits={"site": ("x", "y") * 20, "patient": ("p", "q") * 20, "note": tuple(f"n{row}a" for row in range(40))},
    )
    found = {each.name: each for each in list_nuisances(evidence, find_owners(evidence))}
    assert set(found) == {
        *("size of the file", "bytes for each pixel", "manufacturer in the header", "column 'site'"),
        *("mean brightness", "brightness of the corner, bottom left"),
        *("length of file names", "digits in file names", "number 1 in file names"),
    }
    assert found["manufacturer in the header"].hard
    assert found["brightness of the corner, bottom left"].certain
    assert not found["mean brightness"].certain
    assert not found["size of the file"].certain
