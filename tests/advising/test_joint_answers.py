"""Two networks that answer together: when a second one is trained, and by what it is decided."""

import dataclasses
import math
from types import SimpleNamespace

import pytest

from tlmed.advising import joint_answers, ladder
from tlmed.advising.at_hand import Network
from tlmed.advising.attempts import PROBES, THAWING, WHOLE, Attempt, Log
from tlmed.advising.climbing import Choice
from tlmed.advising.expected_gains import ExpectedGain
from tlmed.advising.joint_answers import join
from tlmed.advising.trials import Gain, Score, Trial
from tlmed.advising.work import Work
from tlmed.recipe import load_recipe
from tlmed.run_files import METRICS_JSON
from tlmed.sections import KFold

BASE, NETWORK = load_recipe("feature_extractor"), Network("MobileNetV2", "imagenet", 1)
MADE = {
    "probe": (PROBES, ladder.make_probe(BASE, NETWORK)),
    "thaw1": (THAWING, ladder.make_thawed(BASE, NETWORK, 8, 1)),
    "whole": (WHOLE, ladder.make_whole(BASE, NETWORK, 8)),
    "adapters": (WHOLE, ladder.make_adapted(BASE, NETWORK, 8)),
}


class Team:
    """Processes whose runs would take ten seconds each; `fault` is why one cannot be trained."""

    fault = ""
    forecasts = SimpleNamespace(expect=lambda cell: 10.0)

    def expect(self, cells, together):
        return 10.0 * len(cells), self.fault


def make_best(name, score=0.85):
    step, recipe = MADE[name]
    trial = Trial(f"{name}-MobileNetV2", recipe, KFold(5), (1, 2))
    found = None if score is None else Score("auc", score, score - 0.05, min(1.0, score + 0.05), "", 100, 2)
    return Attempt(step, trial.name, NETWORK, "trained", trial, found, decision="kept")


def expect_of(mean):
    known = None if mean is None else ExpectedGain(mean, mean - 0.02, mean + 0.02, 5, 20)
    return lambda kind, over: known if (kind, over) == ("pair", "lp_ft") else None


@pytest.fixture
def make(monkeypatch, tmp_path):
    """Give a function that returns work, in which a second network has a score or none, and both together a gain."""

    def begin(left=math.inf, second=0.84, gain=0.01, noise=0.01):
        lines, tried = [], []

        def attempt(work, each, best, share=1.0, held=0.0):
            tried.append((each.name, best.members))
            if second is None:
                return work.log.add(each.decide("not tried", "it would take about 1 h"))
            score = Score("auc", second, second - 0.05, second + 0.05, "", 100, 2)
            return work.log.add(dataclasses.replace(each, score=score, seconds=20.0, ended=1.0))

        def write(target, runs):
            target.mkdir(exist_ok=True)
            (target / "recipe.json").touch()
            auc = {"value": 0.85 + gain, "low": 0.8, "high": 0.95, "method": "DeLong"}
            METRICS_JSON.write(target, {"n": 40, "classes": ["a", "b"], "metrics": {"auc": auc}})

        def compare(both, one, metric):
            assert both.name.partition("-")[2] == one.name
            half = 1.96 * math.sqrt(2) * noise
            return {"value": gain, "low": gain - half, "high": gain + half}

        monkeypatch.setattr(joint_answers, "attempt", attempt)
        monkeypatch.setattr(joint_answers, "measure_gain", lambda each, best, *_: Gain(best.name, -0.02, 0.01))
        monkeypatch.setattr(joint_answers, "write_joint", write)
        monkeypatch.setattr(joint_answers, "compare_two", compare)
        monkeypatch.setattr(joint_answers, "say_heads", lambda work, each: "; heads")
        monkeypatch.setattr(
            Trial,
            "list_runs",
            lambda self, _: [SimpleNamespace(path=tmp_path / cell.name) for cell in self.list_cells()],
        )
        monkeypatch.setattr(Work, "left", left)
        goal = SimpleNamespace(goal=SimpleNamespace(metric="auc"))
        diary, screen = SimpleNamespace(stamp=lambda name: 2.0), SimpleNamespace(say=lines.append)
        work = Work(goal, diary, Team(), screen, Log(tmp_path, 18.0), BASE, KFold(5), (1, 2), (), None, 8)
        return work, tried

    return begin


def decide(work, name="whole", expect=None, score=0.85):
    best = work.log.add(make_best(name, score))
    judged = best if score is not None else make_best("probe", 0.8)
    return join(work, Choice(best, judged), expect_of(None) if expect is None else expect)


@pytest.mark.parametrize("name", ["probe", "adapters"])
def test_a_head_or_adapters_get_no_second_network(make, name):
    work, tried = make()
    choice = decide(work, name)
    assert choice == Choice(choice.judged, choice.judged)
    assert (choice.answer.members, tried, work.log.of("ensemble")) == (1, [], [])


def test_a_second_network_learns_the_same_layers_by_rates_that_follow_the_gradients():
    for name, thawed in (("thaw1", 1), ("whole", "all")):
        recipe = MADE[name][1]
        other = ladder.make_partner(recipe)
        head, last = other.phases
        assert (head, last.thaw, last.rates, last.block_decay) == (recipe.phases[0], thawed, "auto-rgn", 1.0)
        assert dataclasses.replace(other, phases=recipe.phases) == recipe  # the same images, seed and network
    shipped = load_recipe("surgical").phases[-1]
    assert dataclasses.replace(last, epochs=shipped.epochs, name=shipped.name) == shipped


@pytest.mark.parametrize(
    ("name", "mean", "gain", "kept"),
    [
        ("thaw1", None, 0.02, True),
        ("thaw1", None, 0.005, False),  # less than its noise
        ("whole", None, 0.005, False),
        ("whole", 0.02, 0.005, True),  # others gained by it
        ("whole", 0.002, -0.02, False),  # they did, but here it is worse
    ],
)
def test_two_networks_are_kept_by_what_was_measured_and_by_experience(make, name, mean, gain, kept):
    work, tried = make(gain=gain)
    choice = decide(work, name, expect_of(mean))
    assert tried == [(f"partner-{name}-MobileNetV2", 2)]  # time is kept for the training of both
    assert choice.is_tried
    assert choice.answer.name == (f"pair-{name}-MobileNetV2" if kept else f"{name}-MobileNetV2")
    assert choice.answer.members == (2 if kept else 1)
    decisions = {each.name.partition("-")[0]: each.decision for each in work.log.attempts}
    assert decisions["partner"] == decisions["pair"] == ("kept" if kept else "dropped")
    assert decisions[name] == "kept"  # it answers, too
    pair = work.log.of("ensemble")[-1]
    assert (pair.gain.over, pair.gain.value, pair.score.value) == (
        f"{name}-MobileNetV2",
        gain,
        pytest.approx(0.85 + gain),
    )
    assert ("5 sets of other images" in pair.reason) == (mean is not None)


@pytest.mark.parametrize(
    ("alone", "gain", "joined"),
    [
        (-0.005, 0.02, True),  # within its noise: to take the better of the two is luck
        (-0.005, 0.005, False),
        (-0.02, 0.02, False),  # worse, beyond its noise
    ],
)
def test_what_the_noise_does_not_tell_from_the_best_answers_together_with_it(make, monkeypatch, alone, gain, joined):
    work, tried = make(gain=gain)
    monkeypatch.setattr(joint_answers, "measure_gain", lambda each, best, *_: Gain(best.name, alone, 0.01))
    rival = make_best("whole").decide("dropped", "not better")
    work.log.add(dataclasses.replace(rival, trial=rival.trial.keep((2, 3))))
    choice = decide(work, "thaw1")
    decisions = {each.name: each.decision for each in work.log.attempts}
    if alone < -0.01:
        assert tried == [("partner-thaw1-MobileNetV2", 2)]
        return
    assert tried == []  # both are trained already
    assert choice.answer.name == ("joined-thaw1-MobileNetV2" if joined else "thaw1-MobileNetV2")
    assert decisions["whole-MobileNetV2"] == ("kept" if joined else "dropped")
    assert decisions["joined-thaw1-MobileNetV2"] == ("kept" if joined else "dropped")
    pair = work.log.of("ensemble")[-1]
    assert (pair.trial.folds, pair.partners[0].recipe) == ((2,), rival.trial.recipe)


# 12 s for the end, and 1.3 times what two runs take: 26 s.
@pytest.mark.parametrize(
    ("mean", "left", "fault", "name"),
    [
        (0.02, 39, "", "pair-whole"),  # what other pairs gained comes before luck here
        (0.02, 39, "no room", "joined-whole"),
        (0.02, 37, "", "whole"),
        (-0.001, 39, "", "joined-whole"),
        (None, 39, "", "joined-whole"),
    ],
)
def test_a_second_training_comes_before_a_rival_where_other_images_let_expect_a_gain(
    make, monkeypatch, mean, left, fault, name
):
    work, tried = make(left=left, gain=0.02)
    work.team.fault = fault
    monkeypatch.setattr(joint_answers, "measure_gain", lambda each, best, *_: Gain(best.name, -0.005, 0.01))
    work.log.add(make_best("thaw1").decide("dropped", "not better"))
    assert decide(work, expect=expect_of(mean)).answer.name == f"{name}-whole-MobileNetV2".replace(
        "whole-whole", "whole"
    )
    assert [each for each, _ in tried] == (["partner-whole-MobileNetV2"] if name.startswith("pair") else [])


def test_two_networks_need_time_for_the_training_of_both(make, monkeypatch):
    for left, members in ((39, 2), (37, 1)):  # 12 s for the end, and 1.3 times what two runs take
        work, _ = make(left=left, gain=0.02)
        monkeypatch.setattr(joint_answers, "measure_gain", lambda each, best, *_: Gain(best.name, -0.005, 0.01))
        work.log.add(make_best("whole").decide("dropped", "not better"))
        assert decide(work, "thaw1").answer.members == members
    assert "of the budget are left for it" in work.log.said["ensemble"]


@pytest.mark.parametrize("best", ["probe", "thaw1"])
def test_what_other_pairs_gained_counts_for_two_that_were_trained_alone(make, monkeypatch, best):
    work, _ = make(gain=0.005)
    monkeypatch.setattr(joint_answers, "measure_gain", lambda each, best, *_: Gain(best.name, -0.005, 0.01))
    work.log.add(make_best("whole").decide("dropped", "not better"))
    assert decide(work, best, expect_of(0.02)).answer.members == (1 if best == "probe" else 2)


# 12 s for the end, and 1.3 times what two runs take; a quarter more where nothing of the kind was trained.
@pytest.mark.parametrize(
    ("score", "left", "kept"), [(0.85, 39, True), (0.85, 37, False), (None, 45, True), (None, 43, False)]
)
def test_where_there_is_no_time_to_try_two_together_experience_decides_alone(make, score, left, kept):
    work, tried = make(left=left, second=None)
    choice = decide(work, expect=expect_of(0.02), score=score)
    assert [name for name, _ in tried] == (["partner-whole-MobileNetV2"] if score else [])
    assert choice.answer.members == (2 if kept else 1)
    assert choice.judged.name == ("whole-MobileNetV2" if score else "probe-MobileNetV2")
    (pair,) = work.log.of("ensemble")
    assert (pair.decision, pair.score) == ("kept" if kept else "not tried", None)
    said = "5 sets of other images let expect +0.020 over one network" if kept else "of the budget are left for it"
    assert said in work.log.said["ensemble"]


def test_without_experience_or_against_it_no_second_network_is_trained_untried(make):
    work, _ = make(left=1000, second=None)
    assert decide(work).answer.members == 1
    assert "it would take about 1 h" in work.log.said["ensemble"]
    # What such pairs gained with all layers tells nothing of some blocks.
    work, _ = make(left=1000, second=None)
    assert decide(work, "thaw1", expect_of(0.02)).answer.members == 1
    work, _ = make(gain=0.005)
    assert decide(work, "thaw1", expect_of(0.02)).answer.members == 1
    work, tried = make()
    assert decide(work, expect=expect_of(-0.001)).answer.members == 1
    assert tried == []
    assert "on 5 sets of other images a second network gained nothing on average (-0.001)" in work.log.said["ensemble"]
    work, _ = make(left=1000)
    work.team.fault = "no room"
    assert decide(work, expect=expect_of(0.02), score=None).answer.members == 1
    assert "the second network cannot be trained: no room" in work.log.said["ensemble"]
