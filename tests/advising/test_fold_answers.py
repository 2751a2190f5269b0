"""Networks of folds that answer together: which, when further ones are trained, and when there is no time."""

import dataclasses
import math
from types import SimpleNamespace

import pytest

from tlmed.advising import fold_answers, ladder
from tlmed.advising.at_hand import Network
from tlmed.advising.attempts import ENSEMBLE, PROBES, THAWING, WHOLE, Attempt, Log
from tlmed.advising.climbing import Choice
from tlmed.advising.fold_answers import answer_together
from tlmed.advising.trials import Score, Trial
from tlmed.advising.work import Work
from tlmed.recipe import load_recipe
from tlmed.run_files import SPLITS_CSV, TIMING_JSON
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
        self.forecasts = SimpleNamespace(expect=lambda cell: 10.0)

    def expect(self, cells, together):
        return (0.0, self.fault) if self.fault else (10.0 * len(cells), "")


@pytest.fixture
def begin(monkeypatch, tmp_path):
    """Give a function that returns work in which some runs are complete, and the names of what is trained further."""

    def make(complete=(), left=math.inf, fault="", problem="", folds=(1, 2), further=()):
        trained, lines = [], []

        def finish(name):
            run = RunDir(tmp_path / name)
            run.path.mkdir()
            (run / "recipe.json").touch()
            stages = [{"name": "build network", "seconds": 0.5}, {"name": "unusual images", "seconds": 4.0}]
            TIMING_JSON.write(run, {"stages": stages})
            splits = ["train"] * 60 + ["val"] * 20 + ["test"] * 20 + ["unused"] * 10
            rows = [
                {"path": f"{number}.png", "label": "a", "group": "", "split": split, "sha256": f"{number:064}"}
                for number, split in enumerate(splits)
            ]
            SPLITS_CSV.write(run, rows)

        def train(team, cells, folder, deadline, together):
            for cell in cells[:1] if problem else cells:
                trained.append(cell.name)
                finish(cell.name)
            return problem

        monkeypatch.setattr(fold_answers, "train_cells", train)
        monkeypatch.setattr(fold_answers, "is_complete", lambda folder: (folder / "splits.csv").exists())
        monkeypatch.setattr(Work, "left", left)
        monkeypatch.setattr(Work, "left_in_doubt", left)
        for name in complete:
            finish(name)
        goal, screen = SimpleNamespace(goal=SimpleNamespace(metric="auc")), SimpleNamespace(say=lines.append)
        log = Log(tmp_path, 15.0)
        work = Work(goal, None, Team(fault), screen, log, BASE, KFold(5), folds, further, None, 8)
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


@pytest.mark.parametrize(("left", "number"), [(math.inf, 3), (28.1, 3), (27.9, 0), (22.0, 0)])
def test_further_folds_are_trained_as_far_as_there_is_time(begin, left, number):
    work, trained, _ = begin(list_runs("thaw1", 2), left, folds=(1,), further=(2, 3))
    best = work.log.add(make_attempt("thaw1"))
    # A fold of 10 s, the answer of 13 s and the end of 5 s.
    choice = answer_together(work, Choice(best, best))
    assert trained == (["thaw1-MobileNetV2-fold03"] if number else [])
    assert len(choice.folds) == (3 if number else 2)


def test_what_was_not_tried_is_expected_to_take_longer(begin):
    # 5 folds of 10 s, a quarter more, the answer of 13 s likewise, and the end.
    for left, number in ((5 * 12.5 + 16.25 + 10.1, 5), (3 * 12.5 + 16.25 + 10.1, 3), (20.0, 0)):
        work, trained, _ = begin((), left, folds=(1, 2, 3, 4, 5))
        best, judged = make_attempt("whole"), make_attempt("probe")
        choice = answer_together(work, Choice(dataclasses.replace(best, score=None), judged))
        assert trained == list_runs("whole", number)
        assert choice.folds == tuple(trained)
        for name in trained:
            (work.log.folder / name / "splits.csv").unlink()
            (work.log.folder / name).rename(work.log.folder / f"gone-{left}-{name}")


def test_a_head_has_the_networks_of_its_probe_and_no_others_are_trained(begin):
    runs = list_runs("probe", 7)
    work, trained, _ = begin(runs, folds=(1, 2, 3, 4, 5))
    best = work.log.add(make_attempt("probe", tuple(range(1, 11))))
    assert answer_together(work, Choice(best, best)).folds == tuple(runs[:5])  # those of the first division
    assert trained == []


def test_folds_of_a_probe_wait_for_a_head_where_the_answer_was_not_tried(begin):
    work, *_, lines = begin(list_runs("probe", 5), 38.0)
    other = work.log.add(make_attempt("probe", (1, 2, 3, 4, 5), Network("VGG16", "imagenet", 1)))
    probe = work.log.add(make_attempt("probe", (1, 2, 3, 4, 5)))
    answer = dataclasses.replace(make_attempt("whole"), score=None)
    choice = answer_together(work, Choice(answer, other))
    assert (choice.folds, choice.folds_of_head) == ((), tuple(list_runs("probe", 5)))
    assert probe.network == answer.network
    assert lines == ["folds-whole-MobileNetV2 is kept: 5 networks of folds answer, too, should its head be kept."]
    assert "they are of its kind" in work.log.of(ENSEMBLE)[0].reason


@pytest.mark.parametrize(("left", "kept"), [(26.6, True), (26.4, False)])
def test_networks_that_there_is_no_time_to_ask_do_not_answer(begin, left, kept):
    runs = list_runs("thaw1", 2)
    work, *_, lines = begin(runs, left)
    best = work.log.add(make_attempt("thaw1"))
    # 13 s and twice 5 s for the answer; four times 0.5 s to begin, 0.5 s for the next, 0.5 s for the images of each.
    choice = answer_together(work, Choice(best, best))
    assert choice.folds == (tuple(runs) if kept else ())
    assert work.log.of(ENSEMBLE)[0].decision == ("kept" if kept else "not tried")
    assert kept or "of the budget are left for it" in lines[0]


@pytest.mark.parametrize("problem", ["the budget was spent before it ended", "no memory"])
def test_a_further_fold_that_failed_is_left_out(begin, problem):
    work, trained, lines = begin(list_runs("thaw1", 1), problem=problem, folds=(1, 2, 3))
    best = work.log.add(make_attempt("thaw1", (1,)))
    assert answer_together(work, Choice(best, best)).folds == tuple(list_runs("thaw1", 2))
    assert trained == ["thaw1-MobileNetV2-fold02"]
    assert (lines[0] == "A further fold of thaw1-MobileNetV2 could not be trained: no memory") == ("no" in problem[:2])


def test_nothing_is_trained_further_where_it_cannot_be_trained(begin):
    work, trained, _ = begin((), fault="no weights", folds=(1, 2))
    answer = dataclasses.replace(make_attempt("whole"), score=None)
    assert answer_together(work, Choice(answer, make_attempt("probe"))) == Choice(answer, make_attempt("probe"))
    assert trained == []
    assert work.log.of(ENSEMBLE) == []
