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


def make_rows(scores, names, seeds=1):
    """Return rows of scores [places x seeds, approaches], the seeds of a place one after the other."""
    return [
        {
            "approach": name,
            "set": ("busi", "cxr-pediatric", "ct-contrast-dicom")[block // seeds % 3],
            "backbone": "ab"[block // seeds // 3],
            "seed": str(block % seeds),
            "auc": str(auc),
            "log_loss": "1",
            "processor_seconds": "2",
        }
        for block, line in enumerate(scores)
        for name, auc in zip(names, line, strict=True)
    ]


def test_the_best_approach_comes_first_and_incomplete_places_do_not_count(ranking):
    names = ("feature_extractor", "fine_tuning", "lp_ft")
    scores = np.array([[0.8, 0.9, 0.7], [0.7, 0.8, 0.6], [0.8, 0.8, 0.5], [0.6, 0.9, 0.5]])
    rows = make_rows(scores, names)
    assert ranking.make_block(rows).splitlines()[2].startswith("| `fine_tuning` | 1.12 |")
    assert f"p = {stats.friedmanchisquare(*scores.T).pvalue:.2g}" in ranking.make_block(rows)
    assert "at 4 places" in ranking.make_block(rows)
    assert "at 3 places" in ranking.make_block(rows[:-1])


def test_seeds_are_averaged_and_are_no_places_of_their_own(ranking):
    names = ("feature_extractor", "fine_tuning", "lp_ft")
    scores = np.random.RandomState(0).rand(6, 3)
    _, places, means = ranking.find_blocks(make_rows(scores, names, seeds=2))
    assert len(places) == 3
    np.testing.assert_allclose(sorted(means.tolist()), sorted(scores.reshape(3, 2, 3).mean(1).tolist()))


def test_every_setting_is_one_of_the_recipe(ranking):
    import tlmed
    from tlmed.recipe import override

    for cell in ranking.list_cells(ranking.BACKBONES, (0,), ranking.APPROACHES):
        common = [setting.format(data="data") for setting in ranking.BACKBONES[cell["backbone"]]]
        recipe = override(tlmed.load_recipe(cell["approach"]), (*common, *ranking.APPROACHES[cell["approach"]]))
        assert (recipe.weights is None or recipe.weights == "none") == (cell["approach"] == ranking.RANDOM)


def test_a_difference_has_the_interval_of_a_paired_t_test(head_ways):
    one, other = np.random.RandomState(0).rand(2, 5)
    low, high = stats.ttest_rel(other, one).confidence_interval(0.95)
    assert head_ways.say_difference(other - one) == f"{(other - one).mean():+.3f} ({low:+.3f} to {high:+.3f})"


def test_patients_stay_whole_where_images_are_drawn(head_ways):
    images = [head_ways.Image(f"{number}.png", "a", f"p{number // 4}") for number in range(40)]
    drawn = head_ways.draw(images, 18)
    assert len(drawn) == 16
    assert {len([image for image in drawn if image.group == group]) for group in {each.group for each in drawn}} == {4}
