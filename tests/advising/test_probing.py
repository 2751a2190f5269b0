import dataclasses

import pytest

from tlmed.advising import probing
from tlmed.advising.at_hand import Network
from tlmed.advising.attempts import PROBES, Attempt, Log
from tlmed.advising.trials import Gain, Score, Trial
from tlmed.recipe import load_recipe
from tlmed.run_files.advice_files import UNTRIED
from tlmed.sections import KFold


@pytest.fixture
def choose(monkeypatch, tmp_path):
    """Give a function from the scores of probes, in their order, to those that go on and what is said of all."""

    def compare(work, each, other):
        return dataclasses.replace(each, gain=Gain(other.name, each.score.value - other.score.value, 0.02)), other

    monkeypatch.setattr(probing, "compare", compare)

    def run(**scores):
        screen = type("Screen", (), {"say": staticmethod(lambda line: None)})()
        log, division = Log(tmp_path), KFold(5)
        made = type("Work", (), {"log": log, "screen": screen, "metric": "auc", "division": division})()
        probed = [
            log.add(Attempt(PROBES, name, Network(name, "imagenet"), score=Score("auc", value, 0, 1, "", 9, 5)))
            for name, value in scores.items()
        ]
        return [each.name for each in probing._choose(made, probed, 5)], {each.name: each for each in log.of(PROBES)}

    return run


def test_the_first_in_the_order_leads_those_that_the_noise_does_not_tell_apart(choose):
    chosen, told = choose(first=0.80, second=0.81, weak=0.70)
    assert chosen == ["first", "second"]
    assert told["second"].reason.endswith("which the noise does not tell from first, the first in the order")
    assert (told["weak"].decision, told["weak"].reason) == ("dropped", "below second by more than the noise")


def test_the_highest_leads_where_the_first_is_below_it_by_more_than_the_noise(choose):
    chosen, told = choose(first=0.75, second=0.81, third=0.80)
    assert chosen == ["second", "third"]
    assert told["first"].decision == "dropped"
    assert told["second"].reason == "the highest AUC of 3 probes"


def test_the_highest_goes_on_however_many_are_near_it(choose):
    chosen, told = choose(first=0.800, second=0.801, third=0.802, highest=0.810)
    assert chosen == ["first", "highest"]
    assert {name: each.decision for name, each in told.items()} == {
        **{"first": "kept", "highest": "kept"},
        **{"second": "dropped", "third": "dropped"},
    }


@pytest.mark.parametrize(("room", "folds"), [(10, [10, 10]), (5, [5, 5])])
def test_images_are_divided_once_where_the_budget_has_no_time_for_repetitions(monkeypatch, tmp_path, room, folds):
    tried, shares = [], []

    def attempt(work, each, best, share=1.0):
        amount = len(each.trial.folds)
        shares.append(share)
        if amount > room:
            return work.log.add(each.decide(UNTRIED, "no time"))
        tried.append(amount)
        return work.log.add(dataclasses.replace(each, score=Score("auc", 0.8, 0.7, 0.9, "", 9, amount)))

    monkeypatch.setattr(probing, "attempt", attempt)
    monkeypatch.setattr(
        probing,
        "compare",
        lambda work, each, other: (dataclasses.replace(each, gain=Gain(other.name, 0.0, 0.02)), other),
    )
    monkeypatch.setattr(probing, "say_score", lambda work, each: each.name)
    made = type("Work", (), {"log": Log(tmp_path), "metric": "auc", "division": KFold(5, repeats=2)})()
    made.screen = type("Screen", (), {"say": staticmethod(lambda line: None)})()
    made.base = load_recipe("feature_extractor")
    made.make_trial = lambda name, recipe, folds: Trial(name, recipe, made.division, folds)
    probing.probe_all(made, [Network("MobileNetV2", "imagenet"), Network("VGG16", "imagenet")])
    assert tried == folds
    # Repetitions may not take what a training could need; the one probe without which there is no answer may.
    assert shares == ([0.4, 0.4] if room == 10 else [0.4, 1.0, 0.4])
    said = made.log.said[PROBES]
    assert f"{room} folds of the development images" in said
    assert ("no time for 10" in said) == (room == 5)
