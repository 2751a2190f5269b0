"""An advice that was killed goes on as if it had not been, and says what earlier commands did."""

import dataclasses
from types import SimpleNamespace

import pytest

from tlmed.advising import climbing, ladder, probing, work
from tlmed.advising.at_hand import Network
from tlmed.advising.attempts import ENSEMBLE, PROBES, THAWING, WHOLE, Attempt, Log
from tlmed.advising.expected_gains import ExpectedGain
from tlmed.advising.trials import Score, Trial
from tlmed.recipe import load_recipe
from tlmed.run_files import TIMING_JSON
from tlmed.rundir import RunDir
from tlmed.sections import KFold

NETWORK, BASE = Network("MobileNetV2", "imagenet", 1), load_recipe("feature_extractor")
SCORE = Score("auc", 0.85, 0.8, 0.9, "", 100, 5)
RUN = 10.0  # seconds that each run is expected to take


class Diary:
    """What is noted, in place of a file."""

    def __init__(self, seconds=0.0, done=None):
        self.seconds, self.done, self.notes = seconds, {} if done is None else done, 0

    def note(self, **parts):
        self.done |= parts
        self.notes += 1

    def stamp(self, name):
        return self.done.setdefault("ended", {}).setdefault(name, self.seconds)


@pytest.fixture
def begin(monkeypatch, tmp_path):
    """Give a function that returns work in which some runs are complete, and what was trained since."""

    def make(complete=(), budget=100.0, seconds=0.0, done=None):
        trained = []

        def train(team, cells, folder, deadline, together):
            missing = [cell.name for cell in cells if cell.name not in complete]
            trained.extend(missing)
            diary.seconds += RUN * len(missing)
            return ""

        monkeypatch.setattr(work, "is_complete", lambda folder: folder.name in complete)
        monkeypatch.setattr(work, "train_cells", train)
        monkeypatch.setattr(work, "judge", lambda *_: SCORE)
        monkeypatch.setattr(work, "count_seconds", lambda *_: 5 * RUN)
        monkeypatch.setattr(climbing, "say_score", lambda work, each: each.name)
        monkeypatch.setattr(probing, "say_score", lambda work, each: each.name)
        for name in {*complete, *(f"{kind}-MobileNetV2-fold0{n}" for kind in ("whole", "thaw1") for n in range(1, 6))}:
            (tmp_path / name).mkdir(exist_ok=True)
            TIMING_JSON.write(RunDir(tmp_path / name), {"total_seconds": RUN})
        forecasts = SimpleNamespace(expect=lambda cell: RUN, note=lambda cell, seconds: None)
        team = SimpleNamespace(expect=lambda cells, together: (RUN * len(cells), ""), forecasts=forecasts)
        request = SimpleNamespace(budget=budget, goal=SimpleNamespace(metric="auc"))
        diary, screen = Diary(seconds, done), SimpleNamespace(say=lambda line: None)
        made = work.Work(request, diary, team, screen, Log(tmp_path), BASE, KFold(5), (1, 2, 3, 4, 5), (), None, 8)
        made.skipped = work.recall_skipped(diary, budget)
        return made, trained

    return make


def make_attempt(kind, step):
    make = ladder.make_whole if kind == "whole" else lambda *given: ladder.make_thawed(*given, 1)
    name = f"{kind}-MobileNetV2"
    return Attempt(step, name, NETWORK, kind, Trial(name, make(BASE, NETWORK, 8), KFold(5), (1, 2, 3, 4, 5)))


def list_runs(kind, amount):
    return [f"{kind}-MobileNetV2-fold0{number}" for number in range(1, amount + 1)]


def test_what_an_earlier_command_tried_is_judged_though_there_is_no_time_to_try_it_now(begin):
    probe = Attempt(PROBES, "probe-MobileNetV2", NETWORK, trial=make_attempt("whole", PROBES).trial, score=SCORE)
    gained = ExpectedGain(0.03, -0.1, 0.2, 5, 20)

    def expect(kind, over):
        return gained if kind == climbing.WHOLE_KIND else ExpectedGain(-0.1, -0.12, -0.08, 5, 20)

    for complete, tried in ((list_runs("whole", 5), True), ((), False)):
        made, trained = begin(complete, seconds=70.0)  # 30 s are left: enough for the answer, not for a trial
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(climbing, "_judge", lambda work, each, best, *_: (each.decide("kept", "better"), best))
            choice = climbing.go_further(made, probe, expect)
        assert (choice.answer.name, choice.is_tried) == ("whole-MobileNetV2", tried)
        assert trained == []


@pytest.mark.parametrize(("complete", "seconds", "tried"), [(3, 55.0, True), (3, 70.0, False), (0, 55.0, False)])
def test_only_the_runs_that_are_missing_are_counted(begin, complete, seconds, tried):
    made, trained = begin(list_runs("whole", complete), seconds=seconds)  # 2 of 10 s are missing, and an answer of 19 s
    each = work.attempt(made, make_attempt("whole", WHOLE), None)
    assert (each.score is not None) == tried
    assert len(trained) == (2 if tried else 0)
    if complete and not tried:
        assert (each.decision, each.seconds) == ("stopped", 3 * RUN)
        assert each.reason.startswith(
            "an earlier command was stopped after 3 of 5 runs of it; to end it, it would take"
        )
    elif not tried:
        assert (each.decision, each.seconds) == ("not tried", None)


def test_a_probe_that_was_judged_once_is_judged_once_again_though_repeated_folds_share_its_runs(begin):
    name = "probe-MobileNetV2"
    made, trained = begin([f"{name}-fold{number:02d}" for number in range(1, 6)], seconds=40.0)
    made.division = KFold(5, repeats=2)
    made.skipped = {f"{name} on 10 parts": "it would take about 1 min"}
    (probe,) = probing.probe_all(made, [NETWORK])
    assert (probe.trial.folds, probe.score, trained) == ((1, 2, 3, 4, 5), SCORE, [])


@pytest.mark.parametrize(("budget", "tried"), [(100.0, False), (300.0, True)])
def test_what_there_was_no_time_for_is_not_tried_later_unless_the_budget_is_larger(begin, budget, tried):
    made, _ = begin(seconds=10.0)
    first = work.attempt(made, make_attempt("thaw1", THAWING), None, held=60.0)
    assert first.decision == "not tried"
    again, trained = begin(list_runs("whole", 5), budget=budget, seconds=10.0, done=made.diary.done)
    second = work.attempt(again, make_attempt("thaw1", THAWING), None)
    assert (second.score is not None, len(trained)) == (tried, 5 if tried else 0)
    assert tried or second.reason == first.reason


def test_a_step_lasts_from_what_ended_before_it_in_whatever_order_they_came(tmp_path):
    log, kinds = Log(tmp_path, begin=10.0), ((PROBES, 15.0), (THAWING, 50.0), (WHOLE, 29.0), (ENSEMBLE, None))
    for step, ended in kinds:
        log.add(dataclasses.replace(make_attempt("whole", step), name=step, ended=ended))
    assert {step["step"]: step["seconds"] for step in log.to_json()} == {
        **{PROBES: 5.0, WHOLE: 14.0, THAWING: 21.0, ENSEMBLE: 0.0}
    }
