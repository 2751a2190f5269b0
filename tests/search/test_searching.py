"""A search from its probes to its winner; the cells take no time."""

import contextlib
import io
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.search.conftest import small
from tests.studies.conftest import program
from tlmed.cli.entry import cli
from tlmed.errors import InputError, RunFailed
from tlmed.recipe import load_recipe
from tlmed.recipe.candidate_cells import start_at
from tlmed.recipe.search_space import SIZE, make_space
from tlmed.run_files.search_files import read_candidates, read_search_json
from tlmed.run_files.study_files import list_told, read_cells, read_scores, write_study
from tlmed.screen import Screen
from tlmed.search import steps
from tlmed.search.proposals import RUNGS
from tlmed.search.search_state import OuterSearch
from tlmed.status import describe_study
from tlmed.studies import Order, sweeping, worker_pool
from tlmed.studies.cell_forecasts import Forecasts
from tlmed.studies.crew import Crew, Reserve
from tlmed.study_report import describe_search, read_search
from tlmed.sweeps import plan_study, run_study


def by_name(folder):
    return {row["cell"]: row for row in read_cells(folder)}


def validation_of(folder, row):
    """Return the validation score of a run by hand: the share of others that the one positive image beats."""
    lines = (folder / row["run"] / "predictions.csv").read_text().splitlines()[1:]
    scores = {line.split(",")[0]: float(line.split(",")[-1]) for line in lines}
    own = scores.pop("p")
    return sum(own > other for other in scores.values()) / len(scores)


@contextlib.contextmanager
def interrupted(monkeypatch, module, name, after=0):
    """Interrupt what runs in the block where a function is called, after so many calls that go through."""
    own, calls = getattr(module, name), itertools.count()

    def stop(*arguments):
        if next(calls) >= after:
            raise KeyboardInterrupt
        return own(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, stop)
        with pytest.raises(KeyboardInterrupt):
            yield


@pytest.fixture
def fake_clock(monkeypatch):
    """Let each complete cell take 100 s, by a clock that counts them; those of earlier commands take none."""
    earlier = {}

    def count_left(crew):
        done = {name for name, entry in crew.entries.items() if entry.state == "complete"}
        if id(crew) not in earlier:
            earlier[id(crew)] = {name for name, entry in crew.ledger.read().items() if entry.state == "complete"}
        return crew.order.budget - 100 * len(done - earlier[id(crew)])

    monkeypatch.setattr(Crew, "left", property(count_left))
    monkeypatch.setattr(Forecasts, "note", lambda *arguments: None)


def assert_says_who_is_beaten(text, winner):
    """Check that the recipe of a winner speaks of those that were judged like it, and of a finished search."""
    said = " ".join(text.partition('"""')[2].partition('"""')[0].split())
    assert said.startswith(
        f"Candidate {winner['candidate']} of a search: no other that was judged on as many draws has a higher mean "
        f"validation score; it has {float(winner['validation']):.3f} over draws 1 to 4."
    )
    assert "not finished" not in said
    assert "too good, because it was chosen by it" in said
    assert "took part" not in said  # the test images of one split did not


def test_candidates_are_judged_by_validation_images_alone_and_the_winner_by_test_images(searching):
    folder, shown = searching(jobs=1)
    rows, cells, content = read_candidates(folder), by_name(folder), read_search_json(folder)
    assert len(rows) == 6
    assert "candidate 6:" in shown
    drawn = {name: row for name, row in cells.items() if row["draw"]}
    assert all(row["auc"] == row["accuracy"] == "" for row in drawn.values())
    (search,) = content["searches"]
    assert {row["cell"] for row in read_scores(folder)} == set(search["finals"]) == set(cells) - set(drawn)
    # The first ones are the recipes as they are, with the backbone whose probe was best.
    probes = {row["backbone"]: validation_of(folder, row) for row in drawn.values() if row["recipe"] == "probe"}
    assert {name.partition("=")[0]: score for name, score in search["probes"].items()} == probes
    best = max(search["probes"], key=search["probes"].get)
    space = make_space(small()).keep([best])
    for row, title in zip(rows, space.recipes, strict=False):
        start = start_at(space, title)
        assert {name: row[name] for name in start} == {name: str(value) for name, value in start.items()}
    # Scores are means over draws, half go on, and the winner has the best mean of four.
    complete = [row for row in rows if row["state"] == "complete"]
    assert {row["draws"] for row in complete} == {str(RUNGS[-1])}
    assert {row["state"] for row in rows} == {"complete", "pruned"}
    winner = max(complete, key=lambda row: float(row["validation"]))
    assert search["winner"]["candidate"] == int(winner["candidate"])
    finals = [cells[name] for name in search["finals"]]
    stem = finals[0]["cell"].removeprefix("winner-").removesuffix("-seed0")
    own = [validation_of(folder, cells[f"{stem}-draw{draw}"]) for draw in range(1, 9)]
    assert search["validation"] == pytest.approx(sum(own[:4]) / 4) == pytest.approx(float(winner["validation"]))
    assert search["fresh"] == pytest.approx(sum(own[4:]) / 4)
    test = sum(float(row["auc"]) for row in finals) / 2
    assert search["test"] == pytest.approx(test)
    assert content["optimism"] == pytest.approx(search["validation"] - test)
    assert [row["seed"] for row in finals] == ["0", "1"]
    assert search["is_finished"]
    assert_says_who_is_beaten((folder / "winner.py").read_text(), winner)
    recipe = load_recipe(folder / "winner.py")
    assert (recipe.data.val_seed, recipe.data.split_seed, recipe.examples) == (None, None, 3)
    assert recipe.backbone == finals[0]["backbone"]
    assert f"Search: 6 of 6 candidates tried, finished. Winner: candidate {winner['candidate']}" in " ".join(
        describe_study(folder)
    )


def test_what_the_images_are_is_said_once_kept_and_shown(searching):
    folder, shown = searching(small(1, seeds=1), jobs=1, skip_bad=True)
    said = ["Images: 9 from images", "These are the splits of draw 1.", "1 image cannot be read and is left out"]
    assert list_told(folder) == said
    assert all(shown.count(each) == 1 for each in said)
    page = (folder / "study.html").read_text()
    assert all(page.count(each) == 1 for each in said)


def test_weights_that_were_trained_on_images_that_decide_are_refused_whichever_is_named_first(searching, tmp_path):
    for backbones in (("LeNet5=imagenet", "LeNet5=base"), ("LeNet5=base", "LeNet5=imagenet")):
        with pytest.raises(InputError) as raised:
            searching(small(1, seeds=1, backbones=backbones), ("taught base",))
        (fault,) = raised.value.faults
        assert fault.endswith("Received: LeNet5=base: the base was trained on 5 of the 8 development images.")
        assert not (tmp_path / "study").exists()
    varied = small(1, seeds=1, backbones=(), vary={"weights": ("imagenet", "base")})
    with pytest.raises(InputError, match="=base: the base was"):
        searching(varied, ("taught base",))
    searching(small(1, seeds=1, backbones=("LeNet5=imagenet", "LeNet5=base")), ("taught other",))


def test_a_candidate_whose_weights_turn_out_to_know_validation_images_cannot_win(searching):
    folder, shown = searching(small(2, seeds=1), ("taught later",), jobs=1)
    (search,) = read_search_json(folder)["searches"]
    assert search["probes"]["AlexNet=none"] is None
    assert {row["backbone"] for row in read_candidates(folder)} == {"LeNet5"}
    assert "a run that gave them was trained on 2 validation images" in shown


def test_what_the_choice_is_made_of_counts_the_backbones(searching):
    folder, shown = searching(small(1, seeds=1, recipes=("feature_extractor",)), jobs=1)
    assert "the backbone was chosen out of 2 by validation images, too" in shown
    assert "no others to choose from" not in shown
    assert "chosen out of 1 candidate, and the backbone they begin with out of 2" in (folder / "winner.py").read_text()


@pytest.mark.parametrize(
    ("vary", "said"),
    [
        ({"data.order": (("0", "1", "2"), ("1", "0", "2"))}, "one order of grades.*Received: 0, 1, 2; 1, 0, 2"),
        ({"data.order": (("0", "1", "2"), None)}, "one question. Received: ordinal, single-label"),
    ],
)
def test_candidates_of_several_measures_are_refused(vary, said, searching, tmp_path):
    with pytest.raises(InputError, match=said):
        searching(small(2, vary=vary))
    assert not (tmp_path / "study").exists()


def test_the_same_command_goes_on_with_more_trials_and_refuses_another_search(searching):
    folder, _ = searching(small(2), jobs=1)
    before = read_candidates(folder)
    folder, shown = searching(small(3), jobs=1)
    after = read_candidates(folder)
    assert (len(before), len(after)) == (2, 3)
    assert after[:2] == before
    assert "candidate 1:" not in shown
    with pytest.raises(InputError, match=r"only `--trials` may grow. Received: .*: other recipes"):
        searching(small(5, settings={"data.batch_size": 8}))
    with pytest.raises(InputError, match=r"other dimensions, recipes"):
        searching(small(5, recipes=("lora",)))
    with pytest.raises(InputError, match=r"a study of other data"):
        searching(small(5), data="others")


def test_what_makes_the_same_recipe_is_tried_once(searching, tmp_path):
    given = {"recipes": ("feature_extractor", "feature_extractor_hybrid"), "backbones": ("LeNet5",), "seeds": 1}
    given["settings"] = {"data.image_size": "32,32"}
    folder, shown = searching(small(9, **given, vary={"phases.l2": ("0.01", "1")}), jobs=1)
    assert "phases.l2: 0.01, 1 (feature_extractor)" in shown
    tried = [(row["recipe"], row["phases.l2"]) for row in read_candidates(folder)]
    assert sorted(tried) == [
        ("feature_extractor", "0.01"),
        ("feature_extractor", "1"),
        ("feature_extractor_hybrid", ""),
    ]
    given["recipes"] = ("feature_extractor",)
    folder, _ = searching(small(9, **given, vary={"phases.l2": ("1", "1.0")}), folder=tmp_path / "same", jobs=1)
    assert len(read_candidates(folder)) == 1


def test_trainings_of_an_earlier_winner_stay_in_the_table(searching):
    folder, _ = searching(small(1), jobs=1)
    before, (first,) = by_name(folder), read_search_json(folder)["searches"]
    for trials in (4, 8, 12):
        folder, shown = searching(small(trials), jobs=1)
        (search,) = read_search_json(folder)["searches"]
        if search["winner"]["candidate"] != 1:
            break
    after = by_name(folder)
    assert before.keys() <= after.keys()
    beaten = {name for name, row in after.items() if row["reason"] == "of an earlier winner"}
    assert set(first["finals"]) < beaten  # and the fresh draws
    assert len(beaten) == 2 + 4
    assert f"; {len(beaten)} more of an earlier winner." in shown
    assert f"complete ({len(beaten)} of an earlier winner)." in " ".join(describe_study(folder))
    assert {row["cell"] for row in read_scores(folder)} == set(search["finals"])
    took = sum(float(row["seconds"]) for row in after.values())
    assert read_search_json(folder)["seconds"] == pytest.approx(took)
    shutil.rmtree(folder / after[min(beaten)]["run"])
    assert "gone" not in " ".join(describe_study(folder))  # nobody trains it again


def test_a_search_that_was_interrupted_says_in_its_winner_that_it_is_not_finished(searching, monkeypatch, tmp_path):
    with interrupted(monkeypatch, steps, "_finish"):
        searching(small(2, seeds=1), jobs=1)
    folder = tmp_path / "study"
    (search,) = read_search_json(folder)["searches"]
    assert not search["is_finished"]
    assert "Search: 2 of 2 candidates tried. Best so far: candidate" in " ".join(describe_study(folder))
    said = "The search is not finished: it is the best candidate so far."
    assert said in " ".join((folder / "winner.py").read_text().split())


def test_a_nested_search_is_done_in_each_fold_and_its_optimism_is_the_mean(searching):
    folder, shown = searching(small(3, nested=True, folds=2, backbones=("AlexNet=none",), seeds=1))
    content, cells = read_search_json(folder), by_name(folder)
    assert "it costs 2 times as much" in shown
    assert [search["fold"] for search in content["searches"]] == [1, 2]
    for search in content["searches"]:
        (name,) = search["finals"]
        assert cells[name]["fold"] == str(search["fold"])
        assert search["optimism"] == pytest.approx(search["validation"] - float(cells[name]["auc"]))
        tried = [row for row in read_candidates(folder) if row["fold"] == str(search["fold"])]
        assert len(tried) == 3
        assert search["fresh"] is None
    assert content["optimism"] == pytest.approx(sum(search["optimism"] for search in content["searches"]) / 2)
    assert {path.name for path in folder.glob("winner*.py")} == {"winner_fold01.py", "winner_fold02.py"}
    text = " ".join((folder / "winner_fold02.py").read_text().split())
    assert "tlmed train winner_fold02.py --data my_images/" in text
    assert "Many test images of that command took part in the search, so that its test score is too good" in text


def test_a_backbone_that_does_not_work_is_left_out_and_a_search_without_any_candidate_fails(searching, tmp_path):
    folder, shown = searching(small(2, seeds=1), words=("fail LeNet5",))
    assert "LeNet5 failed; searched: AlexNet=none" in shown
    assert {row["backbone"] for row in read_candidates(folder)} == {"AlexNet=none"}
    with pytest.raises(RunFailed, match=r"all \d failed: draw 1: AlexNet does not work"):
        searching(small(9, backbones=("AlexNet=none",)), words=("fail all",), folder=tmp_path / "other")
    assert read_candidates(tmp_path / "other")[0]["reason"] == "draw 1: AlexNet does not work"


def test_the_same_command_tries_candidates_again_that_failed(searching, tmp_path):
    study, folder = small(2, backbones=("LeNet5",), seeds=1), tmp_path / "study"
    with pytest.raises(RunFailed, match="all 2 failed"):
        searching(study, words=("fail all",), jobs=1)
    assert [row["state"] for row in read_candidates(folder)] == ["failed", "failed"]
    searching(study, jobs=1)
    again = read_candidates(folder)
    assert [row["candidate"] for row in again] == ["1", "2"]
    assert {row["state"] for row in again} <= {"complete", "pruned"}
    assert all(row["validation"] and not row["reason"] for row in again)
    whole, _ = searching(study, folder=tmp_path / "whole", jobs=1)
    assert again == read_candidates(whole)


def test_a_budget_is_refused_where_it_is_too_small(searching, tmp_path):
    study = small(2, backbones=("LeNet5",), seeds=1)
    with pytest.raises(InputError, match=r"the training of the winner. Received: 4 min 0 s; these take about 8 min"):
        searching(study, budget=240.0, jobs=1)
    assert not (tmp_path / "study").exists()
    with pytest.raises(RunFailed):
        searching(study, ["fail all"], jobs=1)
    with pytest.raises(InputError, match="the training of the winner"):
        searching(study, budget=240.0, jobs=1)
    assert read_cells(tmp_path / "study")  # what has begun stays
    folder, _ = searching(study, folder=tmp_path / "finished", jobs=1)
    searching(study, folder=folder, budget=1.0, jobs=1)  # nothing is left to do


def test_a_budget_counts_from_the_beginning_of_the_command(searching):
    """Looking at the images has taken 200 s: 550 s are enough for a head on all draws, and 350 s are not."""
    study = small(1, recipes=("feature_extractor",), backbones=("LeNet5",), seeds=1)
    with pytest.raises(InputError, match=r"to begin, .* Received: 9 min 10 s; these take about 11 min 4"):
        searching(study, budget=550.0, jobs=1, begin=time.monotonic() - 200)


def test_a_study_that_was_killed_before_its_tables_were_written_says_so(tmp_path):
    write_study(tmp_path, {"data": "images", "varied": [], "cells": {}})
    said = f"{tmp_path}: a study whose work has not begun; the same `tlmed sweep` command begins it."
    assert describe_study(tmp_path) == [said]
    with pytest.raises(InputError, match="whose work has not begun"):
        cli(["compare", str(tmp_path)], standalone_mode=False)


def test_a_budget_that_runs_out_ends_the_search_and_each_fold_has_its_share(searching, fake_clock):
    study = small(40, nested=True, folds=2, backbones=("LeNet5",), seeds=1)
    folder, shown = searching(study, budget=1300.0, jobs=1)
    done = [row for row in read_cells(folder) if row["state"] == "complete"]
    of_fold = [sum(row["fold"] == str(fold) for row in done) for fold in (1, 2)]
    assert sum(of_fold) <= 13
    assert min(of_fold) >= 5  # a candidate on all draws, and the winner's own training
    assert all(search["test"] is not None for search in read_search_json(folder)["searches"])
    assert len(read_candidates(folder)) < 10
    assert "Each fold has 10 min 50 s of the budget." in shown


def test_a_budget_that_ends_before_anything_is_judged_says_how_long_one_takes_and_which_is_enough(
    searching, monkeypatch, tmp_path
):
    """Each cell takes 400 s, four times its forecast: the two probes leave no time for a candidate."""

    def count_left(crew):
        return crew.order.budget - 400 * list(crew.list_states().values()).count("complete")

    note = Forecasts.note
    monkeypatch.setattr(Crew, "left", property(count_left))
    monkeypatch.setattr(Forecasts, "note", lambda forecasts, cell, seconds: note(forecasts, cell, 400.0))
    study = small(9, seeds=1)
    # Two probes, four draws and one training of the winner take 700 s by the forecast, and four times as much.
    enough = r"`--budget 47m` should be enough. Received: 16 min 40 s"
    with pytest.raises(RunFailed, match=f"must judge a candidate before its budget ends; {enough}"):
        searching(study, budget=1000.0, jobs=1)
    folder = tmp_path / "study"
    (search,) = read_search_json(folder)["searches"]
    assert search["shortage"] == {"budget": 1000.0, "training": 400.0, "enough": 2800.0}
    said = (
        "There is no winner yet: the budget of 16 min 40 s ended the search before a candidate was judged. One "
        "training takes about 6 min 40 s; the same command with `--budget 47m` leaves time to judge one and to train "
        "the winner."
    )
    assert said in " ".join(line for line in describe_search(read_search(folder)) if isinstance(line, str))
    assert "There is no winner yet: the budget of 16 min 40 s" in (folder / "study.html").read_text()
    searching(study, budget=2800.0, jobs=1)
    (search,) = read_search_json(folder)["searches"]
    assert search["winner"]
    assert "shortage" not in search


@pytest.mark.parametrize("budget", [550.0, 900.0])
@pytest.mark.parametrize("recipes", [("feature_extractor", "fine_tuning"), ("fine_tuning", "feature_extractor")])
def test_a_budget_without_time_for_the_slowest_recipe_searches_the_others_and_says_so(
    searching, fake_clock, recipes, budget
):
    """Fine-tuning takes 500 s, a head 100 s: there is time for heads on all draws, and for training the best one."""
    study = small(4, recipes=recipes, backbones=("LeNet5",), seeds=1)
    folder, shown = searching(study, ["slow thawing"], budget=budget, jobs=1)
    (search,) = read_search_json(folder)["searches"]
    assert search["winner"]["recipe"] == "feature_extractor"
    assert search["winner"]["draws"] == 4
    assert search["test"] is not None
    assert search["untried"] == {"fine_tuning": "budget"}
    assert "Not tried as they are: fine_tuning (by the forecast, the budget had no time for that)." in shown
    tried, whole = read_candidates(folder), start_at(make_space(study), "fine_tuning")[SIZE]
    assert len(tried) > 1  # images of half the size are faster
    assert not [row for row in tried if row["recipe"] == "fine_tuning" and row[SIZE] == whole]
    assert "Not tried as they are: fine_tuning" in (folder / "study.html").read_text()


def test_a_recipe_that_an_interrupted_command_entered_and_that_is_too_slow_is_passed_over(
    searching, monkeypatch, fake_clock
):
    study = small(4, recipes=("fine_tuning", "feature_extractor"), backbones=("LeNet5",), seeds=1)
    with interrupted(monkeypatch, sweeping, "_assign"):
        searching(study, ["slow thawing"], jobs=1)
    folder, _ = searching(study, ["slow thawing"], budget=900.0, jobs=1)
    (search,) = read_search_json(folder)["searches"]
    assert search["winner"]["recipe"] == "feature_extractor"
    assert search["untried"] == {"fine_tuning": "budget"}


def test_what_ended_a_search_before_a_recipe_was_tried_is_said(searching):
    folder, shown = searching(small(1, backbones=("LeNet5",), seeds=1), jobs=1)
    (search,) = read_search_json(folder)["searches"]
    assert search["untried"] == {"fine_tuning": "trials"}
    assert "Not tried as they are: fine_tuning (`--trials` allowed no more)." in shown


def test_time_that_the_training_of_the_winner_leaves_is_for_draws_that_chose_nothing(searching, fake_clock):
    study = small(1, recipes=("feature_extractor",), backbones=("LeNet5",), seeds=10)
    folder, _ = searching(study, budget=1900.0, jobs=1)
    (search,) = read_search_json(folder)["searches"]
    assert search["fresh"] is not None


def test_a_budget_is_refused_that_is_too_small_for_training_the_winner_that_is_known(
    searching, monkeypatch, fake_clock
):
    study = small(2, recipes=("fine_tuning", "feature_extractor"), backbones=("LeNet5",), seeds=4)
    with interrupted(monkeypatch, steps, "_finish"):
        searching(study, jobs=1)
    with pytest.raises(InputError, match="Received: 3 min 20 s; these take about 6 min 40 s"):
        searching(study, budget=200.0, jobs=1)
    folder, _ = searching(study, budget=500.0, jobs=1)
    (search,) = read_search_json(folder)["searches"]
    assert search["test"] is not None


def test_the_folds_of_a_nested_search_share_what_the_beginning_has_left_of_the_budget(searching):
    study = small(3, nested=True, folds=2, recipes=("feature_extractor",), backbones=("LeNet5",), seeds=1)
    folder, shown = searching(study, budget=2010.0, jobs=1, begin=time.monotonic() - 1000)
    assert "Each fold has 8 min 2" in shown
    assert all(search["winner"] for search in read_search_json(folder)["searches"])


def test_a_slow_probe_does_not_end_a_search_in_which_a_fast_backbone_has_time(searching, fake_clock):
    """A probe of AlexNet takes 100 s, its training for ten seeds 5,000 s: a probe wins nothing."""
    study = small(1, recipes=("feature_extractor",), backbones=("LeNet5", "AlexNet=none"), seeds=10)
    folder, _ = searching(study, ["slow probe"], budget=2400.0, jobs=1)
    (search,) = read_search_json(folder)["searches"]
    assert search["test"] is not None


def test_the_budget_of_a_command_that_goes_on_is_for_the_folds_that_are_not_done(searching, monkeypatch, fake_clock):
    study = small(2, nested=True, folds=3, recipes=("feature_extractor",), backbones=("LeNet5",), seeds=1)
    with interrupted(monkeypatch, steps, "_finish", after=1):
        searching(study, jobs=1)
    folder, shown = searching(study, budget=1000.0, jobs=1)
    assert "Each fold has" not in shown
    assert all(search["test"] is not None for search in read_search_json(folder)["searches"])


@pytest.mark.parametrize("budget", [1250.0, 1300.0, 1350.0])
def test_cells_that_one_fold_had_no_time_for_do_not_keep_the_next_from_beginning(searching, fake_clock, budget):
    given = {"recipes": ("feature_extractor",), "backbones": ("LeNet5",), "seeds": 1}
    vary = {"phases.l2": ("0.001", "0.01", "0.1", "1", "10")}
    study = small(9, nested=True, folds=2, vary=vary, settings={"data.image_size": "224,224"}, **given)
    folder, _ = searching(study, budget=budget, jobs=1)
    assert all(search["test"] is not None for search in read_search_json(folder)["searches"])


@pytest.mark.parametrize(("left", "is_over"), [(5.0, False), (0.0, True)])
def test_a_probe_that_another_process_trains_is_waited_for_as_long_as_there_is_time(monkeypatch, left, is_over):
    crew = SimpleNamespace(
        **{"cells": {"probe": SimpleNamespace(draw=1, fold=None)}, "refused": set(), "running": {}, "left": left},
        **{"order": SimpleNamespace(budget=7.0), "reserves": {None: Reserve()}},
        list_states=lambda: {"probe": "running"},
    )
    monkeypatch.setattr(steps, "_probe", lambda *arguments: False)
    outer = OuterSearch(None, None, None)
    steps._go_on(crew, None, outer)
    assert (outer.is_over, outer.is_late) == (is_over, is_over)


@pytest.mark.parametrize(
    ("study", "words", "said"),
    [
        (small(2, backbones=("LeNet5",)), "fail draw 2", "all 2 failed: draw 2: killed"),
        (small(1, backbones=("LeNet5",)), "fail LeNet5", "all 1 failed: draw 1: LeNet5 does not work"),
    ],
)
def test_a_search_without_a_candidate_that_can_be_trained_ends_and_says_why(searching, study, words, said):
    with pytest.raises(RunFailed, match=f"A search needs a candidate that can be trained. Received: {said}"):
        searching(study, [words], jobs=1)


@pytest.mark.parametrize("budget", [650.0, 1050.0, 1250.0])
def test_whatever_was_trained_before_the_budget_ended_a_search_was_judged(searching, fake_clock, budget):
    recipes = ("feature_extractor", "feature_extractor_hybrid", "fine_tuning")
    study = small(9, recipes=recipes, backbones=("LeNet5",), seeds=1)
    folder, _ = searching(study, ["slow thawing"], budget=budget)
    complete = [row["cell"] for row in read_cells(folder) if row["state"] == "complete"]
    judging = Counter(name.rsplit("-", 1)[0] for name in complete if re.search(r"-draw[1-4]$", name))
    reached = [max(rung for rung in RUNGS if rung <= number) for number in judging.values()]
    assert sorted(reached) == sorted(int(row["draws"]) for row in read_candidates(folder) if row["draws"] != "0")


def test_a_search_ends_where_what_fits_fails_and_the_budget_has_no_time_for_the_rest(searching, monkeypatch):
    monkeypatch.setattr(steps, "propose", lambda *arguments: None)
    study = small(4, backbones=("LeNet5",), seeds=1)
    with pytest.raises(RunFailed, match="A search must judge a candidate before its budget ends"):
        searching(study, ["slow thawing", "fail LeNet5"], budget=550.0, jobs=1)


def test_the_winner_is_trained_though_trainings_took_longer_than_forecast(searching, monkeypatch):
    def count_left(crew):
        return crew.order.budget - 190 * list(crew.list_states().values()).count("complete")

    monkeypatch.setattr(Crew, "left", property(count_left))
    monkeypatch.setattr(Forecasts, "note", lambda *arguments: None)
    folder, _ = searching(small(40, backbones=("LeNet5",), seeds=1), budget=850.0, jobs=1)
    (search,) = read_search_json(folder)["searches"]
    assert search["winner"]
    assert search["test"] is not None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--nested", "--folds", "2"), r"`--nested` must be given with `--search`"),
        (("--trials", "3"), r"`--trials` must be given with `--search`"),
        (("--search", "--nested"), r"`--nested` must be given with `--folds K`"),
        (("--search", "--vary", "phases.epoch=1,2"), r"`phases.epoch` is not a field"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_made(arguments, said, tmp_path):
    with pytest.raises(InputError, match=said):
        cli(["sweep", "fine_tuning", "--out", str(tmp_path / "x"), *arguments], standalone_mode=False)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def ask(tmp_path, monkeypatch):
    """Give a function that plans or begins a search whose worker is told some words, and returns what was shown."""

    def run(command, *words):
        monkeypatch.setattr(worker_pool, "PROGRAM", program(0.0, *words))
        shown = io.StringIO()
        command(small(2, seeds=1), Order(tmp_path / "x", jobs=1), Screen(shown, waits=False), "images")
        return shown.getvalue()

    return run


def test_images_that_no_candidate_can_use_are_refused_before_anything_is_made(ask, tmp_path):
    for command in (run_study, plan_study):
        with pytest.raises(InputError) as raised:
            ask(command, "look 1", "look 2")
        assert raised.value.faults == ("It gives validation images.",)
    assert not list(tmp_path.iterdir())
    assert "Search: up to 2 candidates" in ask(plan_study, "look 1")  # the other recipe can be trained


def test_a_process_that_cannot_look_at_the_list_says_why(ask):
    with pytest.raises(RunFailed, match="Received: no TensorFlow"):
        ask(plan_study, "look fails")
    with pytest.raises(RunFailed, match="its process was ended by SIGABRT"):
        ask(plan_study, "look crashes")


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.search.conftest import small
from tests.studies.conftest import program
from tlmed.screen import Screen
from tlmed.studies import Order, sweeping, worker_pool
from tlmed.sweeps import run_study
worker_pool.PROGRAM, sweeping._TICK = program({seconds}), 0.02
run_study(small(8), Order(Path(sys.argv[1]), jobs={jobs}), Screen(sys.stdout, waits=False), "images")
"""


def start(folder, seconds=0.05, jobs=1):
    script = SCRIPT.format(root=str(Path(__file__).parents[2]), seconds=seconds, jobs=jobs)
    return subprocess.Popen(
        [sys.executable, "-c", script, str(folder)],
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def forget_seconds(folder):
    content = json.loads((folder / "search.json").read_text())
    return {name: part for name, part in content.items() if name != "seconds"}, read_candidates(folder)


@pytest.mark.slow
@pytest.mark.parametrize("step", [0.3, 0.7])
def test_a_search_that_was_killed_again_and_again_finds_the_same_winner(step, tmp_path):
    whole = start(tmp_path / "whole")
    assert (whole.communicate(), whole.returncode)[1] == 0
    for number in range(10):
        process = start(tmp_path / "killed")
        time.sleep(2.0 + step * number)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    last = start(tmp_path / "killed")
    said = last.communicate()[0].decode()
    assert last.returncode == 0, said
    assert forget_seconds(tmp_path / "killed") == forget_seconds(tmp_path / "whole")


@pytest.mark.slow
def test_two_commands_share_one_search(tmp_path):
    both = [start(tmp_path / "study", jobs=2) for _ in range(2)]
    said = [process.communicate()[0].decode() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    trained = [line.partition(":")[0] for text in said for line in text.splitlines() if "; 1.0 s" in line]
    assert len(trained) == len(set(trained))
    assert len(read_candidates(tmp_path / "study")) >= 8
    assert {row["state"] for row in read_cells(tmp_path / "study")} == {"complete"}
