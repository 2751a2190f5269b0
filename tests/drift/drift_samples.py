"""Runs and files of predictions for tests of drift: written, not trained."""

import numpy as np

from tlmed.evaluation.decisions import decide
from tlmed.evaluation.label_predictions_csv import write_label_predictions
from tlmed.evaluation.predictions import Predictions
from tlmed.evaluation.predictions_csv import write_predictions
from tlmed.novelty import Novelty, calibrate, fit_measure, write_novelty
from tlmed.run_files import SPLITS_CSV
from tlmed.rundir import RunDir
from tlmed.tasks import MULTI_LABEL
from tlmed.whole_files import write_csv, write_json

CLASSES = ("ill", "odd", "well")
# What a run learned from: 60 images in a folder, and one beside it.
LEARNED_IMAGES = {f"ill/{row}.png": "train" if row < 40 else "val" for row in range(60)} | {"flat.png": "train"}


def draw_scores(random, labels, k=3, sure=2.0):
    """Return scores that rise for the true class."""
    logits = random.normal(size=(len(labels), k)) + sure * np.eye(k)[labels]
    shares = np.exp(logits)
    return shares / shares.sum(axis=1, keepdims=True)


def write_run(folder, n=200, seed=0, classes=CLASSES, groups=None, tested=True):
    """Write the files of a run that a check for drift reads."""
    folder.mkdir(parents=True)
    k, random = len(classes), np.random.RandomState(seed)
    labels = random.randint(k, size=n)
    scores = draw_scores(random, labels, k)
    paths = tuple(f"{row}.png" for row in range(n))
    found = Predictions(paths, ("test",) * n, labels, scores, scores.argmax(1), classes, groups)
    decision = decide(found, None, "youden")
    write_predictions(folder / "predictions.csv", found)
    entry = {"value": 0.9, "low": 0.8, "high": 0.95, "method": "made"}
    result = {"unit": "image", "task": "single-label", "classes": list(classes), "n": n, "split": "test"}
    result |= {"positive": classes[1] if k == 2 else None, "metrics": {"auc": entry, "accuracy": entry}}
    write_json(folder / "metrics.json", {**result, "threshold": decision.threshold, **decision.record()})
    write_json(folder / "recipe.json", {})
    write_splits(RunDir(folder), LEARNED_IMAGES | dict.fromkeys(paths, "test"))
    if tested:
        measure = fit_measure("nearest", random.rand(5, 3))
        known = Novelty(measure, calibrate(np.arange(99.0)), 3, {"measure": "nearest"}, random.rand(n), np.arange(n))
        write_novelty(RunDir(folder), known)
    return RunDir(folder)


def write_answers(file, n=100, seed=1, classes=CLASSES, labels=None, sure=2.0, **columns):
    """Write a CSV as `tlmed predict` writes it, with further columns: a list of n cells each."""
    random, k = np.random.RandomState(seed), len(classes)
    labels = random.randint(k, size=n) if labels is None else labels
    scores = draw_scores(random, labels, k, sure)
    cells = {
        "path": [f"new{row}.png" for row in range(n)],
        "prediction": [classes[row] for row in scores.argmax(1)],
        **{f"score_{name}": scores[:, column] for column, name in enumerate(classes)},
        "unusual": random.randint(1, 101, n) / 100,
        **columns,
    }
    cells = {name: column for name, column in cells.items() if column is not None}
    write_csv(file, list(cells), zip(*cells.values(), strict=True))
    return file, labels


def write_label_run(folder, n=120, seed=0, labels=("edema", "mass")):
    """Write the files of a run of several labels per image that a check for drift reads, and return true labels."""
    folder.mkdir(parents=True)
    random = np.random.RandomState(seed)
    truth = (random.rand(n, len(labels)) < 0.4).astype(int)
    scores = 1 / (1 + np.exp(-(3 * truth - 1.5 + random.normal(size=truth.shape))))
    paths = tuple(f"{row}.png" for row in range(n))
    found = Predictions(
        paths, ("test",) * n, truth, scores, (scores > 0.5).astype(int), labels, by_scores=True, task=MULTI_LABEL
    )
    write_label_predictions(folder / "predictions.csv", found)
    entry = {"value": 0.9, "low": 0.8, "high": 0.95, "method": "made"}
    result = {"unit": "image", "task": MULTI_LABEL, "classes": list(labels), "n": n, "split": "test"}
    rule = {"operating_point": {"threshold": 0.5}, "calibration": {"temperature": 1.0}}
    result |= {"per_class": dict.fromkeys(labels, rule), "metrics": {"auc": entry}}
    write_json(folder / "metrics.json", result)
    write_json(folder / "recipe.json", {})
    write_splits(RunDir(folder), LEARNED_IMAGES | dict.fromkeys(paths, "test"))
    return RunDir(folder), found


def write_splits(run, splits):
    """Write the split of each image, by its path."""
    rows = [(path, "", "", split, f"{number:064}") for number, (path, split) in enumerate(splits.items())]
    write_csv(run / "splits.csv", SPLITS_CSV.columns, rows)
