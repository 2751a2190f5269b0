import dataclasses
import math
import statistics

import pytest

from tlmed.advising import climbing, work
from tlmed.advising.at_hand import Network, list_at_hand, read_networks
from tlmed.advising.attempts import THAWING, Attempt, Log
from tlmed.advising.trials import Gain, Score, Trial, join_gains, to_gain
from tlmed.recipe import load_recipe
from tlmed.sections import KFold

NETWORK = Network("MobileNetV2", "imagenet", 2_260_000)


def make_trial(name="probe", folds=(1,)):
    return Trial(name, load_recipe("feature_extractor"), KFold(5), folds)


def difference(value, half):
    return {"value": value, "low": value - half, "high": value + half}


def test_a_trial_trains_each_fold_of_the_development_images_and_draws_nothing_for_the_report():
    cells = make_trial(folds=(1, 3)).list_cells()
    assert [cell.name for cell in cells] == ["probe-fold01", "probe-fold03"]
    assert [cell.recipe.data.inner for cell in cells] == [KFold(5, fold=1), KFold(5, fold=3)]
    assert {cell.recipe.examples for cell in cells} == {0}


@pytest.mark.parametrize(
    ("value", "noise", "real", "is_open"),
    [(0.03, 0.01, True, False), (0.015, 0.01, True, True), (0.01, 0.01, False, True), (-0.03, 0.01, False, False)],
)
def test_a_gain_is_real_above_one_standard_error_and_open_below_two(value, noise, real, is_open):
    gain = Gain("probe", value, noise)
    assert (gain.is_real, gain.is_open) == (real, is_open)


def test_a_gain_that_could_not_be_measured_decides_nothing():
    assert not Gain("probe", None, None).is_real
    assert not Gain("probe", None, None).is_open
    assert to_gain("probe", {"value": 0.0, "low": None, "high": None}) == Gain("probe", 0.0, 0.0)
    assert join_gains("probe", [difference(0.1, 0.02), {"value": None}], 0.25) == Gain("probe", None, None)


def test_the_noise_of_several_folds_is_that_of_their_images_or_of_their_spread():
    halves, values = [0.02, 0.04, 0.03], [0.01, 0.02, 0.03]
    found = join_gains("probe", [difference(*pair) for pair in zip(values, halves, strict=True)], 0.25)
    assert found.value == pytest.approx(0.02)
    assert found.noise == pytest.approx(math.sqrt(sum((half / 1.96) ** 2 for half in halves)) / 3)
    wide = [-0.2, 0.2, -0.1, 0.1, 0.0]
    spread = join_gains("probe", [difference(value, 0.001) for value in wide], 0.25)
    assert spread.noise == pytest.approx(statistics.stdev(wide) * math.sqrt(1 / 5 + 0.25))


class Scripted:
    """Attempts that take no time: scores by name, and the noise of all differences."""

    def __init__(self, scores, noise=0.01):
        self.scores, self.noise, self.tried = scores, noise, []

    def attempt(self, work, each, best, share=1.0):
        self.tried.append(each.name)
        value = self.scores.get(each.name)
        if value is None:
            return work.log.add(each.decide("not tried", "no time"))
        score = Score("auc", value, value - 0.05, min(1.0, value + 0.05), "", 100, 1)
        return work.log.add(dataclasses.replace(each, score=score, seconds=1.0, ended=1.0))

    def compare(self, work, each, other):
        gain = Gain(other.name, self.scores[each.name] - self.scores[other.name], self.noise)
        return dataclasses.replace(each, gain=gain), other


@pytest.fixture
def script(monkeypatch, tmp_path):
    def begin(scores, noise=0.01):
        scripted = Scripted(scores, noise)
        monkeypatch.setattr(climbing, "attempt", scripted.attempt)
        monkeypatch.setattr(climbing, "compare", scripted.compare)
        screen = type("Screen", (), {"say": staticmethod(lambda line: None)})()
        base = load_recipe("feature_extractor")
        made = work.Work(None, None, None, screen, Log(tmp_path), base, base, KFold(5), (1,), (2, 3), True)
        probe = Attempt("probes", "probe-MobileNetV2", NETWORK, trial=make_trial("probe-MobileNetV2"))
        return scripted, made, scripted.attempt(made, probe, None).decide("kept", "")

    return begin


def test_blocks_are_thawed_for_as_long_as_each_gains_more_than_its_noise(script):
    names = {f"thaw{degree}-MobileNetV2": score for degree, score in ((1, 0.85), (2, 0.88), (3, 0.885), (4, 0.95))}
    scripted, made, probe = script({"probe-MobileNetV2": 0.80, **names})
    best = climbing.climb(made, [probe])
    assert best.name == "thaw2-MobileNetV2"
    assert scripted.tried[1:] == [f"thaw{degree}-MobileNetV2" for degree in (1, 2, 3)]
    assert [each.decision for each in made.log.of(THAWING)] == ["kept", "kept", "dropped"]


def test_a_probe_stays_where_nothing_is_better_and_guessing_is_not_thawed(script):
    scripted, made, probe = script({"probe-MobileNetV2": 0.80, "thaw1-MobileNetV2": 0.805})
    assert climbing.climb(made, [probe]).name == "probe-MobileNetV2"
    scripted, made, probe = script({"probe-MobileNetV2": 0.52, "thaw1-MobileNetV2": 0.9})
    assert climbing.climb(made, [probe]).name == "probe-MobileNetV2"
    assert scripted.tried == ["probe-MobileNetV2"]


def test_all_layers_are_tried_unless_experience_expects_no_more_than_is_reached(script):
    scores = {"probe-MobileNetV2": 0.80, "thaw1-MobileNetV2": 0.85, "thaw2-MobileNetV2": 0.85}
    scripted, made, probe = script({**scores, "whole-MobileNetV2": 0.88})
    best = climbing.climb(made, [probe])
    assert climbing.go_further(made, best, {"whole": 0.03}).name == "thaw1-MobileNetV2"
    assert "whole-MobileNetV2" not in scripted.tried
    assert climbing.go_further(made, best, {"whole": 0.06}).name == "whole-MobileNetV2"
    assert {each.name: each.decision for each in made.log.attempts}["thaw1-MobileNetV2"] == "dropped"


def test_the_networks_at_hand_begin_with_the_smallest_and_take_the_image_size():
    found = list_at_hand((224, 224))
    assert [each.parameters for each in found] == sorted(each.parameters for each in found)
    assert Network("LeNet5", "digits/tlmed", found[0].parameters) == found[0]
    assert list_at_hand((16, 16)) == []
    assert [each.weights for each in read_networks(["VGG16=bsds500", "ResNet50"])] == ["bsds500", "imagenet"]
