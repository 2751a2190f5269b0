"""Measure the remedies for unbalanced classes on chest X-rays cut to one pneumonia for ten normal, and write the table.

    python benchmarks/imbalance.py --data cxr-pediatric --runs runs/imbalance

DATA holds `labels.csv` with the columns path, label and group. For each seed, all normal images and a tenth as many
with pneumonia, drawn by that seed, are split anew by patient. Every remedy then trains on the same images. The table
stands between two marks in docs/imbalance.md.
"""

import argparse
import csv
import shutil
from pathlib import Path

import numpy as np
from result_tables import replace_block

from tlmed.quiet import import_tensorflow

import_tensorflow()

import tlmed  # noqa: E402
from tlmed.evaluation.predictions import Predictions  # noqa: E402
from tlmed.evaluation.predictions_csv import read_predictions  # noqa: E402
from tlmed.metrics import apply_temperature, binary_auc, fit_temperature, reliability  # noqa: E402
from tlmed.recipe import override  # noqa: E402

RARE, COMMON, TIMES = "PNEUMONIA", "NORMAL", 10
SEEDS = range(5)
REMEDIES = {
    "none": (),
    "class weights": ("class_weight=balanced",),
    "balanced sampling": ("sampling=balanced",),
    "focal loss, gamma 2": ("head.loss=focal",),
    "logit adjustment": ("logit_adjustment=1",),
}
# With dropout every head is trained: a focal loss and a sampler ask for that, and remedies are to be compared alone.
SETTINGS = ("data.split=0.5,0.2,0.3", f"data.positive={RARE}", "examples=0", "head.dropout=0.2")
RECIPE = "feature_extractor"
MARKS = ("<!-- remedies: begin -->", "<!-- remedies: end -->")
PAGE = Path(__file__).parents[1] / "docs" / "imbalance.md"
HEAD = (
    *("remedy", "AUC", "balanced accuracy at 0.5", "as predicted"),
    *("mean probability", "Brier", "ECE", "temperature", "mean probability after it", "Brier after it", "ECE after it"),
)


def cut(data: Path, seed: int, target: Path) -> Path:
    """Write a table of all common images and a tenth as many rare ones; return its path."""
    with open(data / "labels.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    common, rare = ([row for row in rows if row["label"] == label] for label in (COMMON, RARE))
    chosen = np.random.RandomState(seed).permutation(len(rare))[: len(common) // TIMES]
    with open(target, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("path", "label", "group"))
        for row in [*common, *(rare[i] for i in sorted(chosen))]:
            writer.writerow((row["path"], row["label"], row["group"]))
    return target


def train(remedy: str, seed: int, table: Path, out: Path) -> Predictions:
    """Train with a remedy, unless that was done, and return the predictions."""
    if not (out / "lock.json").exists():
        settings = [*SETTINGS, *REMEDIES[remedy], f"seed={seed}"]
        tlmed.train(override(tlmed.load_recipe(RECIPE), settings), out, table)
    return read_predictions(out / "predictions.csv")


def measure(found: Predictions) -> list[float]:
    """Return a row of numbers: of the scores, then of the probabilities at the temperature from validation."""
    rare = found.classes.index(RARE)
    val, test = found.of("val"), found.of("test")
    temperature = fit_temperature(val.scores, val.labels)
    truth = test.labels == rare
    after = apply_temperature(test.scores, temperature)[:, rare]
    score = test.scores[:, rare]
    return [
        binary_auc(truth, score),
        *(_balance(truth, chosen) for chosen in (score >= 0.5, test.predictions == rare)),
        *_calibrate(truth, score),
        temperature,
        *_calibrate(truth, after),
    ]


def _balance(truth, found) -> float:
    """Return the mean of sensitivity and specificity."""
    return (found[truth].mean() + (~found[~truth]).mean()) / 2


def _calibrate(truth, score) -> list[float]:
    """Return the mean probability, the Brier score and the expected calibration error, as metrics.json has them."""
    bins = reliability(score, truth)
    gaps = sum(each["n"] * abs(each["confidence"] - each["share"]) for each in bins)
    return [score.mean(), ((score - truth) ** 2).mean(), gaps / len(score)]


def run(data: Path, runs: Path) -> dict[str, np.ndarray]:
    """Return for each remedy the numbers of each seed, [seeds, columns]; and the share of the rare class in test."""
    rows: dict[str, list] = {}
    for seed in SEEDS:
        table = cut(data, seed, runs / f"{seed}.csv")
        for remedy in REMEDIES:
            found = train(remedy, seed, table, runs / f"{remedy.replace(' ', '-')}-{seed}")
            rows.setdefault(remedy, []).append(measure(found))
        rows.setdefault("share", []).append((found.of("test").labels == found.classes.index(RARE)).mean())
    return {name: np.array(values) for name, values in rows.items()}


def show(found: dict[str, np.ndarray]) -> str:
    """Return the table as Markdown: means over the seeds, and by how much the AUC differed from that without remedy."""
    lines = [f"| {' | '.join(HEAD)} |", f"|---|{'--:|' * (len(HEAD) - 1)}"]
    share, plain = found["share"].mean(), found["none"][:, 0]
    for name, values in found.items():
        if name == "share":
            continue
        area, *others = values.mean(axis=0)
        moved = values[:, 0] - plain
        span = "" if not moved.any() else f" ({moved.min():+.3f} to {moved.max():+.3f})"
        lines.append(f"| {name} | {area:.3f}{span} | {' | '.join(f'{value:.3f}' for value in others)} |")
    return "\n".join([f"The share of pneumonia among the test images is {share:.3f}.", "", *lines])


def main() -> None:
    """Train what is missing, and write the table into the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    asked = parser.parse_args()
    if not (asked.runs / "images").exists():  # a table names files below its own folder
        shutil.copytree(asked.data / "images", asked.runs / "images")
    table = show(run(asked.data, asked.runs))
    print(table)
    PAGE.write_text(replace_block(PAGE.read_text(), table, *MARKS))


if __name__ == "__main__":
    main()
