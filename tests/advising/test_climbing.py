import dataclasses
from types import SimpleNamespace

import pytest

from tlmed.advising import climbing, ladder
from tlmed.advising.at_hand import Network
from tlmed.advising.attempts import PROBES, THAWING, Attempt, Log
from tlmed.advising.climbing import go_further, is_promising, settle_epochs
from tlmed.advising.expected_gains import ExpectedGain
from tlmed.advising.trials import Gain, Score, Trial
from tlmed.advising.work import Work
from tlmed.recipe import load_recipe
from tlmed.sections import KFold


@pytest.mark.parametrize(
    ("metric", "value", "low", "promising"),
    [
        ("auc", 0.775, 0.42, True),  # of few images: the interval holds 0.5, and 0.775 is 1.5 standard errors above
        ("auc", 0.56, 0.40, False),
        ("auc", 0.45, 0.30, False),
        ("auc", 0.70, 0.60, True),
        ("auc", 0.70, None, False),
        ("accuracy", 0.45, 0.30, True),  # guessing has no fixed accuracy
    ],
)
def test_a_training_is_worth_its_time_where_the_best_lies_above_guessing_by_more_than_its_noise(
    metric, value, low, promising
):
    score = Score(metric, value, low, None if low is None else 1.0, "", 85, 5)
    assert is_promising(SimpleNamespace(score=score)) == promising


# 40 s an epoch: 50 for a trial and an answer, and a quarter more; 30 for the answer alone, with its doubt.
@pytest.mark.parametrize(
    ("left", "folds", "gain", "epochs"),
    [
        (1050, 5, 0.03, 16),
        (950, 5, 0.03, 8),
        (950, 1, 0.03, 16),  # a trial on one part tells less than a schedule that is too short loses
        (950, 1, -0.001, 8),
        (950, 1, None, 8),
        (470, 1, 0.03, 8),
    ],
)
def test_blocks_are_trained_longer_where_there_is_time_for_it(monkeypatch, left, folds, gain, epochs):
    def expect(kind, over):
        assert (kind, over) == ("lp_ft", "probe")
        return None if gain is None else ExpectedGain(gain, -0.1, 0.1, 5, 20)

    monkeypatch.setattr(climbing, "_begin_further", lambda work, *_: work.epochs)
    monkeypatch.setattr(climbing, "time_trial", lambda _, made: (50.0 * made, 30.0 * made))
    diary = SimpleNamespace(done={})
    diary.note = diary.done.update
    base, parts = SimpleNamespace(data=SimpleNamespace(batch_size=32)), tuple(range(1, folds + 1))
    work = SimpleNamespace(base=base, diary=diary, left=left, epochs=0, folds=parts)
    assert f"passes {epochs} times" in settle_epochs(work, SimpleNamespace(network=None), 663, expect)
    assert work.epochs == epochs
    work.left = 10  # later commands go on with what was begun
    assert f"passes {epochs} times" in settle_epochs(work, SimpleNamespace(network=None), 663, expect)


@pytest.mark.parametrize(
    ("gain", "kept"),
    [
        (0.004, "whole"),  # not beyond its noise, but no word against what other images tell
        (-0.03, "probe"),
        (None, "whole"),  # no block was tried
    ],
)
def test_all_layers_are_not_trusted_untried_where_a_block_gained_nothing_on_these_images(
    monkeypatch, tmp_path, gain, kept
):
    network, base = Network("MobileNetV2", "imagenet", 1), load_recipe("feature_extractor")

    def make(step, name, recipe):
        trial = Trial(f"{name}-MobileNetV2", recipe, KFold(5), (1, 2, 3, 4, 5))
        return Attempt(step, trial.name, network, "trained", trial, Score("auc", 0.7, 0.6, 0.8, "", 85, 5))

    monkeypatch.setattr(climbing, "attempt", lambda work, each, best: work.log.add(each.decide("not tried", "late")))
    monkeypatch.setattr(climbing, "time_trial", lambda *_: (300.0, 20.0))
    monkeypatch.setattr(Work, "left", 100.0)
    monkeypatch.setattr(Work, "left_in_doubt", 110.0)
    goal, screen = SimpleNamespace(goal=SimpleNamespace(metric="auc")), SimpleNamespace(say=lambda line: None)
    work = Work(goal, None, None, screen, Log(tmp_path), base, KFold(5), (1, 2, 3, 4, 5), (), None, 8)
    probe = work.log.add(make(PROBES, "probe", ladder.make_probe(base, network)))
    if gain is not None:
        block = make(THAWING, "thaw1", ladder.make_thawed(base, network, 8, 1)).decide("dropped", "not better")
        work.log.add(dataclasses.replace(block, gain=Gain(probe.name, gain, 0.05)))
    choice = go_further(
        work, probe, lambda kind, over: ExpectedGain(0.03 if kind == "lp_ft" else -0.1, -0.1, 0.2, 5, 9)
    )
    assert choice.answer.name == f"{kept}-MobileNetV2"
    whole = next(each for each in work.log.attempts if each.name == "whole-MobileNetV2")
    said = "thaw1-MobileNetV2 gained nothing on these images, so that others are not trusted alone"
    assert (said in whole.reason, whole.decision) == ((True, "not tried") if kept == "probe" else (False, "kept"))


@pytest.mark.parametrize(
    ("half", "gain", "kept"),
    [
        (0.2, 0.05, "whole"),  # other images differ much: what is measured here decides
        (0.2, -0.05, "thaw1"),
        (0.02, 0.05, "thaw1"),  # they agree that it gains nothing: no trial
    ],
)
def test_all_layers_are_tried_where_they_gained_nothing_on_average_but_other_images_differ(
    monkeypatch, tmp_path, half, gain, kept
):
    network, base, tried = Network("MobileNetV2", "imagenet", 1), load_recipe("feature_extractor"), []

    def attempt(work, each, best):
        tried.append(each.name)
        return work.log.add(dataclasses.replace(each, score=Score("auc", 0.85, 0.75, 0.95, "", 85, 5)))

    def compare(work, each, other, held=0.0):
        return dataclasses.replace(each, gain=Gain(other.name, gain, 0.03)), other

    monkeypatch.setattr(climbing, "attempt", attempt)
    monkeypatch.setattr(climbing, "compare", compare)
    monkeypatch.setattr(climbing, "say_heads", lambda *_: "")
    monkeypatch.setattr(climbing, "time_trial", lambda *_: (50.0, 20.0))
    monkeypatch.setattr(climbing, "say_score", lambda work, each: each.name)
    monkeypatch.setattr(Work, "left", 100.0)
    monkeypatch.setattr(Work, "left_in_doubt", 110.0)
    goal, screen = SimpleNamespace(goal=SimpleNamespace(metric="auc")), SimpleNamespace(say=lambda line: None)
    work = Work(goal, None, None, screen, Log(tmp_path), base, KFold(5), (1, 2, 3, 4, 5), (), None, 8)
    trial = Trial("thaw1-MobileNetV2", ladder.make_thawed(base, network, 8, 1), KFold(5), (1, 2, 3, 4, 5))
    score = Score("auc", 0.8, 0.7, 0.9, "", 85, 5)
    best = work.log.add(Attempt(THAWING, trial.name, network, "trained", trial, score, decision="kept"))
    choice = go_further(work, best, lambda kind, over: ExpectedGain(-0.002, -0.002 - half, half - 0.002, 5, 9))
    assert choice.answer.name == f"{kept}-MobileNetV2"
    assert tried == (["whole-MobileNetV2"] if half > 0.1 else [])  # adapters need a gain on average


@pytest.mark.parametrize(
    ("left", "held"),
    [
        (140, 130),  # a trial of 100 s with its answer, a quarter more, 5 s to judge
        (110, 45),  # no trial would begin in less than 125 s: the rest is for blocks
        (30, 0),
    ],
)
def test_thawing_leaves_the_time_of_a_trial_of_all_layers_only_where_there_is_enough_for_it(monkeypatch, left, held):
    monkeypatch.setattr(climbing, "_begin_further", lambda *_: None)
    monkeypatch.setattr(climbing, "time_trial", lambda *_: (100.0, 40.0))
    work = SimpleNamespace(left=left, reserve=lambda best: 15.0)
    best = SimpleNamespace(step=PROBES, network=None, score=Score("auc", 0.8, 0.7, 0.9, "", 85, 5))
    expected = ExpectedGain(0.03, -0.1, 0.1, 5, 20)
    assert climbing._hold(work, best, lambda kind, over: expected) == held


@pytest.mark.parametrize(("seconds", "kept"), [(58, True), (62, True), (66, False)])  # of 100; 40 are needed
def test_what_was_kept_for_a_training_is_not_lost_where_judging_took_a_little_longer(
    monkeypatch, tmp_path, seconds, kept
):
    network, base = Network("MobileNetV2", "imagenet", 1), load_recipe("feature_extractor")
    monkeypatch.setattr(climbing, "time_trial", lambda *_: (300.0, 40.0))
    request = SimpleNamespace(goal=SimpleNamespace(metric="auc"), budget=100.0)
    diary, screen = SimpleNamespace(seconds=seconds), SimpleNamespace(say=lambda line: None)
    work = Work(request, diary, None, screen, Log(tmp_path), base, KFold(5), (1,), (), None, 8)
    monkeypatch.setattr(climbing, "attempt", lambda work, each, best: work.log.add(each.decide("not tried", "late")))
    trial = Trial("probe-MobileNetV2", ladder.make_probe(base, network), KFold(5), (1,))
    best = work.log.add(Attempt(PROBES, trial.name, network, "", trial, Score("auc", 0.8, 0.7, 0.9, "", 85, 1)))
    choice = go_further(work, best, lambda kind, over: ExpectedGain(0.03 if kind == "lp_ft" else -0.1, -0.1, 0.2, 5, 9))
    assert choice.is_tried != kept
