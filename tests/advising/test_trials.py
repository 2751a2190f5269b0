import dataclasses
import io
import math
import statistics
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tlmed.advising import at_hand, climbing, opening, reasons, work
from tlmed.advising.at_hand import Network, list_at_hand, read_networks
from tlmed.advising.attempts import THAWING, Attempt, Log
from tlmed.advising.expected_gains import ExpectedGain
from tlmed.advising.trials import Gain, Score, Trial, average_scores, join_gains, to_gain
from tlmed.backbones.applications import find, keras_file
from tlmed.catalogue import read_catalogue
from tlmed.ensembles.out_of_sample import NothingLeft
from tlmed.metrics.areas import newcombe
from tlmed.metrics.paired_tests import compare_areas, mcnemar
from tlmed.recipe import load_recipe, to_json
from tlmed.run_files import TIMING_JSON
from tlmed.rundir import RunDir
from tlmed.screen import Screen
from tlmed.sections import KFold
from tlmed.studies.cell_forecasts import Forecasts

NETWORK = Network("MobileNetV2", "imagenet", 2_260_000)


Found = namedtuple("Found", "path")  # where weights are, as `resolve` says it


def make_trial(name="probe", folds=(1,)):
    return Trial(name, load_recipe("feature_extractor"), KFold(5), folds)


def difference(value, half):
    return {"value": value, "low": value - half, "high": value + half}


def test_a_trial_trains_each_fold_of_the_development_images_and_draws_nothing_for_the_report():
    cells = make_trial(folds=(1, 3)).list_cells()
    assert [cell.name for cell in cells] == ["probe-fold01", "probe-fold03"]
    assert [cell.recipe.data.inner for cell in cells] == [KFold(5, fold=1), KFold(5, fold=3)]
    assert {cell.recipe.examples for cell in cells} == {0}


def test_the_time_of_a_trial_is_forecast_anew_where_its_epochs_were_settled_otherwise():
    trial = dataclasses.replace(make_trial("whole"), recipe=load_recipe("lp_ft"))
    [*_, last] = trial.recipe.phases
    shorter = dataclasses.replace(trial.recipe, phases=(*trial.recipe.phases[:-1], dataclasses.replace(last, epochs=8)))
    long, short = (each.list_cells()[0].configuration for each in (trial, dataclasses.replace(trial, recipe=shorter)))
    assert long != short
    assert dataclasses.replace(trial, folds=(2,)).list_cells()[0].configuration == long


def test_runs_that_share_the_cores_count_as_long_as_each_would_take_alone(monkeypatch, tmp_path):
    each = Attempt(THAWING, "thaw1", NETWORK, trial=make_trial("thaw1", folds=(1, 2)))
    diary = SimpleNamespace(seconds=0.0, stamp=lambda name: 1.0)

    def train(team, cells, folder, deadline, together):
        diary.seconds += 10.0
        for cell in cells:
            (folder / cell.name).mkdir()
            TIMING_JSON.write(RunDir(folder / cell.name), {"total_seconds": 8.0})
        return ""

    forecasts = Forecasts()
    team = SimpleNamespace(expect=lambda cells, together: (1.0, ""), forecasts=forecasts)
    request = SimpleNamespace(budget=None, goal=SimpleNamespace(metric="auc"))
    made = work.Work(request, diary, team, None, Log(tmp_path), None, KFold(5), (1, 2), (), None)
    monkeypatch.setattr(work, "train_cells", train)
    monkeypatch.setattr(work, "judge", lambda *_: Score("auc", 0.8, 0.7, 0.9, "", 100, 2))
    monkeypatch.setattr(work, "count_seconds", lambda *_: 16.0)
    done = work.attempt(made, each, None)
    assert forecasts.expect(each.trial.list_cells()[0]) == pytest.approx(5.0)
    # The answer has all cores, but takes 0.85 of the 8 s that a run took beside another, and a process starts for it.
    assert made.reserve(done) == pytest.approx(2.0 + 4.0 + 1.3 * 0.85 * 8.0)
    # The end takes as much longer as the look did, up to a bound.
    for look, closing in ((12.0, 4.0 + 4.0), (30.0, 10.0 + 10.0), (600.0, 12.0 + 12.0)):
        made.log.begin = look
        assert made.reserve(done) == pytest.approx(closing + 1.3 * 0.85 * 8.0)


def test_one_run_at_a_time_takes_what_its_trial_took_and_needs_no_other_process(tmp_path):
    forecasts = SimpleNamespace(expect=lambda cell: 8.0)
    team = SimpleNamespace(forecasts=forecasts)
    made = work.Work(None, None, team, None, Log(tmp_path, 12.0), None, KFold(5), (1,), (2, 3), None)
    done = Attempt(THAWING, "thaw1", NETWORK, trial=make_trial("thaw1", folds=(1,)))
    assert made.reserve(done) == pytest.approx(4.0 + 1.3 * 8.0)


@pytest.mark.parametrize(("kept", "trained"), [("head", False), ("all", True), (None, True)])
def test_an_answer_that_stayed_a_solved_head_was_judged_by_its_probe(monkeypatch, tmp_path, kept, trained):
    result = {"n": 9, "metrics": {"auc": {"value": 0.8}}, "kept": kept and {"name": kept}}
    monkeypatch.setattr(opening, "check_measured", lambda run: [])
    recipe = to_json(load_recipe("lp_ft"))
    monkeypatch.setattr(opening, "METRICS_JSON", SimpleNamespace(read=lambda run: result))
    monkeypatch.setattr(opening, "RECIPE_JSON", SimpleNamespace(read=lambda run: recipe))
    monkeypatch.setattr(opening, "_describe_copies", lambda *_: {})
    decision = {
        "recipe": recipe,
        "folds": [],
        "folds_of_head": [],
        "judged": "probe-MobileNetV2",
        "attempt": "whole-MobileNetV2",
        "steps": [{"step": "probes", "tried": [{"name": "probe-MobileNetV2"}]}],
    }
    found = opening.describe_answer(tmp_path / "run", tmp_path, SimpleNamespace(metric="auc"), decision)
    assert (found["trained"], "untried" in found) == (trained, trained)


@pytest.fixture
def open_with(monkeypatch, tmp_path):
    """Give a function that opens the test images for a decision; it returns where the answer lies, and what is in it.

    Training is no more than the name of the phase that its validation images kept.
    """

    def open_for(decision, kept="all", missing=None, join=None):
        written, recipe = [], to_json(load_recipe("lp_ft"))

        def write(target, run, folds, tell):
            written.append([str(each.relative_to(tmp_path)) for each in (run, *folds)])
            return target

        monkeypatch.setattr(opening, "METRICS_JSON", SimpleNamespace(read=lambda run: {"kept": {"name": kept}}))
        monkeypatch.setattr(opening, "RECIPE_JSON", SimpleNamespace(read=lambda run: recipe))
        monkeypatch.setattr(opening, "is_complete", lambda place: place.name != missing)
        monkeypatch.setattr(opening, "train_cells", lambda *_, **__: "")
        monkeypatch.setattr(opening, "_write_joint", join or write)
        made = SimpleNamespace(request=SimpleNamespace(folder=tmp_path), team=None, screen=Screen(io.StringIO()))
        found = opening.open_test(made, load_recipe("lp_ft"), {"folds": [], "folds_of_head": [], **decision})
        return found.name, *written

    return open_for


def test_networks_of_folds_answer_together_with_the_one_of_all_images(open_with):
    folds = {"folds": ["whole-fold01", "whole-fold02"], "folds_of_head": []}
    assert open_with(folds) == ("ensemble", ["run", "tried/whole-fold01", "tried/whole-fold02"])
    assert open_with({}) == ("run",)


def test_folds_of_a_probe_answer_only_where_validation_images_keep_the_head(open_with):
    folds = {"folds_of_head": ["probe-fold01"]}
    assert open_with(folds) == ("run",)
    assert open_with(folds, kept="head") == ("ensemble", ["run", "tried/probe-fold01"])
    both = {**folds, "folds": ["whole-fold01"]}
    assert open_with(both, kept="head")[1] == ["run", "tried/probe-fold01"]
    assert open_with(both)[1] == ["run", "tried/whole-fold01"]
    assert open_with({"folds": ["whole-fold01"]}, kept="head")[1] == ["run", "tried/whole-fold01"]


def test_why_networks_of_folds_do_not_answer_is_said(monkeypatch):
    def say(folds, folds_of_head, kept="all", answer="run"):
        monkeypatch.setattr(opening, "METRICS_JSON", SimpleNamespace(read=lambda run: {"kept": {"name": kept}}))
        monkeypatch.setattr(opening, "RECIPE_JSON", SimpleNamespace(read=lambda run: to_json(load_recipe("lp_ft"))))
        decision = {"folds": folds, "folds_of_head": folds_of_head}
        return opening._say_not_joined(Path(answer), decision).get("not_joined", "")

    assert say([], []) == say(["a"], [], answer="ensemble") == ""
    assert "is known to training or validation" in say(["a"], [])
    assert "is known to training or validation" in say([], ["b"], kept="head")
    assert "the validation images kept what was trained after the head" in say([], ["b"])


def test_one_network_answers_where_no_test_image_is_left_to_several(open_with):
    def refuse(*_):
        raise NothingLeft("One test image or more must be unknown to one of the members.")

    assert open_with({"folds": ["whole-fold01"]}, join=refuse) == ("run",)


@pytest.mark.parametrize("missing", ["run", None])
def test_the_common_answer_is_written_anew_where_its_network_was_removed(open_with, tmp_path, missing):
    (tmp_path / "ensemble").mkdir()
    open_with({"folds": ["whole-fold01"]}, missing=missing)
    assert (tmp_path / "ensemble").exists() == (missing is None)


@pytest.mark.parametrize(("scored", "value"), [(41, 0.91), (35, 0.90)])
def test_the_first_of_several_networks_is_scored_on_the_test_images_of_all(monkeypatch, scored, value):
    def read(name, paths):
        return lambda run, called: SimpleNamespace(test=SimpleNamespace(paths=paths))

    known = []
    all_images = {"metrics": {"auc": {"value": 0.91, "low": 0.8, "high": 0.97}}}
    monkeypatch.setattr(opening, "METRICS_JSON", SimpleNamespace(read=lambda run: all_images))
    monkeypatch.setattr(opening, "read_ensemble", read("ensemble", ["b", "c"]))
    monkeypatch.setattr(opening, "read_result", read("run", ["a", "b", "c"]))
    monkeypatch.setattr(
        opening, "measure_without", lambda results, paths: known.append(paths) or [{"auc": {"value": 0.90}}]
    )
    found = opening._describe_members(None, [None, None], {"ensemble": {"tested": 41, "scored": scored}}, "auc")
    assert (found["members"], found["alone"]["value"], found.get("left_out")) == (2, value, 41 - scored or None)
    assert known == ([{"a"}] if scored < 41 else [])


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
    assert join_gains("probe", [difference(0.1, 0.02), {"value": None}], 0.25) == Gain("probe", None, None, 2)
    few = [{"value": value, "low": None, "high": None} for value in (0.01, 0.02, 0.03, 0.02, 0.02)]
    assert not join_gains("probe", few[:3], 0.25).is_measured
    spread = statistics.stdev(each["value"] for each in few)
    assert join_gains("probe", few, 0.25).noise == pytest.approx(spread * math.sqrt(1 / 5 + 0.25))


def count_area(positive, scores):
    """Return the AUC as the share of pairs that are in the right order."""
    pairs = scores[positive][:, None] - scores[~positive]
    return (pairs > 0).mean() + (pairs == 0).mean() / 2


def test_the_noise_of_few_patients_is_the_standard_error_and_not_their_wide_interval():
    random = np.random.RandomState(3)
    owners = np.repeat(np.arange(24), 5)
    positive = owners < 8
    first, second = (random.randn(120) + positive + random.randn(24)[owners] for _ in range(2))
    found = compare_areas(positive, first, second, [f"p{owner}" for owner in owners])
    draws = []
    for _ in range(2000):
        rows = np.concatenate([np.flatnonzero(owners == owner) for owner in random.randint(24, size=24)])
        if 0 < positive[rows].sum() < len(rows):
            draws.append(count_area(positive[rows], first[rows]) - count_area(positive[rows], second[rows]))
    noise = to_gain("probe", found).noise
    assert noise == pytest.approx(np.std(draws), rel=0.3)  # of whole patients, drawn with replacement
    assert (found["high"] - found["low"]) / 3.92 > 1.1 * noise
    # McNemar's statistic is a square: its interval tells.
    right = mcnemar(first > 0, second > 0)
    assert to_gain("probe", right).noise == pytest.approx((right["high"] - right["low"]) / 3.92)


def test_the_noise_of_several_folds_is_that_of_their_images_or_of_their_spread():
    halves, values = [0.02, 0.04, 0.03], [0.01, 0.02, 0.03]
    found = join_gains("probe", [difference(*pair) for pair in zip(values, halves, strict=True)], 0.25)
    assert found.value == pytest.approx(0.02)
    assert found.noise == pytest.approx(math.sqrt(sum((half / 1.96) ** 2 for half in halves)) / 3)
    for wide in ([-0.2, 0.2, -0.1, 0.1, 0.0], [-0.0088, 0.0276, 0.0252], [0.0, 0.1]):
        spread = join_gains("probe", [difference(value, 0.001) for value in wide], 0.25)
        assert spread.noise == pytest.approx(statistics.stdev(wide) * math.sqrt(1 / len(wide) + 0.25))
    assert join_gains("probe", [difference(0.1, 0.0196)], 0.25).noise == pytest.approx(0.01)


def entry(value, low, high):
    return {"n": 40, "metrics": {"auc": {"value": value, "low": low, "high": high, "method": "DeLong"}}}


def test_the_interval_of_few_folds_is_that_of_their_images_and_of_many_that_of_their_spread():
    alone = average_scores([entry(0.8, 0.7, 0.9)], "auc", KFold(5))
    assert (alone.value, alone.low, alone.high, alone.n, alone.folds) == (0.8, 0.7, 0.9, 40, 1)
    two = average_scores([entry(0.8, 0.7, 0.86), entry(0.9, 0.8, 0.94)], "auc", KFold(5))
    assert (two.value, two.n) == (pytest.approx(0.85), 80)
    assert two.low == pytest.approx(0.85 - math.hypot(0.1, 0.1) / 2)
    assert two.high == pytest.approx(0.85 + math.hypot(0.06, 0.04) / 2)
    values = [0.80, 0.82, 0.78, 0.81, 0.79]
    many = average_scores([entry(value, 0.0, 1.0) for value in values], "auc", KFold(5))
    half = 2.776445 * statistics.stdev(values) * math.sqrt(1 / 5 + KFold(5).test_share)
    assert many.high - many.value == pytest.approx(half, abs=1e-6)
    assert average_scores([entry(value, 0.0, 1.0) for value in values * 2], "auc", KFold(5, repeats=2)).n == 200
    sure = average_scores([entry(1.0, 0.0, 1.0)] * 5, "auc", KFold(5), (17, 17))
    assert (sure.low, sure.high) == pytest.approx((newcombe(1.0, 17, 17)[0], 1.0))
    assert sure.low < 0.95
    assert average_scores([entry(1.0, 0.0, 1.0)] * 5, "auc", KFold(5)).low is None
    wide = average_scores([entry(value, 0.0, 1.0) for value in values], "auc", KFold(5), (10_000, 10_000))
    assert (wide.low, wide.high) == (many.low, many.high)
    grades = [{"n": 9, "metrics": {"quadratic_kappa": {"value": value}}} for value in (-0.1, 0.0, -0.2, 0.1, -0.1)]
    kappa = average_scores(grades, "quadratic_kappa", KFold(5))
    assert kappa.low < kappa.value < 0 < kappa.high
    undefined = {"n": 9, "metrics": {"auc": {"value": None, "low": None, "high": None, "reason": "one class"}}}
    assert average_scores([entry(0.8, 0.7, 0.9), undefined], "auc", KFold(5)).value is None


class Scripted:
    """Attempts that take no time: scores by name, and the noise of all differences."""

    def __init__(self, scores, noise=0.01):
        self.scores, self.noise, self.tried, self.held, self.kept = scores, noise, [], [], {}

    def attempt(self, work, each, best, share=1.0, held=0.0):
        self.tried.append(each.name)
        self.held.append(held)
        value = self.scores.get(each.name)
        if value is None:
            return work.log.add(each.decide("not tried", "no time"))
        score = Score("auc", value, value - 0.05, min(1.0, value + 0.05), "", 100, 1)
        return work.log.add(dataclasses.replace(each, score=score, seconds=1.0, ended=1.0))

    def compare(self, work, each, other, held=0.0):
        self.kept[each.name] = held
        gain = Gain(other.name, self.scores[each.name] - self.scores[other.name], self.noise)
        return dataclasses.replace(each, gain=gain), other


@pytest.fixture
def script(monkeypatch, tmp_path):
    def begin(scores, noise=0.01, seconds=(0.0, 0.0), left=math.inf):
        scripted = Scripted(scores, noise)
        monkeypatch.setattr(climbing, "time_trial", lambda work, each: seconds)
        monkeypatch.setattr(work.Work, "left", left)
        monkeypatch.setattr(work.Work, "reserve", lambda work, each: 12.0)
        monkeypatch.setattr(climbing, "attempt", scripted.attempt)
        monkeypatch.setattr(climbing, "compare", scripted.compare)
        monkeypatch.setattr(climbing, "say_heads", lambda work, each: "")
        screen = type("Screen", (), {"say": staticmethod(lambda line: None)})()
        base = load_recipe("feature_extractor")
        request = SimpleNamespace(budget=None)
        made = work.Work(request, None, None, screen, Log(tmp_path, 36.0), base, KFold(5), (1,), (2, 3), (300, 300), 16)
        probe = Attempt("probes", "probe-MobileNetV2", NETWORK, trial=make_trial("probe-MobileNetV2"))
        return scripted, made, scripted.attempt(made, probe, None).decide("kept", "")

    return begin


def expected(mean, sets=5, half=None):
    """Return what tells of each kind the same; `half` of its interval, which is wide by default: sets differ much."""
    bounds = (-0.2, 0.3) if half is None else (mean - half, mean + half)
    return lambda kind, over: None if mean is None else ExpectedGain(mean, *bounds, sets, 20)


def test_blocks_are_thawed_for_as_long_as_each_gains_more_than_its_noise(script):
    names = {f"thaw{degree}-MobileNetV2": score for degree, score in ((1, 0.85), (2, 0.88), (3, 0.885), (4, 0.95))}
    scripted, made, probe = script({"probe-MobileNetV2": 0.80, **names})
    best = climbing.climb(made, [probe], expected(None))
    assert best.name == "thaw2-MobileNetV2"
    assert scripted.tried[1:] == [f"thaw{degree}-MobileNetV2" for degree in (1, 2, 3)]
    assert [each.decision for each in made.log.of(THAWING)] == ["replaced", "kept", "dropped"]


def test_a_probe_stays_where_nothing_is_better_and_guessing_is_not_thawed(script):
    scripted, made, probe = script({"probe-MobileNetV2": 0.80, "thaw1-MobileNetV2": 0.805})
    assert climbing.climb(made, [probe], expected(None)).name == "probe-MobileNetV2"
    scripted, made, probe = script({"probe-MobileNetV2": 0.52, "thaw1-MobileNetV2": 0.9})
    assert climbing.climb(made, [probe], expected(None)).name == "probe-MobileNetV2"
    assert scripted.tried == ["probe-MobileNetV2"]


@pytest.mark.parametrize(
    ("mean", "tried", "best"),
    [
        (-0.01, [], "thaw1-MobileNetV2"),
        (0.01, ["whole-MobileNetV2", "adapters-MobileNetV2"], "whole-MobileNetV2"),
        (None, ["whole-MobileNetV2"], "whole-MobileNetV2"),
    ],
)
def test_all_layers_are_tried_unless_experience_expects_nothing_of_them(script, mean, tried, best):
    scores = {"probe-MobileNetV2": 0.80, "thaw1-MobileNetV2": 0.85, "thaw2-MobileNetV2": 0.85}
    scripted, made, probe = script({**scores, "whole-MobileNetV2": 0.88, "adapters-MobileNetV2": 0.86})
    known = expected(mean, half=None if mean is None else 0.02)
    top = climbing.climb(made, [probe], known)
    found = climbing.go_further(made, top, known)
    assert found == climbing.Choice(found.judged, found.judged)
    assert found.is_tried
    assert found.answer.name == best
    assert scripted.tried[3:] == tried
    decisions = {each.name: each.decision for each in made.log.attempts}
    assert decisions["thaw1-MobileNetV2"] == ("kept" if best.startswith("thaw1") else "replaced")
    assert decisions["whole-MobileNetV2"] == ("not tried" if not tried else "kept")


def test_of_all_layers_experience_and_measurement_decide_together(script):
    scores = {"probe-MobileNetV2": 0.80, "whole-MobileNetV2": 0.805, "adapters-MobileNetV2": 0.7}
    for mean, best in ((0.02, "whole-MobileNetV2"), (None, "probe-MobileNetV2")):
        _, made, probe = script(scores, noise=0.01)
        assert climbing.go_further(made, probe, expected(mean)).answer.name == best
    _, made, probe = script({**scores, "whole-MobileNetV2": 0.77}, noise=0.01)
    assert climbing.go_further(made, probe, expected(0.02)).answer.name == "probe-MobileNetV2"
    assert "5 sets of other images (+0.020) together let expect -0.030" in made.log.of("all layers")[0].reason


def test_where_there_is_no_time_to_try_all_layers_experience_decides_alone(script):
    _, made, probe = script({"probe-MobileNetV2": 0.80}, seconds=(100.0, 60.0), left=70.0)
    choice = climbing.go_further(made, probe, expected(0.02))
    assert (choice.answer.name, choice.judged.name, choice.is_tried) == ("whole-MobileNetV2", probe.name, False)
    assert (choice.answer.decision, choice.answer.score) == ("kept", None)
    assert "it was not tried before" in made.log.said["all layers"]
    # A trial that fits barely, by a doubtful forecast, would be lost if it did not.
    for left, tried in ((110.0, []), (130.0, ["whole-MobileNetV2", "adapters-MobileNetV2"])):
        scores = {"probe-MobileNetV2": 0.80, "whole-MobileNetV2": 0.85, "adapters-MobileNetV2": 0.7}
        scripted, made, probe = script(scores, seconds=(100.0, 60.0), left=left)
        choice = climbing.go_further(made, probe, expected(0.02))
        assert (choice.answer.name, choice.is_tried) == ("whole-MobileNetV2", bool(tried))
        assert scripted.tried[1:] == tried
    short = {"left": 50.0, "seconds": (100.0, 60.0)}
    for mean, more in ((0.02, short), (-0.01, {**short, "left": 70.0}), (None, {**short, "left": 70.0})):
        _, made, probe = script({"probe-MobileNetV2": 0.80}, **more)
        assert climbing.go_further(made, probe, expected(mean)).answer is probe
    # The interval of both holds 0.5; the second lies above it by more than a standard error.
    for value, name in ((0.52, "probe-MobileNetV2"), (0.54, "whole-MobileNetV2")):
        _, made, probe = script({"probe-MobileNetV2": value}, seconds=(100.0, 60.0), left=70.0)
        assert climbing.go_further(made, probe, expected(0.02)).answer.name == name


def test_what_was_begun_and_stopped_is_not_called_untried():
    stopped = Attempt(
        "all layers", "whole-A", NETWORK, "all layers trained", decision="stopped", reason="late", seconds=9.0
    )
    assert "nothing was judged; whole-A was begun and not finished" in climbing._say_tried([stopped], stopped)
    log = Log(Path(), attempts=[stopped])
    assert reasons._explain_phases(log, stopped) == "Begun and not finished: all layers trained: late."
    trusted = dataclasses.replace(stopped, seconds=None, decision="kept", reason="others gained")
    log = Log(Path(), attempts=[trusted])
    assert reasons._explain_phases(log, trusted) == "Taken without a trial: all layers trained: others gained."


def test_a_trial_says_where_the_head_was_kept_and_what_stayed_open(script, monkeypatch):
    _, made, probe = script({"probe-MobileNetV2": 0.80, "thaw1-MobileNetV2": 0.79}, noise=0.02)
    monkeypatch.setattr(
        climbing, "say_heads", lambda work, each: "; on 1 of 1 part the validation images kept the head alone"
    )
    climbing.climb(made, [probe], expected(None))
    (thawed,) = made.log.of(THAWING)
    assert "not better than probe-MobileNetV2 by more than the noise; the budget had no time" in thawed.reason
    assert "on 1 of 1 part the validation images kept the head alone" in thawed.reason
    assert thawed.reason in reasons._explain(thawed)


@pytest.mark.parametrize(
    ("errors", "said"),
    [
        (0, "The test images took no part. Every setting may be changed."),
        (72, "72 errors of the data were accepted, though: if a test image repeats a development image, that one took"),
    ],
)
def test_a_recipe_says_plainly_whether_test_images_took_part(errors, said):
    judged = Attempt(THAWING, "thaw1", NETWORK, "a block thawed", make_trial(), Score("auc", 0.9, 0.8, 1.0, "", 40, 1))
    request = SimpleNamespace(recipe=load_recipe("feature_extractor"), folder=Path("advice"))
    story = SimpleNamespace(gate={"errors": errors}, request=request, data={"development": 40})
    assert said in " ".join(reasons.tell_story(story, climbing.Choice(judged, judged)))
    trusted = dataclasses.replace(judged, name="whole", score=None)
    told = reasons.tell_story(story, climbing.Choice(trusted, judged))[1]
    assert "; it was not tried on them. On 40 of them thaw1 had AUC 0.900 (0.800 to 1.000). The test" in told


def test_thawing_leaves_time_for_all_layers_where_these_promise_more(script):
    scores = {"probe-MobileNetV2": 0.80, "thaw1-MobileNetV2": 0.80}
    # 125 s: a trial and the answer, with a doubt of a quarter, without which the trial would be left out in the end;
    # 5 s in which what was thawed is judged. Where a trial does not fit with its doubt, the time for the answer is kept
    # alone.
    cases = ((200.0, 0.02, 130.0), (110.0, 0.02, 65.0), (70.0, 0.02, 65.0), (50.0, 0.02, 0.0))
    for left, mean, held in (*cases, (200.0, -0.01, 0.0)):
        scripted, made, probe = script(scores, seconds=(100.0, 60.0), left=left)
        climbing.climb(made, [probe], expected(mean))
        assert (scripted.tried[-1], scripted.held[-1]) == ("thaw1-MobileNetV2", held)


def test_only_kinds_of_networks_with_a_file_in_the_cache_are_drawn(monkeypatch):
    drawn = []
    monkeypatch.setattr(at_hand, "resolve", lambda application, *rest: drawn.append(application.name) or Found(None))
    monkeypatch.setattr(at_hand.keras_cache, "list_names", lambda: ["mobilenet_2_5_224_tf_no_top.h5"])
    assert list_at_hand((224, 224)) == []
    assert {"MobileNet", "MobileNet:0.25", "MobileNetV2"} <= set(drawn)
    assert not {"ResNet50", "DenseNet121", "EfficientNetB0"} & set(drawn)


def test_each_file_of_a_kind_begins_with_the_word_by_which_it_is_looked_for():
    for name in ("MobileNet", "MobileNet:0.5", "MobileNetV2:0.35", "NASNetMobile", "EfficientNetV2S", "ConvNeXtTiny"):
        entry = next(entry for entry in read_catalogue() if entry.name == name.partition(":")[0])
        file = keras_file(find(name), (224, 224)).name
        assert file.partition("_")[0] == entry.file.partition("_")[0]


def test_the_networks_at_hand_begin_with_the_smallest_and_take_the_image_size():
    found = list_at_hand((224, 224))
    assert [each.parameters for each in found] == sorted(each.parameters for each in found)
    assert found
    assert list_at_hand((16, 16)) == []
    assert [each.weights for each in read_networks(["VGG16=bsds500", "ResNet50"])] == ["bsds500", "imagenet"]


def test_weights_of_digits_count_only_where_no_others_are_at_hand(monkeypatch):
    both = [("LeNet5", "digits/tlmed"), ("MobileNetV2", "imagenet")]
    monkeypatch.setattr(at_hand, "resolve", lambda application, *rest: Found("a file"))
    monkeypatch.setattr(at_hand, "_list_candidates", lambda entries: iter(both))
    assert [each.name for each in list_at_hand((224, 224))] == ["MobileNetV2"]
    monkeypatch.setattr(at_hand, "_list_candidates", lambda entries: iter(both[:1]))
    assert [each.name for each in list_at_hand((224, 224))] == ["LeNet5=digits/tlmed"]


def test_a_further_part_is_trained_for_both_or_for_none(monkeypatch):
    trained, gain = [], Gain("other", 0.01, 0.02)
    team = SimpleNamespace(expect=lambda cells, together: (10.0, ""))
    monkeypatch.setattr(work, "measure_gain", lambda *_: gain)
    monkeypatch.setattr(work, "train_cells", lambda team, cells, *_: trained.append(cells[0].name) or "")
    monkeypatch.setattr(work, "judge", lambda *_: None)
    monkeypatch.setattr(work, "count_seconds", lambda *_: 1.0)
    monkeypatch.setattr(work.Work, "reserve", lambda self, best: 5.0)
    one, other = (Attempt(THAWING, name, NETWORK, trial=make_trial(name, (1,))) for name in ("one", "other"))
    for left, folds in ((24.0, 1), (26.0, 3)):  # twice 10 s and what is kept
        monkeypatch.setattr(work.Work, "left", left)
        made = work.Work(*[None] * 2, team, None, Log(Path()), None, KFold(5), (1,), (2, 3), None)
        made.request = SimpleNamespace(goal=SimpleNamespace(metric="auc"))
        made.diary = SimpleNamespace(stamp=lambda name: {"one, 3 parts": 99.0}[name])
        grown = work.compare(made, one, other)
        assert [len(each.trial.folds) for each in grown] == [folds, folds]
        assert len(trained) == 2 * (folds - 1)
        # The time of further parts is that of what is judged by them.
        assert [each.ended for each in grown] == [99.0 if folds == 3 else None, None]
