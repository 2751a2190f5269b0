"""What a study shows, from the files of its cells; their runs are written by hand."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from tests.comparison.test_comparison import THREE, TWO, edit, write_run
from tlmed.cli.entry import cli
from tlmed.errors import InputError
from tlmed.run_files.check_summary import CheckSummary
from tlmed.run_files.study_files import (
    CELL_COLUMNS,
    SCORE_COLUMNS,
    read_cells,
    read_scores,
    read_study_json,
    write_cells,
    write_scores,
    write_study,
)
from tlmed.screen import to_lines
from tlmed.study_report import analyse, conclude, describe_study_scores, read_study_scores, warn
from tlmed.study_report.study_page import make_study_page
from tlmed.study_report.study_sentences import describe_cells

SKILLS = {"good": 0.9, "fair": 0.5, "poor": 0.1}


def write_study_of(folder, skills=SKILLS, folds=5, seeds=2, classes=THREE, groups=None, varied=None, same=False):
    """Write a study of configurations that differ in skill; `varied`: their values of `data.train_share`."""
    names, cells, scores = list(varied or ()), [], []
    write_study(folder_of(folder), {"data": "images", "varied": names, "cells": {}})
    places = range(1, folds + 1) if folds else [0]
    for (number, (name, skill)), fold, seed in itertools.product(enumerate(skills.items()), places, range(seeds)):
        cell = f"{name}-seed{seed}-fold{fold}"
        drawn = 100 * fold + (0 if same else 10 * number + seed)
        share = {"data.train_share": varied[name]} if varied else {}
        train = int(200 * float(varied[name])) if varied else 200
        run = write_run(folder / "runs" / cell, classes, skill, drawn, train, groups, 1000 * fold)
        edit(run / "plan.json", lambda content, number=number: content.update(parameters=1000 * (number + 1)))
        metrics = json.loads((run / "metrics.json").read_text())["metrics"]
        whose = {"recipe": name, "backbone": "VGG16", "weights": "imagenet", "seed": seed, "fold": fold or "", **share}
        row = {"cell": cell, "state": "complete", "reason": "", "seconds": 1, "run": f"runs/{cell}", **whose}
        cells.append(row | {metric: metrics[metric]["value"] for metric in ("auc", "accuracy")})
        measured = metrics["auc"]
        bounds = {bound: measured[bound] for bound in ("value", "low", "high")}
        scores.append({"cell": cell, "metric": "auc", "n": 90, **bounds, **whose})
    fields = ["data.train_share"] if varied else []
    write_cells(folder, fields, cells)
    write_scores(folder, fields, scores)
    return folder


def folder_of(folder):
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    folder = write_study_of(tmp_path_factory.mktemp("folded") / "study")
    scores = read_study_scores(folder)
    return folder, scores, analyse(scores)


@pytest.fixture(scope="module")
def single(tmp_path_factory):
    folder = write_study_of(tmp_path_factory.mktemp("single") / "study", folds=0, seeds=3, classes=TWO, groups=3)
    scores = read_study_scores(folder)
    return folder, scores, analyse(scores)


def test_means_are_those_of_the_cells_and_the_best_is_first(folded):
    folder, scores, analysis = folded
    by_hand = {}
    for row in read_cells(folder):
        by_hand.setdefault(row["recipe"], []).append(float(row["auc"]))
    assert scores.names == ("good", "fair", "poor")
    assert scores.values.shape == (3, 5, 2)
    np.testing.assert_allclose(scores.means, [np.mean(by_hand[name]) for name in scores.names])
    assert analysis.order == (0, 1, 2)
    assert [mean.folds for mean in analysis.means] == [5, 5, 5]
    assert all(mean.low < mean.value < mean.high for mean in analysis.means)


def test_what_is_far_ahead_is_shown_and_its_lead_is_hardly_false(folded):
    _, _, analysis = folded
    assert analysis.lead.best == 0
    assert analysis.lead.false < 0.05
    assert analysis.find_pair(0, 2)[0].p_holm < 0.05
    assert analysis.ranking.ranks == (1, 2, 3)
    assert analysis.preferences[2].left > 0.95
    assert max(analysis.shares.shares, key=analysis.shares.shares.get) == "recipe"
    assert "Shown to be worse after correction for 3 pairs: fair, poor (2 of 2)." in conclude(analysis)


def test_equal_configurations_are_not_called_better(tmp_path):
    skills = dict.fromkeys("abcd", 0.4)
    analysis = analyse(read_study_scores(write_study_of(tmp_path / "study", skills)))
    assert analysis.lead.false > 0.3
    assert all(pair.p_holm > 0.05 for pair in analysis.pairs)
    assert any(sentence.startswith("No other is shown to be worse") for sentence in conclude(analysis))


def test_exactly_equal_configurations_make_no_claim(tmp_path):
    skills = dict.fromkeys("ab", 0.4)
    analysis = analyse(read_study_scores(write_study_of(tmp_path / "study", skills, folds=0, same=True)))
    assert analysis.lead is None or 0.3 < analysis.lead.false < 0.7


def test_resamples_of_one_split_are_those_of_groups_and_move_as_the_area_does(single):
    _, scores, _ = single
    draws, units = scores.draws
    test = scores.results[1][0][0].test
    groups = [row["group"] for row in scores.results[1][0][0].splits.values() if row["split"] == "test"]
    assert units == len(set(groups)) < len(test.paths)
    owners = np.unique(groups, return_inverse=True)[1]
    rng, areas = np.random.default_rng(0), []
    for _ in range(400):
        rows = np.concatenate([np.flatnonzero(owners == group) for group in rng.integers(0, units, units)])
        areas.append(roc_auc_score(test.labels[rows], test.scores[rows, 1]))
    assert np.std(draws[1, 0]) == pytest.approx(np.std(areas), rel=0.2)
    assert np.mean(draws[1, 0]) == pytest.approx(np.mean(areas), abs=0.01)


def test_one_split_says_for_what_it_holds_and_what_needs_folds(single):
    _, _, analysis = single
    assert analysis.ranking is None
    assert not analysis.preferences
    assert analysis.lead.false < 0.05
    assert analysis.means[1].low < analysis.means[1].value < analysis.means[1].high
    said = " ".join(analysis.notes)
    assert "not for other training images" in said
    assert "Mean ranks need 5 folds" in said


def test_configurations_with_missing_cells_are_left_out_and_told(folded, tmp_path):
    folder = write_study_of(tmp_path / "study", folds=2)
    rows = read_cells(folder)
    for row in rows:
        if row["recipe"] == "good" and row["fold"] == "2":
            row.update(state="failed", reason="no weights")
    write_cells(folder, [], rows)
    scores = read_study_scores(folder)
    assert scores.names == ("fair", "poor")
    assert scores.missing == (("good / VGG16 / imagenet", "2 of 4 cells complete; no weights"),)
    lines = "\n".join(to_lines(describe_study_scores(analyse(scores))))
    assert "Left out: good / VGG16 / imagenet: 2 of 4 cells complete; no weights" in lines
    assert "not all cells are complete: 1 configuration" in lines
    write_cells(folder, [], [row | {"state": "waiting"} for row in rows])
    with pytest.raises(InputError, match=r"two configurations are complete.*0 of 3"):
        read_study_scores(folder)


def test_leaks_are_told_wherever_the_study_is_shown(tmp_path):
    folder = write_study_of(tmp_path / "study", {"good": 0.9, "poor": 0.1}, folds=0, seeds=1)
    metrics = folder / "runs" / "poor-seed0-fold0" / "metrics.json"
    edit(metrics, lambda content: content.update(without_leaks={"leaked": 30, "n": 60, "metrics": {}}))
    analysis = analyse(read_study_scores(folder))
    said = "In 1 cell of 2, training or validation knows test images, or others of their group: up to 30 of 90."
    assert warn(analysis.scores)[0].startswith(said)
    assert warn(analysis.scores)[0].endswith(
        " poor knows more of them than others do, so that its lead over these shows nothing."
    )
    assert said in make_study_page(analysis)
    assert f"Warning: {said}" in "\n".join(to_lines(describe_study_scores(analysis)))


def test_faults_of_the_data_are_told_of_the_cell_that_has_most_of_them(tmp_path):
    folder = write_study_of(tmp_path / "study", {"good": 0.9, "poor": 0.1}, folds=2, seeds=1)
    scores = read_study_scores(folder)

    def check(errors, cells):
        for row, fold in cells:
            (result,) = scores.results[row][fold]
            found = CheckSummary({"near-copy": errors}, {}, 80, errors, ("train",))
            scores.results[row][fold] = (replace(result, check=found),)

    scores = replace(scores, results=[list(row) for row in scores.results])
    check(3, [(0, 0), (0, 1)])
    check(7, [(1, 1)])
    worst = scores.results[1][1][0].path.name
    (said,) = warn(scores)
    assert said.startswith(
        f"The data have errors in 3 cells of 4, most in {worst}: The check of the data found 7 errors"
    )
    check(7, [(0, 0), (0, 1), (1, 0)])
    assert warn(scores)[0].startswith("The check of the data found 7 errors")


def test_positive_classes_that_differ_are_all_named(tmp_path):
    folder = write_study_of(tmp_path / "study", {"good": 0.9, "poor": 0.1}, folds=0, seeds=1)
    analysis = analyse(read_study_scores(folder))
    results = [list(row) for row in analysis.scores.results]
    for row, positive in zip(results, ("benign", "normal"), strict=True):
        row[0][0].metrics["positive"] = positive
    assert "Positive class: benign or normal, as the configuration says." in describe_cells(analysis)


def test_kappas_of_several_orders_of_grades_are_not_compared(tmp_path):
    folder = write_study_of(tmp_path / "study", {"good": 0.9, "poor": 0.1}, folds=0, seeds=1)
    for run in (folder / "runs").iterdir():
        edit(run / "metrics.json", make_ordinal)
    assert read_study_scores(folder).metric == "quadratic_kappa"
    run = folder / "runs" / "poor-seed0-fold0"
    turn_classes(run, [2, 1, 0])  # from the highest to the lowest: the same measure
    assert read_study_scores(folder).metric == "quadratic_kappa"
    turn_classes(run, [1, 0, 2])
    with pytest.raises(InputError, match=r"of one order of grades.* Received: .*; "):
        read_study_scores(folder)


def make_ordinal(content):
    kappa = {"value": 0.5, "low": 0.4, "high": 0.6, "method": "none"}
    content.update(task="ordinal", positive=None, primary="quadratic_kappa")
    content["metrics"]["quadratic_kappa"] = kappa


def turn_classes(run, places):
    edit(run / "metrics.json", lambda content: content.update(classes=[THREE[place] for place in places]))


def test_a_class_that_a_cell_could_not_measure_is_told(tmp_path):
    folder = write_study_of(tmp_path / "study", {"good": 0.9, "poor": 0.1}, folds=0, seeds=1)

    def leave_out(content):
        content["per_class"]["normal"]["auc"].update(value=None, low=None, high=None)

    edit(folder / "runs" / "poor-seed0-fold0" / "metrics.json", leave_out)
    said = "In 1 cell of 2 the mean is without 'normal', whose AUC could not be measured there."
    assert said in warn(read_study_scores(folder))


def test_configurations_that_do_the_same_are_told(tmp_path):
    analysis = analyse(read_study_scores(write_study_of(tmp_path / "study", dict.fromkeys("abc", 0.4), same=True)))
    assert "The same scores in every cell: a, b, c. What they differ in had no effect." in conclude(analysis)


def test_configurations_of_which_only_the_score_is_the_same_are_not_called_without_effect(tmp_path):
    folder = write_study_of(tmp_path / "study", dict.fromkeys("ab", 0.4), same=True)

    def move(content):
        content["metrics"]["accuracy"]["value"] -= 0.1

    edit(folder / "runs" / "b-seed1-fold2" / "metrics.json", move)
    said = [each for each in conclude(analyse(read_study_scores(folder))) if "same" in each]
    assert said == ["The same AUC in every cell: a, b. They differ in accuracy."]


def test_few_groups_of_one_split_decide_nothing_as_in_a_run(tmp_path):
    folder = write_study_of(tmp_path / "study", {"a": 0.9, "b": 0.1}, folds=0, classes=TWO, groups=15)
    scores = read_study_scores(folder)
    owner = {row["group"] for row in scores.results[0][0][0].splits.values() if row["group"].endswith("-1")}
    assert len(owner) < 5
    assert all(row["low"] == "" for row in read_scores(folder))
    analysis = analyse(scores)
    assert all(mean.value is not None and mean.low is None for mean in analysis.means)
    assert [pair.mean.low for pair in analysis.pairs] == [None]
    assert analysis.lead is None
    few = "groups, from which no interval follows." if len(owner) < 5 else ""
    assert any(few in note for note in analysis.notes)
    assert any(
        note.startswith("It is not said how probable it is that the best is not the best") for note in analysis.notes
    )
    assert "Whether another is worse could not be tested." in conclude(analysis)
    shown = "\n".join(to_lines(describe_study_scores(analysis)))
    assert f"{analysis.means[0].value:.3f} (" not in shown
    assert f"It rests on {len(owner)} groups of class" in shown


def test_deviations_over_seeds_are_those_of_the_scores(single):
    _, scores, analysis = single
    assert [mean.seed_deviation for mean in analysis.means] == pytest.approx(scores.values[:, 0].std(axis=1, ddof=1))


def test_perfect_scores_of_few_images_do_not_make_leads_sure(tmp_path):
    folder = write_study_of(tmp_path / "study", dict.fromkeys("ab", 9.0), folds=0, classes=TWO, same=True)
    analysis = analyse(read_study_scores(folder))
    assert analysis.means[0].value == 1
    assert analysis.means[0].low < 0.97
    assert 0.3 < analysis.lead.false < 0.7
    assert analysis.lead.close < 1


def test_the_positive_class_is_named(single):
    assert "Positive class: malignant." in describe_study_scores(single[2])[0]


def test_cells_of_other_test_images_are_not_compared(tmp_path):
    folder = write_study_of(tmp_path / "study", {"good": 0.9, "poor": 0.1}, folds=0, seeds=1)
    other = write_run(tmp_path / "other", THREE, 0.1, 0, first=7)
    for name in ("predictions.csv", "splits.csv"):
        (folder / "runs" / "poor-seed0-fold0" / name).write_text((other / name).read_text())
    with pytest.raises(InputError, match="must have the same test images"):
        analyse(read_study_scores(folder))


def test_data_sizes_are_correlated_with_scores_and_drawn(tmp_path):
    skills = {"a": 0.1, "b": 0.3, "c": 0.2, "d": 0.6, "e": 0.9}
    shares = dict(zip(skills, ("0.05", "0.1", "0.25", "0.5", "1"), strict=True))
    analysis = analyse(read_study_scores(write_study_of(tmp_path / "study", skills, folds=2, varied=shares)))
    expected = spearmanr([float(share) for share in shares.values()], analysis.scores.means)
    assert analysis.sizes.value == pytest.approx(expected.statistic)
    assert [each.train_images for each in analysis.scores.configurations] == [10, 20, 50, 100, 200]
    page = make_study_page(analysis)
    assert f"Spearman&#39;s rank correlation of training images and AUC: {expected.statistic:.2f}" in page


def test_the_page_has_all_parts_and_escapes_names(folded, drawing):
    _, scores, analysis = folded
    for head in ("Configurations", "Is the best the best?", "Differences from the best", "Mean ranks"):
        assert f">{head}</h2>" in make_study_page(analysis)
    named = replace(analysis, scores=replace(scores, names=("<b>x</b>", "fair", "poor")))
    with drawing():
        page = make_study_page(named)
    assert "<b>x</b>" not in page.replace("<b>The highest", "")
    assert page.count("data:image/png") >= 5
    assert "critical-difference" in page


def test_compare_shows_a_study_and_writes_its_page(folded, capsys):
    folder, _, analysis = folded
    told = {"said": ["Images: 9 from <b>"], "found": ["1 image is left out"]}
    write_study(folder, {**read_study_json(folder), "told": told})
    cli(["compare", str(folder)], standalone_mode=False)
    shown = capsys.readouterr().out
    assert "3 configurations, 5 folds and 2 seeds of each" in shown
    assert f"{analysis.means[0].value:.3f}" in shown
    page = (folder / "study.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "Images: 9 from &lt;b&gt;" in page
    assert "1 image is left out" in page


def test_columns_are_those_that_others_rely_on():
    first, last = SCORE_COLUMNS
    assert ",".join(CELL_COLUMNS) == "cell,state,reason,recipe,backbone,weights,seed,fold,auc,accuracy,seconds,run"
    assert ",".join(first + last) == "cell,recipe,backbone,weights,seed,fold,metric,value,low,high,n"
