"""What a search shows, from its files; the runs of its winners are written by hand."""

import dataclasses
import json

import numpy as np
import pytest

from tests.comparison.test_comparison import TWO, edit, write_run
from tlmed.cli.entry import cli
from tlmed.recipe import Search, Study
from tlmed.recipe.search_space import make_space
from tlmed.run_files.search_files import write_candidates, write_search
from tlmed.run_files.study_files import write_cells, write_study
from tlmed.study_report import describe_search, read_search
from tlmed.study_report.search_page import make_search_page

VALIDATION = 0.95


def write_search_of(folder, folds=(), nested=False, seeds=2):
    """Write a search with two candidates, the first of which has won it, in each fold if it is nested."""
    folder.mkdir()
    write_study(folder, {"data": "images", "varied": ["thaw"], "cells": {}, "search": {}})
    space = make_space(Study(recipes=("fine_tuning",), search=Search(), folds=len(folds) or None))
    cells, scores = [], {}
    for fold in folds or (None,):
        for seed in range(seeds):
            name = f"winner-seed{seed}-fold{fold or 0}"
            drawn = 100 * (fold or 0) + seed
            run = write_run(folder / "runs" / name, TWO, 0.7, drawn, 200, None, 1000 * (fold or 0))
            edit(run / "plan.json", lambda content: content.update(parameters=1000))
            value = json.loads((run / "metrics.json").read_text())["metrics"]["auc"]["value"]
            scores.setdefault(fold, []).append(value)
            own = {"recipe": "fine_tuning", "backbone": "VGG16", "weights": "imagenet", "seed": seed, "thaw": 2}
            row = {"cell": name, "state": "complete", "reason": "", "seconds": 1, "run": f"runs/{name}", **own}
            cells.append(row | {"fold": fold or "", "auc": value, "accuracy": ""})
    write_cells(folder, ["thaw"], cells)
    searched = list(folds) if nested else [folds[0] if folds else None]
    row = {"state": "complete", "reason": "", "recipe": "fine_tuning", "backbone": "VGG16", "thaw": 2}
    write_candidates(
        folder,
        ["thaw"],
        [
            row | {"candidate": number, "fold": fold or "", "draws": draws, "validation": score, "state": state}
            for fold in searched
            for number, draws, score, state in ((1, 4, VALIDATION, "complete"), (2, 1, 0.5, "pruned"))
        ],
    )
    searches = []
    for fold in searched:
        own = [cell["cell"] for cell in cells if not nested or cell["fold"] == fold]
        test = float(np.mean(scores[fold]))
        winner = {"candidate": 1, "draws": 4, "recipe": "fine_tuning", "backbone": "VGG16", "thaw": "2"}
        known = {"validation": VALIDATION, "fresh": None if nested else 0.94, "test": test}
        about = {"fold": fold, "probes": {}, "backbones": [], "candidates": {}, "winner": winner, "finals": own}
        searches.append(about | known | {"optimism": VALIDATION - test})
    whole = {"metric": "auc", "trials": 2, "nested": nested, "folds": len(folds) or None, "seeds": seeds}
    found = {"searches": searches, "optimism": float(np.mean([search["optimism"] for search in searches]))}
    dimensions = json.loads(json.dumps([dataclasses.asdict(each) for each in space.dimensions]))
    write_search(folder, {**whole, **found, "space": dimensions, "importance": {"thaw": 0.3}, "seconds": 90})
    return folder, scores


def say(folder):
    return " ".join(line for line in describe_search(read_search(folder)) if isinstance(line, str))


def test_one_split_gives_the_test_score_with_its_interval_and_the_optimism(tmp_path, capsys):
    folder, scores = write_search_of(tmp_path / "study")
    record, test = read_search(folder), np.mean(scores[None])
    assert record.mean.value == pytest.approx(test)
    assert record.mean.low < test < record.mean.high
    said = say(folder)
    assert f"took no part in the search: AUC {test:.3f} ({record.mean.low:.3f} to {record.mean.high:.3f})." in said
    assert f"promised 0.950, which is {VALIDATION - test:.3f} more" in said
    assert "; the interval says how uncertain this is." in said
    assert "has 0.940: 0.010 less than on the draws that chose it" in said
    assert "2 candidates: 1 judged on all draws, 1 given up." in said
    page = make_search_page(record)
    assert f"{test:.3f}" in page
    assert "fine_tuning" in page
    cli(["compare", str(folder)], standalone_mode=False)
    assert "Winner: candidate 1 (recipe fine_tuning, backbone VGG16, thaw 2)" in " ".join(
        capsys.readouterr().out.split()
    )
    assert (folder / "study.html").read_text() == page


def test_draws_of_the_only_candidate_chose_nothing(tmp_path):
    folder, _ = write_search_of(tmp_path / "study")
    lines = (folder / "search.csv").read_text().splitlines(keepends=True)
    (folder / "search.csv").write_text("".join(lines[:2]))
    said = say(folder)
    assert "On four further draws the only candidate has 0.940." in said
    assert "draws that chose" not in said + make_search_page(read_search(folder))
    edit(folder / "search.json", lambda content: content["searches"][0].update(probes={"VGG16": 0.9, "LeNet5": 0.8}))
    said = say(folder)
    assert "the backbone was chosen out of 2 by validation images, too" in said
    assert "no others" not in said
    assert "has 0.940: 0.010 less than on the draws that chose it" in said


def test_over_folds_only_the_first_one_is_unseen_and_the_mean_is_called_too_good(tmp_path):
    folder, scores = write_search_of(tmp_path / "study", folds=(1, 2, 3))
    record = read_search(folder)
    assert record.unseen.value == pytest.approx(np.mean(scores[1]))
    assert record.mean.value == pytest.approx(np.mean(list(scores.values())))
    said = say(folder)
    assert f"On the test images of fold 1, which took no part in the search: AUC {np.mean(scores[1]):.3f}" in said
    assert f"Mean over 3 folds: {record.mean.value:.3f}" in said
    assert "It is too good" in said


def test_a_nested_search_reports_the_mean_of_the_winners_with_the_interval_of_folds(tmp_path):
    folder, scores = write_search_of(tmp_path / "study", folds=(1, 2, 3), nested=True)
    record, mean = read_search(folder), np.mean(list(scores.values()))
    assert record.mean.value == pytest.approx(mean)
    assert record.mean.low < mean < record.mean.high
    assert record.unseen is None
    said = say(folder)
    assert f"AUC {mean:.3f} ({record.mean.low:.3f} to {record.mean.high:.3f}), the mean over 3 folds" in said
    assert f"promised {abs(VALIDATION - mean):.3f} less" in said
    assert f"this optimism, {VALIDATION - mean:+.3f}, is the mean" in said
    assert "Winner of fold 3: candidate 1" in said


def test_runs_that_are_elsewhere_leave_the_score_without_an_interval(tmp_path):
    folder, scores = write_search_of(tmp_path / "study")
    (folder / "runs" / "winner-seed0-fold0" / "metrics.json").unlink()
    assert f"AUC {np.mean(scores[None]):.3f} (without an interval" in say(folder)


def test_without_an_interval_none_is_named(tmp_path):
    folder, _ = write_search_of(tmp_path / "study")
    for run in (folder / "runs").iterdir():
        edit(run / "metrics.json", lambda content: content["metrics"]["auc"].update(low=None, high=None, note="Few."))
    said = say(folder)
    assert "the interval says" not in said
    assert "; how uncertain this is, is not known." in said
    assert "Note: Few." in said


def test_test_images_that_the_winner_knows_are_told_before_its_score(tmp_path):
    folder, _ = write_search_of(tmp_path / "study")
    assert "knows test images" not in say(folder)
    file = next((folder / "runs").iterdir()) / "metrics.json"
    edit(file, lambda content: content.update(without_leaks={"leaked": 30, "n": 60, "metrics": {}}))
    said = "In 1 cell of 2, training or validation knows test images, or others of their group: up to 30 of 90."
    assert f"Warning: {said}" in say(folder)
    assert said in make_search_page(read_search(folder))


def test_a_search_that_is_not_finished_says_so_and_names_no_winner(tmp_path, capsys):
    folder, _ = write_search_of(tmp_path / "study")
    assert "not finished" not in say(folder) + make_search_page(read_search(folder))
    unknown = dict.fromkeys(("fresh", "test", "optimism"))

    def stop(content):
        content["trials"] = 5
        content["searches"][0].update(finals=[], is_finished=False, **unknown)

    edit(folder / "search.json", stop)
    said = "The search is not finished: 2 of 5 candidates are tried."
    cli(["compare", str(folder)], standalone_mode=False)
    shown = " ".join(capsys.readouterr().out.split())
    for text in (shown, say(folder), make_search_page(read_search(folder))):
        assert said in text
        assert "Best so far: candidate 1 (recipe fine_tuning, backbone VGG16, thaw 2)" in text
        assert "Winner" not in text
    edit(folder / "search.json", lambda content: content["searches"][0].pop("is_finished"))
    assert said in say(folder)  # earlier versions wrote no such field, but the cells of the winner
    edit(folder / "search.json", lambda content: content["searches"][0].update(winner=None))
    assert f"There is no winner yet. {said}" in say(folder)
