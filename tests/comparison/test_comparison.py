"""Runs on the same test images are compared pair by pair, others are refused, and the page says what can be said."""

import csv
import json
import math
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.cli.test_cli import here
from tests.report.test_report import Reader
from tlmed import whole_files
from tlmed.comparison import (
    compare,
    conclude,
    describe_comparison,
    make_comparison_page,
    plots,
    read_results,
    write_comparison,
)
from tlmed.comparison.compared_metrics import QUESTIONS
from tlmed.comparison.files import FILES
from tlmed.comparison.groups import list_known
from tlmed.comparison.pairs import _average
from tlmed.comparison.sentences import say_cost, say_difference, say_score
from tlmed.comparison.traits import (
    FEATURE_EXTRACTOR,
    FINE_TUNING,
    FROM_SCRATCH,
    HYBRID,
    RANDOM,
    UNKNOWN,
    find_approach,
    find_costs,
)
from tlmed.errors import InputError
from tlmed.evaluation.measures import Scoring, measure, score
from tlmed.evaluation.score_plots import MOST_CURVES
from tlmed.metrics import compare_areas, compare_metrics, evaluate, holm, mcnemar, roc_curve
from tlmed.metrics.spreads import Spread
from tlmed.recipe import load_recipe, to_json
from tlmed.screen import to_lines

TWO, THREE = ("benign", "malignant"), ("benign", "malignant", "normal")
IMAGES = 90


def draw_scores(classes, skill, seed, n=IMAGES):
    """Return labels, and scores that tell them the better the higher the skill."""
    labels = np.arange(n) % len(classes)
    scores = np.random.default_rng(seed).dirichlet(np.ones(len(classes)), n)
    scores[np.arange(n), labels] += skill
    return labels, scores / scores.sum(axis=1, keepdims=True)


def edit(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def edit_rows(file, change):
    """Change the rows of a table; `change` takes the list of them and changes it."""
    rows = whole_files.read_csv(file)
    change(rows)
    whole_files.write_csv(file, rows[0], (row.values() for row in rows))


def write_run(folder, classes=TWO, skill=0.3, seed=0, train=200, groups=None, first=0, **recipe):
    """Write the files of a run that a comparison reads.

    Args:
        folder: Where.
        classes: Their names; of two the second is positive.
        skill: How well it tells the classes apart.
        seed: Decides its scores.
        train: How many training images.
        groups: Images of each group of test images, or None.
        first: The number of the first test image: where it differs the test images do.
        recipe: Fields of its recipe.
    """
    folder.mkdir(parents=True)
    labels, scores = draw_scores(classes, skill, seed)
    names = [f"{classes[label]}/{first + i}.png" for i, label in enumerate(labels)]
    owners = [f"p{i // len(classes) // groups}-{label}" if groups else "" for i, label in enumerate(labels)]
    rows = [
        (name, classes[label], owner, "test", f"{first + i:0>63}a")
        for i, (name, label, owner) in enumerate(zip(names, labels, owners, strict=True))
    ]
    rows += [(f"t{i}.png", classes[i % 2], "", "train", f"{i:0>64}") for i in range(train)]
    whole_files.write_csv(folder / "splits.csv", ("path", "label", "group", "split", "sha256"), rows)
    guesses = scores.argmax(axis=1)
    table = [
        (name, "test", classes[label], classes[guess], *map(repr, row))
        for name, label, guess, row in zip(names, labels, guesses, scores.tolist(), strict=True)
    ]
    columns = ("path", "split", "label", "prediction", *(f"score_{name}" for name in classes))
    whole_files.write_csv(folder / "predictions.csv", columns, table)
    metrics = evaluate(labels, scores, guesses, classes, groups=owners, draws=4)
    phases = [("head", 0, 0.0, 1000), ("top", 2, 0.4, 50_000)]
    keys = ("name", "thaw", "fine_tuning_ratio", "trainable_parameters")
    files = {
        "recipe.json": {"data": {"source": "/data"}, "backbone": "VGG16", "weights": "imagenet", "seed": 0, **recipe},
        "plan.json": {"weights": "imagenet/keras", "phases": [dict(zip(keys, phase, strict=True)) for phase in phases]},
        "environment.json": {"cpus": 2, "devices": ["CPU"]},
        "timing.json": {"training_seconds": 10.0 + seed, "peak_memory_mb": 900, "images_per_second": 80.5},
        "metrics.json": {**metrics, "threshold": 0.5 if len(classes) == 2 else None, "kept": {"name": "top"}},
    }
    for name, content in files.items():
        whole_files.write_json(folder / name, content)
    return folder


def write_folds(folder, skill=0.3, seed=0, k=3, repeats=1, classes=THREE):
    """Write a cross-validation with `k` folds of different test images."""
    split = {"k": k, "repeats": repeats, "val": 0.15, "fold": None}
    for fold in range(k * repeats):
        write_run(folder / "folds" / f"{fold + 1:02}", classes, skill, seed + 10 * fold, first=100 * fold)
    write_means(folder)
    recipe = {"data": {"source": "/data", "split": split}, "backbone": "VGG16", "weights": "imagenet", "seed": 0}
    whole_files.write_json(folder / "recipe.json", recipe)
    whole_files.write_json(folder / "timing.json", {"training_seconds": 99.5, "peak_memory_mb": 950})
    return folder


def write_means(folder):
    """Write the metrics of a cross-validation, as its folds say them."""
    folds = [json.loads(path.read_text()) for path in sorted(folder.glob("folds/*/metrics.json"))]
    metrics = {}
    for name, entry in folds[0]["metrics"].items():
        values = [fold["metrics"].get(name, {}).get("value") for fold in folds]
        metrics[name] = {**entry, "value": None if None in values else float(np.mean(values))}
    content = {**folds[0], "n": len(folds) * IMAGES, "groups": None, "metrics": metrics}
    whole_files.write_json(folder / "metrics.json", content)


def noted(comparison):
    """Return the notes of a comparison, without those on the locks that the runs here do not have."""
    return tuple(note for note in comparison.notes if "its lock.json is missing" not in note)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Give three runs of two classes, from worse to better."""
    folder = tmp_path_factory.mktemp("runs")
    return [write_run(folder / name, skill=skill, seed=i) for i, (name, skill) in enumerate(SKILLS.items())]


SKILLS = {"poor": 0.02, "good": 0.3, "better": 0.35}


@pytest.fixture
def two(made, tmp_path):
    """Give copies of two of them, to be spoilt."""
    return [Path(shutil.copytree(run, tmp_path / run.name)) for run in made[:2]]


def read_tables(runs):
    """Return labels and each run's scores and predictions, in the order of the paths."""
    tables = []
    for run in runs:
        rows = sorted(whole_files.read_csv(run / "predictions.csv"), key=lambda row: row["path"])
        classes = [name.removeprefix("score_") for name in rows[0] if name.startswith("score_")]
        scores = np.array([[float(row[f"score_{name}"]) for name in classes] for row in rows])
        tables.append((scores, np.array([classes.index(row["prediction"]) for row in rows])))
    return np.array([classes.index(row["label"]) for row in rows]), tables


def test_two_classes_get_delong_mcnemar_and_a_paired_t(made):
    comparison = compare(made)
    labels, tables = read_tables(made)
    assert [(pair.first, pair.second) for pair in comparison.pairs] == [(0, 1), (0, 2), (1, 2)]
    for pair in comparison.pairs:
        (ours, mine), (theirs, other) = tables[pair.first], tables[pair.second]
        area = compare_areas(labels == 1, ours[:, 1], theirs[:, 1])
        right = mcnemar(mine == labels, other == labels)
        drawn = compare_metrics(labels, (ours, mine), (theirs, other), TWO, only=QUESTIONS)
        found = pair.questions
        assert tuple(found) == QUESTIONS
        assert {key: found["auc"][key] for key in area} == area
        assert {key: found["accuracy"][key] for key in right} == right
        for name in QUESTIONS[2:]:
            assert {key: found[name][key] for key in drawn[name]} == drawn[name]
    assert comparison.images == IMAGES


def test_p_values_are_corrected_over_all_pairs_for_each_question_by_itself(made):
    pairs = compare(made).pairs
    for name in QUESTIONS:
        assert [pair.questions[name]["p_holm"] for pair in pairs] == holm([pair.questions[name]["p"] for pair in pairs])


def test_three_classes_are_compared_by_their_macro_auc(tmp_path):
    runs = [write_run(tmp_path / name, THREE, skill, i) for i, (name, skill) in enumerate(SKILLS.items())]
    entry = compare(runs).pairs[0].questions["auc"]
    labels, tables = read_tables(runs)
    drawn = compare_metrics(labels, *tables[:2], THREE, only=["auc"])["auc"]
    assert {key: entry[key] for key in drawn} == drawn


def test_the_order_of_rows_does_not_matter(made, two):
    edit_rows(two[1] / "predictions.csv", lambda rows: rows.reverse())
    edit_rows(two[1] / "splits.csv", lambda rows: rows.reverse())
    assert compare(two).pairs[0].questions == compare(made[:2]).pairs[0].questions


def test_a_difference_turns_with_its_pair(made):
    comparison = compare(made)
    there, back = comparison.difference(0, 2, "auc"), comparison.difference(2, 0, "auc")
    assert (back["value"], back["low"], back["high"]) == (-there["value"], -there["high"], -there["low"])
    assert back["p_holm"] == there["p_holm"]


def test_groups_of_several_images_are_kept_together(tmp_path):
    runs = [write_run(tmp_path / name, skill=skill, seed=i, groups=3) for i, (name, skill) in enumerate(SKILLS.items())]
    comparison = compare(runs)
    assert comparison.groups == 30
    methods = {name: entry["method"] for name, entry in comparison.pairs[0].questions.items()}
    assert "by groups (Obuchowski 1997)" in methods["auc"]
    assert "McNemar by groups" in methods["accuracy"]
    assert "influences by groups" in methods["f1"]
    assert "90 test images of 30 groups" in to_lines(describe_comparison(comparison))[0]
    edit_rows(runs[0] / "splits.csv", lambda rows: [row.update(group="") for row in rows])
    again = compare(runs)
    assert "do not name the same groups for the same images; those of good are used" in " ".join(again.notes)
    assert again.groups == 30


def test_cross_validations_are_compared_by_their_folds(tmp_path):
    runs = [write_folds(tmp_path / "a", 0.1), write_folds(tmp_path / "b", 0.3, seed=1)]
    comparison = compare(runs)
    entry = comparison.pairs[0].questions["auc"]
    values = [
        [
            json.loads((run / "folds" / f"0{i}" / "metrics.json").read_text())["metrics"]["auc"]["value"]
            for i in (1, 2, 3)
        ]
        for run in runs
    ]
    differences = np.subtract(*values)
    # Nadeau & Bengio: 1 / folds + test / train, of which 15 % of the rest, the validation images, are not.
    error = np.sqrt(differences.var(ddof=1) * (1 / 3 + 1 / (2 * 0.85)))
    assert entry["value"] == pytest.approx(differences.mean())
    assert entry["p"] == pytest.approx(2 * stats.t.sf(abs(differences.mean() / error), 2))
    assert entry["high"] == pytest.approx(differences.mean() + stats.t.ppf(0.975, 2) * error)
    assert comparison.results[0].costs["training_seconds"] == 99.5
    assert comparison.results[0].costs["train_images"] == 200
    assert "the same 3 folds of 270 images" in to_lines(describe_comparison(comparison))[0]


@pytest.mark.parametrize("write", [write_run, write_folds])
def test_a_comparison_says_where_no_run_knows_patients(write, tmp_path):
    runs = [write(tmp_path / "a", skill=0.1), write(tmp_path / "b", skill=0.3, seed=1)]

    def ask():
        comparison = compare(runs)
        page = make_comparison_page(comparison)
        found = "; patients: not known" in page
        assert ("; patients: not known. Classes: " in page) == found
        assert ("; patients: not known; classes: " in describe_comparison(comparison)[0]) == found
        return found

    assert ask()

    def name_patients(rows):
        for row in rows:
            row["group"] = "p1"

    parts = [runs[0]] if write is write_run else sorted((runs[0] / "folds").iterdir())
    edit_rows(parts[0] / "splits.csv", name_patients)
    assert not ask()
    edit_rows(parts[0] / "splits.csv", lambda rows: [row.update(group="file:a.png") for row in rows])
    assert ask()
    for run in runs:
        edit(run / "recipe.json", lambda recipe: recipe.setdefault("data", {}).update(groups=False))
    assert not ask()


def test_training_images_of_folds_of_several_sizes_are_a_mean(tmp_path):
    runs = [write_folds(tmp_path / "a", 0.1), write_folds(tmp_path / "b", 0.3, seed=1)]

    def remove_one(rows):
        rows.remove(next(row for row in rows if row["split"] == "train"))

    edit_rows(runs[0] / "folds" / "01" / "splits.csv", remove_one)
    comparison = compare(runs)
    assert any(
        "The training images differ (a 199.7, b 200; means over the folds): " in note for note in comparison.notes
    )
    lines = to_lines(describe_comparison(comparison))
    assert any(" 199.7 " in line for line in lines)
    assert any("images: for training, the mean over the folds; " in line for line in lines)
    assert "199.7" in make_comparison_page(comparison)


def test_validation_images_of_folds_of_several_sizes_are_a_mean(tmp_path):
    runs = [write_folds(tmp_path / "a", 0.1), write_folds(tmp_path / "b", 0.3, seed=1)]

    def add_one(rows):
        rows.append({**next(row for row in rows if row["split"] == "train"), "path": "more.png", "split": "val"})

    edit_rows(runs[0] / "folds" / "01" / "splits.csv", add_one)
    (said,) = [note for note in compare(runs).notes if note.startswith("The validation images")]
    assert ".3, b " in said
    assert "; means over the folds), which choose epochs" in said


def test_folds_that_give_no_interval_say_why(tmp_path):
    runs = [
        write_folds(tmp_path / "a", 0.1),
        write_folds(tmp_path / "b", 0.3, seed=1),
        write_folds(tmp_path / "c", 0.1),
    ]
    edit(runs[0] / "folds" / "02" / "metrics.json", lambda it: it["metrics"]["f1"].update(value=None))
    edit(runs[0] / "folds" / "02" / "metrics.json", lambda it: it["metrics"].pop("brier"))
    write_means(runs[0])
    comparison = compare(runs)
    questions = comparison.pairs[0].questions
    assert questions["f1"]["reason"] == "The metric is undefined in fold 02 of one of the two."
    assert questions["brier"]["value"] is None
    entry = comparison.pairs[1].questions["accuracy"]  # of a run and its copy
    assert (entry["value"], entry["low"], entry["high"], entry["p"]) == (0, None, None, 1)
    assert entry["note"].startswith("All folds have the same difference")
    still = [Spread(0.0, math.nan, 0.0, IMAGES)] * 3
    open_ = _average([-0.1] * 3, read_results(runs)[0].folds, 0.5, still, 1, most=1.0)
    assert (open_["value"], open_["p"]) == (-0.1, None)
    assert "same difference" in open_["reason"]


def test_folds_that_agree_by_luck_leave_the_sampling_error_of_their_images(tmp_path):
    """Three folds with the same difference in accuracy say how well they agree, not how few images there are."""
    runs = [tmp_path / name for name in "ab"]
    for run, wrong in zip(runs, ((0, 1, 2, 3, 4, 5), (4, 5, 6, 7, 8, 9, 10, 11, 12)), strict=True):
        for fold in range(3):
            folder = write_run(run / "folds" / f"0{fold + 1}", skill=9.0, first=100 * fold)

            def err(rows, wrong=wrong):
                for number in wrong:
                    row = rows[number]
                    row["prediction"] = next(name for name in TWO if name != row["label"])

            edit_rows(folder / "predictions.csv", err)
            accuracy = 1 - len(wrong) / IMAGES
            edit(folder / "metrics.json", lambda it, v=accuracy: it["metrics"]["accuracy"].update(value=v))
        write_means(run)
        split = {"k": 3, "repeats": 1, "val": 0.15, "fold": None}
        whole_files.write_json(run / "recipe.json", {"data": {"source": "/data", "split": split}, "backbone": "VGG16"})
    entry = compare(runs).pairs[0].questions["accuracy"]
    # By hand: in each fold 7 of 90 images for the first, 4 for the second: their variance, by 270 images.
    mean = 3 / 90
    error = math.sqrt((11 / 90 - mean**2) / 270)
    assert entry["value"] == pytest.approx(mean)
    assert (entry["high"] - entry["low"]) / 2 == pytest.approx(1.97 * error, rel=0.02)
    assert entry["p"] > 0.05
    assert entry["method"].startswith("sampling error of the images of 3 folds, t with ")
    told = to_lines(describe_comparison(compare(runs)))
    assert any(line.startswith("accuracy: sampling error of the images of 3 folds") for line in told)
    grouped = tmp_path / "grouped"
    shutil.copytree(runs[0], grouped)
    for fold in ("01", "02", "03"):
        edit_rows(
            grouped / "folds" / fold / "splits.csv", lambda rows: [row.update(group=row["path"][-6]) for row in rows]
        )
    found = compare([runs[1], grouped]).pairs[0].questions["accuracy"]
    assert found["method"].startswith("sampling error of the groups of 3 folds")


def test_runs_that_name_different_groups_are_compared_by_one_set_of_them(tmp_path):
    """Groups of the one run decide intervals and known test images of both, in whatever order they are given."""
    plain, grouped = write_run(tmp_path / "plain", seed=1), write_run(tmp_path / "grouped", groups=3)

    def own(rows):
        rows[-1]["group"] = next(row["group"] for row in rows)  # a training image of a test image's group

    edit_rows(grouped / "splits.csv", own)
    found = {"leaked": 3, "n": IMAGES - 3, "metrics": {}}
    edit(grouped / "metrics.json", lambda content: content.update(without_leaks=found))
    before = json.loads((plain / "metrics.json").read_text())["metrics"]
    labels, scores = draw_scores(TWO, 0.3, 1)
    owners = [row["group"] for row in whole_files.read_csv(grouped / "splits.csv") if row["split"] == "test"]
    expected = evaluate(labels, scores, scores.argmax(axis=1), TWO, groups=owners)["metrics"]
    for runs in ((plain, grouped), (grouped, plain)):
        comparison = compare(runs)
        mine = next(result for result in comparison.results if result.name == "plain")
        for name in QUESTIONS:
            assert mine.metrics["metrics"][name] == expected[name]
            assert mine.metrics["metrics"][name]["value"] == pytest.approx(before[name]["value"])
        assert mine.metrics["metrics"]["accuracy"]["low"] != before["accuracy"]["low"]
        told = " ".join(to_lines(describe_comparison(comparison)))
        for name in ("plain", "grouped"):
            assert f"{name} knows 3 test images of 90 from training or validation" in told
        said = "those of grouped are used. So intervals and known test images of plain may differ from those in its own"
        assert said in told
        rows = whole_files.read_csv(write_comparison(tmp_path / f"out-{runs[0].name}", comparison)[1])
        row = next(row for row in rows if row["run"] == "plain")
        assert (float(row["accuracy_low"]), row["leaked"]) == (expected["accuracy"]["low"], "3")
        assert float(row["accuracy_without_leaks"]) == mine.without_leaks["metrics"]["accuracy"]["value"]
    edit_rows(plain / "splits.csv", lambda rows: rows[-1].update(path="elsewhere.png"))
    edit(plain / "metrics.json", lambda content: content.update(without_leaks={**found, "leaked": 9}))
    notes = " ".join(compare((plain, grouped)).notes)
    assert "The groups of 1 image of plain are not known, because grouped does not have these images" in notes
    assert "plain also knows test images through the weights that it started from" in notes


def test_groups_that_differ_in_name_alone_are_the_same(tmp_path):
    runs = [write_run(tmp_path / str(seed), seed=seed, groups=3) for seed in range(2)]
    edit_rows(runs[1] / "splits.csv", lambda rows: [row.update(group=f"x{row['group']}"[::-1]) for row in rows])
    comparison = compare(runs)
    assert "different groups" not in " ".join(comparison.notes)
    own = json.loads((runs[1] / "metrics.json").read_text())["metrics"]
    assert comparison.results[1].metrics["metrics"] == own
    tested = [row["path"] for row in whole_files.read_csv(runs[1] / "splits.csv") if row["split"] == "test"]
    edit_rows(
        runs[1] / "splits.csv",
        lambda rows: [row.update(group="alone") for row in rows if row["path"] == tested[0]],
    )
    assert "do not name the same groups" in " ".join(compare(runs).notes)


def test_cross_validations_that_name_different_groups_are_compared_by_one_set_of_them(tmp_path):
    runs = [write_folds(tmp_path / name, seed=seed) for seed, name in enumerate(("plain", "grouped"))]
    for fold in ("01", "02", "03"):
        edit_rows(
            runs[1] / "folds" / fold / "splits.csv",
            lambda rows: [row.update(group=f"p{number // 9}") for number, row in enumerate(rows)],
        )
    comparison = compare(runs)
    assert sum("those of grouped are used" in note for note in comparison.notes) == 1
    assert "the intervals of the means still follow the run's own groups" in " ".join(comparison.notes)
    told = " ".join(to_lines(describe_comparison(comparison)))
    assert "plain knows" not in told
    edit_rows(runs[1] / "folds" / "01" / "splits.csv", lambda rows: rows[-1].update(group="p0"))
    told = " ".join(to_lines(describe_comparison(compare(runs))))
    assert "plain knows 9 test images of 270" in told


def refuse(runs, *words):
    """Check that runs are refused in one line that holds the words, and give it."""
    with pytest.raises(InputError) as caught:
        compare(runs)
    message = str(caught.value)
    for word in words:
        assert word in message
    assert "\n" not in message
    assert "Received: " in message
    return message


def test_one_run_and_one_given_twice_are_refused(made):
    refuse(made[:1], "two runs or more")
    refuse([made[0], made[1], made[0] / ".." / "poor"], "given once", str(made[0]))


def test_other_classes_and_another_positive_one_are_refused(made, two, tmp_path):
    refuse([made[0], write_run(tmp_path / "three", THREE)], "same classes", "three: benign, malignant, normal")
    edit(two[1] / "metrics.json", lambda content: content.update(positive="benign"))
    refuse(two, "poor: benign, malignant (positive)", "good: benign (positive), malignant")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda row: row.update(label="malignant"), "1 test image with another label (benign/0.png)"),
        (lambda row: row.update(sha256="f" * 64), "1 test image with another content (benign/0.png)"),
        (lambda row: row.update(split="train"), "1 test image missing (benign/0.png)"),
        (lambda row: row.update(path="benign/x.png"), "missing (benign/0.png); 1 test image added (benign/x.png)"),
    ],
    ids=["label", "content", "missing", "name"],
)
def test_runs_whose_test_images_differ_are_refused_by_name(two, change, words):
    for file in ("splits.csv", "predictions.csv"):
        columns = set(whole_files.read_csv(two[1] / file)[0])

        def change_first(rows, columns=columns):
            row = next(row for row in rows if row["path"] == "benign/0.png")
            change(row)
            for column in set(row) - columns:
                del row[column]

        edit_rows(two[1] / file, change_first)
    assert "seed" not in refuse(two, f"good against poor: {'1 test image ' * words.startswith('missing')}{words}")


def test_many_other_images_are_counted_and_the_seed_is_named(made, tmp_path):
    other = write_run(tmp_path / "other", first=30, seed=1)
    edit(other / "recipe.json", lambda recipe: recipe.update(seed=1))
    refuse(
        [made[0], other],
        "depends on `data.split_seed`, or else on the `seed`",
        "30 test images missing (benign/0.png",
        "and 27 more",
    )
    with pytest.raises(InputError) as caught:
        compare([*made[:2], other, write_run(tmp_path / "third", first=60)])
    assert len(caught.value.faults) == 2


def test_cross_validations_are_not_compared_with_runs_or_with_other_folds(made, tmp_path):
    crossed = write_folds(tmp_path / "crossed")
    refuse([made[0], crossed], "poor of one network, the cross-validation crossed")
    refuse([crossed, write_folds(tmp_path / "four", k=4)], "same folds", "crossed with 3 folds, four with 4")
    other = write_folds(tmp_path / "other")
    edit_rows(other / "folds" / "02" / "splits.csv", lambda rows: rows[0].update(sha256="e" * 64))
    refuse([crossed, other], "other against crossed in fold 02: 1 test image with another content (benign/100.png)")
    edit(other / "recipe.json", lambda recipe: recipe["data"].pop("split"))
    refuse([crossed, other], "must say `data.split`")


def test_a_fold_is_named_with_its_run(tmp_path):
    runs = [write_folds(tmp_path / name) / "folds" / "02" for name in "ab"]
    assert [result.name for result in read_results(runs)] == ["a/folds/02", "b/folds/02"]
    assert compare(runs).images == IMAGES


def test_runs_are_called_by_their_titles_where_these_tell_them_apart(tmp_path):
    titles = ("Ward 7", "the same", "the same", None)
    runs = [write_run(tmp_path / f"r{i}", seed=i, name=title) for i, title in enumerate(titles)]
    assert [result.name for result in read_results(runs)] == ["Ward 7", "r1", "r2", "r3"]


def test_unfinished_runs_are_refused(two):
    (two[1] / "UNFINISHED").write_text("Training.")
    refuse(two, "must be complete", str(two[1]))


@pytest.mark.parametrize(
    ("file", "content", "words"),
    [
        ("metrics.json", "{", "must be JSON"),
        ("metrics.json", "[]", "must hold a JSON object"),
        ("metrics.json", "{}", "must be as `tlmed train` writes it"),
        ("metrics.json", '{"classes": ["a", "b"], "metrics": {}}', "no `metrics.auc`"),
        ("plan.json", '{"phases": 3}', "must be as `tlmed train` writes it"),
        ("timing.json", "\xff", "must be JSON"),
        ("splits.csv", "path,label\na,b\n", "with the columns path,label,group,split,sha256. Received"),
        ("splits.csv", "", "it names no image"),
        ("splits.csv", "path,label,group,split,sha256\n" + 2 * f"a,b,,test,{'0' * 64}\n", "'a' twice"),
        ("predictions.csv", "path\n", "must have the column `label`"),
        ("predictions.csv", "path,label,score_a,score_b\nx,a,0.5,0.5\n", "must have the classes of `metrics.json`"),
        (
            "predictions.csv",
            "path,label,score_benign,score_malignant\nx,benign,0.5,0.5\n",
            "must hold the test images of `splits.csv`",
        ),
    ],
)
def test_damaged_files_are_refused(two, file, content, words):
    (two[1] / file).write_text(content, encoding="latin-1")
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        compare(two)
    assert str(two[1] / file) in str(caught.value)


def test_a_number_that_is_none_is_refused(two):
    edit(two[1] / "metrics.json", lambda content: content["metrics"]["auc"].update(value="high"))
    refuse(two, "`metrics.json` of a run must be as `tlmed train` writes it", "another kind of `metrics`: metrics.auc")


@pytest.mark.parametrize(
    ("file", "part", "content"),
    [
        ("metrics.json", "kept", "x"),
        ("metrics.json", "positive", ["malignant"]),
        ("metrics.json", "threshold", "abc"),
        ("metrics.json", "n", "many"),
        ("timing.json", "extractions", [{"images": 9, "computed": "a"}]),
        ("timing.json", "extractions", [{"images": [9], "computed": 9}]),
        ("plan.json", "phases", [{"name": "head", "fine_tuning_ratio": "all"}]),
        ("recipe.json", "data", "busi"),
    ],
)
def test_parts_of_another_kind_are_refused_in_one_line(two, file, part, content):
    edit(two[1] / file, lambda it: it.update({part: content}))
    refuse(two, f"`{file}` of a run must be as `tlmed train` writes it", f"{two[1] / file}: another kind of `{part}`")


@pytest.mark.parametrize("value", [{"note": ["x"]}, {"reason": 3}, {"value": 10**400}], ids=str)
def test_an_entry_of_another_kind_is_refused(two, value):
    edit(two[1] / "metrics.json", lambda it: it["metrics"]["auc"].update(value))
    refuse(two, "`metrics.json` of a run must be as `tlmed train` writes it", "another kind of `metrics`: metrics.auc")


def test_parts_that_are_null_are_as_good_as_missing(two):
    edit(two[1] / "timing.json", lambda it: it.update(extractions=[{"images": 9, "computed": None}]))
    edit(two[1] / "metrics.json", lambda it: it.update(kept=None, threshold=None))
    edit(two[1] / "plan.json", lambda it: it["phases"][1].update(fine_tuning_ratio=None))
    result = compare(two).results[1]
    assert result.approach == UNKNOWN


def test_what_is_read_often_is_worked_out_once(made):
    result = read_results(made)[0]
    assert result.of("test") is result.of("test")
    assert result.costs is result.costs
    assert len(result.of("test")) == IMAGES
    assert result.of("val") == {}


def test_runs_of_older_versions_may_lack_what_is_not_needed(two):
    for name in ("plan.json", "timing.json", "environment.json"):
        (two[0] / name).unlink()
    edit(two[0] / "metrics.json", lambda content: content["metrics"].pop("brier"))
    comparison = compare(two)
    assert comparison.results[0].approach == UNKNOWN
    assert set(comparison.results[0].costs.values()) == {200, None}
    assert "-" in to_lines(describe_comparison(comparison))[2].split()
    write_comparison(two[0].parent / "out", comparison)


PHASES = [("head", "previous", 0.0), ("top", "previous", 0.4), ("all", "pretrained", 1.0), ("last", "previous", 0.0)]


@pytest.mark.parametrize(
    ("kept", "weights", "approach"),
    [
        ("head", "imagenet", FEATURE_EXTRACTOR),
        ("head", "none", FEATURE_EXTRACTOR),
        ("top", "imagenet", FINE_TUNING),
        ("top", "none", RANDOM),
        ("all", "imagenet", FROM_SCRATCH),
        ("all", "none", RANDOM),
        ("all", ["none", "none"], RANDOM),
        ("all", ["imagenet", "none"], FROM_SCRATCH),
        ("last", "imagenet", FROM_SCRATCH),  # the head alone, on a backbone that the phase before it trained
        (None, "imagenet", FROM_SCRATCH),
    ],
)
def test_the_approach_follows_from_the_kept_phase(kept, weights, approach):
    keys = ("name", "start", "fine_tuning_ratio")
    plan = {"phases": [dict(zip(keys, phase, strict=True)) for phase in PHASES]}
    assert find_approach({"weights": weights}, plan, {"kept": {"name": kept}}) == approach


def test_a_hybrid_trains_no_parameter_of_a_network():
    assert find_approach({"weights": "none"}, {"phases": []}, {"classifier": {}}) == HYBRID
    assert find_costs({"phases": []}, {"classifier": {}}, {}, 9)["trainable_parameters"] == 0
    assert find_approach({}, {}, {}) == UNKNOWN


def test_costs_are_those_of_the_kept_phase(made, two):
    edit(two[0] / "metrics.json", lambda content: content["kept"].update(name="head"))
    first, second = read_results(two)
    assert first.costs["trainable_parameters"] == 1000
    assert second.costs == {
        "train_images": 200,
        "training_seconds": 11.0,
        "trainable_parameters": 50_000,
        "peak_memory_mb": 900,
        "images_per_second": 80.5,
    }


def test_what_a_reader_has_to_know_is_noted(two, tmp_path):
    assert noted(compare(two)) == ()
    third = write_run(tmp_path / "small", train=50)
    edit(two[1] / "plan.json", lambda plan: plan.update(weights="run:/runs/first"))
    edit(two[1] / "environment.json", lambda found: found.update(devices=["GPU"]))
    edit(two[1] / "timing.json", lambda timing: timing.update(extractions=[{"images": 9, "computed": 0}]))
    edit(two[1] / "metrics.json", lambda metrics: metrics.update(threshold=0.31))
    edit(two[0] / "recipe.json", lambda recipe: recipe["data"].update(source="tfds:tlmed_phantoms"))

    def leak(rows):
        rows[-1]["sha256"] = rows[0]["sha256"]

    edit_rows(two[1] / "splits.csv", leak)
    notes = " ".join(compare([*two, third]).notes)
    for words in (
        "synthetic",
        "The training images differ (poor 200, good 200, small 50)",
        "good: 1 test image also among its training images, byte for byte (benign/0.png)",
        "good started from the weights of another run",
        "each run's own threshold (0.500, 0.310, 0.500)",
        "Training took less time than it takes alone, because features were in the store already: good.",
        "different machines",
    ):
        assert words in notes, words


def test_features_of_a_baseline_are_no_part_of_the_time_of_training(two):
    edit(
        two[1] / "timing.json",
        lambda timing: timing.update(extractions=[{"name": "baseline", "images": 9, "computed": 0}]),
    )
    assert not any("less time" in note for note in compare(two).notes)
    edit(
        two[1] / "timing.json",
        lambda timing: timing["extractions"].append({"name": "head", "images": 9, "computed": 0}),
    )
    assert any("less time" in note for note in compare(two).notes)


def test_copies_of_images_that_are_no_files_are_equal_pixel_for_pixel(two):
    edit_rows(two[1] / "splits.csv", lambda rows: rows[-1].update(sha256=rows[0]["sha256"]))
    arrays = {"digested": "arrays of an .npz", "pseudonyms": False}
    edit(two[1] / "environment.json", lambda found: found.update(data=arrays))
    assert "good: 1 test image also among its training images, pixel for pixel" in " ".join(compare(two).notes)


@pytest.mark.parametrize(
    ("split", "column", "said"),
    [
        ("train", "sha256", "The training images differ (poor 200, good 200): "),
        ("train", "label", "Training images are of another class in some runs (1 of good against poor): "),
        ("val", "label", "The validation images or their classes differ (poor 1, good 1), which choose epochs"),
        ("val", "sha256", "The validation images or their classes differ (poor 1, good 1), which choose epochs"),
    ],
)
def test_runs_that_learned_from_other_data_under_the_same_paths_are_noted(two, split, column, said):
    def change(rows):
        row = next(row for row in rows if row["split"] == split)
        row[column] = {"sha256": "e" * 64, "label": "malignant" if row["label"] == "benign" else "benign"}[column]

    for run in two:
        edit_rows(run / "splits.csv", lambda rows: rows.append({**rows[0], "path": "benign/v.png", "split": "val"}))
    edit_rows(two[1] / "splits.csv", change)
    [note] = [note for note in compare(two).notes if "data, not from the recipe" in note]
    assert note.startswith(said)


def test_the_conclusion_says_what_was_shown_and_what_was_not(made):
    comparison = compare(made)
    said = " ".join(conclude(comparison))
    gap = comparison.difference(2, 1, "auc")
    assert said.startswith(
        f"On the same 90 test images, better has the highest AUC of 3 runs: {comparison.value(2, 'auc'):.3f}."
    )
    assert "Its AUC was shown to be higher than that of poor (Holm-corrected p < 0.001)." in said
    assert "No difference in AUC from good was shown. That does not mean that they are equal" in said
    assert f"up to {gap['high']:.3f} lower or {-gap['low']:.3f} higher" in said
    assert "These test images also chose the best run" in said
    two = compare(made[:2])
    lead = "These test images also chose the best run, so that its lead looks larger than it is on new images."
    assert conclude(two)[-1] == lead
    assert "The best was chosen by these same test images" in make_comparison_page(two)


def test_cross_validations_say_that_each_fold_has_a_threshold_of_its_own(tmp_path):
    runs = [write_folds(tmp_path / name, seed=seed, classes=TWO) for seed, name in enumerate("ab")]
    assert noted(compare(runs)) == ()  # all at 0.5
    edit(runs[1] / "folds" / "02" / "metrics.json", lambda metrics: metrics.update(threshold=0.31))
    for run in runs:
        edit(run / "recipe.json", lambda recipe: recipe.update(threshold="youden"))
    told = "Accuracy, sensitivity, specificity and F1 depend on each run's own threshold in each fold (rule: {}); "
    after = "the AUC and the Brier score need none."
    assert noted(compare(runs)) == (told.format("youden") + after,)
    edit(runs[0] / "recipe.json", lambda recipe: recipe.update(threshold=0.5))
    assert noted(compare(runs)) == (told.replace("rule", "rules").format("0.5, youden") + after,)
    assert "These test images also chose the best run" in conclude(compare(runs))[-1]


def test_runs_that_predict_by_different_rules_say_so(tmp_path):
    runs = [write_run(tmp_path / name, THREE, seed=seed) for seed, name in enumerate("ab")]
    assert noted(compare(runs)) == ()
    costs = {"rule": "expected-cost", "costs": {}}
    edit(runs[1] / "metrics.json", lambda metrics: metrics.update(decision=costs))
    (note,) = noted(compare(runs))
    assert note.startswith("Runs predict classes by different rules (a highest score, b expected-cost; see `decision`")
    priors = [{"rule": "logit-adjustment", "tau": 1.0, "priors": {"a": share}} for share in (0.4, 0.5)]
    for run, rule in zip(runs, priors, strict=True):
        edit(run / "metrics.json", lambda metrics, rule=rule: metrics.update(decision=rule))
    assert noted(compare(runs)) == ()  # the same rule, by each run's own training images


def test_cross_validations_with_the_same_predictions_are_named(tmp_path):
    first = write_folds(tmp_path / "a")
    copy = Path(shutil.copytree(first, tmp_path / "copy"))
    (note,) = noted(compare([first, copy]))
    assert note.startswith("a and copy have the same scores and predictions for every test image")
    other = write_folds(tmp_path / "other", seed=1)
    shutil.copytree(first / "folds" / "01", other / "folds" / "01", dirs_exist_ok=True)
    write_means(other)
    assert noted(compare([first, other])) == ()  # one fold of three


def test_a_run_differs_from_its_copy_in_nothing(made, tmp_path):
    copy = shutil.copytree(made[0], tmp_path / "copy")
    comparison = compare([made[0], copy])
    for name, entry in comparison.pairs[0].questions.items():
        assert (entry["value"], entry["p"]) == (0, 1)
        if name in ("accuracy", "sensitivity", "specificity"):  # no image of 90 is discordant: one of 100 may be
            assert entry["low"] == pytest.approx(-entry["high"])
            assert 0.01 < entry["high"] < 0.06
        else:
            assert (entry["low"], entry["high"]) == (None, None)
            assert "from which no interval follows" in entry["note"]
    said = conclude(comparison)
    assert said[0].startswith("On the same 90 test images, poor and copy share the highest AUC of 2 runs: ")
    assert said[-1].endswith("That does not mean that they are equal.")
    (note,) = noted(comparison)
    assert note.startswith("poor and copy have the same scores and predictions for every test image")
    assert any("0.000 (no interval)" in line for line in to_lines(describe_comparison(comparison)))
    page, _, pairs = (path.read_text() for path in write_comparison(tmp_path / "out", comparison))
    assert "0.000 to 0.000" not in page
    assert "one of the highest" in page
    assert "poor,copy,auc,0.0,,,1.0,1.0,1," in pairs


def test_runs_that_share_the_highest_score_are_all_named(made, tmp_path):
    copy = shutil.copytree(made[2], tmp_path / "copy")
    comparison = compare([made[0], made[2], copy])
    assert comparison.leaders("auc") == [1, 2]
    assert comparison.best("auc") == 1
    said = " ".join(conclude(comparison))
    assert "better and copy share the highest AUC of 3 runs" in said
    assert "What follows compares better with the others. The AUC of better was shown to be higher than that of" in said
    assert "also chose the best runs, so that their lead" in said
    third = shutil.copytree(made[2], tmp_path / "third")
    alike = compare([made[2], copy, third])
    assert "better, copy and third share the highest" in conclude(alike)[0]
    assert "also chose" not in " ".join(conclude(alike))
    assert "The best was chosen" not in make_comparison_page(alike)


def test_only_intervals_that_there_are_bound_a_difference_that_was_not_shown(made, tmp_path):
    copy = shutil.copytree(made[2], tmp_path / "copy")
    comparison = compare([made[1], made[2], copy])
    gap = comparison.difference(1, 0, "auc")
    (said,) = [sentence for sentence in conclude(comparison) if sentence.startswith("No difference")]
    assert f"the AUC of those that have one may be up to {gap['high']:.3f} lower or {-gap['low']:.3f} higher" in said


def test_two_that_one_outdoes_in_every_image_have_a_p_value_for_accuracy_alone(two):
    for run, right in zip(two, (True, False), strict=True):

        def decide(rows, right=right):
            for row in rows:
                hit = (row["label"] == "malignant") == right
                row.update(score_benign=str(0.9 - 0.8 * hit), score_malignant=str(0.1 + 0.8 * hit))
                row.update(prediction="malignant" if hit else "benign")

        edit_rows(run / "predictions.csv", decide)
        values = {"accuracy": float(right), "auc": float(right)}
        edit(
            run / "metrics.json", lambda content, new=values: [content["metrics"][n].update(value=new[n]) for n in new]
        )
    questions = compare(two).pairs[0].questions
    assert questions["accuracy"]["value"] == questions["accuracy"]["high"] == 1
    assert questions["accuracy"]["low"] > 0.9
    assert questions["accuracy"]["p"] < 1e-6
    assert (questions["f1"]["low"], questions["f1"]["p"]) == (None, None)
    write_comparison(two[0].parent / "out", compare(two), force=True)


@pytest.mark.parametrize("name", ["auc", "accuracy"])
def test_scores_that_are_not_those_of_the_predictions_are_refused(two, name):
    edit(two[1] / "metrics.json", lambda content: content["metrics"][name].update(value=0.999))
    with pytest.raises(
        InputError, match=rf"those of its `predictions.csv`\. Received: .*: {name} 0\.999 in the one, 0\."
    ):
        compare(two)


def test_thresholds_that_differ_read_differently(two):
    for run, threshold in zip(two, (0.50012, 0.50041), strict=True):
        edit(run / "metrics.json", lambda content, threshold=threshold: content.update(threshold=threshold))
    assert any("own threshold (0.5001, 0.5004)" in note for note in compare(two).notes)


def test_a_value_that_was_edited_a_little_reads_differently_in_the_error(two):
    def shift(content):
        content["metrics"]["accuracy"]["value"] += 1e-5

    edit(two[0] / "metrics.json", shift)
    with pytest.raises(InputError) as error:
        compare(two)
    there, here = re.search(r"accuracy (\S+) in the one, (\S+) from the other", str(error.value)).groups()
    assert float(there) - float(here) == pytest.approx(1e-5)


def test_a_group_that_decides_much_is_noted_once(tmp_path):
    runs = [write_run(tmp_path / str(i), seed=i, groups=1) for i in range(2)]
    for run in runs:
        edit(run / "metrics.json", lambda content: content.update(largest_group=40))
    found = [note for note in compare(runs).notes if note.startswith("The largest group holds 40 of 90 images")]
    assert len(found) == 1


def test_a_few_images_or_groups_are_noted(made, tmp_path):
    runs = [write_run(tmp_path / str(i), seed=i, groups=5) for i in range(2)]
    comparison = compare(runs)
    (note,) = noted(comparison)
    assert note.startswith("Only large differences can show where few images or groups of a class decide: ")
    for name in ("auc 9", "sensitivity 9", "specificity 9", "f1 9", "brier score 9"):
        assert name in note.casefold()
    assert "accuracy" not in note.casefold()
    assert noted(compare(made[:2])) == ()


def test_without_an_auc_accuracy_is_told(two):
    undefined = {"value": None, "low": None, "high": None, "method": None, "reason": "One class only."}
    for run in two:
        edit(run / "metrics.json", lambda content: content["metrics"].update(auc=undefined))
    comparison = compare(two)
    assert "has the highest accuracy of 2 runs" in conclude(comparison)[0]
    assert "undefined" in to_lines(describe_comparison(comparison))[2]
    write_comparison(two[0].parent / "out", comparison)
    for run in two:
        edit(run / "metrics.json", lambda content: content["metrics"].update(accuracy=undefined))
    assert "none is called best" in conclude(compare(two))[0]
    write_comparison(two[0].parent / "out", compare(two), force=True)


def test_the_terminal_shows_scores_costs_and_pairs_in_its_width(made, tmp_path):
    long = "a-run-directory-with-a-name-that-nobody-can-read-in-a-table"
    runs = [*made, write_run(tmp_path / long, skill=0.1, seed=4)]
    edit(runs[3] / "timing.json", lambda timing: timing.update(training_seconds=55_555.0, peak_memory_mb=88_888))
    edit(runs[3] / "plan.json", lambda plan: plan["phases"][1].update(trainable_parameters=138_357_544))
    parts = describe_comparison(compare(runs))
    for width in (80, 120):
        narrow = to_lines(parts, width)
        assert max(map(len, narrow)) <= width
        assert {"138,357,544", "88,888"} <= set(re.findall(r"[\d,]{6,}", " ".join(narrow))), width
    lines = to_lines(parts)
    assert "positive: malignant, the second in sorted order." in " ".join(lines[:2])
    assert re.match(r"1  poor +0\.\d{3} \(0\.\d{3} to 0\.\d{3}\).* 200 +10\.0 s +50,000 +900$", lines[2])
    assert long in lines[5]
    assert "138,357,544" in lines[5]
    pairs = [line for line in lines if re.match(r"\d - \d", line)]
    assert [line[:5] for line in pairs] == ["1 - 2", "1 - 3", "1 - 4", "2 - 3", "2 - 4", "3 - 4"]
    assert "< 0.001  *" in pairs[0]
    assert any("corrected for 6 pairs (Holm)" in line for line in lines)


@pytest.fixture(scope="module")
def written(made, tmp_path_factory, drawing):
    """Give the files of a comparison with its pictures drawn, and the comparison."""
    comparison = compare(made)
    with drawing():
        return write_comparison(tmp_path_factory.mktemp("written") / "new" / "out", comparison), comparison


def test_the_page_stands_alone(written):
    page = written[0][0].read_text(encoding="utf-8")
    tags = Reader(page).tags
    images = [attributes for tag, attributes in tags if tag == "img"]
    assert len(images) == 7  # scores and differences of two metrics, ROC curves, two costs
    for attributes in images:
        assert attributes["src"].startswith("data:image/png;base64,iVBOR")
        assert len(attributes["src"]) > 5000
        assert len(attributes["alt"]) > 40
    assert not {"script", "link", "iframe"} & {tag for tag, _ in tags}
    assert not re.search(r"https?://|url\(|@import", page)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_the_page_tells_what_the_terminal_does(written):
    page, comparison = Reader(written[0][0].read_text(encoding="utf-8")).text, written[1]
    for words in (
        *conclude(comparison),
        "Comparison of 3 runs",
        "Not a medical device",
        "Positive class: malignant, the second in sorted order.",
        "VGG16, imagenet/keras weights, fine-tuning",
        "paired DeLong (DeLong et al. 1988)",
        "McNemar, mid-p",
        "p is corrected by Holm for all 3 pairs, for each metric by itself",
        "The best was chosen by these same test images",
        "not the same as equal",
        "Points of the same place are drawn side by side",
    ):
        assert words in page, words
    accuracy = comparison.pairs[0].questions["accuracy"]
    assert f"{accuracy['first_only']} / {accuracy['second_only']}" in page


def test_a_part_that_only_one_recipe_has_is_one_row_of_the_page(two):
    edit(two[0] / "recipe.json", lambda it: it.update(phases=[{"name": "head", "thaw": 0}, {"name": "top", "thaw": 2}]))
    edit(two[1] / "recipe.json", lambda it: it.update(phases=[], seed=5))
    page = make_comparison_page(compare(two))
    table = page[page.index("Where the recipes differ") :]
    rows = re.findall(r"<tr>.*?</tr>", table, flags=re.DOTALL)
    cells = [re.sub(r"<[^>]+>", "|", row).strip("|").split("||") for row in rows]
    assert [row[0] for row in cells[-3:]] == ["seed", "phases.0", "phases.1"]
    assert cells[-1][1:] == ["name=top, thaw=2", "-"]


def test_a_field_that_an_older_version_did_not_have_is_no_difference(two):
    whole = to_json(load_recipe("fine_tuning"))
    older = {**whole, "head": {key: value for key, value in whole["head"].items() if key != "loss"}, "seed": 1}
    del older["sampling"]
    for run, recipe in zip(two, (whole, older), strict=True):
        (run / "recipe.json").write_text(json.dumps(recipe))
    page = make_comparison_page(compare(two))
    rows = re.findall(r"<tr>.*?</tr>", page.rpartition("Where the recipes differ")[2], flags=re.DOTALL)
    assert [re.sub(r"<[^>]+>", "|", row).strip("|").split("||")[0] for row in rows[1:]] == ["seed"]


def test_the_tables_hold_every_number(written):
    (_, runs, pairs), comparison = written
    with runs.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["run"] for row in rows] == list(SKILLS)
    entry = comparison.results[0].metrics["metrics"]["auc"]
    assert [float(rows[0][f"auc{part}"]) for part in ("", "_low", "_high")] == [
        entry["value"],
        entry["low"],
        entry["high"],
    ]
    assert (rows[0]["approach"], rows[0]["train_images"], rows[0]["threshold"]) == ("fine-tuning", "200", "0.5")
    with pairs.open(newline="") as file:
        rows = list(csv.DictReader(file))
    keys = [(row["first"], row["second"], row["metric"]) for row in rows]
    assert keys == [(*names, metric) for names in combinations(SKILLS, 2) for metric in QUESTIONS]
    found = comparison.pairs[0].questions["auc"]
    assert [float(rows[0][key]) for key in ("difference", "p", "p_holm")] == [
        found[k] for k in ("value", "p", "p_holm")
    ]


def test_the_words_of_a_picture_have_the_times_of_the_table(two):
    for run, seconds in zip(two, (1.5, 0.46), strict=True):
        edit(run / "timing.json", lambda content, seconds=seconds: content.update(training_seconds=seconds))
    page = Reader(make_comparison_page(compare(two)))
    (alt,) = [words for _, each in page.tags if "against seconds of training" in (words := each.get("alt", ""))]
    assert re.findall(r" at ([^,]+),", alt) == [say_cost("training_seconds", seconds) for seconds in (1.5, 0.46)]
    assert "1.5 s" in alt


def test_data_size_is_drawn_where_it_differs(made, tmp_path):
    less = write_run(tmp_path / "less", train=50)
    for runs, drawn in ((made[:2], False), ([*made[:2], less], True)):
        folder = tmp_path / str(drawn)
        page = write_comparison(folder, compare(runs))[0].read_text()
        assert ("Score against data size" in page) == drawn
        assert ("against training images" in page) == drawn


@pytest.mark.parametrize("stated", [("ct", "mri"), ("ct", None), ("ct", "ct"), (None, None)])
def test_data_size_is_drawn_by_modality_where_recipes_differ_in_it(tmp_path, stated):
    runs = [write_run(tmp_path / str(train), train=train) for train in (50, 100)]
    for run, modality in zip(runs, stated, strict=True):
        recipe = json.loads((run / "recipe.json").read_text())
        (run / "recipe.json").write_text(json.dumps({**recipe, "data": {"modality": modality}}))
    page = write_comparison(tmp_path / "out", compare(runs))[0].read_text()
    by_modality = stated[0] != stated[1]
    assert ("colour and shape for the modality" in page) == by_modality
    assert (f"at 100, {stated[1] or 'not stated'}" in page) == by_modality


@pytest.mark.parametrize(("classes", "panels"), [(TWO, 1), (THREE, 3)])
def test_the_roc_curves_of_all_runs_lie_over_each_other(tmp_path, classes, panels):
    runs = [write_run(tmp_path / f"r{i}", classes, seed=i, name="Ward 7" if i else None) for i in range(2)]
    comparison = compare(runs)
    page = make_comparison_page(comparison)
    for label in classes[-panels:]:
        areas = [
            f"{i + 1}  {result.name} {result.metrics['per_class'][label]['auc']['value']:.3f}"
            for i, result in enumerate(comparison.results)
        ]
        assert f"{label}: {', '.join(areas)}" in page
    assert "<code>r1</code>: VGG16" in page  # where the run lies that is called by its title
    tests = [result.test for result in comparison.results]
    columns = range(len(classes))[-panels:]
    figure = plots.draw_curves(["one", "two"], tests, columns)
    assert [len(axes.lines) for axes in figure.axes] == [3] * panels  # with chance
    _, true = roc_curve(tests[0].labels == columns[0], tests[0].scores[:, columns[0]])
    assert any(line.get_ydata().tolist() == true.tolist() for line in figure.axes[0].lines)
    assert [text.get_text() for text in figure.legends[0].texts] == ["one", "two"]


def test_of_many_runs_the_best_have_colours(made):
    tests = [result.test for result in read_results(made)] * 4
    figure = plots.draw_curves([str(i) for i in range(len(tests))], tests, [1])
    assert len(figure.legends[0].texts) == MOST_CURVES
    assert len(figure.axes[0].lines) == 1 + len(tests)
    assert sum(line.get_color() == "#BBBBBB" for line in figure.axes[0].lines) == len(tests) - MOST_CURVES


def test_leaked_images_are_told_beside_the_scores(two):
    auc = {"value": 0.777, "low": None, "high": None, "method": None, "note": "It rests on 1 group of class 'ill'."}
    accuracy = {"value": 0.444, "low": 0.4, "high": 0.5, "method": "Wilson"}
    found = {"leaked": 9, "n": 81, "metrics": {"auc": auc, "accuracy": accuracy}}
    for run in two:
        edit(run / "metrics.json", lambda content: content.update(without_leaks=found))
    page = make_comparison_page(compare(two))
    assert f"9 test images of 90 are known to {two[0].name}, {two[1].name}" in Reader(page).text
    assert "Without them 81 images are left." in Reader(page).text
    assert Reader(page).text.count("without leaks 0.777") == 2
    assert Reader(page).text.count("without leaks 0.444 (0.400 to 0.500)") == 2
    why = f"AUC of {two[0].name} without leaks, {two[1].name} without leaks: It rests on 1 group of class 'ill'."
    assert why in Reader(page).text
    sentence = f"{two[1].name} knows 9 test images of 90 from training or validation"
    told = " ".join(to_lines(describe_comparison(compare(two))))
    assert sentence in told
    assert told.count("Without them 81 images are left: AUC 0.777 and accuracy 0.444 (0.400 to 0.500).") == 2
    assert f"Note: {why}" in told
    assert "do not know the same" not in f"{told} {Reader(page).text}"
    assert told.index(sentence) < told.index("has the highest")
    for row in whole_files.read_csv(write_comparison(two[0].parent / "out", compare(two))[1]):
        assert (row["leaked"], row["left"], row["auc_without_leaks"]) == ("9", "81", "0.777")
        assert (row["auc_low_without_leaks"], row["accuracy_low_without_leaks"]) == ("", "0.4")
        assert row["notes"] == f"AUC of {row['run']} without leaks: It rests on 1 group of class 'ill'."
    for run in two:
        edit(run / "metrics.json", lambda content: content.update(undecided=81))
    page = Reader(make_comparison_page(compare(two))).text
    assert page.count("without known leaks 0.777") == 2
    assert f"At least 9 test images of 90 are known to {two[0].name}, {two[1].name} (of 81 more this cannot" in page
    for row in whole_files.read_csv(write_comparison(two[0].parent / "more", compare(two))[1]):
        assert (row["leaked"], row["undecided"], row["left"]) == ("9", "81", "81")
    for run in two:
        edit(run / "metrics.json", lambda content: content.pop("undecided"))
    for run, left in ((two[0], {**found, "leaked": 8, "n": 82}), (two[1], {"leaked": 90, "n": 0, "metrics": {}})):
        edit(run / "metrics.json", lambda content, left=left: content.update(without_leaks=left))
    page, told = Reader(make_comparison_page(compare(two))).text, to_lines(describe_comparison(compare(two)))
    different = "The runs do not know the same test images: scores without them are of different images"
    assert different in page
    assert any(line.startswith(different) for line in told)
    assert "No image is left without them." in page
    assert any(line.endswith("No image is left without them.") for line in told)
    for wrong in ({"leaked": 9}, {**found, "metrics": {"auc": 3}}, {**found, "leaked": "9"}):
        edit(two[0] / "metrics.json", lambda content, wrong=wrong: content.update(without_leaks=wrong))
        with pytest.raises(InputError, match=r"metrics\.json"):
            compare(two)


def test_runs_that_know_different_images_are_scored_on_those_that_none_knows(two):
    def know(run, numbers):
        def leak(rows):
            for number in numbers:
                rows[-1 - number]["sha256"] = rows[number]["sha256"]

        edit_rows(run / "splits.csv", leak)
        result = read_results(two)[two.index(run)]
        left = score(result.test, Scoring("test", "malignant", 0), [result.test.paths[number] for number in numbers])
        edit(run / "metrics.json", lambda content: content.update(without_leaks=left["without_leaks"]))

    know(two[0], range(9))
    know(two[1], range(5, 14))
    compared = compare(two)
    assert [result.without_leaks["leaked"] for result in compared.results] == [9, 9]  # as many, and others
    told, page = to_lines(describe_comparison(compared)), Reader(make_comparison_page(compared)).text
    (said,) = [line for line in told if line.startswith("The runs do not know the same test images. On the 76 images")]
    assert said in page
    for result in compared.results:
        left = result.test.take(np.arange(14, 90))
        found = measure(left, Scoring("test", "malignant", 0))["metrics"]
        assert f"{result.name} has AUC {say_score(found['auc'])} and accuracy {say_score(found['accuracy'])}" in said
    know(two[0], range(45))
    know(two[1], [*range(5, 14), *range(40, 90)])
    told = to_lines(describe_comparison(compare(two)))
    assert any(
        line.endswith("None is unknown to all, so that no scores compare them without known images.") for line in told
    )


def test_images_of_patients_that_one_run_alone_has_count_as_known_by_it(tmp_path):
    runs = [write_run(tmp_path / name, seed=seed, groups=3) for seed, name in enumerate(("first", "second"))]

    def leak(rows):
        rows[-1].update(path="only here.png", group=rows[0]["group"])

    edit_rows(runs[1] / "splits.csv", leak)
    found = {"leaked": 3, "n": 87, "metrics": {}}
    edit(runs[1] / "metrics.json", lambda content: content.update(without_leaks=found))
    told = to_lines(describe_comparison(compare(runs)))
    assert any("On the 87 images that no run knows, first has AUC" in line for line in told)
    edit(runs[0] / "metrics.json", lambda content: content.update(undecided=7))
    compared = compare(runs)
    told, page = "\n".join(to_lines(describe_comparison(compared))), Reader(make_comparison_page(compared)).text
    alone = "first: whether training or validation knows 7 of 90 test images, or their patients, cannot be told."
    both = "On the 87 images that no run knows (of other test images this cannot be told: 7 for first), first has AUC"
    assert all(words in text for words in (alone, both) for text in (told, page))


def test_runs_that_know_as_many_images_through_other_weights_may_know_others(two):
    for run in two:
        edit(run / "metrics.json", lambda content: content.update(without_leaks={"leaked": 9, "n": 81, "metrics": {}}))
    told = "Whether the runs know the same test images is not recorded. If not, scores without them are of different"
    assert told not in " ".join(to_lines(describe_comparison(compare(two))))
    edit(two[1] / "plan.json", lambda plan: plan.update(weights="run:/runs/first"))
    assert told in " ".join(to_lines(describe_comparison(compare(two))))
    assert told in Reader(make_comparison_page(compare(two))).text


def know_by_weights(run, numbers, others=()):
    """Let a run know test images through its weights, and count with them `others` of their groups."""
    other = next(path for path in run.parent.iterdir() if path != run)
    result = read_results([run, other])[0]
    paths = [result.test.paths[number] for number in numbers]
    leaked = [*paths, *(result.test.paths[number] for number in others)]
    left = score(result.test, Scoring("test", result.metrics["positive"], 0), leaked)
    edit(run / "environment.json", lambda content: content.update(earlier={"runs": [], "known": paths}))
    edit(run / "metrics.json", lambda content: content.update(without_leaks=left["without_leaks"]))
    edit(run / "plan.json", lambda plan: plan.update(weights=f"run:/runs/before-{run.name}"))


def test_images_that_runs_know_through_their_weights_are_left_out_of_the_scores_on_those_that_none_knows(two):
    know_by_weights(two[0], range(9))
    know_by_weights(two[1], range(5, 14))
    compared = compare(two)
    assert list_known(compared.results) == [set(compared.results[0].test.paths[i : i + 9]) for i in (0, 5)]
    told = to_lines(describe_comparison(compared))
    (said,) = [line for line in told if "On the 76 images that no run knows" in line]
    for result in compared.results:
        found = measure(result.test.take(np.arange(14, 90)), Scoring("test", "malignant", 0))["metrics"]
        assert f"{result.name} has AUC {say_score(found['auc'])}" in said
    edit(two[1] / "environment.json", lambda content: content["earlier"].pop("known"))  # as older versions wrote it
    assert "is not recorded. If not, scores without them" in " ".join(to_lines(describe_comparison(compare(two))))


def test_images_known_through_weights_count_by_the_groups_of_another_run_too(tmp_path):
    plain, grouped = write_run(tmp_path / "plain"), write_run(tmp_path / "grouped", seed=1, groups=3)
    know_by_weights(plain, [0])
    compared = compare((plain, grouped))
    first = whole_files.read_csv(grouped / "splits.csv")[0]["group"]
    patient = {path for path, row in compared.results[1].of("test").items() if row["group"] == first}
    assert len(patient) == 3
    assert list_known(compared.results) == [patient, set()]
    assert "also knows test images through the weights" not in " ".join(compared.notes)
    assert compared.results[0].without_leaks["leaked"] == 3


def test_folds_that_know_as_many_images_and_others_are_told_apart(tmp_path):
    runs = [write_folds(tmp_path / name, 0.3, seed=seed) for seed, name in enumerate("ab")]
    told = "The runs do not know the same test images: scores without them are of different images"
    for numbers, differ in (([0, 0], False), ([0, 1], True)):
        for run, number in zip(runs, numbers, strict=True):
            know_by_weights(run / "folds" / "01", [number])
        assert (told in " ".join(to_lines(describe_comparison(compare(runs))))) == differ


def test_means_that_are_not_those_of_the_folds_are_refused(tmp_path):
    runs = [write_folds(tmp_path / "a", 0.1), write_folds(tmp_path / "b", 0.3, seed=1)]
    edit(runs[1] / "metrics.json", lambda content: content["metrics"]["f1"].update(value=0.999))
    refuse(runs, "the means of its folds", "f1 0.999 there, 0.")


def test_leaked_images_of_folds_are_added_up(tmp_path):
    runs = [write_folds(tmp_path / "a", 0.1), write_folds(tmp_path / "b", 0.3, seed=1)]
    for fold in ("01", "03"):
        found = {"leaked": 9, "n": 81, "metrics": {}}
        edit(runs[0] / "folds" / fold / "metrics.json", lambda text, found=found: text.update(without_leaks=found))
    told = " ".join(to_lines(describe_comparison(compare(runs))))
    assert "a knows 18 test images of 270 from training or validation" in told
    assert "b knows" not in told
    assert "18 test images of 270 are known to a" in Reader(make_comparison_page(compare(runs))).text
    rows = whole_files.read_csv(write_comparison(tmp_path / "out", compare(runs))[1])
    assert [row["leaked"] for row in rows] == ["18", ""]
    left = {"value": 0.777, "low": 0.7, "high": 0.8}
    for fold, found in (("01", 9), ("03", 9)):
        known = {"leaked": found, "n": 81, "metrics": {"auc": left}}
        edit(runs[0] / "folds" / fold / "metrics.json", lambda text, known=known: text.update(without_leaks=known))
    own = json.loads((runs[0] / "folds" / "02" / "metrics.json").read_text())["metrics"]["auc"]["value"]
    mean = {**left, "value": (0.777 * 2 + own) / 3}
    known = {"leaked": 18, "n": 252, "metrics": {"auc": mean}}
    edit(runs[0] / "metrics.json", lambda text: text.update(without_leaks=known))
    told = " ".join(to_lines(describe_comparison(compare(runs))))
    assert "a knows 18 test images of 270" in told
    assert f"Without them 252 images are left: AUC {mean['value']:.3f} (0.700 to 0.800)." in told
    mean["value"] = 0.5
    edit(runs[0] / "metrics.json", lambda text: text.update(without_leaks=known))
    refuse(runs, "the means of its folds", "auc 0.500 there, ")


def test_words_of_the_page_are_explained_on_it(made):
    page = make_comparison_page(compare(made))
    for name in ("auc", "accuracy", "f1", "brier", "corrected", "roc"):
        assert f'<dt id="term-{name}">' in page


def test_an_interval_that_holds_every_value_is_marked():
    assert say_score({"value": 0.5, "low": 0.0, "high": 1.0}) == "0.500 (0.000 to 1.000, says nothing)"
    assert say_difference({"value": 0.0, "low": -1.0, "high": 1.0}) == "0.000 (-1.000 to +1.000, says nothing)"


def test_nothing_from_outside_becomes_markup(two, tmp_path):
    evil = "<script>alert('1')</script>$x_$"
    for run in two:
        edit(run / "recipe.json", lambda recipe, run=run: recipe.update(backbone=evil, seed=f"{evil}{run.name}"))
        edit(run / "plan.json", lambda plan: plan.update(weights=f"run:{evil}"))
        edit(run / "metrics.json", lambda content: content["metrics"]["auc"].update(note=evil))
    page = write_comparison(tmp_path / "out", compare(two))[0].read_text()
    assert "<script" not in page
    assert Reader(page).text.count(evil) >= 6


def test_files_are_written_whole_or_not_at_all(made, tmp_path, monkeypatch):
    comparison = compare(made[:2])
    write_comparison(tmp_path, comparison)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(before) == set(FILES)
    write = Path.write_text

    def fill_disk(path, text, **options):
        if path.name == FILES[-1]:
            raise OSError(28, "No space left on device")
        return write(path, "other", **options)

    monkeypatch.setattr(Path, "write_text", fill_disk)
    with pytest.raises(InputError, match=r"`--out` must be where files can be written.*No space"):
        write_comparison(tmp_path, comparison, force=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    with pytest.raises(InputError, match="`--out` must be a folder"):
        write_comparison(tmp_path / FILES[0] / "out", comparison)


@pytest.mark.parametrize("name", FILES)
def test_a_folder_in_the_way_of_a_file_leaves_the_others_as_they_were(made, tmp_path, name):
    (tmp_path / name).mkdir()
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / name}, a folder each")):
        write_comparison(tmp_path, compare(made[:2]))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_cannot_be_written_in_is_refused(made, tmp_path, monkeypatch):
    def refuse_all(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkdtemp", refuse_all)
    with pytest.raises(InputError, match=r"written in\. Received: .*Permission denied"):
        write_comparison(tmp_path, compare(made[:2]))
    assert not list(tmp_path.iterdir())


def test_the_command_compares_writes_and_refuses(made, tmp_path):
    status, out, err = here("compare", *made, "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    assert "better has the highest AUC of 3 runs" in out
    assert str(tmp_path / "out" / "comparison.html") in out
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(FILES)
    other = write_run(tmp_path / "other", first=5)
    status, out, err = here("compare", made[0], other, "--out", tmp_path / "none")
    assert (status, out) == (2, "")
    assert err.startswith("Error: Runs must have the same test images to be compared.")
    assert not (tmp_path / "none").exists()
    assert here("compare", made[0])[0] == 2
    assert here("compare", *made[:2], "--why", "--out", tmp_path)[0] == 2


def test_a_comparison_needs_neither_tensorflow_nor_keras():
    code = (
        "import sys, tlmed.comparison; sys.exit(bool({'tensorflow', 'keras', 'matplotlib.pyplot'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def make_point(number, x, backbone="VGG16", approach=FINE_TUNING):
    return plots.Point(number, x, {"value": 0.8, "low": 0.7, "high": 0.9}, backbone, approach)


def find_markers(figure):
    return [line for line in figure.axes[0].lines if len(line.get_xdata()) == 1]


def test_points_are_told_apart_by_colour_and_shape():
    points = [make_point(1, 100), make_point(2, 100, approach=HYBRID), make_point(3, 200, "ResNet50")]
    figure = plots.draw_against(points, "training images", "AUC")
    first, second, third = find_markers(figure)
    assert first.get_color() == second.get_color() != third.get_color()
    assert first.get_marker() == third.get_marker() != second.get_marker()
    assert first.get_xdata()[0] < 100 < second.get_xdata()[0]
    assert third.get_xdata()[0] == pytest.approx(200)
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "2", "3"]
    (key,) = figure.legends
    assert [text.get_text() for text in key.get_texts()] == ["VGG16", "ResNet50", HYBRID, FINE_TUNING]


def test_points_of_other_modalities_differ_in_colour_and_in_shape():
    shown = ["ct", "mri", "not stated", "ct"]
    points = [replace(make_point(i, 100 * i), modality=name) for i, name in enumerate(shown, 1)]
    figure = plots.draw_against(points, "training images", "AUC")
    styles = [(line.get_color(), line.get_marker()) for line in find_markers(figure)]
    assert styles[0] == styles[3]
    for parts in zip(*styles[:3], strict=True):
        assert len(set(parts)) == 3
    (key,) = figure.legends
    assert [text.get_text() for text in key.get_texts()] == ["ct", "mri", "not stated"]
    assert [(line.get_color(), line.get_marker()) for line in key.legend_handles] == styles[:3]


@pytest.mark.parametrize(("largest", "scale"), [(800, "linear"), (801, "log")])
def test_the_axis_is_logarithmic_where_the_range_asks_for_it(largest, scale):
    figure = plots.draw_against([make_point(1, 100), make_point(2, largest)], "training images", "AUC")
    assert figure.axes[0].get_xscale() == scale
    assert find_markers(figure)[1].get_xdata()[0] == pytest.approx(largest)


def test_no_number_stands_twice_on_an_axis_of_close_values():
    figure = plots.draw_against([make_point(1, 1826), make_point(2, 1828)], "peak memory (MB)", "AUC")
    figure.canvas.draw()
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert "1,827" in labels
    assert len(set(labels)) == len(labels)


def test_one_size_alone_is_the_only_number_on_the_axis():
    figure = plots.draw_against([make_point(i, 546) for i in range(5)], "training images", "AUC")
    assert figure.axes[0].get_xticks().tolist() == [546]
    assert len({line.get_xdata()[0] for line in find_markers(figure)}) == 5


def test_more_backbones_than_colours_get_open_markers():
    figure = plots.draw_against([make_point(i, 100 + i, f"net{i}") for i in range(9)], "training images", "AUC")
    markers = find_markers(figure)
    assert len({(line.get_color(), line.get_markerfacecolor()) for line in markers}) == 9


def test_a_difference_that_was_not_shown_has_an_open_marker():
    entries = [{"value": -0.1, "low": -0.2, "high": -0.01}, {"value": None, "low": None, "high": None}]
    figure = plots.draw_differences(["1  a" * 20, "2  b"], entries, [False, True], "AUC", "best")
    (marker,) = [line for line in find_markers(figure) if line.get_marker() == "o"]
    assert marker.get_markerfacecolor() == "white"
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "undefined" in texts
    assert max(map(len, texts)) <= 30


def test_metrics_at_stated_numbers_stand_beside_each_other_where_these_are_the_same(tmp_path):
    runs = [write_run(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "two"))]
    assert "at stated numbers" not in write_comparison(tmp_path / "before", compare(runs))[0].read_text()
    for place, run in enumerate(runs):
        nothing = {"low": None, "high": None, "method": None}
        more = {
            "youden": {**nothing, "value": 0.1357 + place},
            "f_beta": {**nothing, "value": 0.2468 + place / 10, "at": 2.0},
            f"net_benefit_at_0.{place + 1}": {**nothing, "value": 0.3, "at": 0.1 + place / 10},
            "ppv_at_sensitivity": {**nothing, "value": 0.4, "at": 0.9 + place / 100},
        }
        edit(run / "metrics.json", lambda metrics, more=more: metrics["metrics"].update(more))
    page = write_comparison(tmp_path / "after", compare(runs))[0].read_text()
    words = re.sub(r"\s+", " ", Reader(page).text)
    for shown in ("0.136", "1.136", "F-beta, beta 2", "0.247", "0.347"):
        assert shown in words
    assert "Net benefit at a risk" not in words
    assert "PPV at a sensitivity" not in words


def test_errors_that_the_check_of_the_data_found_stand_beside_the_scores_of_their_runs(two):
    assert not any("check of the data" in str(line) for line in describe_comparison(compare(two)))
    rows = whole_files.read_csv(two[0] / "splits.csv")
    files = [next(row["path"] for row in rows if row["split"] == split) for split in ("train", "test")]
    found = {"kind": "near-copy", "level": "error", "files": files, "text": "One picture."}
    said = f"the check of the data found 1 error (near-copy 1): 1 of {IMAGES} test images repeats"
    for run, names in zip(two, ("poor", "poor, good"), strict=True):
        whole_files.write_json(run / "check.json", {"findings": [found]})
        comparison = compare(two)
        (line,) = [str(line) for line in describe_comparison(comparison) if "check of the data" in str(line)]
        assert line.startswith(f"{names}: {said}")
        assert said in make_comparison_page(comparison)


def test_the_folds_of_cross_validations_are_counted_together(tmp_path):
    runs = [write_folds(tmp_path / name, seed=seed) for seed, name in enumerate(("one", "two"))]
    for fold in (runs[0] / "folds").iterdir():
        rows = whole_files.read_csv(fold / "splits.csv")
        files = [next(row["path"] for row in rows if row["split"] == split) for split in ("train", "test")]
        found = {"kind": "near-copy", "level": "error", "files": files, "text": "One picture."}
        whole_files.write_json(fold / "check.json", {"findings": [found]})
    (line,) = [str(line) for line in describe_comparison(compare(runs)) if "check of the data" in str(line)]
    assert f"3 of {3 * IMAGES} test images repeat an image of train of their fold" in line
