"""The numbers of the tables that compare approaches and ways of finding a head, against SciPy and a paper's table."""

import importlib
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def ranking(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("ranking")


@pytest.fixture
def head_ways(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("head_ways")


# Demšar 2006, table 5a: q at 0.05 for so many classifiers.
@pytest.mark.parametrize(("count", "q"), [(2, 1.960), (5, 2.728), (8, 3.031), (10, 3.164)])
def test_critical_differences_are_those_of_the_paper(ranking, count, q):
    found = ranking.find_critical_difference(count, 9)
    assert found == pytest.approx(q * (count * (count + 1) / (6 * 9)) ** 0.5, rel=1e-3)


def make_rows(scores, names, sets=("busi", "cxr-pediatric", "ct-contrast-dicom")):
    return [
        {
            "approach": name,
            "set": sets[block % 3],
            "seed": str(block // 3),
            "auc": str(auc),
            "log_loss": "1",
            "seconds": "2",
        }
        for block, line in enumerate(scores)
        for name, auc in zip(names, line, strict=True)
    ]


def test_the_best_approach_comes_first_and_incomplete_blocks_do_not_count(ranking):
    names = ("feature_extractor", "fine_tuning", "lp_ft")
    scores = np.array([[0.8, 0.9, 0.7], [0.7, 0.8, 0.6], [0.8, 0.8, 0.5], [0.6, 0.9, 0.5]])
    rows = make_rows(scores, names)
    assert ranking.make_block(rows).splitlines()[2].startswith("| fine_tuning | 1.12 |")
    assert f"p = {stats.friedmanchisquare(*scores.T).pvalue:.2g}" in ranking.make_block(rows)
    assert "on 4 pairs" in ranking.make_block(rows)
    assert "on 3 pairs" in ranking.make_block(rows[:-1])


def test_a_difference_has_the_interval_of_a_paired_t_test(head_ways):
    one, other = np.random.RandomState(0).rand(2, 5)
    low, high = stats.ttest_rel(other, one).confidence_interval(0.95)
    assert head_ways.say_difference(other - one) == f"{(other - one).mean():+.3f} ({low:+.3f} to {high:+.3f})"


def test_patients_stay_whole_where_images_are_drawn(head_ways):
    images = [head_ways.Image(f"{number}.png", "a", f"p{number // 4}") for number in range(40)]
    drawn = head_ways.draw(images, 18)
    assert len(drawn) == 16
    assert {len([image for image in drawn if image.group == group]) for group in {each.group for each in drawn}} == {4}
