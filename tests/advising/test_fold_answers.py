"""Networks of folds that answer together: which, when further ones are trained, and when there is no time."""

import dataclasses
import math
from types import SimpleNamespace

import pytest

from tlmed.advising import fold_answers, ladder
from tlmed.advising import work as work_module
from tlmed.advising.at_hand import Network
from tlmed.advising.attempts import ENSEMBLE, PROBES, THAWING, WHOLE, Attempt, Log
from tlmed.advising.climbing import Choice
from tlmed.advising.fold_answers import answer_together
from tlmed.advising.trials import Score, Trial
from tlmed.advising.work import Work
from tlmed.plan.costs import FLOPS_PER_SECOND
from tlmed.recipe import load_recipe
from tlmed.run_files import PLAN_JSON, SPLITS_CSV, TIMING_JSON
from tlmed.rundir import RunDir
from tlmed.sections import KFold

BASE, NETWORK = load_recipe("feature_extractor"), Network("MobileNetV2", "imagenet", 1)
MADE = {
    "probe": (PROBES, ladder.make_probe(BASE, NETWORK)),
    "thaw1": (THAWING, ladder.make_thawed(BASE, NETWORK, 8, 1)),
    "whole": (WHOLE, ladder.make_whole(BASE, NETWORK, 8)),
}


def make_attempt(name, folds=(1, 2), network=NETWORK):
    step, recipe = MADE[name]
    trial = Trial(f"{name}-{network.backbone}", recipe, KFold(5, repeats=2), folds)
    score = Score("auc", 0.85, 0.8, 0.9, "", 100, len(folds))
    return Attempt(step, trial.name, network, "trained", trial, score, decision="kept")


class Team:
    """Processes whose runs take ten seconds each; `fault` is why they cannot be trained."""

    def __init__(self, fault=""):
        self.fault = fault
        self.forecasts = SimpleNamespace(expect=lambda cell: 10.0, note=lambda cell, seconds: None)

    def expect(self, cells, together):
        return (0.0, self.fault) if self.fault else (10.0 * len(cells), "")


class Clock:
    """Seconds that are left, of which trainings take some; a twentieth of the budget may be spent beyond them."""

    def __init__(self, left, grace=0.0):
        self.left, self.grace, self.seconds = left, grace, 0.0

    def stamp(self, name):
        return self.seconds

    def spend(self, seconds):
        self.left, self.seconds = self.left - seconds, self.seconds + seconds


@pytest.fixture
def begin(monkeypatch, tmp_path):
    """Give a function that returns work in which some runs are complete, and the names of what is trained further.

    A network is built in 0.5 s and scores each of the 10 test images in 0.05 s: one is asked for 2.5 s, and each other
    one for 1.5 s.
    """

    def make(complete=(), left=math.inf, fault="", problem="", folds=(1, 2), further=(), grace=0.0):
        trained, lines, clock = [], [], Clock(left, grace)

        def finish(name):
            run = RunDir(tmp_path / name)
            run.path.mkdir()
            (run / "recipe.json").touch()
            stages = [{"name": "build network", "seconds": 0.5}]
            TIMING_JSON.write(run, {"stages": stages, "total_seconds": 10.0})
            PLAN_JSON.write(run, {"phases": [{"cache": {"flops": int(0.05 * FLOPS_PER_SECOND["CPU"])}}]})
            splits = ["train"] * 60 + ["val"] * 20 + ["test"] * 20 + ["unused"] * 10
            rows = [
                {"path": f"{number}.png", "label": "a", "group": "", "split": split, "sha256": f"{number:064}"}
                for number, split in enumerate(splits)
            ]
            SPLITS_CSV.write(run, rows)

        def train(team, cells, folder, deadline, together):
            for cell in cells[:1] if problem else cells:
                trained.append(cell.name)
                clock.spend(10.0)
                finish(cell.name)
            return problem

        monkeypatch.setattr(fold_answers, "train_cells", train)
        monkeypatch.setattr(work_module, "is_complete", lambda folder: (folder / "splits.csv").exists())
        monkeypatch.setattr(Work, "left", property(lambda work: clock.left))
        monkeypatch.setattr(Work, "left_in_doubt", property(lambda work: clock.left + clock.grace))
        for name in complete:
            finish(name)
        goal, screen = SimpleNamespace(goal=SimpleNamespace(metric="auc")), SimpleNamespace(say=lines.append)
        work = Work(goal, clock, Team(fault), screen, Log(tmp_path, 15.0), BASE, KFold(5), folds, further, None, 8)
        return work, trained, lines

    return make


def list_runs(name, count):
    return [f"{name}-MobileNetV2-fold{fold:02d}" for fold in range(1, 1 + count)]


def test_the_networks_of_a_trial_answer_too(begin):
    runs = list_runs("thaw1", 2)
    work, trained, lines = begin(runs)
    best = work.log.add(make_attempt("thaw1"))
    choice = answer_together(work, Choice(best, best))
    assert choice == Choice(best, best, folds=tuple(runs))
    assert trained == []
    (each,) = work.log.of(ENSEMBLE)
    assert (each.name, each.decision, each.trial) == ("folds-thaw1-MobileNetV2", "kept", None)
    assert lines == ["folds-thaw1-MobileNetV2 is kept: 2 networks of folds answer, too."]


# A fold of 10 s, the answer of 13 s, the end of 5 s, and three networks that are asked for 5.5 s.
@pytest.mark.parametrize(("left", "number"), [(math.inf, 3), (33.6, 3), (33.4, 2)])
def test_further_folds_are_trained_where_there_is_time_to_ask_them_too(begin, left, number):
    work, trained, _ = begin([*list_runs("probe", 1), *list_runs("thaw1", 2)], left, folds=(1,), further=(2, 3))
    work.log.add(make_attempt("probe"))
    best = work.log.add(make_attempt("thaw1"))
    choice = answer_together(work, Choice(best, best))
    assert trained == list_runs("thaw1", number)[2:]
    assert choice.folds == tuple(list_runs("thaw1", number))
    (each,) = work.log.of(ENSEMBLE)
    assert (each.seconds, each.ended) == ((10.0, 10.0) if number == 3 else (None, 0.0))  # what it took is not hidden


# Folds of 10 s and a quarter more, the answer of 13 s likewise, the end of twice 5 s, and networks that are asked.
@pytest.mark.parametrize(("number", "asked"), [(5, 8.5), (3, 5.5), (1, 2.5)])
def test_what_was_not_tried_is_expected_to_take_longer(begin, number, asked):
    left = number * 12.5 + 16.25 + 10.1 + asked
    work, trained, _ = begin(list_runs("probe", 1), left, folds=(1, 2, 3, 4, 5))
    judged = work.log.add(make_attempt("probe"))
    answer = dataclasses.replace(make_attempt("whole"), score=None)
    choice = answer_together(work, Choice(answer, judged))
    assert trained == list_runs("whole", number)
    assert choice.folds == tuple(trained)


def test_a_head_has_the_networks_of_its_probe_and_no_others_are_trained(begin):
    runs = list_runs("probe", 7)
    work, trained, _ = begin(runs, folds=(1, 2, 3, 4, 5))
    best = work.log.add(make_attempt("probe", tuple(range(1, 11))))
    assert answer_together(work, Choice(best, best)).folds == tuple(runs[:5])  # those of the first division
    assert trained == []


def test_folds_of_a_probe_wait_for_a_head_where_the_answer_was_not_tried(begin):
    work, trained, lines = begin(list_runs("probe", 5), 38.0)
    other = work.log.add(make_attempt("probe", (1, 2, 3, 4, 5), Network("VGG16", "imagenet", 1)))
    work.log.add(make_attempt("probe", (1, 2, 3, 4, 5)))
    answer = dataclasses.replace(make_attempt("whole"), score=None)
    choice = answer_together(work, Choice(answer, other))
    assert (trained, choice.folds, choice.folds_of_head) == ([], (), tuple(list_runs("probe", 5)))
    kept = "if the validation images keep the head alone, 5 networks of folds of the probe answer, too"
    assert lines == [f"folds-whole-MobileNetV2 is kept: {kept}."]


# 13 s and twice 5 s for the answer, and 2.5 s, 4 s or 5.5 s for one, two or three networks.
@pytest.mark.parametrize(("left", "number"), [(28.6, 3), (28.4, 2), (25.6, 1), (25.4, 0)])
def test_as_many_networks_answer_as_there_is_time_to_ask(begin, left, number):
    runs = list_runs("thaw1", 3)
    work, *_, lines = begin(runs, left, folds=(1, 2, 3))
    best = work.log.add(make_attempt("thaw1", (1, 2, 3)))
    choice = answer_together(work, Choice(best, best))
    assert choice.folds == tuple(runs[:number])
    (each,) = work.log.of(ENSEMBLE)
    assert each.decision == ("kept" if number else "not tried")
    assert number or "one more network would score the test images for about 2 s" in lines[0]


@pytest.mark.parametrize("problem", ["the budget was spent before it ended", "no memory"])
def test_a_further_fold_that_failed_is_left_out_and_named(begin, problem):
    work, trained, lines = begin([*list_runs("probe", 1), *list_runs("thaw1", 1)], problem=problem, folds=(1, 2, 3))
    work.log.add(make_attempt("probe"))
    best = work.log.add(make_attempt("thaw1", (1,)))
    assert answer_together(work, Choice(best, best)).folds == tuple(list_runs("thaw1", 2))
    assert trained == ["thaw1-MobileNetV2-fold02"]
    said = f"; 1 further fold could not be trained: {problem}"
    assert said in lines[0]
    assert work.log.of(ENSEMBLE)[0].reason.endswith(said)


def test_nothing_is_trained_further_where_it_cannot_be_trained(begin):
    work, trained, _ = begin((), fault="no weights", folds=(1, 2))
    answer = dataclasses.replace(make_attempt("whole"), score=None)
    assert answer_together(work, Choice(answer, make_attempt("probe"))) == Choice(answer, make_attempt("probe"))
    assert (trained, work.log.of(ENSEMBLE)) == ([], [])
