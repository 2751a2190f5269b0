"""Runs that decide for other prevalences say so, on the page and in the terminal, with the methods of what is shown."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.comparison.test_comparison import edit, noted, write_folds, write_means, write_run
from tests.report.test_report import Reader
from tlmed import whole_files
from tlmed.comparison import compare, describe_comparison, make_comparison_page
from tlmed.comparison.pairs import Pair
from tlmed.evaluation.measures import Scoring, measure, note_mix
from tlmed.evaluation.predictions import Predictions
from tlmed.screen import to_lines

CLASSES = ("benign", "malignant")
COSTS = {"benign": {"benign": 0.0, "malignant": 1.0}, "malignant": {"benign": 10.0, "malignant": 0.0}}
POINT = {"rule": "expected-cost", "threshold": 0.5, "at_half": {}}


def decide(run, prevalence):
    """Write into the files of a run what errors cost it, and the prevalence for which it decides."""
    rows = whole_files.read_csv(run / "predictions.csv")
    labels, guesses = (np.array([CLASSES.index(row[name]) for row in rows]) for name in ("label", "prediction"))
    scores = np.array([[float(row[f"score_{name}"]) for name in CLASSES] for row in rows])
    paths = tuple(row["path"] for row in rows)
    test = Predictions(paths, ("test",) * len(rows), labels, scores, guesses, CLASSES)
    found = measure(test, Scoring("test", costs=np.array([[0.0, 1.0], [10.0, 0.0]])))
    point = POINT if prevalence is None else POINT | {"prevalence": prevalence}

    def change(content):
        content.update(metrics=found["metrics"], costs=COSTS, operating_point=point, unit="image")
        if prevalence is not None:
            note_mix(content)

    edit(run / "metrics.json", change)


@pytest.fixture(scope="module", params=["runs", "cross-validations"])
def made(request, tmp_path_factory):
    """Give two runs, or two cross-validations, one for a prevalence of 0.02 and one for that of its images."""
    folders = [tmp_path_factory.mktemp("made") / name for name in ("rare", "plain")]
    for seed, (folder, prevalence) in enumerate(zip(folders, (0.02, None), strict=True)):
        if request.param == "runs":
            decide(write_run(folder, CLASSES, 0.3, seed, train=4), prevalence)
            continue
        for fold in sorted((write_folds(folder, 0.3, seed, k=2, classes=CLASSES) / "folds").iterdir()):
            decide(fold, prevalence)
        write_means(folder)
    return folders


@pytest.fixture
def pair(made, tmp_path):
    """Give copies of them, to be changed."""
    return [Path(shutil.copytree(folder, tmp_path / folder.name)) for folder in made]


def restate(folder, prevalence, threshold=0.5):
    for file in folder.rglob("metrics.json"):
        edit(
            file,
            lambda content: content.update(
                threshold=threshold, operating_point=content["operating_point"] | {"prevalence": prevalence}
            ),
        )


def test_prevalences_and_methods_are_in_the_terminal_and_on_the_page(made):
    comparison = compare(made)
    lines, page = describe_comparison(comparison), Reader(make_comparison_page(comparison)).text
    said = next(note for note in noted(comparison) if "prevalence" in note)
    assert said == (
        "The runs predict classes for different prevalences (rare 0.02, plain none stated): accuracy, sensitivity, "
        "specificity and F1 depend on them; the AUC and the Brier score do not. Expected costs are of the mix of these "
        "images, which favours a run that decides for a prevalence near it."
    )
    assert f"Note: {said}" in lines
    assert said in page
    assert comparison.shown_questions == ("auc", "accuracy", "expected_cost")
    for question in comparison.shown_questions:
        method = comparison.pairs[0].questions[question]["method"]
        assert f"{comparison.name(question)}: {method}." in to_lines(lines, 400)
        assert method in page


def test_a_prevalence_is_told_where_it_differs_only(pair):
    restate(pair[1], 0.02)
    assert not any("prevalences" in note for note in noted(compare(pair)))
    restate(pair[1], 0.2, threshold=0.25)
    notes = noted(compare(pair))
    assert any("prevalences (rare 0.02, plain 0.2)" in note for note in notes)
    (said,) = (note for note in notes if "own threshold" in note)
    both = "rules: expected-cost at a prevalence of 0.02, expected-cost at a prevalence of 0.2"
    assert both in said if (pair[0] / "folds").exists() else "(0.500, 0.250)" in said


def test_notes_on_differences_are_in_the_terminal_too(pair):
    for file in ("predictions.csv", "metrics.json"):
        for source in sorted(pair[0].rglob(file)):
            (pair[1] / source.relative_to(pair[0])).write_bytes(source.read_bytes())
    comparison = compare(pair)
    entry = comparison.pairs[0].questions["auc"]
    said = entry.get("reason") or entry["note"]
    assert f"Note: AUC of rare minus plain: {said}" in describe_comparison(comparison)


def test_of_many_methods_three_are_named(made):
    comparison = compare(made)
    cost = dict(comparison.pairs[0].questions)
    pairs = [
        Pair(0, 1, {**cost, "expected_cost": {**cost["expected_cost"], "method": f"t with {freedom} df"}})
        for freedom in (4, 5, 6, 7, 7)
    ]
    lines = to_lines(describe_comparison(replace(comparison, pairs=tuple(pairs))), 400)
    assert "expected cost: t with 4 df; t with 5 df; t with 6 df; and 1 more." in lines
